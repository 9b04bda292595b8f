"""The losses of training, one value per picture of a batch, VGG run no deeper than each needs."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass

import torch
import torch.nn.functional as F
from torch import Tensor

from cnnart.methods.fast.train.artifacts import detail_of, grid_loss
from cnnart.methods.fast.train.config import TrainConfig
from cnnart.networks.vgg import FeatureExtractor
from cnnart.optim.color import color_directions
from cnnart.optim.losses import EPSILON, Moments, moments, style_loss

PALETTE_PATCH = 8  # pixels: the palette is judged by means, so that dithering does not help
QUANTILES = 1024
GRID = 8  # pixels: two steps of the coarsest layers' grid, and so those of all finer ones
HALVED = "/2"  # suffix of the names of layers of the picture at half its size
STATISTIC = "covariance"


@dataclass(frozen=True)
class StyleTarget:
    """What a style's pictures aim at.

    ``moments``: of the painting's layers. ``quantiles``: ``directions x 1024``, of its colors
    projected on directions. ``detail``: the painting's own, see
    ``cnnart.methods.fast.train.artifacts``.
    """

    moments: dict[str, Moments]
    quantiles: Tensor
    detail: dict[str, float]


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

    def target(self, painting: Tensor) -> StyleTarget:
        """A painting (``1x3xHxW``) as a target."""
        with torch.no_grad():
            found = self.activations(painting)
            projected = self._projected(painting)[0]
            return StyleTarget(
                {name: moments(found[name]) for name in self.style_layers},
                spread(projected, QUANTILES),
                detail_of(painting),
            )

    def __call__(self, output: Tensor, photo: Tensor, targets: Sequence[StyleTarget]) -> Terms:
        """The terms of ``Bx3xHxW`` pictures made of photos, each with its target."""
        with torch.no_grad():  # only as deep as the content's own layers
            wanted = self.features(photo, self.content_layers)
        found = self.activations(output, self.content_layers)
        content = sum(
            (w * _relative(found[k], wanted[k]) for k, w in self.content_layers.items()),
            torch.zeros(len(output), device=output.device),
        )
        return Terms(
            content,
            self.style(found, targets),
            self.palette(output, targets),
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

    def style(self, found: dict[str, Tensor], targets: Sequence[StyleTarget]) -> Tensor:
        """``BxL``: the covariance statistic of ``losses.style_loss`` for each picture and layer."""
        columns = [
            torch.stack(
                [
                    style_loss(moments(one), target.moments[k], STATISTIC)
                    # Not by index: the gradient of that is a whole batch of zeros for each.
                    for one, target in zip(found[k].split(1), targets, strict=True)
                ]
            )
            for k in self.style_layers
        ]
        return torch.stack(columns, 1)

    def palette(self, output: Tensor, targets: Sequence[StyleTarget]) -> Tensor:
        """Sliced 2-Wasserstein distance of small patches' mean colors (Bonneel et al. 2015),
        squared: ``B``.
        """
        projected = self._projected(output)
        aims = torch.stack([spread(t.quantiles, projected.shape[2]) for t in targets])
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
    """Sorted values (``DxN``) resampled to so many quantiles, ``Dxcount``."""
    if values.shape[1] == count:
        return values
    return F.interpolate(values[None], size=count, mode="linear", align_corners=False)[0]


def total_variation(images: Tensor) -> Tensor:
    """``losses.tv_loss`` of each picture of a batch: ``B``."""
    down = (images[..., 1:, :] - images[..., :-1, :]).square().mean((1, 2, 3))
    across = (images[..., 1:] - images[..., :-1]).square().mean((1, 2, 3))
    return down + across


def _relative(found: Tensor, wanted: Tensor) -> Tensor:
    """Squared distance over the photo's own energy, of each picture: ``B``."""
    difference = (found.float() - wanted.float()).square().sum((1, 2, 3))
    return difference / wanted.float().square().sum((1, 2, 3)).clamp_min(EPSILON)
