"""How long a coarse-to-fine run still takes; its steps grow dearer, so their number misleads."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from cnnart.optimize import Step

Scale = tuple[int, int]


class Eta:
    """Seconds left, from the cost per pixel of the latest steps.

    Args:
        schedule: ``((height, width), steps)`` from the first scale to the last; empty when unknown,
            then all steps count alike.
    """

    def __init__(self, schedule: Sequence[tuple[Scale, int]] = ()) -> None:
        self._costs = [h * w for (h, w), steps in schedule for _ in range(steps)]
        self._rate: float | None = None  # seconds per unit of cost
        self._before = 0.0

    def left(self, step: Step) -> float | None:
        """Seconds left after ``step``; None before there is anything to go by."""
        if len(self._costs) != step.steps:
            self._costs = [1] * step.steps
        seconds, self._before = step.seconds - self._before, step.seconds
        rate = seconds / self._costs[step.index - 1]
        # The first step also pays for warming up; afterwards follow changes within a dozen steps.
        self._rate = (
            rate if self._rate is None or step.index <= 2 else 0.9 * self._rate + 0.1 * rate
        )
        return self._rate * sum(self._costs[step.index :])
