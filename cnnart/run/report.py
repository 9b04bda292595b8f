"""What a run tells people and programs while it works, in plain text or JSON lines."""

from __future__ import annotations

import math
import sys
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any

from cnnart.errors import as_flags, on_one_line
from cnnart.files import json_line

if TYPE_CHECKING:
    from cnnart.optim.steps import Step
    from cnnart.run.predict import Prediction

WIDEST = 60  # characters of a name in the table of failures; longer ones shift the rest


@dataclass(frozen=True)
class Start:
    """The facts about one picture that is about to be made.

    ``size``: (height, width). ``about``: the command's own facts in one phrase, for people;
    ``details``: the same for programs, each a key of the JSON line.
    """

    command: str
    input: str
    output: str
    size: tuple[int, int]
    about: str
    device: str
    device_reason: str
    precision: str
    seed: int
    memory: int
    tile: int
    details: Mapping[str, Any] = field(default_factory=dict)
    preview: str | None = None
    schedule: Sequence[tuple[float, int]] = ()  # what a step costs, and how many: see Eta
    index: int = 1
    count: int = 1
    unit: str = "step"  # or frame: what a Step is


@dataclass(frozen=True)
class Plan:
    """What would be done for one picture.

    ``start``: the facts that a run begins with. ``reads``: the files beside the photo.
    ``replaces``: the result's file is there already. ``seconds``: None: not known before.
    """

    start: Start
    reads: Sequence[str] = ()
    replaces: bool = False
    seconds: float | None = None


@dataclass(frozen=True)
class Finding:
    """Something to tell about a finished picture, for people and (as a JSON line) for programs."""

    text: str
    facts: Mapping[str, Any]


@dataclass
class Summary:
    """What became of a batch. ``planned``: of a dry run, what would have been saved."""

    saved: int = 0
    skipped: int = 0
    failures: Sequence[tuple[str, str]] = ()
    seconds: float = 0.0
    exit_code: int = 0
    planned: int = 0


class Reporter:
    """Nothing but errors.

    What standard output does not take is no reason to stop: the pictures are what is wanted.
    ``done`` raises the OSError.

    ``predicts``: whether it tells how long a run will take, for which that is to be measured.
    """

    predicts = False
    _unwritten: OSError | None = None

    def start(self, start: Start) -> None: ...

    def plan(self, plan: Plan) -> None:
        """Instead of ``start``: what would be done."""

    def planned(self, plans: Sequence[Plan]) -> None:
        """All that would be done."""

    def first_look(self, path: Path, seconds: float) -> None: ...

    def predicted(self, prediction: Prediction) -> None: ...

    def step(self, step: Step) -> None: ...

    def warning(self, message: str) -> None: ...

    def saved(self, path: Path | None, kind: str, seconds: float) -> None: ...

    def found(self, finding: Finding) -> None: ...

    def skipped(self, name: str, path: Path) -> None: ...

    def failed(self, name: str, error: str, exit_code: int) -> None: ...

    def stop(self) -> None:
        """Take away what is drawn; called at the end, however it comes."""

    def done(self, summary: Summary) -> None:
        for line in failure_table(summary):
            print(as_flags(line), file=sys.stderr)
        self._raise_unwritten()

    def _print(self, line: str) -> None:
        """A line on standard output, unless an earlier one could not be written."""
        if self._unwritten is None:
            try:
                # In one go, or under torchrun the lines of two processes come as one.
                print(f"{line}\n", end="", flush=True)
            except OSError as error:
                error.filename = error.filename or "standard output"
                self._unwritten = error

    def _raise_unwritten(self) -> None:
        if self._unwritten is not None:
            raise self._unwritten


class Plain(Reporter):
    """For pipes: the path of each result on standard output, warnings on standard error."""

    def __init__(self, *, paths: bool = True) -> None:
        self._paths = paths

    def plan(self, plan: Plan) -> None:
        for line in plan_lines(plan):
            if self._paths:
                self._print(on_one_line(line))
            else:
                print(on_one_line(line), file=sys.stderr)

    def planned(self, plans: Sequence[Plan]) -> None:
        known = [plan.seconds for plan in plans if plan.seconds is not None]
        takes = f", about {about(sum(known))}" if len(known) == len(plans) > 1 else ""
        pictures = f"{len(plans)} picture{'s' if len(plans) > 1 else ''}"
        print(f"cnnart: {pictures}{takes}; a dry run writes nothing.", file=sys.stderr)

    def warning(self, message: str) -> None:
        print(f"cnnart: warning: {as_flags(message)}", file=sys.stderr)

    def found(self, finding: Finding) -> None:
        print(on_one_line(f"cnnart: {finding.text}"), file=sys.stderr)

    def saved(self, path: Path | None, kind: str, seconds: float) -> None:
        if path and self._paths and kind != "snapshot":
            self._print(on_one_line(str(path)) if sys.stdout.isatty() else str(path))
        if kind == "interrupted":
            self.warning(f"interrupted; the picture so far is {path or 'written'}.")


