"""What every run is made of: pyramid levels, evaluations, steps, a clock, and their protocol."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from typing import Any, Protocol, runtime_checkable

import torch
from torch import Tensor

LBFGS_HISTORY = 20
SHALLOW_WORK = 0.35  # of an evaluation up to relu5_1, those of relu1_1 to relu3_1 alone


@dataclass(frozen=True)
class PyramidLevel:
    """One size of the picture in the coarse-to-fine pyramid, and the iterations spent on it.

    ``shallow``: only the layers whose units see few pixels are looked at: an enlarged picture lacks
    only details, and those are theirs.
    """

    height: int
    width: int
    iterations: int
    cost: float = 1.0  # of an iteration, relative to one of the whole picture at once
    shallow: bool = False

    @property
    def work(self) -> float:
        """The work of one iteration, in pixels."""
        return self.height * self.width * self.cost * (SHALLOW_WORK if self.shallow else 1.0)


@dataclass(frozen=True)
class Evaluation:
    """An objective at one picture: its named, weighted terms and the gradient of their sum.

    ``terms``: numbers, or scalars on the device that computes them.
    """

    terms: Mapping[str, float] | Mapping[str, Tensor]
    gradient: Tensor

    @property
    def losses(self) -> dict[str, float]:
        """The terms as numbers. Waits for the device."""
        return dict(zip(self.terms, self.values().tolist(), strict=True))

    @property
    def total(self) -> float:
        """Their sum. Waits for the device."""
        return sum(self.losses.values())

    def values(self) -> Tensor:
        """The terms as one vector on the gradient's device."""
        if found := [value for value in self.terms.values() if isinstance(value, Tensor)]:
            return torch.stack(found)
        device = self.gradient.device  # of which MPS has no float64
        exact = torch.float32 if device.type == "mps" else torch.float64
        return torch.tensor(list(self.terms.values()), dtype=exact, device=device)


Objective = Callable[[Tensor], Evaluation]

# Where a run stands between two steps: tensors, and plain values as JSON holds them, nested.
State = Mapping[str, Any]


@dataclass(frozen=True)
class Step:
    """Where a long run stands after one evaluation.

    ``image`` is the iterate at its current pyramid level (``1x3xhxw``; it may lie slightly outside
    [0, 1]), whose (height, width) is ``scale``; ``index`` counts from 1 over the whole run of
    ``steps`` evaluations; ``seconds`` is the time since the run began, or was taken up again.

    ``left``: seconds that are left, where a time budget settles them; None: nobody knows.

    ``state``, called before the next step is asked for, gives what the same run goes on from, with
    the same pictures; its tensors are the run's own, so they are to be kept before the next step.
    None: the run can only begin anew.
    """

    index: int
    steps: int
    losses: dict[str, float]
    image: Tensor
    scale: tuple[int, int]
    seconds: float
    state: Callable[[], State] | None = None
    left: float | None = None


@dataclass(frozen=True)
class MemoryPlan:
    """How to evaluate and optimize a picture, and the bytes that takes beyond the idle process.

    ``tile`` is 0 for the whole picture at once. ``content``: the layers at which the photo's own
    activations are kept.
    """

    tile: int = 0
    optimizer: str = "lbfgs"
    history_dtype: torch.dtype = torch.float32
    iterations: int = LBFGS_HISTORY  # at the finest level; L-BFGS remembers no more than these
    wrap: tuple[bool, bool] = (False, False)  # the axes along which the picture repeats
    content: tuple[str, ...] = ()
    peak: int = 0


class Synthesis(Protocol):
    """One picture in the making, by whatever method: what a runner follows to the end.

    ``features``: the network it runs on (its ``sha256``, ``device`` and ``dtype`` go into records);
    None for methods without one. ``warnings`` grows by a line for each thing that went otherwise
    than asked.
    """

    @property
    def features(self) -> Any: ...

    @property
    def warnings(self) -> list[str]: ...

    @property
    def memory(self) -> MemoryPlan: ...

    @property
    def schedule(self) -> list[PyramidLevel]: ...

    def steps(self) -> Iterator[Step]:
        """Run, yielding a Step for each piece of work."""
        ...

    def finish(self, image: Tensor) -> Tensor:
        """Any Step's image as it is to be written: ``1x3xHxW`` in [0, 1] on the CPU."""
        ...


