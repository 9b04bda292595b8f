"""What a texture is made of: the parts of the canvas, and the pieces of exemplars each takes after.

One part is the rule. A guide map makes several; what is inpainted takes after what is around it.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import torch
import torch.nn.functional as F
from torch import Tensor

from cnnart.features import FeatureExtractor
from cnnart.image import resize
from cnnart.losses import Moments, blend
from cnnart.objective import layer_masks
from cnnart.tiled_features import gather_moments

NOTHING = 1e-3  # units of a layer, below which a mask leaves nothing to see there


@dataclass(frozen=True)
class Exemplar:
    """An exemplar (``1x3xHxW``), its part in the mixture, and what of it counts.

    ``mask``: ``1x1xHxW`` in [0, 1], or None for all of it.
    """

    image: Tensor
    weight: float = 1.0
    mask: Tensor | None = None

    def at(self, factors: tuple[float, float], least: int) -> Exemplar:
        """Seen (vertically, horizontally) larger, but no side below ``least`` pixels."""
        size = [
            max(least, round(n * f)) for n, f in zip(self.image.shape[-2:], factors, strict=True)
        ]
        mask = None if self.mask is None else resize(self.mask, *size).clamp(0, 1)
        return Exemplar(resize(self.image, *size), self.weight, mask)

    def pixels(self) -> Tensor:
        """The colours that count, as a picture of one row: ``1x3x1xN``."""
        flat = self.image.flatten(2)
        if self.mask is not None:
            chosen = self.mask.flatten() > 0.5
            if bool(chosen.any()):
                flat = flat[..., chosen]
        return flat[:, :, None]


@dataclass(frozen=True)
class Part:
    """A part of the canvas and what it is to look like.

    ``mask``: ``1x1xHxW`` over the canvas, None for all of it; ``share``: its share of the canvas.
    """

    exemplars: tuple[Exemplar, ...]
    mask: Tensor | None = None
    share: float = 1.0


def mixed_moments(
    features: FeatureExtractor, exemplars: Sequence[Exemplar], layers: Sequence[str], tile: int
) -> dict[str, Moments]:
    """The exemplars' moments, mixed by their weights.

    Where a mask leaves nothing of a layer, all of the exemplar counts there.
    """
    found = [(_moments(features, e, layers, tile), e.weight) for e in exemplars]
    return {layer: blend([(m[layer], weight) for m, weight in found]) for layer in layers}


def _moments(
    features: FeatureExtractor, exemplar: Exemplar, layers: Sequence[str], tile: int
) -> dict[str, Moments]:
    """Moments over the exemplar's own units, with its mirror image around it.

    Zeros around it would count as texture: in a small exemplar most deep units see its border.
    """
    height, width = exemplar.image.shape[-2:]
    align = features.smallest_side(layers)
    reach = -(-features.halo(layers) // align) * align
    mask = torch.ones_like(exemplar.image[:, :1]) if exemplar.mask is None else exemplar.mask
    masks = {}
    for layer, inner in layer_masks(mask, features, layers).items():
        stride = features.geometry[layer].stride
        inner = inner if float(inner.sum()) > NOTHING else torch.ones_like(inner)
        units = [(n + 2 * reach) // stride for n in (height, width)]
        top, left = reach // stride, reach // stride
        rest = (units[1] - left - inner.shape[-1], units[0] - top - inner.shape[-2])
        masks[layer] = F.pad(inner, (left, rest[0], top, rest[1]))
    return gather_moments(features, mirrored(exemplar.image, reach), layers, tile, masks)


def mirrored(image: Tensor, reach: int) -> Tensor:
    """``image`` with ``reach`` more pixels on each side: its mirror images, as many as it takes."""
    for axis in (-2, -1):
        length = image.shape[axis]
        places = torch.arange(-reach, length + reach, device=image.device) % (2 * length)
        image = image.index_select(axis, torch.minimum(places, 2 * length - 1 - places))
    return image
