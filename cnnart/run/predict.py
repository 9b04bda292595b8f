"""How long a run will take, measured before its first step.

An evaluation takes a constant (launching a few hundred operations) and so much for each pixel. At
the coarsest size both may weigh the same, so measuring there alone would say nothing of the finest;
a second size tells them apart, and what is larger lies on the line through the two.
"""

from __future__ import annotations

import copy
import io
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from typing import Any, BinaryIO, cast

import torch
from torch import Tensor

from cnnart.optim.multiscale import CoarseToFine, LevelProblem, MultiscaleSynthesis
from cnnart.optim.optimize import evaluations_ahead
from cnnart.optim.steps import OnePass, PyramidLevel, Synthesis
from cnnart.optim.tiles import evaluation_cost

# Evaluations at the two sizes, and how many of them are only to prepare what comes. Of the others
# the quickest counts: what slows a single one down is something else that the machine does.
EVALUATIONS, WARMING_UP = (4, 3), 1
ON_ACCELERATOR, CAPTURING = (12, 12), 6  # milliseconds each, once they are captured

# A level's targets and its slow first evaluation take as long as so many evaluations more.
PREPARING = 2

# Trials of one pass: the first prepares what comes, and of the others the quickest counts.
TRIALS = 3


@dataclass(frozen=True)
class Prediction:
    """What a run is going to take.

    ``levels``: the seconds of an evaluation, and how many there are, from the coarsest size on;
    ``seconds``: of the whole run.
    """

    levels: Sequence[tuple[float, int]]
    seconds: float


def nothing() -> None:
    """What is done between two steps, unless somebody waits."""


def predict(work: Synthesis, between_steps: Callable[[], None] = nothing) -> Prediction | None:
    """What a work of several sizes is going to take; it is left as it was, to the bit.

    None for one that does not go coarse to fine, or whose time is settled by a budget.

    ``between_steps``: called between two evaluations; its time does not count.
    """
    if not isinstance(work, MultiscaleSynthesis) or work.run.limits.seconds is not None:
        return None
    schedule = work.schedule
    larger = [level for level in schedule if _pixels(level) > 3 * _pixels(schedule[0])]
    small, large = schedule[0], larger[0] if larger else schedule[-1]
    counts = EVALUATIONS if work.features.device.type == "cpu" else ON_ACCELERATOR
    lines: dict[PyramidLevel, tuple[float, float]] = {}
    each = []
    for level in schedule:
        kind = _at(small, level, 1)
        if kind not in lines:
            constant = _measured(work, _at(small, level, counts[0]), between_steps)
            lines[kind] = constant, 0.0
            if (further := _pixels(large) - _pixels(small)) > 0:  # else there is one size alone
                more = _measured(work, _at(large, level, counts[1]), between_steps)
                lines[kind] = constant, max(0.0, more - constant) / further
        constant, slope = lines[kind]
        each.append(constant + slope * (_tiled(work.run, level) - _pixels(small)))
    levels = [(seconds, level.iterations) for seconds, level in zip(each, schedule, strict=True)]
    return Prediction(levels, sum(seconds * (count + PREPARING) for seconds, count in levels))


def _pixels(level: PyramidLevel) -> int:
    return level.height * level.width


def _tiled(run: CoarseToFine[Any], level: PyramidLevel) -> float:
    """The pixels of a level, those counted that its tiles compute more than once."""
    size, memory = (level.height, level.width), run.memory
    cost = evaluation_cost(run.features, run.layers, size, memory.tile, memory.wrap)
    return _pixels(level) * cost


def _at(size: PyramidLevel, level: PyramidLevel, count: int) -> PyramidLevel:
    """A level of the same kind (a method may do different things at one size) at another's size."""
    return replace(level, height=size.height, width=size.width, iterations=count)


def _measured(
    work: MultiscaleSynthesis[Any], level: PyramidLevel, between_steps: Callable[[], None]
) -> float:
    """Seconds that an evaluation at a level takes, when it has warmed up."""
    trial = copy.copy(work.run)
    trial.schedule, trial.warnings = [level], []
    device = trial.features.device.type
    times, began = [], time.perf_counter()
    for _ in trial.steps(cast(LevelProblem, work)):
        if device != "cpu":
            getattr(torch, device).synchronize()  # steps are told of before they are over
        times.append(time.perf_counter() - began)
        between_steps()
        began = time.perf_counter()
    # The losses of the last ones were only waited for: they had been asked for before.
    asked = len(times) - evaluations_ahead(trial.features.device)
    return min(times[WARMING_UP if device == "cpu" else CAPTURING : asked])


def rate_of_pass(
    work: OnePass,
    write: Callable[[BinaryIO, Tensor], None],
    between_steps: Callable[[], None] = nothing,
) -> float:
    """Seconds for each pixel that a work of one pass is going to take, and its file to ``write``.

    Measured by a small picture that is made the same way. ``between_steps``: called between two.
    """
    trial, times = work.trial(), []
    for _ in range(TRIALS):
        began = time.perf_counter()
        for step in trial.steps():
            image = step.image
        write(io.BytesIO(), trial.finish(image))
        times.append(time.perf_counter() - began)
        between_steps()
    return min(times[1:]) / trial.pixels
