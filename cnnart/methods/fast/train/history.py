"""The course of a training run: means of its losses, and a picture of them."""

from __future__ import annotations

import math
from dataclasses import dataclass, field
from typing import Any

EVERY = 10  # steps that one entry of the history stands for


@dataclass
class History:
    """Means over every ten steps: ``entries`` are (last step, means by name).

    Steps that were dropped because something was not finite do not count.
    """

    entries: list[tuple[int, dict[str, float]]] = field(default_factory=list)
    sums: dict[str, float] = field(default_factory=dict)
    count: int = 0

    def add(self, step: int, losses: dict[str, float]) -> None:
        """Note a step."""
        if not all(map(math.isfinite, losses.values())):
            return
        for name, value in losses.items():
            self.sums[name] = self.sums.get(name, 0.0) + value
        self.count += 1
        if self.count == EVERY:
            means = {name: total / self.count for name, total in self.sums.items()}
            self.entries.append((step, means))
            self.sums, self.count = {}, 0

    def end(self) -> dict[str, float]:
        """The latest means."""
        return {k: round(v, 5) for k, v in self.entries[-1][1].items()} if self.entries else {}

    def as_json(self) -> dict[str, Any]:
        return {"entries": self.entries, "sums": self.sums, "count": self.count}

    @staticmethod
    def from_json(facts: dict[str, Any]) -> History:
        entries = [(int(step), dict(means)) for step, means in facts["entries"]]
        return History(entries, dict(facts["sums"]), int(facts["count"]))
