"""A picture optimized at a small size first, then at larger ones: within a memory and a time limit.

What neural style transfer, neural texture synthesis and DeepDream have in common: they differ in
where the picture starts, in what it aims at, and in how its pixels are changed.
"""

from __future__ import annotations

import functools
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import replace
from typing import Any, Generic, Protocol

import torch
from torch import Tensor

from cnnart.errors import is_out_of_memory
from cnnart.networks.base import N
from cnnart.networks.vgg import FeatureExtractor, trusted
from cnnart.optim.capture import recording_calls, replayed
from cnnart.optim.memory import (
    FREE_SHARE,
    Limits,
    ResilientObjective,
    free_memory,
    held_bytes,
    hold_to,
    idle_memory,
)
from cnnart.optim.optimize import Standing, optimize_image, optimizer_factory
from cnnart.optim.steps import (
    LBFGS_HISTORY,
    Clock,
    MemoryPlan,
    Objective,
    PyramidLevel,
    State,
    Step,
)
from cnnart.optim.tiles import evaluation_cost, plan_memory, predict_peak
from cnnart.settings import COARSEST, SMALLEST_SIDE

FEWEST = 8  # evaluations below which a level is not worth its start
MEASURING = 0.04  # of a time budget, what may go into learning what a second size takes
MOST = 3.0  # times the preset that a generous time budget may buy
SHALLOW_STRIDE = 4  # up to relu3_4: layers whose units see few pixels


class LevelProblem(Protocol):
    """What is to be optimized, at every level."""

    def start(self, height: int, width: int) -> Tensor:
        """The first picture, ``1x3xheightxwidth``."""
        ...

    def enlarged(self, image: Tensor, size: tuple[int, int]) -> Tensor:
        """A level's result as the start of the next: a new tensor of (height, width) ``size``."""
        ...

    def objective(self, level: PyramidLevel, tile: int) -> Objective:
        """The objective at a level, computed in tiles of that side (0: the whole at once)."""
        ...


class Update(Protocol):
    """How the pixels are changed at a level, and what memory that takes.

    ``most``: times the planned evaluations that a generous time budget may buy; ``unit``: what an
    evaluation is called.
    """

    most: float
    unit: str

    def plan(self, run: CoarseToFine[Any]) -> MemoryPlan:
        """The memory that the last level takes, the idle process included. Raises OutOfMemory."""
        ...

    def optimize(
        self,
        run: CoarseToFine[Any],
        image: Tensor,
        objective: ResilientObjective,
        level: PyramidLevel,
        state: State | None = None,
    ) -> Iterator[tuple[dict[str, float], Tensor]]:
        """Change ``image`` at a level; yields the losses of each evaluation and the picture.

        Sets ``run.level_state`` to what gives the level's state between two of these. ``state``: to
        go on from; the step that led there is yielded again.
        """
        ...


