"""Exemplars made ready for patch methods: what is copied, what is compared, what may be copied.

What is compared are whole numbers. Sums of their squared differences are then whole too, and exact
in float64 in any order of summation: with any number of threads a seed gives the same picture.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import torch
from torch import Tensor

WHITE = 255
SMOOTH = 1.5  # weight of the smoothed channels in ``perceived_levels``
BINOMIAL = (1.0, 4.0, 6.0, 4.0, 1.0)

LevelsOf = Callable[[Tensor, Tensor], Tensor]


@dataclass(frozen=True)
class Source:
    """One exemplar.

    ``pixels``: ``CxHxW``, what is copied. ``levels``: ``LxHxW`` float64, whole, what is compared.
    ``edges``: ``HxW``, see ``edges_of``. ``usable``: ``HxW`` bool, what may be copied.
    ``guide``: ``3xHxW`` whole levels, or None.
    ``weight``: how much of the result comes from it, relative to the others.
    """

    pixels: Tensor
    levels: Tensor
    edges: Tensor
    usable: Tensor
    guide: Tensor | None = None
    weight: float = 1.0

    @property
    def size(self) -> tuple[int, int]:
        return self.levels.shape[-2], self.levels.shape[-1]


def color_levels(image: Tensor, usable: Tensor) -> Tensor:
    """``1xCxHxW`` in [0, 1] -> ``CxHxW`` of 0..255, whole; a fourth channel is alpha.

    The colour of a transparent pixel is invisible and must not count, so colours are premultiplied.
    Pixels that are not ``usable`` (``HxW``) become 0.
    """
    picture = image[0].to(torch.float64).clamp(0, 1)
    if len(picture) == 4:
        picture = torch.cat((picture[:3] * picture[3:], picture[3:]))
    return (picture * WHITE).round() * usable


def perceived_levels(image: Tensor, usable: Tensor) -> Tensor:
    """``1xCxHxW`` -> ``4xHxW`` (``5xHxW`` with alpha), whole: what makes a seam visible.

    Brightness; the smoothed brightness and the two smoothed colour differences, which count more:
    grain hides a seam between two stones, a step from grey to pink does not. Pixels that are not
    usable do not spread into the smoothed channels.
    """
    red, green, blue, *alpha = color_levels(image, usable)
    bright = (red + 2 * green + blue) / 4
    smoothed = _smooth(torch.stack((bright, blue - green, red - green)), usable)
    return torch.cat((bright[None], SMOOTH * smoothed, *[a[None] for a in alpha])).round()


def _smooth(planes: Tensor, usable: Tensor) -> Tensor:
    """A binomial filter (deviation sqrt(3) pixels) over the usable pixels, of exact sums."""
    weights = usable.to(planes.dtype)
    planes = torch.cat((planes * weights, weights[None]))
    for _ in range(3):
        for axis in (1, 2):
            planes = _filter(planes, axis)
    return planes[:-1] / planes[-1:].clamp_min(1e-9)


def _filter(planes: Tensor, axis: int) -> Tensor:
    length = planes.shape[axis]
    total = torch.zeros_like(planes)
    for offset, weight in enumerate(BINOMIAL, start=-2):
        index = torch.arange(length, device=planes.device).add_(offset).clamp_(0, length - 1)
        total += weight / sum(BINOMIAL) * planes.index_select(axis, index)
    return total


def edges_of(levels: Tensor, known: Tensor) -> Tensor:
    """``...xLxHxW`` -> ``...xHxW``: how much each pixel differs from its ``known`` neighbours."""
    edges = torch.zeros_like(levels[..., 0, :, :])
    across = (levels[..., 1:] - levels[..., :-1]).abs().sum(-3)
    across *= known[..., 1:] & known[..., :-1]
    down = (levels[..., 1:, :] - levels[..., :-1, :]).abs().sum(-3)
    down *= known[..., 1:, :] & known[..., :-1, :]
    edges[..., 1:] += across
    edges[..., :-1] += across
    edges[..., 1:, :] += down
    edges[..., :-1, :] += down
    return edges
