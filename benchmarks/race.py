"""Who gets where when: time to quality from the scores of two runs along the way."""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple

Scores = dict[str, float]


class Snapshot(NamedTuple):
    """A picture on the way: after how many evaluations and seconds, and what it scored."""

    evaluation: int
    seconds: float
    scores: Scores


Run = Sequence[Snapshot]


class Race(NamedTuple):
    """Seconds that each run needs for a goal; None where it never gets there.

    ``given_up``: seconds after which the plain loop ended.
    """

    goal: str
    ours: float | None
    plain: float | None
    given_up: float

    @property
    def ratio(self) -> str:
        """How many times longer the plain loop needs; a bound if it ended before."""
        if self.ours is None:
            return "-"
        if self.plain is None:
            return f"over {self.given_up / self.ours:.1f}"
        return f"{self.plain / self.ours:.1f}"


def reached(run: Run, metric: str, target: float) -> float | None:
    """When a run's score came down to ``target`` for good, interpolated between snapshots.

    None if its last score is above; the first snapshot's time if even that one is not.
    """
    if run[-1].scores[metric] > target:
        return None
    above = [i for i, snapshot in enumerate(run) if snapshot.scores[metric] > target]
    if not above:
        return run[0].seconds
    before, after = run[above[-1]], run[above[-1] + 1]
    drop = before.scores[metric] - after.scores[metric]
    part = (before.scores[metric] - target) / drop
    return before.seconds + part * (after.seconds - before.seconds)


def reached_all(run: Run, metrics: Sequence[str], goal: Scores) -> float | None:
    """When a run was at least as good as ``goal`` in all the metrics at once, for good."""
    times = [reached(run, metric, goal[metric]) for metric in metrics]
    return None if None in times else max(t for t in times if t is not None)


def races(ours: Run, plain: Run, metrics: Sequence[str]) -> list[Race]:
    """For each metric and all at once: the time to our final score, then to the plain loop's."""
    result = []
    for name, goal in (("cnnart", ours[-1]), ("the plain loop", plain[-1])):
        for wanted in [*([metric] for metric in metrics), list(metrics)]:
            mine = goal.seconds if goal is ours[-1] else reached_all(ours, wanted, goal.scores)
            theirs = goal.seconds if goal is plain[-1] else reached_all(plain, wanted, goal.scores)
            label = f"{name}'s final {', '.join(wanted)}"
            result.append(Race(label, mine, theirs, plain[-1].seconds))
    return result
