"""The losses of training, one value per picture of a batch, VGG run no deeper than each needs."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import torch
import torch.nn.functional as F
from torch import Tensor

from cnnart.features import FeatureExtractor
from cnnart.losses import EPSILON, Moments, moments, style_loss
from cnnart.palette import colour_directions

PALETTE_GRID = 4  # the palette is judged by every 4th pixel along each axis
QUANTILES = 1024
STATISTIC = "covariance"


@dataclass(frozen=True)
class StyleTarget:
    """What a style's pictures aim at.

    ``moments``: of the painting's layers. ``quantiles``: ``directions x 1024``, of its colours
    projected on directions. ``detail``: see ``cnnart.fast.artifacts``; the painting's own.
    """

    moments: dict[str, Moments]
    quantiles: Tensor
    detail: dict[str, float]


@dataclass(frozen=True)
class Terms:
    """Losses of a batch, relative (about 1 for unrelated pictures) and without any weights.

    ``content``: ``B``; ``style``: ``BxL``, a column per style layer; ``palette``: ``B``, mean
    squared distance that colours have to go; ``pixel``, ``tv``, ``excess``: ``B``, mean squares.
    """

    content: Tensor
    style: Tensor
    palette: Tensor
    pixel: Tensor
    tv: Tensor
    excess: Tensor


class PerceptualLosses:
    """Compares stylized photos with the photos and with their styles.

    Args:
        features: a VGG.
        content_layers, style_layers: weights by layer; those of content are normalized to sum 1.
    """

    def __init__(
        self,
        features: FeatureExtractor,
        content_layers: dict[str, float],
        style_layers: Sequence[str],
    ) -> None:
        features.check_layers([*content_layers, *style_layers])
        total = sum(content_layers.values())
        self.content_layers = {k: w / total for k, w in content_layers.items() if w}
        self.style_layers = list(style_layers)
        self.features = features
        self._directions = colour_directions(device=features.device)

    def target(self, painting: Tensor) -> StyleTarget:
        """A painting (``1x3xHxW``) as a target."""
        from cnnart.fast.artifacts import detail_of

        with torch.no_grad():
            found = self.features(painting, self.style_layers)
            projected = (self._directions @ painting[0].flatten(1)).sort(1).values
            return StyleTarget(
                {name: moments(found[name]) for name in self.style_layers},
                spread(projected, QUANTILES),
                detail_of(painting),
            )

    def __call__(self, output: Tensor, photo: Tensor, targets: Sequence[StyleTarget]) -> Terms:
        """The terms of ``Bx3xHxW`` pictures made of photos, each with its target."""
        with torch.no_grad():  # only as deep as the content's own layers
            wanted = self.features(photo, self.content_layers)
        found = self.features(output, {*self.content_layers, *self.style_layers})
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
            (output - output.clamp(0, 1)).square().mean((1, 2, 3)),
        )

    def style(self, found: dict[str, Tensor], targets: Sequence[StyleTarget]) -> Tensor:
        """``BxL``: the covariance statistic of ``losses.style_loss`` for each picture and layer."""
        rows = [
            torch.stack(
                [
                    style_loss(moments(found[k][i : i + 1]), target.moments[k], STATISTIC)
                    for k in self.style_layers
                ]
            )
            for i, target in enumerate(targets)
        ]
        return torch.stack(rows)

    def palette(self, output: Tensor, targets: Sequence[StyleTarget]) -> Tensor:
        """Sliced 2-Wasserstein distance of the colours (Bonneel et al. 2015), squared: ``B``."""
        pixels = output[..., ::PALETTE_GRID, ::PALETTE_GRID].flatten(2)
        projected = (self._directions @ pixels).sort(2).values
        aims = torch.stack([spread(t.quantiles, projected.shape[2]) for t in targets])
        return (projected - aims).square().mean((1, 2))


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
