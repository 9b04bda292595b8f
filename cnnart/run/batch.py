"""Many pictures, one after the other: goes on past a bad one, and stops with what is there."""

from __future__ import annotations

import contextlib
import os
import signal
import sys
import threading
import time
import traceback
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from types import FrameType, TracebackType
from typing import TYPE_CHECKING, Any

from cnnart.errors import INTERRUPTED, SOME_FAILED, CnnartError, WeightsError
from cnnart.files import identity
from cnnart.optim.steps import Step
from cnnart.run.command import Run
from cnnart.run.outputs import Task
from cnnart.run.report import Reporter, Summary

if TYPE_CHECKING:
    from cnnart.run.predict import Prediction
    from cnnart.run.previews import Previews

# The empty line at the end is what the live display of two lines clears when it redraws itself.
MESSAGE = b"\ncnnart: stopping; the picture so far will be saved (Ctrl-C again quits at once)\n\n"


@dataclass(frozen=True)
class BatchOptions:
    """How a batch behaves; see the options of the same names."""

    skip_existing: bool = False
    preview: bool = False
    save_every: int = 0
    quiet: bool = False
    debug: bool = False


class Outcomes:
    """What becomes of the pictures of a batch: told to the reporter, counted for the exit code."""

    def __init__(self, count: int, reporter: Reporter, options: BatchOptions) -> None:
        self.count = count
        self.failures: list[tuple[str, str]] = []
        self.cut_short = False
        self._reporter, self._options = reporter, options
        self._began = time.monotonic()
        self._saved = self._skipped = 0
        self._error: Exception | None = None

    def skips(self, task: Task) -> bool:
        """Whether a task's result is there already, and is to be left alone."""
        if not self._options.skip_existing or task.target is None or not task.is_done():
            return False
        self._skipped += 1
        self._reporter.skipped(task.source.given, task.target)
        return True

    def saved(self, task: Task, kind: str, seconds: float) -> None:
        self._saved += 1
        self._reporter.saved(task.target, kind, seconds)

    def failed(self, task: Task, error: Exception) -> None:
        """Note a failure. Raises it where it would be the same for every other picture."""
        if isinstance(error, WeightsError):
            raise error
        name, self._error = task.source.given, error
        if isinstance(error, CnnartError):
            why = str(error).removeprefix(f"{name}: ")
        else:
            why = f"a bug in cnnart ({type(error).__name__}: {error})"
        self.failures.append((name, why))
        self._reporter.failed(name, why, getattr(error, "exit_code", 1))
        if self._options.debug and self.count > 1:
            traceback.print_exception(error)

    def conclude(self) -> int:
        """Tell the reporter how it went; returns the exit code.

        0: all done; 3: some failed; 1: none could be made; 130: interrupted, and what there was is
        saved. The error of an only task is raised as it is.
        """
        only = self._error if self.count == 1 else None
        code = getattr(only, "exit_code", 1) if only else self._exit_code()
        seconds = time.monotonic() - self._began
        self._reporter.done(Summary(self._saved, self._skipped, self.failures, seconds, code))
        if only:
            raise only
        return code

    def _exit_code(self) -> int:
        if self.cut_short:
            return INTERRUPTED
        if not self.failures:
            return 0
        return SOME_FAILED if self._saved or self._skipped else 1