class CoarseToFine(Generic[N]):
    """Optimizes a picture from level to level.

    Args:
        features: the network; replaced by a float32 one if its half precision is not to be trusted.
        layers: those the objective looks at.
        content: those of them at which it keeps the activations of a photo.
        schedule: the levels, coarsest first.
        update: how pixels are changed.
        limits: of memory and time.
        wrap: the axes (vertical, horizontal) along which the picture repeats.
        photo: what the caller holds as long as this runs; of the last level's size it is one of
            the pictures that a plan counts, of another one it comes on top of them.

    ``warnings`` grows by a line for each thing that went otherwise than asked. Raises OutOfMemory
    for a picture that cannot fit.
    """

    def __init__(
        self,
        features: N,
        layers: Sequence[str],
        schedule: Sequence[PyramidLevel],
        *,
        update: Update,
        content: Sequence[str] = (),
        limits: Limits | None = None,
        wrap: tuple[bool, bool] = (False, False),
        photo: Tensor | None = None,
    ) -> None:
        self.features = features
        self.held, self.held_size = 0, (0, 0)
        if photo is not None:
            self.held = held_bytes(photo, features.device)
            self.held_size = (photo.shape[-2], photo.shape[-1])
        self.layers, self.content = list(layers), tuple(content)
        self.schedule = list(schedule)
        self.update = update
        self.limits = limits or Limits()
        self.wrap = wrap
        self.warnings: list[str] = []
        self.memory = update.plan(self)
        self.level_state: Callable[[], State] = dict

    def steps(self, problem: LevelProblem, state: State | None = None) -> Iterator[Step]:
        """Run, yielding a Step for every evaluation of the network; see ``Synthesis.steps``."""
        steps, state = self._steps(problem, state), None  # its tensors are not to be held here
        with repeatable(self.features.device):
            yield from steps

    def _steps(self, problem: LevelProblem, state: State | None) -> Iterator[Step]:
        clock, spent = Clock(self.limits.seconds), 0.0
        planned = self.schedule  # what is still to come, were there time
        image = problem.start(planned[0].height, planned[0].width)
        self.features, warning = trusted(self.features, image, self.layers)
        if warning:
            self.warnings.append(warning)
        index = done = before = 0
        levels: list[PyramidLevel]
        objective: ResilientObjective

        def standing() -> State:
            """Where it stands; ``before``: the steps of the levels ``done``."""
            numbers = {"index": index, "done": done, "before": before, "rate": clock.rate}
            return {
                **numbers,
                "seconds": spent + clock.seconds,
                "levels": [[s.iterations, s.cost] for s in levels],
                "memory": _memory_state(self.memory),
                "tile": objective.tile,
                "level": self.level_state(),
            }

        if state is not None:
            index, done, spent = state["index"] - 1, state["done"], float(state["seconds"])
            planned = self.schedule[done:]
            self._take_memory(state)
            budget, rate = self.limits.seconds, state["rate"]
            clock = Clock(
                None if budget is None else max(0.0, budget - spent),
                None if rate is None else float(rate),
            )
        while planned:
            if state is None:
                levels, before = self._fit_to_time(problem, planned, clock, image), index
            else:
                levels, before = self._levels_of(state), state["before"]
            if not levels:
                return
            level, planned = levels[0], planned[1:]
            steps = before + sum(s.iterations for s in levels)
            clock.prepare(1 + recording_calls(self.features.device))
            size = (level.height, level.width)
            objective = self._objective(problem, level, state)
            start, before_it = problem.enlarged(image, size), state and state["level"]
            for losses, iterate in self.update.optimize(self, start, objective, level, before_it):
                image, index = iterate, index + 1
                if state is None:
                    clock.tick(level.work)
                state = before_it = None  # it has been taken over
                left = self._left(clock, levels, index - before)
                yield Step(index, steps, losses, image, size, clock.seconds, standing, left)
                if clock.is_over:
                    return
            self.level_state = dict  # and not the optimizer's memory any more
            done += 1

    def _levels_of(self, state: State) -> list[PyramidLevel]:
        """The level at which a run stood, and those to come."""
        planned = self.schedule[state["done"] :]
        return [
            replace(level, iterations=iterations, cost=cost)
            for level, (iterations, cost) in zip(planned, state["levels"], strict=False)
        ]

    def _take_memory(self, state: State) -> None:
        """Go on as a run was planned, but for what does not fit into the memory of today."""
        saved, tile = state["memory"], self.memory.tile
        self.memory = replace(
            self.memory,
            tile=_smaller(tile, saved["tile"]),
            optimizer=saved["optimizer"],
            history_dtype=getattr(torch, saved["history"]),
        )
        if tile and _smaller(tile, saved["tile"]) != saved["tile"]:
            self.warnings.append(
                f"Less memory is free than when this began: going on in tiles of {tile} pixels."
            )

    def _objective(
        self, problem: LevelProblem, level: PyramidLevel, state: State | None
    ) -> ResilientObjective:
        device, tile = self.features.device, self.memory.tile

        def make(tile: int) -> Objective:
            objective = problem.objective(level, tile)
            # In tiles the device has enough to do, and memory is short.
            return objective if tile else replayed(objective, device)

        if state is not None:
            tile = _smaller(tile, state["tile"])
        return ResilientObjective(make, tile, max(level.height, level.width), self.warnings)

    def _fit_to_time(
        self, problem: LevelProblem, levels: list[PyramidLevel], clock: Clock, image: Tensor
    ) -> list[PyramidLevel]:
        """The levels still to come, as the time budget allows; none if it allows no more."""
        if self.limits.seconds is None:
            return levels
        costed = []
        for s in levels:
            size, memory = (s.height, s.width), self.memory
            cost = evaluation_cost(self.features, self.layers, size, memory.tile, memory.wrap)
            costed.append(replace(s, cost=cost))
        begins = clock.takes(1.0) is None
        if begins:
            self._measure(problem, costed, clock, image)
        # A size that was begun is to be finished.
        must = begins or (levels[0].height, levels[0].width) == tuple(image.shape[-2:])
        fitted = fit_to_time(
            costed,
            clock.remaining,
            lambda work: clock.takes(work) or 0.0,
            self.update.most,
            preparation=clock.preparation,
            must=must,
        )
        if levels is self.schedule:
            amounts = ", ".join(f"{s.iterations} at {s.width}x{s.height}" for s in fitted)
            self.warnings.append(f"Time budget: {amounts} {self.update.unit}.")
        return fitted

    def _measure(
        self, problem: LevelProblem, levels: list[PyramidLevel], clock: Clock, image: Tensor
    ) -> None:
        """Tell the clock what an evaluation takes: the first is slower than those to come.

        At two sizes, where there is time: a device that is asked for each operation may take as
        long for a larger picture, and the finest would be given up for nothing.
        """
        calls = 2 + recording_calls(self.features.device)
        sizes = list(dict.fromkeys((level.height, level.width) for level in levels))[:2]
        for size in sizes:
            level = next(s for s in levels if (s.height, s.width) == size)
            expected = (clock.takes(level.work) or 0.0) * calls
            if expected > MEASURING * clock.remaining:
                return
            objective = self._objective(problem, level, None)
            picture = problem.enlarged(image, size)
            clock.prepare(calls - 1)
            for _ in range(calls):
                clock.start()
                _ = objective(picture).total  # waits for the device
                clock.tick(level.work)

    def _left(self, clock: Clock, levels: list[PyramidLevel], done: int) -> float | None:
        """Seconds left after ``done`` evaluations of the first of ``levels``; None without a
        budget.
        """
        if self.limits.seconds is None:
            return None
        counts = [level.iterations for level in levels]
        counts[0] -= done
        pairs = zip(levels, counts, strict=True)
        planned = sum((clock.takes(level.work) or 0.0) * count for level, count in pairs)
        return min(planned, clock.remaining)


