"""Laying patches over what is there: each is cut out along the cheapest seam and sewn in."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import torch
from torch import Tensor

from cnnart.textures.canvas import Canvas, Places
from cnnart.textures.cuts import DEAREST, Cut, keep_old

HIDING = 16  # levels of contrast at which half of a difference is hidden
FINE = 8  # costs are whole numbers of such parts of a squared level


@dataclass(frozen=True)
class Fit:
    """Patches against what is there, ``BxPxP`` each.

    ``cost``: of a seam at a pixel: how much old and new differ, but less beside edges, which hide
    it. ``seam``: where it runs, the border of the window included. ``keep``: what of the old stays.
    """

    cost: Tensor
    keep: Tensor
    seam: Tensor

    def __getitem__(self, chosen: Sequence[int]) -> Fit:
        return Fit(self.cost[chosen], self.keep[chosen], self.seam[chosen])

    @property
    def price(self) -> Tensor:
        """``B``: the cost of the whole seam."""
        return (self.cost * self.seam).sum((1, 2))


class Sewing:
    """``overlap``: rows and columns within which cuts run."""

    def __init__(self, canvas: Canvas, overlap: tuple[int, int]) -> None:
        self._canvas, self._overlap = canvas, overlap

    def sew(self, at: Places, origin: Tensor, fit: Fit) -> None:
        """Copy to the windows what ``fit`` cuts out of the patches (``BxPxPx3``)."""
        self._canvas.paste(at, origin, ~fit.keep)

    def fit(self, at: Places, origin: Tensor, cut: Cut) -> Fit:
        """Cut the patches out, as they would be sewn into the windows."""
        canvas = self._canvas
        known = canvas.known[at.rows, at.columns]
        difference = (canvas.levels_of(origin) - canvas.levels_at(at)).square().sum(1)
        edges = canvas.edges_of(origin) + canvas.edges[at.rows, at.columns]
        cost = difference * known * FINE / (1 + edges / (2 * HIDING))
        cost = cost.clamp(max=DEAREST - 1).int()
        keep = keep_old(cost + 1, self._overlap, cut) & known
        keep |= canvas.fixed[at.rows, at.columns]
        return Fit(cost, keep, (_beside(~keep) & keep) | (_at_border(keep) & ~keep))


def _beside(region: Tensor) -> Tensor:
    """``BxPxP`` bool: the pixels above, below, left and right of the region's."""
    near = torch.zeros_like(region)
    near[:, 1:] |= region[:, :-1]
    near[:, :-1] |= region[:, 1:]
    near[:, :, 1:] |= region[:, :, :-1]
    near[:, :, :-1] |= region[:, :, 1:]
    return near


def _at_border(region: Tensor) -> Tensor:
    """``BxPxP`` bool: the outermost pixels, whose neighbours outside stay as they are."""
    border = torch.ones_like(region)
    border[:, 1:-1, 1:-1] = False
    return border
