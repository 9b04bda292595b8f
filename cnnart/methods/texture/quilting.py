"""Texture by quilting: overlapping patches of the exemplar, joined along the cheapest seams.

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

from cnnart.methods.texture.canvas import Canvas, CanvasWindows, window_nnf
from cnnart.methods.texture.config import TextureConfig
from cnnart.methods.texture.exemplars import PatchInputs, perceived_levels
from cnnart.methods.texture.guide import Guide
from cnnart.methods.texture.patch_grid import (
    make_grid,
    mixture_labels,
    patch_side,
    unfilled,
    wavefronts,
)
from cnnart.methods.texture.patch_search import (
    PENALTY_UNIT,
    Candidate,
    PatchSearch,
    UsageHistory,
)
from cnnart.methods.texture.regularity import regularity
from cnnart.methods.texture.seams import Cut, PatchFit, fit_patches, free_cut, straight_cut
from cnnart.methods.texture.wrap import wrap_axes
from cnnart.optim.memory import idle_memory
from cnnart.optim.steps import Clock, MemoryPlan, PyramidLevel, State, Step

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

    features: None = None  # no network

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
        inputs = PatchInputs(exemplars, weights, size, guide, inpaint)
        self.config, self.size = config, size
        self.warnings: list[str] = []
        self._guide = guide if guide is not None and guide.weight > 0 else None
        found = inputs.read(perceived_levels, config.scale)
        wraps = wrap_axes(config.tileable)
        self.patch = patch_side(found, config.patch, size, wraps)
        overlap = round(OVERLAP * self.patch)
        self._grids = (
            make_grid(size[0], self.patch, overlap, wraps[0]),
            make_grid(size[1], self.patch, overlap, wraps[1]),
        )
        self._canvas = Canvas((self._grids[0].length, self._grids[1].length), found)
        if inputs.inpaint is not None and inputs.kept is not None:
            self._canvas.fix(inputs.inpaint[0], inputs.kept, perceived_levels)
        self._starts = unfilled(self._canvas, self._grids, self.patch)
        self.schedule = [PyramidLevel(*size, len(self._starts))]
        idle = idle_memory(self._canvas.known.device)
        self.memory = MemoryPlan(peak=idle + self._canvas.bytes)

    @property
    def nnf(self) -> Tensor:
        """``HxWx3`` int64: what each pixel is a copy of; see ``Canvas.nnf_within``."""
        return self._canvas.nnf_within(self.size, self.config.scale)

    def steps(self, state: State | None = None) -> Iterator[Step]:
        """Run, yielding a Step for every batch of patches; ``index`` counts the patches.

        A Step's image shares the canvas's memory: copy what is to be kept.
        """
        clock = Clock()
        rng = torch.Generator().manual_seed(self.config.seed)
        total = len(self._starts)
        exemplars = self._canvas.exemplars
        regular = [regularity(exemplar.levels[None, :1]) for exemplar in exemplars]
        self._history = UsageHistory(self.patch, self._grids, total, regular)
        self._search = PatchSearch(self._canvas, self.patch, self._history, self._guide)
        weights = [exemplar.weight for exemplar in exemplars]
        labels = mixture_labels(self._starts, weights, self._grids, rng)
        done, seams, found = 0, 0.0, 0
        if state is not None:
            found, seams = state["done"], state["seams"]
            self._canvas.restore(state["nnf"])
            self._history.restore(state["history"])

        def standing() -> State:
            copied, history = self._canvas.nnf, self._history.state()
            return {"done": done, "seams": seams, "nnf": copied, "history": history}

        for wavefront in wavefronts(self._starts, self.patch, self._grids):
            for batch in wavefront.split(BATCH):
                uniform = torch.rand(len(batch), generator=rng).tolist()
                wanted = [labels[i] for i in batch.tolist()]
                done += len(batch)
                if done > found:
                    seams += self._fill(self._starts[batch], wanted, uniform)
                if done >= found:
                    image, losses = self._canvas.picture(self.size), {"seams": seams / done}
                    yield Step(done, total, losses, image, self.size, clock.seconds, standing)

    def finish(self, image: Tensor) -> Tensor:
        """Any Step's image as it is to be written: ``1xCxHxW`` on the CPU."""
        return image.detach().float().cpu().clone()

    def _fill(self, starts: Tensor, labels: Sequence[int], uniform: Sequence[float]) -> float:
        """Lay patches into windows that do not overlap; what their seams cost."""
        at = self._canvas.windows(starts, self.patch)
        found = self._search.find(starts, at, labels, uniform)
        _, found = self._fit(at, found, straight_cut)
        found = [sorted(mine, key=lambda c: c.cost)[:SHORTLIST] for mine in found]
        fit, found = self._fit(at, found, free_cut)
        chosen, index, first = [], [], 0
        for mine, start in zip(found, starts, strict=True):
            best = self._choose(mine, start)
            chosen.append(mine[best])
            index.append(first + best)
            first += len(mine)
        self._canvas.copy_windows(at, self._nnf(chosen), ~fit[index].keep)
        return float(fit[index].seam_cost.sum())

    def _fit(
        self, at: CanvasWindows, found: Sequence[Sequence[Candidate]], cut: Cut
    ) -> tuple[PatchFit, list[list[Candidate]]]:
        """How all the candidates fit their windows, and the same with what their seams cost."""
        each = [k for k, mine in enumerate(found) for _ in mine]
        nnf = self._nnf([candidate for mine in found for candidate in mine])
        fit = fit_patches(self._canvas, at[each], nnf, self._overlaps(), cut)
        costs = iter(fit.seam_cost.tolist())
        return fit, [[replace(c, cost=next(costs) + 1) for c in mine] for mine in found]

    def _overlaps(self) -> tuple[int, int]:
        """Rows and columns within which seams run: never so many that a patch loses its middle."""
        most = round(OVERLAP * self.patch)
        rows, columns = self._grids
        return min(rows.overlap, most), min(columns.overlap, most)

    def _choose(self, candidates: Sequence[Candidate], start: Tensor) -> int:
        """The cheapest; but not what was just used nearby, even in a window filled at once."""
        costs = [c.cost * (PENALTY_UNIT + self._history.penalty_of(c, start)) for c in candidates]
        best = costs.index(min(costs))
        self._history.add(candidates[best], start)
        return best

    def _nnf(self, chosen: Sequence[Candidate]) -> Tensor:
        device = self._canvas.known.device
        found = torch.tensor([(c.exemplar, c.row, c.column) for c in chosen], device=device)
        return window_nnf(found[:, 0], found[:, 1:], self.patch)
