"""What a neural texture aims at: regions of the canvas, each with the exemplars it takes after.

One region, the whole canvas, is the rule. A guide map makes several; what is inpainted takes after
what is around it.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import torch
import torch.nn.functional as F
from torch import Tensor

from cnnart.image.picture import resize
from cnnart.methods.texture.guide import Guide, label_maps
from cnnart.networks.vgg import FeatureExtractor
from cnnart.optim.losses import Moments, blend
from cnnart.optim.objective import layer_masks
from cnnart.optim.tiles import gather_moments

MIN_MASK_MASS = 1e-3  # units of a layer, below which a mask leaves nothing to measure there


@dataclass(frozen=True)
class Exemplar:
    """An exemplar (``1x3xHxW`` in [0, 1]), its weight in the mixture, and what of it counts.

    ``mask``: ``1x1xHxW`` in [0, 1], or None for all of it.
    """

    image: Tensor
    weight: float = 1.0
    mask: Tensor | None = None

    def resized(self, factors: tuple[float, float], least: int) -> Exemplar:
        """(Vertically, horizontally) larger by ``factors``, but no side below ``least`` pixels."""
        size = [
            max(least, round(n * f)) for n, f in zip(self.image.shape[-2:], factors, strict=True)
        ]
        mask = None if self.mask is None else resize(self.mask, *size).clamp(0, 1)
        return Exemplar(resize(self.image, *size), self.weight, mask)

    def pixels(self) -> Tensor:
        """The colors that count, as a picture of one row: ``1x3x1xN``."""
        flat = self.image.flatten(2)
        if self.mask is not None:
            chosen = self.mask.flatten() > 0.5
            if bool(chosen.any()):
                flat = flat[..., chosen]
        return flat[:, :, None]


@dataclass(frozen=True)
class MaskedTarget:
    """A region of the canvas and what it is to look like.

    ``mask``: ``1x1xHxW`` over the canvas, None for all of it; ``share``: its share of the canvas.
    """

    exemplars: tuple[Exemplar, ...]
    mask: Tensor | None = None
    share: float = 1.0


def guided_targets(guide: Guide, exemplars: Sequence[Exemplar]) -> list[MaskedTarget]:
    """The regions of a guided texture, with masks of the size of ``guide.target``.

    With a guide's weight below 1 each region takes after the whole exemplars too, to that degree.
    """
    sources, target, count = label_maps(guide)
    weight, regions = min(1.0, guide.weight), []
    for label in range(count):
        mask = (target == label).float()[None, None]
        if not bool(mask.any()):
            continue
        shown = []
        for exemplar, labels in zip(exemplars, sources, strict=True):
            chosen = (labels == label).float()[None, None].to(exemplar.image.device)
            if bool(chosen.any()):
                # As much of the region as of the exemplar itself shows this label.
                amount = exemplar.weight * float(chosen.mean()) * weight
                shown.append(Exemplar(exemplar.image, amount, chosen))
        if weight < 1:
            rest = sum(e.weight for e in shown) * (1 - weight) / max(weight, 1e-3)
            shown += [Exemplar(e.image, e.weight * rest, e.mask) for e in exemplars]
        regions.append(MaskedTarget(tuple(shown), mask, float(mask.mean())))
    return regions


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
    margin = -(-features.halo(layers) // align) * align
    mask = torch.ones_like(exemplar.image[:, :1]) if exemplar.mask is None else exemplar.mask
    masks = {}
    for layer, inner in layer_masks(mask, features, layers).items():
        stride = features.geometry[layer].stride
        inner = inner if float(inner.sum()) > MIN_MASK_MASS else torch.ones_like(inner)
        units = [(n + 2 * margin) // stride for n in (height, width)]
        top, left = margin // stride, margin // stride
        bottom, right = units[0] - top - inner.shape[-2], units[1] - left - inner.shape[-1]
        masks[layer] = F.pad(inner, (left, right, top, bottom))
    return gather_moments(features, mirrored(exemplar.image, margin), layers, tile, masks)


def mirrored(image: Tensor, margin: int) -> Tensor:
    """``image`` with ``margin`` more pixels on each side: its mirror images, as many as it takes.

    ``F.pad(mode="reflect")`` allows no margin longer than the picture and leaves out its edge.
    """
    for axis in (-2, -1):
        length = image.shape[axis]
        places = torch.arange(-margin, length + margin, device=image.device) % (2 * length)
        image = image.index_select(axis, torch.minimum(places, 2 * length - 1 - places))
    return image