def _memory_state(memory: MemoryPlan) -> State:
    history = str(memory.history_dtype).removeprefix("torch.")
    return {"tile": memory.tile, "optimizer": memory.optimizer, "history": history}


def _smaller(tile: int, other: int) -> int:
    """The smaller of two tiles; 0 is the whole picture."""
    return min(tile, other) if tile and other else tile or other


@contextmanager
def repeatable(device: torch.device) -> Iterator[None]:
    """On CUDA, meanwhile: the same sums in the same order, in every run.

    So cuDNN's search for the fastest algorithm, whose outcome is that of a race, is off.
    """
    cudnn = torch.backends.cudnn
    before = cudnn.deterministic, cudnn.benchmark
    if device.type == "cuda":
        cudnn.deterministic, cudnn.benchmark = True, False
    try:
        yield
    finally:
        cudnn.deterministic, cudnn.benchmark = before


class MultiscaleSynthesis(Generic[N]):
    """What a method that works coarse to fine tells of itself; see ``Synthesis``.

    A subclass is the ``LevelProblem`` of its ``run``.
    """

    run: CoarseToFine[N]

    @property
    def features(self) -> N:
        """The network; another one than was given if that could not be trusted."""
        return self.run.features

    @property
    def warnings(self) -> list[str]:
        """Grows by a line for each thing that went otherwise than asked."""
        return self.run.warnings

    @property
    def memory(self) -> MemoryPlan:
        """What the run takes."""
        return self.run.memory

    @property
    def schedule(self) -> list[PyramidLevel]:
        """The levels, coarsest first."""
        return self.run.schedule


class Descent:
    """Lowers the objective by L-BFGS or Adam, in tiles where memory asks for them."""

    most = MOST
    unit = "evaluations"

    def __init__(self, optimizer: str = "lbfgs") -> None:
        self.optimizer = optimizer

    def plan(self, run: CoarseToFine[Any]) -> MemoryPlan:
        return plan_descent(run, self.optimizer)

    def optimize(
        self,
        run: CoarseToFine[Any],
        image: Tensor,
        objective: ResilientObjective,
        level: PyramidLevel,
        state: State | None = None,
    ) -> Iterator[tuple[dict[str, float], Tensor]]:
        """One level. When the optimizer's own memory does not fit, Adam goes on in its place."""
        done = state["begun_at"] if state else 0
        while done < level.iterations:
            begun_at, todo, at = done, level.iterations - done, Standing()
            run.level_state = functools.partial(_descent_state, begun_at, at)
            pairs = min(LBFGS_HISTORY, todo)
            make = optimizer_factory(run.memory.optimizer, run.memory.history_dtype, pairs)
            steps = optimize_image(image, objective, todo, make, at, state)
            state = None
            try:
                for losses, iterate in steps:
                    image, done = iterate, begun_at + at.index
                    yield losses, image
                return
            except Exception as error:
                if run.memory.optimizer == "adam" or not is_out_of_memory(error):
                    raise
            run.memory = replace(run.memory, optimizer="adam", tile=objective.tile)
            run.warnings.append("Out of memory: going on with Adam, which needs less.")


