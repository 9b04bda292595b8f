"""Where the time of a process went, for ``--debug``."""

from __future__ import annotations

import sys
import time
from collections.abc import Mapping
from typing import TYPE_CHECKING, Any, cast

if TYPE_CHECKING:
    from cnnart.run.report import Reporter
    from cnnart.runtime import Runtime

# What the time before each call of a reporter was spent on, as people call it.
PHASES = {
    "start": "photo",
    "first_look": "first look",
    "predicted": "prediction",
    "step": "steps",
    "saved": "writing",
    "done": "end",
}


class Timings:
    """The time since ``began`` (``time.time()``), part by part; ``until``: the first parts' ends.

    ``watched`` gives a reporter that hears of the pictures' parts.
    """

    def __init__(self, began: float, until: Mapping[str, float]) -> None:
        self._began = self._last = began
        self._seconds: dict[str, float] = {}
        self._steps = 0
        for name, end in until.items():
            self._lap(name, end)

    def _lap(self, name: str, end: float, inside: float = 0.0) -> None:
        """End a part; ``inside``: seconds of it that are told elsewhere."""
        self._seconds[name] = self._seconds.get(name, 0.0) + end - self._last - inside
        self._last = end

    def watched(self, reporter: Reporter, runtime: Runtime) -> Reporter:
        """A reporter that does the same, and prints the table when all is done."""
        return cast("Reporter", _Watched(self, reporter, runtime))

    def called(self, event: str, runtime: Runtime) -> None:
        """End the part that a reporter's call ends."""
        if event not in PHASES:
            return
        name = PHASES[event]
        if event == "step":
            self._steps += 1
            name = "first step" if self._steps == 1 else name
        self._lap(name, time.time(), inside=sum(runtime.loading.values()))
        for part, seconds in runtime.loading.items():
            self._seconds[part] = self._seconds.get(part, 0.0) + seconds
        runtime.loading.clear()

    def table(self) -> str:
        """A line for each part, in seconds."""
        rows = [*self._seconds.items(), ("in all", self._last - self._began)]
        width = max(len(name) for name, _ in rows)
        return "\n".join(f"  {name:<{width}} {seconds:8.2f} s" for name, seconds in rows)


class _Watched:
    def __init__(self, timings: Timings, reporter: Reporter, runtime: Runtime) -> None:
        self._timings, self._reporter, self._runtime = timings, reporter, runtime

    def __getattr__(self, name: str) -> Any:
        found = getattr(self._reporter, name)
        if not callable(found):
            return found

        def call(*args: Any, **more: Any) -> Any:
            self._timings.called(name, self._runtime)
            if name == "done":
                print(f"cnnart: where the time went\n{self._timings.table()}", file=sys.stderr)
            return found(*args, **more)

        return call