class Batch:
    """Works through tasks with ``open_run`` and tells ``reporter`` how it goes."""

    def __init__(
        self,
        open_run: Callable[[Task], Run],
        reporter: Reporter,
        options: BatchOptions = BatchOptions(),
    ) -> None:
        self._open_run = open_run
        self._reporter = reporter
        self._options = options
        self._interrupt = Interrupt(quiet=options.quiet)
        self._prediction: tuple[object, Prediction | None] | None = None  # of what schedule

    def run(self, tasks: Sequence[Task]) -> int:
        """Make every task's picture; returns the exit code as ``Outcomes.conclude`` does."""
        outcomes = Outcomes(len(tasks), self._reporter, self._options)
        self._inputs = {identity(task.source.path) for task in tasks if task.source.path}
        try:
            with self._interrupt:
                for index, task in enumerate(tasks, start=1):
                    if not outcomes.skips(task):
                        try:
                            self._make(task, index, outcomes)
                        except Exception as error:
                            outcomes.failed(task, error)
                    if self._interrupt.asked:
                        outcomes.cut_short |= index < outcomes.count
                        break
        finally:
            self._reporter.stop()
        return outcomes.conclude()

    def _make(self, task: Task, index: int, outcomes: Outcomes) -> None:
        began = time.monotonic()
        run = self._open_run(task)
        previews = self._previews(task, run)
        shown = str(previews.preview) if previews and previews.preview else None
        start = replace(run.start(), preview=shown, index=index, count=outcomes.count)
        self._reporter.start(start)
        try:
            self._look_ahead(run, previews, began)
            step = self._follow(run, previews)
            stopped = step.index if self._interrupt.asked and step.index < step.steps else None
            run.write(task.target or sys.stdout.buffer, run.finish(step.image), stopped)
        finally:
            self._interrupt.armed = False
            if previews:
                previews.close()
        outcomes.cut_short |= stopped is not None
        kind = "result" if stopped is None else "interrupted"
        outcomes.saved(task, kind, time.monotonic() - began)
        for finding in run.findings:
            self._reporter.found(finding)

    def _look_ahead(self, run: Run, previews: Previews | None, began: float) -> None:
        """Before the first step: show what the picture will be like, and say how long it takes."""
        shown = previews.preview if previews else None
        if previews and shown and (picture := run.first_look()) is not None:
            previews.show_first(picture)
            self._reporter.first_look(shown, time.monotonic() - began)
        schedule = run.schedule()
        if self._reporter.predicts and len({size for size, _ in schedule}) > 1:
            # Once for pictures that take the same steps at the same sizes.
            if self._prediction is None or self._prediction[0] != schedule:
                self._prediction = schedule, run.predict()
            if prediction := self._prediction[1]:
                self._reporter.predicted(prediction)

    def _follow(self, run: Run, previews: Previews | None) -> Step:
        """Run to the end or until asked to stop; returns the last step made."""
        told = 0
        for step in run.steps():
            self._interrupt.armed = True  # from now on there is something to save
            self._reporter.step(step)
            for line in run.warnings[told:]:
                self._reporter.warning(line)
            told = len(run.warnings)
            if previews and (path := previews.step(step)):
                self._reporter.saved(path, "snapshot", step.seconds)
            if self._interrupt.asked:
                break
        return step

    def _previews(self, task: Task, run: Run) -> Previews | None:
        options = self._options
        if task.target is None or not (options.preview or options.save_every):
            return None
        from cnnart.run.previews import Previews

        return Previews(
            task.target,
            run.finish,
            run.write,
            preview=options.preview,
            every=options.save_every,
            guarded=self._inputs,
        )


class Interrupt:
    """Catches SIGINT and SIGTERM while it is entered, in the main thread; elsewhere does nothing.

    While ``armed``, the first signal only sets ``asked``. Otherwise, and from the second signal on,
    KeyboardInterrupt is raised: there is nothing to save, or the user does not want to wait.
    """

    def __init__(self, *, quiet: bool = False) -> None:
        self.armed = False
        self.asked = False
        self._quiet = quiet
        self._previous: dict[int, Any] = {}

    def __enter__(self) -> Interrupt:
        if threading.current_thread() is threading.main_thread():
            for number in (signal.SIGINT, signal.SIGTERM):
                self._previous[number] = signal.signal(number, self._handle)
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        for number, handler in self._previous.items():
            signal.signal(number, handler)

    def _handle(self, number: int, frame: FrameType | None) -> None:
        if self.asked or not self.armed:
            raise KeyboardInterrupt
        self.asked = True
        if not self._quiet:
            # Not print(): a signal can arrive in the middle of another print. And now, not at the
            # next step: at a large size that can be half a minute away.
            with contextlib.suppress(OSError):
                os.write(2, MESSAGE)
