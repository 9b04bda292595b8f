"""The course of a run by its steps, and by the clock where a time budget says how many."""

from __future__ import annotations

import math
from collections.abc import Mapping
from typing import Any

from cnnart.methods.fast.train.config import TrainConfig

FINAL_RATE = 0.05  # of the learning rate, at the end
MIN_SIDE = 64  # of a crop
MIN_VALIDATIONS = 3  # in a run
MEMORY = 0.9  # per step, of the pace that was found before


class Schedule:
    """How many steps there are, and what each of them is: its crops, its learning rate, whether a
    validation follows.

    Under a time budget ``total`` is settled again and again from the present pace, and everything
    follows it. That crops have become large is never taken back.

    Args:
        config: the steps asked for, if any, are the most there will be under a budget, too.
        budget: seconds that the whole run may take; None: as many steps as the settings say.
        warm: steps with crops of a size whose time says nothing of the later ones'.
        validation: what a validation takes, in steps of full size, until one is measured.
    """

    def __init__(
        self, config: TrainConfig, budget: float | None, *, warm: int, validation: float = 0.0
    ) -> None:
        self._config, self.budget = config, budget
        self._warm, self._validation = warm, validation
        self.total = config.total_steps
        self._grown_at: int | None = None  # the first step with crops of full size
        self._validated = 0  # the last step that a validation followed
        # What is known of time: the pace in seconds per step by the side of the crops, the last
        # step that was timed and when it ended, and what a validation took.
        self._pace: dict[int, float] = {}
        self._timed, self._at = 0, 0.0
        self._validation_seconds: float | None = None

    @property
    def small_side(self) -> int:
        """Of the crops that training begins with, in pixels."""
        return min(max(MIN_SIDE, self._config.size // 32 * 16), self._config.size)

    def side(self, index: int) -> int:
        """The side of a step's crops in pixels."""
        if self._grown_at is not None and index >= self._grown_at:
            return self._config.size
        early = index <= round(self._config.small_crop_fraction * self.total)
        return self.small_side if early else self._config.size

    def rate_factor(self, index: int) -> float:
        """On the learning rate: linear warmup, then down along a cosine."""
        cosine = 0.5 * (1 + math.cos(math.pi * min(1.0, index / self.total)))
        warm = min(1.0, index / self._config.warmup_steps)
        return warm * (FINAL_RATE + (1 - FINAL_RATE) * cosine)

    @property
    def validate_every(self) -> int:
        """Steps between validations: several come even in a short run."""
        return min(self._config.validate_every, max(1, self.total // MIN_VALIDATIONS))

    def validates(self, index: int) -> bool:
        """Whether a step is followed by a validation."""
        return index - self._validated >= self.validate_every or index == self.total

    def stages(self) -> list[tuple[float, int]]:
        """The pixels of a step's photos, and how many steps: what time left is reckoned from."""
        sides = [self.side(index) for index in range(1, self.total + 1)]
        return [(side * side, sides.count(side)) for side in dict.fromkeys(sides)]

    # The clock. ``spent`` is always the seconds that the run has taken so far.

    def begin(self, index: int, spent: float) -> None:
        """A step begins."""
        if self._grown_at is None and self.side(index) == self._config.size:
            self._grown_at = index
        if self._validated == index - 1 and index > 1:
            self._validation_seconds = spent - self._at
            self._timed, self._at = index - 1, spent
        elif index == 1:
            self._at = spent

    def settle(self, index: int, spent: float) -> None:
        """A step has ended, and so has all that the device was to do until then."""
        if self.budget is None:
            return
        side, steps = self.side(index), index - self._timed
        latest = (spent - self._at) / max(1, steps)
        first = self._grown_at if side == self._config.size and self._grown_at else 1
        if self._timed + 1 >= first + self._warm:
            known = self._pace.get(side, latest)
            self._pace[side] = latest + MEMORY**steps * (known - latest)
        self._timed, self._at = index, spent
        left = self.budget - spent
        if self._pace:
            most = self._config.steps or math.inf
            self.total = max(index, int(min(most, self._settled(index, left))))
        elif left < 0.5 * latest + self._validation * latest:
            self.total = index

    def left(self, index: int, spent: float) -> float | None:
        """Seconds that are left after a step: all of the budget, where that, and not the number of
        steps, ends the run; None where nobody knows.
        """
        if self.budget is None or not self._pace or self.total == self._config.steps:
            return None
        return max(0.0, self.budget - spent) if index < self.total else 0.0

    def validated(self, index: int) -> None:
        """A validation follows this step; what it takes is known when the next one begins."""
        self._validated = index

    def _settled(self, index: int, left: float) -> int:
        """The number of steps that ends when so many seconds are over."""
        small, full = self.small_side, self._config.size
        at_full = self._pace.get(full)
        if at_full is None:  # until it is known: as the pixels
            at_full = self._pace[small] * (full / small) ** 2
        validation = self._validation_seconds
        if validation is None:
            validation = self._validation * at_full
        left -= validation  # the last one
        every = validation / self.validate_every  # seconds that each step adds to the others
        rest = left / (at_full + every)
        if self._grown_at is None:
            share = self._config.small_crop_fraction
            at_small = self._pace.get(small, at_full)
            mean = share * at_small + (1 - share) * at_full + every
            total = (left + index * (at_small + every)) / mean
            if share * total >= index:
                return max(index, round(total))
        return index + max(0, round(rest))

    def state_dict(self) -> dict[str, Any]:
        """What was settled, and what it was settled from."""
        return {
            "total": self.total,
            "grown_at": self._grown_at,
            "validated": self._validated,
            "pace": dict(self._pace),
            "timed": (self._timed, self._at),
            "validation_seconds": self._validation_seconds,
        }

    def load_state_dict(self, state: Mapping[str, Any]) -> None:
        self.total, self._grown_at = state["total"], state["grown_at"]
        self._validated, self._pace = state["validated"], dict(state["pace"])
        self._timed, self._at = state["timed"]
        self._validation_seconds = state["validation_seconds"]
