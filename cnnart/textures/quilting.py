"""Texture by quilting: overlapping patches of the exemplar, sewn along the cheapest seams.

Efros and Freeman 2001, "Image Quilting for Texture Synthesis and Transfer". Departures, each
because it looks better: a seam may turn back and prefers the texture's own edges (so do Kwatra et
al. 2003, "Graphcut Textures"); of several windows that fit, the one with the cheapest seam is
taken; a place of the exemplar just used nearby is avoided, for repetition gives quilting away.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import replace

import torch
from torch import Tensor

from cnnart.budget import MemoryPlan, idle_memory
from cnnart.config import TextureConfig, check_texture_config
from cnnart.optimize import Step
from cnnart.schedule import Clock, Scale
from cnnart.textures.canvas import Canvas, Places, window_origins
from cnnart.textures.choice import regularity
from cnnart.textures.choosing import UNIT, Candidate, Memory
from cnnart.textures.cuts import Cut, free_cut, straight_cut
from cnnart.textures.finding import Finder
from cnnart.textures.guide import Guide
from cnnart.textures.mixing import mix
from cnnart.textures.patching import patch_side, unfilled
from cnnart.textures.request import Request
from cnnart.textures.sewing import Fit, Sewing
from cnnart.textures.sources import perceived_levels
from cnnart.textures.windows import grid, waves
from cnnart.textures.wrapping import wrap_axes

OVERLAP = 0.42  # of a patch
SHORTLIST = 3  # windows whose free seams are compared, after straight ones
BATCH = 16  # windows looked for at once: bounds the memory


class Quilting:
    """One texture by patches.

    Args:
        exemplars: ``1xCxhxw`` in [0, 1]; C is 3, or 4 with alpha. Their device is the run's.
        weights: how much of the result comes from each.
        config: see ``TextureConfig``; ``patch`` is the side of a patch.
        size: (height, width) of the result.
        guide: which place of the exemplars may serve which place of the result; it then also
            decides which exemplar, and the weights do not.
        inpaint: a picture of the result's size (``1xCxHxW``) and a mask (``1x1xHxW``), 1 where it
            is to be synthesized; the rest stays exactly as it is.

    Raises UsageError for what makes no sense.
    """

    def __init__(
        self,
        exemplars: Sequence[Tensor],
        weights: Sequence[float],
        config: TextureConfig,
        *,
        size: tuple[int, int],
        guide: Guide | None = None,
        inpaint: tuple[Tensor, Tensor] | None = None,
    ) -> None:
        check_texture_config(config)
        request = Request(exemplars, weights, size, guide, inpaint)
        self.config, self.size = config, size
        self.notes: list[str] = []
        self._guide = guide if guide is not None and guide.weight > 0 else None
        sources = request.sources(perceived_levels, config.scale)
        wraps = wrap_axes(config.tileable)
        self.patch = patch_side(sources, config.patch, size, wraps)
        overlap = round(OVERLAP * self.patch)
        self._grids = (
            grid(size[0], self.patch, overlap, wraps[0]),
            grid(size[1], self.patch, overlap, wraps[1]),
        )
        self._canvas = Canvas((self._grids[0].length, self._grids[1].length), sources)
        if request.hole is not None:
            self._canvas.give(request.hole, perceived_levels)
        self._starts = unfilled(self._canvas, self._grids, self.patch)
        self.schedule = [Scale(*size, len(self._starts))]
        idle = idle_memory(self._canvas.known.device)
        self.memory = MemoryPlan(peak=idle + self._canvas.bytes)

    @property
    def origin(self) -> Tensor:
        """``HxWx3`` int64: what each pixel is a copy of; see ``Canvas.origin_in``."""
        return self._canvas.origin_in(self.size, self.config.scale)

    def steps(self) -> Iterator[Step]:
        """Run, yielding a Step for every group of patches; ``index`` counts the patches.

        A Step's image shares the canvas's memory: copy what is to be kept.
        """
        clock = Clock()
        rng = torch.Generator().manual_seed(self.config.seed)
        total = len(self._starts)
        regular = [regularity(source.levels[None, :1]) for source in self._canvas.sources]
        self._memory = Memory(self.patch, self._grids, total, regular)
        self._finder = Finder(self._canvas, self.patch, self._memory, self._guide)
        self._sewing = Sewing(self._canvas, self._overlaps())
        labels = mix(self._starts, [s.weight for s in self._canvas.sources], self._grids, rng)
        done, seams = 0, 0.0
        for wave in waves(self._starts, self.patch, self._grids):
            for batch in wave.split(BATCH):
                luck = torch.rand(len(batch), generator=rng).tolist()
                wanted = [labels[i] for i in batch.tolist()]
                seams += self._fill(self._starts[batch], wanted, luck)
                done += len(batch)
                image = self._canvas.picture(self.size)
                yield Step(done, total, {"seams": seams / done}, image, self.size, clock.seconds)

    def _overlaps(self) -> tuple[int, int]:
        """Rows and columns within which seams run: never so many that a patch loses its middle."""
        most = round(OVERLAP * self.patch)
        rows, columns = self._grids
        return min(rows.overlap, most), min(columns.overlap, most)

    def finish(self, image: Tensor) -> Tensor:
        """Any Step's image as it is to be written: ``1xCxHxW`` on the CPU."""
        return image.detach().float().cpu().clone()

    def _fill(self, starts: Tensor, labels: Sequence[int], luck: Sequence[float]) -> float:
        """Sew patches into windows that do not overlap; what their seams cost."""
        at = self._canvas.places(starts, self.patch)
        found = self._finder.find(starts, at, labels, luck)
        _, found = self._fitted(at, found, straight_cut)
        found = [sorted(mine, key=lambda c: c.cost)[:SHORTLIST] for mine in found]
        fit, found = self._fitted(at, found, free_cut)
        chosen, index, first = [], [], 0
        for mine, start in zip(found, starts, strict=True):
            best = self._choose(mine, start)
            chosen.append(mine[best])
            index.append(first + best)
            first += len(mine)
        self._sewing.sew(at, self._origins(chosen), fit[index])
        return float(fit[index].price.sum())

    def _fitted(
        self, at: Places, found: Sequence[Sequence[Candidate]], cut: Cut
    ) -> tuple[Fit, list[list[Candidate]]]:
        """How all the candidates fit their windows, and the same with what their seams cost."""
        each = [k for k, mine in enumerate(found) for _ in mine]
        origins = self._origins([candidate for mine in found for candidate in mine])
        fit = self._sewing.fit(at[each], origins, cut)
        prices = iter(fit.price.tolist())
        return fit, [[replace(c, cost=next(prices) + 1) for c in mine] for mine in found]

    def _choose(self, candidates: Sequence[Candidate], start: Tensor) -> int:
        """The cheapest; but not what was just used nearby, even in a window filled at once."""
        rated = [c.cost * (UNIT + self._memory.penalty_of(c, start)) for c in candidates]
        best = rated.index(min(rated))
        self._memory.remember(candidates[best], start)
        return best

    def _origins(self, chosen: Sequence[Candidate]) -> Tensor:
        device = self._canvas.known.device
        found = torch.tensor([(c.source, c.row, c.column) for c in chosen], device=device)
        return window_origins(found[:, 0], found[:, 1:], self.patch)
