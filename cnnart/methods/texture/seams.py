"""Minimum-error boundary cuts: where an old and a new patch differ least, and the new one begins.

Efros and Freeman 2001, "Image Quilting for Texture Synthesis and Transfer", with two departures:
a cut may turn back (theirs moves on by one row at every pixel), which it must to follow the gap
around a stone; and all four sides of a patch are cut, since on a torus and in a picture to inpaint
any of them may have neighbors.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from itertools import pairwise

import torch
from torch import Tensor

from cnnart.methods.texture.canvas import Canvas, CanvasWindows

UNREACHED = 2**30  # more than any path costs
MAX_PIXEL_COST = 2**21  # then a path of some hundred pixels stays below UNREACHED
COST_PARTS = 8  # costs are whole numbers of such parts of a squared level
HIDING_CONTRAST = 16  # levels of contrast at which half of a difference is hidden
SWEEPS = 3  # in all four directions: paths that turn more often are not found
NEIGHBORS = ((-1, 0), (-1, -1), (-1, 1), (0, -1), (0, 1), (1, -1), (1, 0), (1, 1))

# BxHxW costs -> BxHxW bool: True left of a path from top to bottom.
Cut = Callable[[Tensor], Tensor]


@dataclass(frozen=True)
class PatchFit:
    """Patches against what is there, ``BxPxP`` each.

    ``cost``: of a seam at a pixel: how much old and new differ, but less beside edges, which hide
    it. ``seam``: where it runs, the border of the window included. ``keep``: what of the old stays.
    """

    cost: Tensor
    keep: Tensor
    seam: Tensor

    def __getitem__(self, chosen: Sequence[int]) -> PatchFit:
        return PatchFit(self.cost[chosen], self.keep[chosen], self.seam[chosen])

    @property
    def seam_cost(self) -> Tensor:
        """``B``: the cost of the whole seam."""
        return (self.cost * self.seam).sum((1, 2))


def fit_patches(
    canvas: Canvas, at: CanvasWindows, nnf: Tensor, overlap: tuple[int, int], cut: Cut
) -> PatchFit:
    """Cut out the patches at ``nnf`` (``BxPxPx3``) as they would be laid over the windows ``at``.

    ``overlap``: rows and columns within which cuts run.
    """
    known = canvas.known[at.rows, at.columns]
    difference = (canvas.exemplar_levels(nnf) - canvas.levels_at(at)).square().sum(1)
    edges = canvas.exemplar_edges(nnf) + canvas.edges[at.rows, at.columns]
    cost = difference * known * COST_PARTS / (1 + edges / (2 * HIDING_CONTRAST))
    cost = cost.clamp(max=MAX_PIXEL_COST - 1).int()
    keep = keep_old(cost + 1, overlap, cut) & known
    keep |= canvas.fixed[at.rows, at.columns]
    return PatchFit(cost, keep, (_beside(~keep) & keep) | (_at_border(keep) & ~keep))


def _beside(region: Tensor) -> Tensor:
    """``BxPxP`` bool: the pixels above, below, left and right of the region's."""
    near = torch.zeros_like(region)
    near[:, 1:] |= region[:, :-1]
    near[:, :-1] |= region[:, 1:]
    near[:, :, 1:] |= region[:, :, :-1]
    near[:, :, :-1] |= region[:, :, 1:]
    return near


def _at_border(region: Tensor) -> Tensor:
    """``BxPxP`` bool: the outermost pixels, whose neighbors outside stay as they are."""
    border = torch.ones_like(region)
    border[:, 1:-1, 1:-1] = False
    return border


def keep_old(error: Tensor, overlap: tuple[int, int], cut: Cut) -> Tensor:
    """What of the old picture stays when patches are laid over it, cut along all four sides.

    Args:
        error: ``BxPxP`` int32, how much old and new differ at each pixel: 1 to MAX_PIXEL_COST.
        overlap: rows at the top and bottom, columns at the left and right, within which to cut.
        cut: ``straight_cut`` or ``free_cut``.

    Returns:
        ``BxPxP`` bool: True outside of the cuts.
    """
    rows, columns = overlap
    upright = error.transpose(1, 2)
    left, right = _keep_sides(error, columns, cut)
    top, bottom = _keep_sides(upright, rows, cut)
    return left | right | (top | bottom).transpose(1, 2)


def _keep_sides(error: Tensor, width: int, cut: Cut) -> tuple[Tensor, Tensor]:
    """True left of the cut through the first columns; True right of the one through the last."""
    keep = torch.zeros((2 * len(error), *error.shape[1:]), dtype=torch.bool, device=error.device)
    if width:
        strips = torch.cat((error[:, :, :width], error.flip(2)[:, :, :width]))
        keep[:, :, :width] = cut(strips)
    left, right = keep.split(len(error))
    return left, right.flip(2)


