"""How much work goes where: the sizes from coarse to fine, and the evaluations at each."""

from __future__ import annotations

import time
from collections.abc import Sequence
from dataclasses import dataclass, replace

from cnnart.config import COARSEST, PRESETS, SMALLEST_SIDE, StylizeConfig

FEWEST = 12  # evaluations below which a scale is not worth its start
MOST = 3.0  # times the preset that a generous time budget may buy


@dataclass(frozen=True)
class Scale:
    """One size of the picture and the evaluations of the network spent on it."""

    height: int
    width: int
    evaluations: int
    cost: float = 1.0  # of an evaluation, relative to one of the whole picture at once

    @property
    def work(self) -> float:
        """The work of one evaluation, in pixels."""
        return self.height * self.width * self.cost


class Clock:
    """Time since the run began, time left, and what an evaluation takes."""

    def __init__(self, budget: float | None = None) -> None:
        self.budget = budget
        self.rate: float | None = None  # seconds per pixel of work
        self._begun = self._last = time.perf_counter()
        self._last_took = 0.0

    @property
    def seconds(self) -> float:
        return time.perf_counter() - self._begun

    @property
    def remaining(self) -> float:
        """Seconds left of the budget, less a margin for preparing scales and writing."""
        return max(0.0, (self.budget or 0.0) * 0.95 - self.seconds)

    @property
    def is_over(self) -> bool:
        """Whether another evaluation like the last would exceed the budget."""
        return self.budget is not None and self._last_took > self.remaining

    def start(self) -> None:
        """An evaluation begins now."""
        self._last = time.perf_counter()

    def tick(self, work: float) -> None:
        """An evaluation of so much work ended now."""
        now = time.perf_counter()
        self._last_took, self._last = now - self._last, now
        self.rate = self._last_took / work


def scale_sizes(height: int, width: int, smallest: int = SMALLEST_SIDE) -> list[tuple[int, int]]:
    """Sizes from coarse to fine: halvings of the output while the long side stays large enough."""
    sizes = [(height, width)]
    while max(sizes[0]) >= 2 * COARSEST and min(sizes[0]) >= 2 * smallest:
        sizes.insert(0, (-(-sizes[0][0] // 2), -(-sizes[0][1] // 2)))
    return sizes


def schedule(
    config: StylizeConfig, height: int, width: int, smallest: int = SMALLEST_SIDE
) -> list[Scale]:
    """The scales of a run as its preset says; ``config.steps`` replaces the last one's.

    No scale's short side is below ``smallest`` pixels.
    """
    counts = PRESETS[config.preset].evaluations
    sizes = scale_sizes(height, width, smallest)
    scales = [Scale(*size, counts[min(i, len(counts) - 1)]) for i, size in enumerate(sizes)]
    if config.steps is not None:
        scales[-1] = replace(scales[-1], evaluations=config.steps)
    return scales


def fit_to_time(scales: Sequence[Scale], seconds: float, seconds_per_pixel: float) -> list[Scale]:
    """The schedule that makes the best of ``seconds`` when an evaluation of a pixel takes so long.

    All scales get the same share of what their preset gives them. Where the finest would get too
    few evaluations to matter it is left out, and the result enlarged: a finished small picture
    looks better than an unfinished large one.
    """
    for last in range(len(scales), 0, -1):
        kept = scales[:last]
        cost = sum(s.work * s.evaluations for s in kept) * seconds_per_pixel
        factor = min(MOST, seconds / max(cost, 1e-9))
        if kept[-1].evaluations * factor >= min(FEWEST, kept[-1].evaluations) or last == 1:
            return [replace(s, evaluations=max(1, int(s.evaluations * factor))) for s in kept]
    raise AssertionError("a schedule has at least one scale")
