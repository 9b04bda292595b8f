"""Which exemplar where: areas of each, in the proportions wished for."""

from __future__ import annotations

from collections.abc import Sequence

import torch
import torch.nn.functional as F
from torch import Tensor

from cnnart.textures.windows import Grid

AREA = 3  # patches: about how far an area of one exemplar reaches


def mix(
    starts: Tensor, weights: Sequence[float], grids: tuple[Grid, Grid], rng: torch.Generator
) -> list[int]:
    """The number of the exemplar for each window (``Nx2``: row, column).

    A smooth random landscape is cut at the heights that give every exemplar its share of windows:
    patches of one exemplar lie together, for a change at every patch would be a chequerboard.
    """
    heights = _landscape(grids, rng)
    rows, columns = (
        torch.searchsorted(torch.tensor(g.starts), starts[:, i].contiguous())
        for i, g in enumerate(grids)
    )
    order = heights[rows, columns].argsort(stable=True)
    shares = torch.tensor(list(weights), dtype=torch.float64).cumsum(0)
    limits = (shares / shares[-1] * len(starts)).round().long()
    labels = torch.empty(len(starts), dtype=torch.int64)
    labels[order] = torch.searchsorted(limits, torch.arange(len(starts)), right=True)
    return [int(label) for label in labels]


def _landscape(grids: tuple[Grid, Grid], rng: torch.Generator) -> Tensor:
    """A height for each window of the grid; it repeats along axes that do."""
    counts = [len(g.starts) for g in grids]
    coarse = [max(2, round(count / AREA)) for count in counts]
    noise = torch.rand(1, 1, *coarse, generator=rng)
    pads = [coarse[i] if g.wraps else 0 for i, g in enumerate(grids)]
    noise = F.pad(noise, (pads[1], pads[1], pads[0], pads[0]), mode="circular")
    size = [c * (3 if g.wraps else 1) for c, g in zip(counts, grids, strict=True)]
    smooth = F.interpolate(noise, size=size, mode="bicubic", align_corners=False)[0, 0]
    top, left = (c if g.wraps else 0 for c, g in zip(counts, grids, strict=True))
    return smooth[top : top + counts[0], left : left + counts[1]]