class JsonLines(Reporter):
    """For programs: one JSON object a line on standard output; docs/json.md lists the keys."""

    predicts = True

    def plan(self, plan: Plan) -> None:
        facts = {k: v for k, v in _facts(plan.start).items() if k != "preview"}
        more = {name: value for name, value in vars(plan).items() if name != "start"}
        self._event("plan", **facts | more)

    def start(self, start: Start) -> None:
        self._event("start", **_facts(start))
        self._eta = Eta(start.schedule)
        self._unit = start.unit

    def first_look(self, path: Path, seconds: float) -> None:
        self._event("first_look", path=str(path), seconds=round(seconds, 3))

    def predicted(self, prediction: Prediction) -> None:
        self._event("predicted", seconds=round(prediction.seconds, 1))
        self._eta = Eta(prediction.levels)

    def step(self, step: Step) -> None:
        left = self._eta.left(step)
        self._event(
            "step",
            step=step.index,
            steps=step.steps,
            scale=[step.scale[1], step.scale[0]],
            losses={name: _number(value) for name, value in step.losses.items()},
            seconds=round(step.seconds, 3),
            seconds_left=None if left is None else round(left, 1),
            **({"frames_per_second": self._eta.rate} if self._unit == "frame" else {}),
        )

    def warning(self, message: str) -> None:
        self._event("warning", message=as_flags(message))

    def saved(self, path: Path | None, kind: str, seconds: float) -> None:
        self._event("saved", path=str(path) if path else None, kind=kind, seconds=round(seconds, 3))

    def found(self, finding: Finding) -> None:
        self._event("found", **finding.facts)

    def skipped(self, name: str, path: Path) -> None:
        self._event("skipped", input=name, path=str(path))

    def failed(self, name: str, error: str, exit_code: int) -> None:
        self._event("failed", input=name, error=as_flags(error), exit_code=exit_code)

    def done(self, summary: Summary) -> None:
        self._event(
            "done",
            saved=summary.saved,
            skipped=summary.skipped,
            failed=len(summary.failures),
            seconds=round(summary.seconds, 3),
            exit_code=summary.exit_code,
        )
        self._raise_unwritten()

    def _event(self, event: str, **facts: Any) -> None:
        self._print(json_line({"event": event, **facts}))


def _facts(start: Start) -> dict[str, Any]:
    """What programs are told before a picture is made."""
    height, width = start.size
    facts = vars(start) | {"size": [width, height]}
    told = {k: v for k, v in facts.items() if k not in ("about", "details", "schedule", "unit")}
    return {**told, **start.details}


def plan_lines(plan: Plan) -> list[str]:
    """What people are told of what would be done."""
    from cnnart.optim.memory import gigabytes

    start = plan.start
    height, width = start.size
    number = f"[{start.index}/{start.count}] " if start.count > 1 else ""
    replaces = " (which is there, and would be replaced)" if plan.replaces else ""
    tiles = f", in tiles of {start.tile} px" if start.tile else ""
    takes = "a time that is not known before" if plan.seconds is None else about(plan.seconds)
    return [
        f"{number}{start.input} -> {start.output}{replaces}",
        *([f"  reads {', '.join(plan.reads)}"] if plan.reads else []),
        f"  {width} x {height} px, {start.about}, seed {start.seed}",
        f"  on {start.device_reason}, {start.precision}",
        f"  takes {gigabytes(start.memory)} of memory at the most{tiles}, and {takes}",
    ]


def failure_table(summary: Summary) -> list[str]:
    """Which inputs failed and why, one a line under a headline.

    Nothing when none did, nor for one that was alone: its error is told by itself.
    """
    made = summary.saved + summary.planned
    if not summary.failures or len(summary.failures) + made + summary.skipped == 1:
        return []
    width = min(WIDEST, max(len(name) for name, _ in summary.failures))
    count = len(summary.failures)
    headline = f"cnnart: {count} failed, {summary.saved} saved, {summary.skipped} skipped:"
    return [headline, *(f"  {name:<{width}}  {why}" for name, why in summary.failures)]


def duration(seconds: float) -> str:
    """``7 s``, ``3:05``, ``1:02:03``."""
    whole = round(seconds)
    if whole < 60:
        return f"{whole} s"
    hours, rest = divmod(whole, 3600)
    minutes, rest = divmod(rest, 60)
    return f"{hours}:{minutes:02d}:{rest:02d}" if hours else f"{minutes}:{rest:02d}"


def about(seconds: float) -> str:
    """A time that nobody knows exactly: ``7 s``, ``45 s``, ``4 min``, ``1.5 h``."""
    if seconds < 20:
        return f"{max(1, round(seconds))} s"
    if seconds < 90:
        return f"{5 * round(seconds / 5)} s"
    minutes = round(seconds / 60)
    return f"{minutes} min" if minutes < 90 else f"{seconds / 3600:.1f} h"


def _number(value: float) -> float | None:
    return value if math.isfinite(value) else None  # JSON knows neither NaN nor infinity


class Eta:
    """Seconds left, from what the latest steps took beside what they were expected to.

    Args:
        levels: what a step costs, in any unit, and how many there are, from the first scale to the
            last; empty when unknown, then all steps count alike.
    """

    def __init__(self, levels: Sequence[tuple[float, int]] = ()) -> None:
        self._costs = [cost for cost, steps in levels for _ in range(steps)]
        self._rate: float | None = None  # seconds per unit of cost
        self._before = 0.0
        self._scale: tuple[int, int] | None = None

    def left(self, step: Step) -> float | None:
        """Seconds left after ``step``: its own, or else reckoned; None before there is anything to
        go by.
        """
        if len(self._costs) != step.steps:
            self._costs = [1] * step.steps
        seconds, self._before = step.seconds - self._before, step.seconds
        is_first, self._scale = step.scale != self._scale, step.scale
        rate = seconds / self._costs[step.index - 1]
        # The first step at a scale also prepares it; afterwards follow changes within a dozen.
        if self._rate is None or step.index == 2:
            self._rate = rate
        elif not is_first:
            self._rate = 0.9 * self._rate + 0.1 * rate
        return self._rate * sum(self._costs[step.index :]) if step.left is None else step.left

    @property
    def rate(self) -> float | None:
        """Steps a second, where all count alike."""
        return round(1 / self._rate, 2) if self._rate else None
