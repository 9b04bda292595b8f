"""``--dry-run``: what a run would make, on what, and how long it would take; nothing is written.

Everything is opened and checked as for the run itself, so that it is refused for the same reasons.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import replace
from typing import TYPE_CHECKING

from cnnart.errors import UsageError, WeightsError
from cnnart.files import is_there
from cnnart.optim.steps import OnePass
from cnnart.run.batch import BatchOptions, Outcomes
from cnnart.run.command import Run
from cnnart.run.journal import Journal
from cnnart.run.outputs import Task
from cnnart.run.report import Plan, Reporter

if TYPE_CHECKING:
    from cnnart.run.predict import Prediction


class DryRun:
    """The counterpart of ``Batch`` that only tells.

    Args:
        journal: one that writes nothing.
        between_steps: called between two steps of what is measured.
    """

    def __init__(
        self,
        open_run: Callable[[Task], Run],
        reporter: Reporter,
        options: BatchOptions,
        journal: Journal,
        between_steps: Callable[[], None] | None = None,
    ) -> None:
        self._open_run, self._reporter = open_run, reporter
        self._between_steps = between_steps
        self._options, self._journal = options, journal
        self._rate: float | None = None  # seconds for a pixel, of what is made in one pass
        self._prediction: tuple[object, Prediction | None] | None = None  # of what schedule

    def run(self, tasks: Sequence[Task]) -> int:
        """Tell of every task; returns the exit code as ``Batch.run`` does."""
        outcomes = Outcomes(len(tasks), self._reporter, self._options, self._journal)
        plans: list[Plan] = []
        for index, task in enumerate(tasks, start=1):
            if outcomes.skips(task):
                continue
            try:
                task.check()
                run = self._open_run(task)
                plan = self._plan(run, index, len(tasks))
            except Exception as error:
                outcomes.failed(task, error)
                continue
            for line in run.warnings:
                self._reporter.warning(line)
            self._reporter.plan(plan)
            plans.append(plan)
            outcomes.planned += 1
        if plans:
            self._reporter.planned(plans)
        return outcomes.conclude()

    def _plan(self, run: Run, index: int, count: int) -> Plan:
        target = run.task.target
        return Plan(
            replace(run.start(), index=index, count=count),
            reads=[str(path) for path in run.command.inputs()],
            replaces=target is not None and is_there(target),
            seconds=self._seconds(run),
        )

    def _seconds(self, run: Run) -> float | None:
        """How long it takes; None where that is not known before."""
        if (budget := run.runtime.limits().seconds) is not None:
            return budget
        schedule = run.schedule()
        if isinstance(work := run.work, OnePass):
            from cnnart.run.predict import nothing, rate_of_pass

            if self._rate is None:  # the same for all pictures, but for their pixels
                self._rate = rate_of_pass(
                    work,
                    lambda to, rgb: run.write(to, rgb, None),
                    self._between_steps or nothing,
                )
            return self._rate * work.pixels
        # Once for pictures that take the same steps at the same sizes.
        if self._prediction is None or self._prediction[0] != schedule:
            self._prediction = schedule, run.predict(self._between_steps)
        prediction = self._prediction[1]
        return prediction.seconds if prediction else None


def refuse_fetching(backbone: str) -> None:
    """Raise WeightsError for a network that would be downloaded, or put into the cache."""
    from cnnart.weights.backbones import BACKBONES
    from cnnart.weights.store import status

    if ":" in backbone:
        return
    try:
        found = status(backbone)
    except UsageError:  # the run says so in its own words
        return
    is_here = ("embedded", "imported") if backbone in BACKBONES else ("embedded", "downloaded")
    if found.source == "torchvision" and found.present not in is_here:
        raise WeightsError(
            f"{backbone} would have to be fetched, and `dry_run` fetches nothing: run `cnnart "
            f"weights fetch {backbone}` before."
        )
