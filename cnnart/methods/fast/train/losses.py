"""The losses of training, one value per picture of a batch, VGG run no deeper than each needs."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor

from cnnart.methods.fast.predictor import HALVED, describe
from cnnart.methods.fast.train.artifacts import artifacts_of, grid_loss
from cnnart.methods.fast.train.config import TrainConfig
from cnnart.networks.vgg import FeatureExtractor
from cnnart.optim.color import color_directions, color_gaussians
from cnnart.optim.losses import BF16_PIECE, EPSILON

PALETTE_PATCH = 8  # pixels: the palette is judged by means, so that dithering does not help
QUANTILES = 1024
GRID = 8  # pixels: two steps of the coarsest layers' grid, and so those of all finer ones


@dataclass(frozen=True)
class StyleTargets:
    """What the pictures of ``S`` styles aim at; a sample of a batch says by number which is its.

    ``means`` (``SxC``) and ``covariances`` (``SxCxC``) of the paintings' layers, by layer.
    ``colors``: means (``Sx3``) and covariances (``Sx3x3``) of their colors. ``quantiles``:
    ``S x directions x 1024``, of their colors projected on directions. ``artifacts``: each
    painting's own, see ``cnnart.methods.fast.train.artifacts``.
    """

    means: dict[str, Tensor]
    covariances: dict[str, Tensor]
    quantiles: Tensor
    colors: tuple[Tensor, Tensor]
    artifacts: tuple[dict[str, float], ...]

    def __len__(self) -> int:
        return len(self.artifacts)

    def described(self) -> Tensor:
        """What a ``StylePredictor`` sees of each style: ``SxD``."""
        variances = {k: v.diagonal(dim1=1, dim2=2) for k, v in self.covariances.items()}
        return describe([(self.means[name], variances[name]) for name in self.means], self.colors)


@dataclass(frozen=True)
class Terms:
    """Losses of a batch, relative (about 1 for unrelated pictures) and without any weights.

    ``content``: ``B``; ``style``: ``BxL``, a column per style layer; ``palette``: ``B``, mean
    squared distance that colors have to go; ``pixel``, ``tv``, ``grid``, ``excess``: ``B``, mean
    squares.
    """

    content: Tensor
    style: Tensor
    palette: Tensor
    pixel: Tensor
    tv: Tensor
    grid: Tensor
    excess: Tensor


class PerceptualLosses:
    """Compares stylized photos with the photos and with their styles.

    Style is compared at two sizes: the deep layers, which see large strokes and cost most, see the
    picture at half its size, where they see twice as far for a quarter of the work.

    Args:
        features: a VGG.
        content_layers: weights by layer, normalized to sum 1.
        style_layers: of the picture itself.
        coarse_layers: of the picture at half its size.
    """

    def __init__(
        self,
        features: FeatureExtractor,
        content_layers: dict[str, float],
        style_layers: Sequence[str],
        coarse_layers: Sequence[str] = (),
    ) -> None:
        features.check_layers([*content_layers, *style_layers, *coarse_layers])
        total = sum(content_layers.values())
        self.content_layers = {k: w / total for k, w in content_layers.items() if w}
        self._fine, self._coarse = list(style_layers), list(coarse_layers)
        self.style_layers = [*style_layers, *(f"{k}{HALVED}" for k in coarse_layers)]
        self.features = features
        self._directions = color_directions(device=features.device)

    def targets(self, paintings: Iterable[Tensor]) -> StyleTargets:
        """Paintings (``1x3xHxW``, each of its own size) as targets, numbered in their order."""
        artifacts = []
        means: dict[str, list[Tensor]] = {name: [] for name in self.style_layers}
        covariances: dict[str, list[Tensor]] = {name: [] for name in self.style_layers}
        quantiles, colors = [], []
        with torch.no_grad():
            for painting in paintings:
                found = self.activations(painting)
                for name in self.style_layers:
                    mean, covariance = statistics(found[name])
                    means[name].append(mean)
                    covariances[name].append(covariance)
                quantiles.append(spread(self._projected(painting), QUANTILES))
                colors.append(color_gaussians(painting))
                artifacts.append(artifacts_of(painting))
        return StyleTargets(
            {name: torch.cat(values) for name, values in means.items()},
            {name: torch.cat(values) for name, values in covariances.items()},
            torch.cat(quantiles),
            (torch.cat([mean for mean, _ in colors]), torch.cat([cov for _, cov in colors])),
            tuple(artifacts),
        )

    def __call__(
        self, output: Tensor, photo: Tensor, targets: StyleTargets, styles: Tensor
    ) -> Terms:
        """The terms of ``Bx3xHxW`` pictures made of photos.

        ``styles``: ``B`` int64 on the device, the number of each picture's target. Nothing here
        waits for the device or depends on values but by arithmetic: it can be captured.
        """
        with torch.no_grad():  # only as deep as the content's own layers
            wanted = self.features(photo, self.content_layers)
        found = self.activations(output, self.content_layers)
        content = sum(
            (w * _relative(found[k], wanted[k]) for k, w in self.content_layers.items()),
            torch.zeros(len(output), device=output.device),
        )
        return Terms(
            content,
            self.style(found, targets, styles),
            self.palette(output, targets, styles),
            (output - photo).square().mean((1, 2, 3)),
            total_variation(output),
            grid_loss(output, GRID),
            (output - output.clamp(0, 1)).square().mean((1, 2, 3)),
        )

    def activations(self, pictures: Tensor, more: Iterable[str] = ()) -> dict[str, Tensor]:
        """What ``style`` compares, by layer, and ``more`` layers of the pictures themselves."""
        found = self.features(pictures, {*self._fine, *more})
        if self._coarse:
            halves = self.features(F.avg_pool2d(pictures, 2), self._coarse)
            found |= {f"{name}{HALVED}": value for name, value in halves.items()}
        return found

    def style(self, found: dict[str, Tensor], targets: StyleTargets, styles: Tensor) -> Tensor:
        """``BxL``: the covariance statistic of ``optim.losses.style_loss`` for each picture and
        layer.
        """
        columns = []
        for name in self.style_layers:
            mean, covariance = statistics(found[name])
            means = _relative_square(mean, targets.means[name][styles])
            covariances = _relative_square(covariance, targets.covariances[name][styles])
            columns.append(0.5 * (covariances + means))
        return torch.stack(columns, 1)

    def palette(self, output: Tensor, targets: StyleTargets, styles: Tensor) -> Tensor:
        """Sliced 2-Wasserstein distance of small patches' mean colors (Bonneel et al. 2015),
        squared: ``B``.
        """
        projected = self._projected(output)
        aims = spread(targets.quantiles, projected.shape[2])[styles]
        return (projected - aims).square().mean((1, 2))

    def _projected(self, pictures: Tensor) -> Tensor:
        """Sorted projections of the colors on the directions: ``BxDxN``."""
        colors = F.avg_pool2d(pictures, PALETTE_PATCH).flatten(2)
        return (self._directions @ colors).sort(2).values


def make_losses(features: FeatureExtractor, config: TrainConfig) -> PerceptualLosses:
    """The losses that a run's settings ask for."""
    return PerceptualLosses(
        features, config.content_layers, list(config.style_layers), list(config.coarse_layers)
    )


