"""The windows of the exemplars that fit a place of the canvas best."""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import Tensor

from cnnart.textures.canvas import Canvas, Places
from cnnart.textures.choosing import UNIT, Candidate, Memory, candidates
from cnnart.textures.guide import Guide
from cnnart.textures.search import Templates, WindowSearch
from cnnart.textures.sources import color_levels

CANDIDATES = 8  # windows whose seams are compared
UNSEEN = 3  # a difference of so many levels per pixel and channel does not matter
GUIDE_PARTS = 16  # the guide's weight is rounded to such parts, for sums are to stay whole


class Finder:
    """``memory`` tells what was used where; ``guide`` is the one with the target map, or None."""

    def __init__(self, canvas: Canvas, patch: int, memory: Memory, guide: Guide | None) -> None:
        self._canvas, self._memory = canvas, memory
        self._searches = [WindowSearch(source, patch) for source in canvas.sources]
        self._target: Tensor | None = None
        if guide is not None:
            self._target = self._padded_target(guide.target)
            self._guide_counts = round(GUIDE_PARTS * guide.weight)

    def _padded_target(self, target: Tensor) -> Tensor:
        """The map as levels, continued to the canvas's edge, which may lie beyond the result's."""
        target = target.to(self._canvas.pixels)
        levels = color_levels(target, torch.ones_like(target[0, 0], dtype=torch.bool))
        rows, columns = (
            torch.arange(n, device=target.device).clamp(max=m - 1)
            for n, m in zip(
                (self._canvas.height, self._canvas.width), levels.shape[1:], strict=True
            )
        )
        return levels[:, rows][:, :, columns]

    def find(
        self, starts: Tensor, at: Places, labels: Sequence[int], luck: Sequence[float]
    ) -> list[list[Candidate]]:
        """For each window of the canvas, the windows that fit it best, best first.

        ``labels`` says from which exemplar; with a guide, whichever it is. Where nothing is known
        that could fit, ``luck`` (in [0, 1)) picks any window.
        """
        templates = self._templates(at)
        wanted = set(range(len(self._searches))) if self._target is not None else set(labels)
        errors = {index: self._searches[index].errors(templates) for index in sorted(wanted)}
        floors = (templates.counted.sum((1, 2)) * templates.levels.shape[1] * UNSEEN**2).long() + 1
        found = []
        for k, label in enumerate(labels):
            if self._target is None and not bool(templates.counted[k].any()):
                found.append([self._searches[label].any_window(label, luck[k])])
                continue
            mine: list[Candidate] = []
            for index in sorted(wanted) if self._target is not None else [label]:
                penalty = self._memory.penalty(errors[index][k], index, starts[k])
                cost = (errors[index][k] + floors[k]) * (UNIT + penalty)
                mine += candidates(cost, index, CANDIDATES)
            found.append(sorted(mine, key=lambda c: c.cost)[:CANDIDATES])
        return found

    def _templates(self, at: Places) -> Templates:
        known = self._canvas.known[at.rows, at.columns].to(torch.float64)
        levels = self._canvas.levels_at(at)
        if self._target is None:
            return Templates(levels, known)
        guide = self._target[:, at.rows, at.columns].transpose(0, 1)
        return Templates(levels, known * GUIDE_PARTS, guide, self._guide_counts)
