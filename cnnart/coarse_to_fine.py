"""A picture optimized at a small size first, then at larger ones: within a memory and a time limit.

What neural style transfer and neural texture synthesis have in common: they differ in where the
picture starts and in what it aims at.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import replace
from typing import Protocol

from torch import Tensor

from cnnart.budget import (
    FREE_SHARE,
    Limits,
    MemoryPlan,
    evaluation_cost,
    free_memory,
    idle_memory,
    plan_memory,
    predict_peak,
)
from cnnart.errors import is_out_of_memory
from cnnart.features import FeatureExtractor, trusted
from cnnart.optimize import Objective, Step, optimize_image, optimizer_factory
from cnnart.resilience import ResilientObjective
from cnnart.schedule import Clock, Scale, fit_to_time


class Work(Protocol):
    """What a run makes."""

    def start(self, height: int, width: int) -> Tensor:
        """The first picture, ``1x3xheightxwidth``."""
        ...

    def enlarged(self, image: Tensor, size: tuple[int, int]) -> Tensor:
        """A scale's result as the start of the next: a new tensor of (height, width) ``size``."""
        ...

    def objective(self, scale: Scale, tile: int) -> Objective:
        """What to lower at a scale, computed in tiles of that side (0: the whole at once)."""
        ...


class CoarseToFine:
    """Optimizes a picture from scale to scale.

    Args:
        features: the network; replaced by a float32 one if its half precision is not to be trusted.
        layers: those the objective looks at.
        schedule: the scales, coarsest first.
        optimizer: ``lbfgs`` or ``adam``.
        limits: of memory and time.
        wrap: the axes (vertical, horizontal) along which the picture repeats.

    ``notes`` grows by a line for each thing that went otherwise than asked. Raises OutOfMemory for
    a picture that cannot fit.
    """

    def __init__(
        self,
        features: FeatureExtractor,
        layers: Sequence[str],
        schedule: Sequence[Scale],
        *,
        optimizer: str = "lbfgs",
        limits: Limits | None = None,
        wrap: tuple[bool, bool] = (False, False),
    ) -> None:
        self.features = features
        self.layers = list(layers)
        self.schedule = list(schedule)
        self.limits = limits or Limits()
        self.notes: list[str] = []
        self.memory = self._plan(optimizer, wrap)

    def _plan(self, optimizer: str, wrap: tuple[bool, bool]) -> MemoryPlan:
        device, last = self.features.device, self.schedule[-1]
        idle, size = idle_memory(device), (last.height, last.width)
        plan = MemoryPlan(optimizer=optimizer, evaluations=last.evaluations, wrap=wrap)
        if self.limits.tile is None:
            limit = self.limits.memory or idle + int(FREE_SHARE * free_memory(device))
            plan = plan_memory(self.features, self.layers, size, plan, limit - idle)
        else:
            plan = replace(plan, tile=self.limits.tile)
            plan = replace(plan, peak=predict_peak(self.features, self.layers, size, plan))
        return replace(plan, peak=plan.peak + idle)

    def steps(self, work: Work) -> Iterator[Step]:
        """Run, yielding a Step for every evaluation of the network."""
        clock = Clock(self.limits.seconds)
        scales = self.schedule
        image = work.start(scales[0].height, scales[0].width)
        self.features, warning = trusted(self.features, image, self.layers)
        if warning:
            self.notes.append(warning)
        index = 0
        while scales:
            scale, *scales = self._fit_to_time(work, scales, clock, image)
            steps = index + scale.evaluations + sum(s.evaluations for s in scales)
            size = (scale.height, scale.width)
            for losses, iterate in self._optimize(work, work.enlarged(image, size), scale):
                image, index = iterate, index + 1
                clock.tick(scale.work)
                yield Step(index, steps, losses, image, size, clock.seconds)
                if clock.is_over:
                    return

    def _optimize(
        self, work: Work, image: Tensor, scale: Scale
    ) -> Iterator[tuple[dict[str, float], Tensor]]:
        """One scale. When the optimizer's own memory does not fit, Adam goes on in its place."""
        objective = ResilientObjective(
            lambda tile: work.objective(scale, tile),
            self.memory.tile,
            max(scale.height, scale.width),
            self.notes,
        )
        done = 0
        while done < scale.evaluations:
            make = optimizer_factory(self.memory.optimizer, self.memory.history_dtype)
            try:
                todo = scale.evaluations - done
                for losses, iterate in optimize_image(image, objective, todo, make):
                    image, done = iterate, done + 1
                    yield losses, image
                return
            except Exception as error:
                if self.memory.optimizer == "adam" or not is_out_of_memory(error):
                    raise
            self.memory = replace(self.memory, optimizer="adam", tile=objective.tile)
            self.notes.append("Out of memory: going on with Adam, which needs less.")

    def _fit_to_time(
        self, work: Work, scales: list[Scale], clock: Clock, image: Tensor
    ) -> list[Scale]:
        """The scales still to come, as the time budget allows."""
        if self.limits.seconds is None:
            return scales
        if clock.rate is None:
            objective = work.objective(scales[0], 0)
            for _ in range(2):  # the first evaluation is slower than those to come
                clock.start()
                objective(image)
                clock.tick(scales[0].work)
        assert clock.rate is not None
        costed = []
        for s in scales:
            size, memory = (s.height, s.width), self.memory
            cost = evaluation_cost(self.features, self.layers, size, memory.tile, memory.wrap)
            costed.append(replace(s, cost=cost))
        fitted = fit_to_time(costed, clock.remaining, clock.rate)
        if scales is self.schedule:
            amounts = ", ".join(f"{s.evaluations} at {s.width}x{s.height}" for s in fitted)
            self.notes.append(f"Time budget: {amounts} evaluations.")
        return fitted
