"""Where the patches go: a grid of square windows that overlap, and what can be done at once."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import torch
from torch import Tensor


@dataclass(frozen=True)
class Grid:
    """Windows along one axis: ``starts`` in a canvas of ``length`` pixels, cyclic if ``wraps``.

    ``overlap``: of neighbouring windows, at least so many pixels.
    """

    starts: tuple[int, ...]
    length: int
    overlap: int
    wraps: bool


def grid(size: int, patch: int, overlap: int, wraps: bool) -> Grid:
    """Windows of ``patch`` pixels that cover ``size``, each overlapping the next.

    An axis that repeats is divided evenly, and its last window overlaps the first. No window but
    the last reaches the first one, where it could not be fitted: the steps are half a patch or
    more. The canvas of another axis may be longer than ``size``: what is over is cut off later.
    """
    step = max(1, patch - overlap)
    if not wraps:
        count = max(1, -(-(size - overlap) // step))
        starts = tuple(i * step for i in range(count))
        return Grid(starts, starts[-1] + patch, patch - step, False)
    count = max(min(2, size), min(-(-size // step), size // -(-patch // 2)))
    starts = tuple(i * size // count for i in range(count))
    widest = max(b - a for a, b in zip(starts, (*starts[1:], size), strict=True))
    return Grid(starts, size, max(patch - widest, 0), True)


def distance(a: Tensor, b: Tensor, length: int, wraps: bool) -> Tensor:
    """How far starts lie from each other along an axis, the shorter way round if it is cyclic."""
    apart = (a - b).abs()
    return torch.minimum(apart, length - apart) if wraps else apart


def waves(starts: Tensor, patch: int, grids: tuple[Grid, Grid]) -> list[Tensor]:
    """Windows in groups, each to be filled at once: none waits for another of its own group.

    A window waits for those that come before it in ``starts`` (``Nx2``: row, column) and overlap
    it. Taking the groups in turn gives what taking the windows one by one would.
    """
    level = torch.zeros(len(starts), dtype=torch.int64)
    for k in range(1, len(starts)):
        near = _overlapping(starts[:k], starts[k], patch, grids)
        if bool(near.any()):
            level[k] = level[:k][near].max() + 1
    return [torch.nonzero(level == i)[:, 0] for i in range(int(level.max()) + 1)]


def _overlapping(starts: Tensor, one: Tensor, patch: int, grids: tuple[Grid, Grid]) -> Tensor:
    rows, columns = grids
    y = distance(starts[:, 0], one[0], rows.length, rows.wraps)
    x = distance(starts[:, 1], one[1], columns.length, columns.wraps)
    return (y < patch) & (x < patch)


def product(rows: Sequence[int], columns: Sequence[int]) -> Tensor:
    """``Nx2``: every pair of a row and a column, in reading order."""
    y, x = torch.tensor(rows), torch.tensor(columns)
    return torch.stack(torch.meshgrid(y, x, indexing="ij"), -1).reshape(-1, 2)
