"""The course of a training run: means of its losses, and a picture of them."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any

EVERY = 10  # steps that one entry of the history stands for


@dataclass
class History:
    """Means over every ten steps: ``entries`` are (last step, means by name).

    Steps that were dropped because something was not finite are not among those counted.
    """

    entries: list[tuple[int, dict[str, float]]] = field(default_factory=list)
    sums: dict[str, float] = field(default_factory=dict)
    count: int = 0

    def add(self, step: int, sums: dict[str, float], count: int) -> None:
        """Note what ``count`` steps up to ``step`` have lost in sum."""
        for name, value in sums.items():
            self.sums[name] = self.sums.get(name, 0.0) + value
        self.count += count
        if self.count and step % EVERY == 0:
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
