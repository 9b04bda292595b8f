"""Which style applies where: masks of any size turned into regions that share the picture."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import torch
from torch import Tensor

from cnnart.image.picture import resize

NOTHING_LEFT = 1e-6  # a region below this share of the picture is no region


@dataclass(frozen=True)
class StyleImage:
    """A style picture (``1x3xHxW``), its part in the blend, and where it applies.

    ``mask``: ``1x1xHxW`` in [0, 1] over the photo, of any size. Styles without a mask share what
    the masks of the others leave free.
    """

    image: Tensor
    weight: float = 1.0
    mask: Tensor | None = None


@dataclass(frozen=True)
class StyledRegion:
    """Styles blended over one part of the picture; ``mask`` None means all of it."""

    styles: tuple[StyleImage, ...]
    mask: Tensor | None
    share: float


def style_regions(styles: Sequence[StyleImage], height: int, width: int) -> list[StyledRegion]:
    """The regions of a picture of this size, each with its share of the picture.

    Overlapping masks share their pixels in proportion. A region with nothing in it is left out.
    """
    free = tuple(s for s in styles if s.mask is None)
    masked = [s for s in styles if s.mask is not None]
    if not masked:
        return [StyledRegion(free, None, 1.0)]
    masks = [resize(s.mask, height, width).clamp(0, 1) for s in masked if s.mask is not None]
    covered = torch.stack(masks).sum(0)
    masks = [m / covered.clamp_min(1) for m in masks]
    parts: list[tuple[tuple[StyleImage, ...], Tensor]] = [
        ((s,), m) for s, m in zip(masked, masks, strict=True)
    ]
    if free:
        parts.append((free, (1 - covered).clamp_min(0)))
    regions = [StyledRegion(s, m, float(m.mean())) for s, m in parts]
    return [r for r in regions if r.share > NOTHING_LEFT]


def applies(masks: Sequence[Tensor | None]) -> bool:
    """Whether any of a picture's styles, with these masks (``1x1xHxW``), has a place in it."""
    return any(mask is None or float(mask.mean()) > NOTHING_LEFT for mask in masks)


def covered(masks: Sequence[Tensor | None], height: int, width: int) -> Tensor | None:
    """How much of each pixel styles with these masks claim: ``1x1xHxW``; None: all of it."""
    found = [resize(mask, height, width) for mask in masks if mask is not None]
    if len(found) < len(masks):
        return None
    return torch.stack(found).sum(0).clamp_(0, 1)


def coverage(regions: Sequence[StyledRegion]) -> Tensor | None:
    """How much of each pixel any style claims (``1x1xHxW``), or None where that is everything."""
    masks = [r.mask for r in regions]
    if not masks or any(m is None for m in masks):
        return None
    total = torch.stack([m for m in masks if m is not None]).sum(0).clamp(0, 1)
    return None if float(total.min()) > 1 - 1e-3 else total