def _descent_state(begun_at: int, at: Standing) -> State:
    """``begun_at``: the evaluation after which the optimizer that is at work began."""
    return {"begun_at": begun_at, **at.state()}


def plan_descent(run: CoarseToFine[Any], optimizer: str) -> MemoryPlan:
    """How a VGG's last level fits into the limits with this optimizer's state beside it."""
    assert isinstance(run.features, FeatureExtractor)
    device, last = run.features.device, run.schedule[-1]
    size = (last.height, last.width)
    idle = idle_memory(device, run.held)
    beside = 0 if run.held_size == size else run.held
    if run.limits.memory:
        hold_to(run.limits.memory, device)
    iterations = max(s.iterations for s in run.schedule if (s.height, s.width) == size)
    plan = MemoryPlan(
        optimizer=optimizer, iterations=iterations, wrap=run.wrap, content=run.content
    )
    if run.limits.tile is None:
        limit = run.limits.memory or idle + run.held + int(FREE_SHARE * free_memory(device))
        plan = plan_memory(run.features, run.layers, size, plan, limit - idle - beside)
    else:
        plan = replace(plan, tile=run.limits.tile)
        plan = replace(plan, peak=predict_peak(run.features, run.layers, size, plan))
    return replace(plan, peak=plan.peak + idle + beside)


def level_sizes(height: int, width: int, smallest: int = SMALLEST_SIDE) -> list[tuple[int, int]]:
    """Sizes from coarse to fine: halvings of the output while the long side stays large enough.

    No size's short side is below ``smallest`` pixels, but the output's own.
    """
    sizes = [(height, width)]
    while max(sizes[0]) >= 2 * COARSEST and min(sizes[0]) >= 2 * smallest:
        sizes.insert(0, (-(-sizes[0][0] // 2), -(-sizes[0][1] // 2)))
    return sizes


def shallow_layers(features: FeatureExtractor, layers: Sequence[str]) -> list[str]:
    """Those of ``layers`` that a shallow level looks at; none where all or none of them are."""
    shallow = [k for k in layers if features.geometry[k].stride <= SHALLOW_STRIDE]
    return shallow if len(shallow) < len(layers) else []


def schedule_of(
    counts: Sequence[tuple[int, int]],
    sizes: Sequence[tuple[int, int]],
    steps: int | None = None,
    *,
    split: bool,
) -> list[PyramidLevel]:
    """The levels of a run, coarsest first: at each size the shallow layers alone, then all.

    Args:
        counts: a preset's evaluations for each size, of the shallow layers and of all. Sizes beyond
            the last entry get as many as that.
        sizes: (height, width) of each, coarsest first.
        steps: in place of the preset's sum at the last size, divided as it is there.
        split: whether there are shallow layers among others; else all get all evaluations.
    """
    levels = []
    for index, size in enumerate(sizes):
        first, then = counts[min(index, len(counts) - 1)]
        if steps is not None and index == len(sizes) - 1:
            first = steps * first // (first + then)
            then = steps - first
        if split and first:
            levels.append(PyramidLevel(*size, first, shallow=True))
            levels.append(PyramidLevel(*size, then))
        else:
            levels.append(PyramidLevel(*size, first + then))
    return levels


def fit_to_time(
    levels: Sequence[PyramidLevel],
    seconds: float,
    takes: Callable[[float], float],
    most: float = MOST,
    *,
    preparation: float = 0.0,
    must: bool = True,
) -> list[PyramidLevel]:
    """The schedule that makes the best of ``seconds``.

    All levels get the same share of what their preset gives them, at most ``most`` times. Where the
    finest size would get too few evaluations to matter it is left out, and the result enlarged: a
    finished small picture looks better than an unfinished large one.

    Args:
        takes: the seconds of an evaluation of so much work (``PyramidLevel.work``).
        preparation: seconds that each level takes beside its evaluations.
        must: the first size is never left out.
    """
    sizes = list(dict.fromkeys((s.height, s.width) for s in levels))
    for last in range(len(sizes), 0, -1):
        kept = [s for s in levels if (s.height, s.width) in sizes[:last]]
        finest = sum(s.iterations for s in kept if (s.height, s.width) == sizes[last - 1])
        cost = sum(takes(s.work) * s.iterations for s in kept)
        factor = min(most, max(0.0, seconds - preparation * len(kept)) / max(cost, 1e-9))
        if finest * factor >= min(FEWEST, finest) or (must and last == 1):
            return [replace(s, iterations=max(1, int(s.iterations * factor))) for s in kept]
    return []