def straight_cut(cost: Tensor) -> Tensor:
    """``BxHxW`` -> bool: True left of the cheapest path down, one pixel in each row."""
    columns = torch.arange(cost.shape[2], device=cost.device)
    return columns < cheapest_path(cost)[:, :, None]


def cheapest_path(cost: Tensor) -> Tensor:
    """``BxHxW`` -> ``BxH``: the column of each row that a path of the least total cost takes.

    From one row to the next it moves by one column at the most. Dynamic programming.
    """
    batch, height, width = cost.shape
    total = cost.clone()
    for y in range(1, height):
        total[:, y] += _least_of_three(total[:, y - 1])
    path = torch.empty((batch, height), dtype=torch.int64, device=cost.device)
    path[:, -1] = total[:, -1].argmin(1)
    columns = torch.arange(width, device=cost.device)
    for y in range(height - 2, -1, -1):
        near = (columns - path[:, y + 1, None]).abs() <= 1
        path[:, y] = total[:, y].masked_fill(~near, UNREACHED).argmin(1)
    return path


def _least_of_three(line: Tensor) -> Tensor:
    """``BxN`` -> ``BxN``: the least of each value and its two neighbors."""
    least = line.clone()
    torch.minimum(least[:, 1:], line[:, :-1], out=least[:, 1:])
    torch.minimum(least[:, :-1], line[:, 1:], out=least[:, :-1])
    return least


def free_cut(cost: Tensor) -> Tensor:
    """``BxHxW`` -> bool: True left of the cheapest path from top to bottom, free to turn."""
    # The batch last, for whole lines are computed at once.
    lines = cost.permute(1, 2, 0).contiguous()
    return _left_of(_trace(_distances(lines))).permute(2, 0, 1)


def _distances(cost: Tensor) -> Tensor:
    """``HxWxB`` -> ``(H+2)x(W+2)xB``, the cost of the cheapest path from the top row to each pixel.

    Sweeps to and fro in all four directions (Zhao 2005, "A fast sweeping method"). Around it is a
    wall of UNREACHED.
    """
    height, width, batch = cost.shape
    distance = cost.new_full((height + 2, width + 2, batch), UNREACHED)
    distance[1, 1:-1] = cost[0]
    down, right = range(1, height + 1), range(1, width + 1)
    sideways, across = distance.transpose(0, 1), cost.transpose(0, 1)
    _sweep(distance, cost, down)
    for _ in range(SWEEPS):
        _sweep(sideways, across, right)
        _sweep(sideways, across, right[::-1])
        _sweep(distance, cost, down[::-1])
        _sweep(distance, cost, down)
    return distance


def _sweep(distance: Tensor, cost: Tensor, order: range) -> None:
    for before, now in pairwise(order):
        line = distance[before]
        least = torch.minimum(line[:-2], line[2:])
        torch.minimum(least, line[1:-1], out=least)
        least += cost[now - 1]
        torch.minimum(distance[now, 1:-1], least, out=distance[now, 1:-1])


def _trace(walled: Tensor) -> Tensor:
    """``HxWxB`` bool: the path back from the nearest pixel of the bottom row, downhill."""
    height, width, batch = walled.shape[0] - 2, walled.shape[1] - 2, walled.shape[2]
    each = torch.arange(batch, device=walled.device)
    flat = walled.flatten()
    turns = torch.tensor(
        [(y * (width + 2) + x) * batch for y, x in NEIGHBORS], device=walled.device
    )
    path = torch.zeros(flat.shape, dtype=torch.bool, device=walled.device)
    row = (width + 2) * batch
    at = height * row + (walled[height, 1:-1].argmin(0) + 1) * batch + each
    path[at] = True
    while bool((at >= 2 * row).any()):
        turn = turns[flat[at[:, None] + turns].argmin(1)]
        at = torch.where(at >= 2 * row, at + turn, at)
        path[at] = True
    return path.view(walled.shape)[1:-1, 1:-1]


def _left_of(path: Tensor) -> Tensor:
    """``HxWxB``: what can be reached from the left side without crossing the path."""
    free, left = ~path, torch.zeros_like(path)
    left[:, 0] = free[:, 0]
    down, right = range(path.shape[0]), range(path.shape[1])
    sideways, across = left.transpose(0, 1), free.transpose(0, 1)
    for _ in range(SWEEPS):
        _flood(sideways, across, right)
        _flood(left, free, down)
        _flood(left, free, down[::-1])
        _flood(sideways, across, right[::-1])
    return left


def _flood(reached: Tensor, free: Tensor, order: range) -> None:
    for before, now in pairwise(order):
        reached[now] |= reached[before] & free[now]