def spread(values: Tensor, count: int) -> Tensor:
    """Sorted values (``BxDxN``) resampled to so many quantiles, ``BxDxcount``."""
    if values.shape[2] == count:
        return values
    return F.interpolate(values, size=count, mode="linear", align_corners=False)


def statistics(features: Tensor) -> tuple[Tensor, Tensor]:
    """Mean (``BxC``) and covariance (``BxCxC``) of ``BxCxhxw`` activations over their positions,
    in float32.
    """
    flat = features.permute(0, 2, 3, 1).flatten(1, 2)  # a view when the memory is channels_last
    count = flat.shape[1]
    mean = flat.sum(1, dtype=torch.float32) / count
    outer: Tensor = _OuterSums.apply(flat)
    return mean, outer / count - mean[:, :, None] * mean[:, None, :]


class _OuterSums(torch.autograd.Function):
    """``flat.T @ flat`` in float32 of each of ``BxNxC`` activations.

    What ``optim.losses.moments`` does for one picture, and for the same reasons, for all pictures
    of a batch at once.
    """

    @staticmethod
    def forward(ctx: Any, flat: Tensor) -> Tensor:
        ctx.save_for_backward(flat)
        if flat.dtype != torch.bfloat16:
            return flat.float().transpose(1, 2) @ flat.float()
        batch, count, channels = flat.shape
        whole = count // BF16_PIECE * BF16_PIECE
        pieces = flat[:, :whole].reshape(-1, BF16_PIECE, channels)
        products = (pieces.transpose(1, 2) @ pieces).unflatten(0, (batch, whole // BF16_PIECE))
        result = products.sum(1, dtype=torch.float32)
        if whole == count:
            return result
        rest = flat[:, whole:]
        return result + (rest.transpose(1, 2) @ rest).float()

    @staticmethod
    def backward(ctx: Any, grad: Tensor) -> Tensor:
        (flat,) = ctx.saved_tensors
        both = grad + grad.transpose(1, 2)
        if flat.dtype == torch.bfloat16:
            return flat @ both.to(flat.dtype)
        return (flat.float() @ both).to(flat.dtype)


def total_variation(images: Tensor) -> Tensor:
    """``losses.tv_loss`` of each picture of a batch: ``B``."""
    down = (images[..., 1:, :] - images[..., :-1, :]).square().mean((1, 2, 3))
    across = (images[..., 1:] - images[..., :-1]).square().mean((1, 2, 3))
    return down + across


def _relative(found: Tensor, wanted: Tensor) -> Tensor:
    """Squared distance over the photo's own energy, of each picture: ``B``."""
    difference = (found.float() - wanted.float()).square().sum((1, 2, 3))
    return difference / wanted.float().square().sum((1, 2, 3)).clamp_min(EPSILON)


def _relative_square(found: Tensor, wanted: Tensor) -> Tensor:
    """Squared distance over the square of what is wanted, of each of a batch: ``B``."""
    distance = (found - wanted).square().flatten(1).sum(1)
    return distance / wanted.square().flatten(1).sum(1).clamp_min(EPSILON)