class ResumableSynthesis(Synthesis, Protocol):
    """One whose Steps have a state, from which the same run goes on."""

    def steps(self, state: State | None = None) -> Iterator[Step]:
        """Run, yielding a Step for each piece of work.

        ``state``: a Step's, of a run with the same inputs and settings; that Step is yielded again,
        and the run goes on from there. Raises KeyError, TypeError, ValueError or RuntimeError for
        what is no state of such a run.
        """
        ...


@runtime_checkable
class OnePass(Protocol):
    """One that is made at once, in a time that goes with ``pixels``: those that are computed."""

    @property
    def pixels(self) -> int: ...

    def trial(self) -> OnePass:
        """The same for a small picture, to measure how long it takes."""
        ...

    def steps(self) -> Iterator[Step]: ...

    def finish(self, image: Tensor) -> Tensor: ...


class Clock:
    """Time since the run began, time left, and what an evaluation takes.

    That is a constant (a card is asked for each operation), and so much for each pixel of its work:
    two sizes tell them apart. Until there are two, all of it goes by the pixels.
    """

    NEWEST = 0.3  # of what is known of a size, the weight of its latest evaluation

    def __init__(self, budget: float | None = None, rate: float | None = None) -> None:
        self.budget = budget
        # The work and the seconds of an evaluation at the latest two sizes.
        self._known: list[tuple[float, float]] = [] if rate is None else [(1.0, rate)]
        self._begun = self._last = time.perf_counter()
        self._last_took = 0.0
        self.preparation = 0.0  # seconds of the latest level's first evaluations
        self._preparing, self._is_guess = 0, False

    @property
    def seconds(self) -> float:
        return time.perf_counter() - self._begun

    @property
    def remaining(self) -> float:
        """Seconds left of the budget, less a margin for preparing levels and writing."""
        return max(0.0, (self.budget or 0.0) * 0.95 - self.seconds)

    @property
    def is_over(self) -> bool:
        """Whether another evaluation like the last would exceed the budget."""
        return self.budget is not None and self._last_took > self.remaining

    @property
    def rate(self) -> float | None:
        """Seconds per pixel of work, at the latest size."""
        return self._known[-1][1] / self._known[-1][0] if self._known else None

    def start(self) -> None:
        """An evaluation begins now."""
        self._last = time.perf_counter()

    def prepare(self, evaluations: int) -> None:
        """A level begins: its first evaluations also make targets, and record, and are longer."""
        self._preparing, self.preparation = evaluations, 0.0

    def tick(self, work: float) -> None:
        """An evaluation of so much work ended now."""
        now = time.perf_counter()
        self._last_took, self._last = now - self._last, now
        preparing, self._preparing = self._preparing > 0, self._preparing - 1
        self.preparation += preparing * self._last_took
        if preparing and self._known and not self._is_guess:
            return
        took = self._last_took
        if self._is_guess:
            self._known.pop()
        elif self._known and self._known[-1][0] == work:
            _, before = self._known.pop()
            took = before + self.NEWEST * (took - before)
        self._known, self._is_guess = [*self._known[-1:], (work, took)], preparing

    def takes(self, work: float) -> float | None:
        """Seconds that an evaluation is going to take; None before there is anything to go by."""
        if not self._known:
            return None
        latest, seconds = self._known[-1]
        if len(self._known) == 2:
            other, others = self._known[0]
            slope = max(0.0, (seconds - others) / (latest - other))
            if (constant := seconds - slope * latest) > 0:
                return constant + slope * work
        return seconds * work / latest
