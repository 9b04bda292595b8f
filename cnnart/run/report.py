"""What a run tells people and programs while it works, in plain text or JSON lines."""

from __future__ import annotations

import json
import math
import sys
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any

from cnnart.errors import as_flags

if TYPE_CHECKING:
    from cnnart.optim.steps import Step


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
    schedule: Sequence[tuple[tuple[int, int], int]] = ()
    index: int = 1
    count: int = 1


@dataclass(frozen=True)
class Finding:
    """Something to tell about a finished picture, for people and (as a JSON line) for programs."""

    text: str
    facts: Mapping[str, Any]


@dataclass
class Summary:
    """What became of a batch."""

    saved: int = 0
    skipped: int = 0
    failures: Sequence[tuple[str, str]] = ()
    seconds: float = 0.0
    exit_code: int = 0


class Reporter:
    """Nothing but errors."""

    def start(self, start: Start) -> None: ...

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


class Plain(Reporter):
    """For pipes: the path of each result on standard output, warnings on standard error."""

    def __init__(self, *, paths: bool = True) -> None:
        self._paths = paths

    def warning(self, message: str) -> None:
        print(f"cnnart: warning: {as_flags(message)}", file=sys.stderr)

    def found(self, finding: Finding) -> None:
        print(f"cnnart: {finding.text}", file=sys.stderr)

    def saved(self, path: Path | None, kind: str, seconds: float) -> None:
        if path and self._paths and kind != "snapshot":
            print(path, flush=True)
        if kind == "interrupted":
            self.warning(f"interrupted; the picture so far is {path or 'written'}.")


class JsonLines(Reporter):
    """For programs: one JSON object a line on standard output; docs/json.md lists the keys."""

    def start(self, start: Start) -> None:
        height, width = start.size
        facts = vars(start) | {"size": [width, height]}
        told = {k: v for k, v in facts.items() if k not in ("about", "details", "schedule")}
        self._event("start", **told, **start.details)
        self._eta = Eta(start.schedule)

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

    def _event(self, event: str, **facts: Any) -> None:
        print(json.dumps({"event": event, **facts}), flush=True)


def failure_table(summary: Summary) -> list[str]:
    """Which inputs failed and why, one a line under a headline.

    Nothing when none did, nor for one that was alone: its error is told by itself.
    """
    if not summary.failures or len(summary.failures) + summary.saved + summary.skipped == 1:
        return []
    width = max(len(name) for name, _ in summary.failures)
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


def _number(value: float) -> float | None:
    return value if math.isfinite(value) else None  # JSON knows neither NaN nor infinity


PyramidLevel = tuple[int, int]


class Eta:
    """Seconds left, from the cost per pixel of the latest steps.

    Args:
        schedule: ``((height, width), steps)`` from the first scale to the last; empty when unknown,
            then all steps count alike.
    """

    def __init__(self, schedule: Sequence[tuple[PyramidLevel, int]] = ()) -> None:
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
