"""Where the patches go: overlapping windows, in wavefronts, each of one exemplar of the mixture."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import torch
import torch.nn.functional as F
from torch import Tensor

from cnnart.errors import UsageError
from cnnart.methods.texture.canvas import Canvas
from cnnart.methods.texture.exemplars import PatchExemplar

LARGEST = 96  # pixels: larger patches are slower and no better
SHARE = 3  # a patch's side is this part of the exemplar's short side
GUIDED_SHARE = 6  # with a guide, whose borders only small patches can follow
SMALLEST = 8  # pixels, where nothing is said
MIN_WHOLE_SHARE = 0.1  # of an exemplar's windows, so many must be usable: else smaller ones
AREA = 3  # patches: about how far an area of one exemplar of a mixture reaches


@dataclass(frozen=True)
class Grid:
    """Windows along one axis: ``starts`` in a canvas of ``length`` pixels, cyclic if ``wraps``.

    ``overlap``: of neighboring windows, at least so many pixels.
    """

    starts: tuple[int, ...]
    length: int
    overlap: int
    wraps: bool


def make_grid(size: int, patch: int, overlap: int, wraps: bool) -> Grid:
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


def all_starts(grids: tuple[Grid, Grid]) -> Tensor:
    """``Nx2``: where the windows of the canvas begin, row and column, in reading order."""
    rows, columns = (torch.tensor(grid.starts) for grid in grids)
    return torch.cartesian_prod(rows, columns)


def unfilled(canvas: Canvas, grids: tuple[Grid, Grid], patch: int) -> Tensor:
    """``Nx2``: where the windows begin that have something to fill in, in the order to fill them.

    In an empty canvas row by row; in a picture to inpaint from the mask's border inwards.
    """
    starts = all_starts(grids)
    if not bool(canvas.fixed.any()):
        return starts
    at = canvas.windows(starts, patch)
    missing = (~canvas.known)[at.rows, at.columns].sum((1, 2)).cpu()
    needed = torch.nonzero(missing > 0)[:, 0]
    return starts[needed[missing[needed].argsort(stable=True)]]


def distance(a: Tensor, b: Tensor, length: int, wraps: bool) -> Tensor:
    """How far starts lie from each other along an axis, the shorter way round if it is cyclic."""
    apart = (a - b).abs()
    return torch.minimum(apart, length - apart) if wraps else apart


def wavefronts(starts: Tensor, patch: int, grids: tuple[Grid, Grid]) -> list[Tensor]:
    """Windows in batches, each filled at once: none waits for another of its own batch.

    A window waits for those that come before it in ``starts`` (``Nx2``: row, column) and overlap
    it. Taking the batches in turn gives what taking the windows one by one would.
    """
    depth = torch.zeros(len(starts), dtype=torch.int64)
    for k in range(1, len(starts)):
        near = _overlapping(starts[:k], starts[k], patch, grids)
        if bool(near.any()):
            depth[k] = depth[:k][near].max() + 1
    return [torch.nonzero(depth == i)[:, 0] for i in range(int(depth.max()) + 1)]


def _overlapping(starts: Tensor, one: Tensor, patch: int, grids: tuple[Grid, Grid]) -> Tensor:
    rows, columns = grids
    y = distance(starts[:, 0], one[0], rows.length, rows.wraps)
    x = distance(starts[:, 1], one[1], columns.length, columns.wraps)
    return (y < patch) & (x < patch)


def mixture_labels(
    starts: Tensor, weights: Sequence[float], grids: tuple[Grid, Grid], rng: torch.Generator
) -> list[int]:
    """The index of the exemplar for each window (``Nx2``: row, column).

    Smooth noise is cut at the levels that give every exemplar its share of windows: patches of one
    exemplar lie together, for a change at every patch would be a checkerboard.
    """
    noise = _smooth_noise(grids, rng)
    rows, columns = (
        torch.searchsorted(torch.tensor(g.starts), starts[:, i].contiguous())
        for i, g in enumerate(grids)
    )
    order = noise[rows, columns].argsort(stable=True)
    shares = torch.tensor(list(weights), dtype=torch.float64).cumsum(0)
    limits = (shares / shares[-1] * len(starts)).round().long()
    labels = torch.empty(len(starts), dtype=torch.int64)
    labels[order] = torch.searchsorted(limits, torch.arange(len(starts)), right=True)
    return [int(label) for label in labels]


def _smooth_noise(grids: tuple[Grid, Grid], rng: torch.Generator) -> Tensor:
    """A value for each window of the grid; the noise repeats along axes that do."""
    counts = [len(g.starts) for g in grids]
    coarse = [max(2, round(count / AREA)) for count in counts]
    noise = torch.rand(1, 1, *coarse, generator=rng)
    pads = [coarse[i] if g.wraps else 0 for i, g in enumerate(grids)]
    noise = F.pad(noise, (pads[1], pads[1], pads[0], pads[0]), mode="circular")
    size = [c * (3 if g.wraps else 1) for c, g in zip(counts, grids, strict=True)]
    smooth = F.interpolate(noise, size=size, mode="bicubic", align_corners=False)[0, 0]
    top, left = (c if g.wraps else 0 for c, g in zip(counts, grids, strict=True))
    return smooth[top : top + counts[0], left : left + counts[1]]


def patch_side(
    exemplars: Sequence[PatchExemplar],
    wanted: int | None,
    size: tuple[int, int],
    wraps: tuple[bool, bool],
) -> int:
    """The side of a patch in pixels: as wanted, or a third of the exemplar.

    With a guide it is a sixth. No patch is longer than an axis that repeats. Where exemplars have
    masked pixels, patches are so small that a fair part of their windows is free of them.

    Raises UsageError where the patch wanted does not fit, or no window is free.
    """
    used = [exemplar for exemplar in exemplars if exemplar.weight > 0]
    shortest = min(min(exemplar.size) for exemplar in used)
    longest = min([shortest, *[n for n, wrap in zip(size, wraps, strict=True) if wrap]])
    if wanted is not None:
        if wanted > shortest:
            raise UsageError(
                f"A patch of {wanted} pixels does not fit into an exemplar whose short side is "
                f"{shortest}: use `patch` {shortest // SHARE} or so."
            )
        side = min(wanted, longest)
    else:
        guided = any(exemplar.guide is not None for exemplar in used)
        usual = shortest // (GUIDED_SHARE if guided else SHARE)
        side = min(max(SMALLEST, usual), LARGEST, longest)
        while side > SMALLEST and min(e.whole_share(side) for e in used) < MIN_WHOLE_SHARE:
            side = max(SMALLEST, side * 4 // 5)
    if min(e.whole_share(side) for e in used) == 0:
        raise UsageError(
            f"No {side}x{side} patch of the exemplar is free of the mask: use a smaller `patch`, "
            "mask less, or name another exemplar."
        )
    return side
