"""Many pictures, one after the other: goes on past a bad one, and stops with what is there."""

from __future__ import annotations

import sys
import time
import traceback
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import TYPE_CHECKING, BinaryIO

from cnnart.errors import CnnartError, WeightsError
from cnnart.jobs.files import identity
from cnnart.jobs.interrupt import Interrupt
from cnnart.jobs.naming import Task
from cnnart.jobs.record import is_unfinished
from cnnart.jobs.report import Finding, Quiet, Start, Summary
from cnnart.jobs.snapshots import Snapshots

if TYPE_CHECKING:
    from torch import Tensor

    from cnnart.optimize import Step

SOME_FAILED = 3
INTERRUPTED = 130


@dataclass(frozen=True)
class Run:
    """One picture about to be made.

    ``finish`` turns any step's image into the picture to write; ``write`` takes where to, that
    picture, and the step after which the run was interrupted (or None); ``notes`` grows meanwhile,
    and ``findings`` when the result is written.
    """

    start: Start
    steps: Iterator[Step]
    finish: Callable[[Tensor], Tensor]
    write: Callable[[Path | BinaryIO, Tensor, int | None], None]
    notes: list[str] = field(default_factory=list)
    findings: list[Finding] = field(default_factory=list)


@dataclass(frozen=True)
class Habits:
    """How a batch behaves; see the options of the same names."""

    skip_existing: bool = False
    preview: bool = False
    save_every: int = 0
    quiet: bool = False
    debug: bool = False


class Batch:
    """Works through tasks with ``open_run`` and tells ``reporter`` how it goes."""

    def __init__(
        self, open_run: Callable[[Task], Run], reporter: Quiet, habits: Habits | None = None
    ) -> None:
        self._open_run = open_run
        self._reporter = reporter
        self._habits = habits or Habits()
        self._interrupt = Interrupt(quiet=self._habits.quiet)
        self._failures: list[tuple[str, str]] = []
        self._saved = self._skipped = 0
        self._cut_short = False

    def run(self, tasks: Sequence[Task]) -> int:
        """Make every task's picture; returns the exit code.

        0: all done; 3: some failed; 1: none could be made; 130: interrupted, and what there was
        is saved. The error of an only task is raised as it is.
        """
        began = time.monotonic()
        self._count = len(tasks)
        self._inputs = {identity(task.source.path) for task in tasks if task.source.path}
        error: Exception | None = None
        try:
            with self._interrupt:
                for index, task in enumerate(tasks, start=1):
                    error = self._try(task, index) or error
                    if self._interrupt.asked:
                        self._cut_short |= index < self._count
                        break
        finally:
            self._reporter.stop()
        only = error if self._count == 1 else None
        code = getattr(only, "exit_code", 1) if only else self._exit_code()
        self._reporter.done(
            Summary(self._saved, self._skipped, self._failures, time.monotonic() - began, code)
        )
        if only:
            raise only
        return code

    def _exit_code(self) -> int:
        if self._cut_short:
            return INTERRUPTED
        if not self._failures:
            return 0
        return SOME_FAILED if self._saved or self._skipped else 1

    def _try(self, task: Task, index: int) -> Exception | None:
        """Make one picture; returns the error if that failed."""
        name = task.source.given
        if self._is_done(task):
            self._skipped += 1
            assert task.target
            self._reporter.skipped(name, task.target)
            return None
        try:
            self._make(task, index)
        except WeightsError:
            raise  # it would be the same for every other picture
        except CnnartError as error:
            return self._note(error, name, str(error).removeprefix(f"{name}: "))
        except Exception as error:
            return self._note(error, name, f"a bug in cnnart ({type(error).__name__}: {error})")
        self._saved += 1
        return None

    def _note(self, error: Exception, name: str, why: str) -> Exception:
        self._failures.append((name, why))
        self._reporter.failed(name, why, getattr(error, "exit_code", 1))
        if self._habits.debug and self._count > 1:
            traceback.print_exception(error)
        return error

    def _is_done(self, task: Task) -> bool:
        if not self._habits.skip_existing or task.target is None:
            return False
        return task.target.exists() and not is_unfinished(task.target)

    def _make(self, task: Task, index: int) -> None:
        began = time.monotonic()
        run = self._open_run(task)
        snapshots = self._snapshots(task, run)
        preview = str(snapshots.preview) if snapshots and snapshots.preview else None
        self._reporter.start(replace(run.start, preview=preview, index=index, count=self._count))
        try:
            step = self._follow(run, snapshots)
            stopped = step.index if self._interrupt.asked and step.index < step.steps else None
            run.write(task.target or sys.stdout.buffer, run.finish(step.image), stopped)
        finally:
            self._interrupt.armed = False
            if snapshots:
                snapshots.close()
        self._cut_short |= stopped is not None
        kind = "result" if stopped is None else "interrupted"
        self._reporter.saved(task.target, kind, time.monotonic() - began)
        for finding in run.findings:
            self._reporter.found(finding)

    def _follow(self, run: Run, snapshots: Snapshots | None) -> Step:
        """Run to the end or until asked to stop; returns the last step made."""
        told = 0
        for step in run.steps:
            self._interrupt.armed = True  # from now on there is something to save
            self._reporter.step(step)
            for note in run.notes[told:]:
                self._reporter.warning(note)
            told = len(run.notes)
            if snapshots and (path := snapshots.step(step)):
                self._reporter.saved(path, "snapshot", step.seconds)
            if self._interrupt.asked:
                break
        return step

    def _snapshots(self, task: Task, run: Run) -> Snapshots | None:
        if task.target is None or not (self._habits.preview or self._habits.save_every):
            return None
        return Snapshots(
            task.target,
            run.finish,
            run.write,
            preview=self._habits.preview,
            every=self._habits.save_every,
            guarded=self._inputs,
        )
