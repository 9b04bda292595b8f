"""Many pictures, one after the other: goes on past a bad one, and stops with what is there."""

from __future__ import annotations

import contextlib
import math
import os
import signal
import sys
import threading
import time
import traceback
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, replace
from types import FrameType, TracebackType
from typing import TYPE_CHECKING, Any

from cnnart.errors import (
    INTERRUPTED,
    SOME_FAILED,
    CnnartError,
    UsageError,
    WeightsError,
    in_words,
)
from cnnart.files import identity
from cnnart.optim.steps import Step
from cnnart.run.command import Run
from cnnart.run.journal import Journal
from cnnart.run.outputs import Task
from cnnart.run.report import Reporter, Summary

if TYPE_CHECKING:
    from cnnart.run.predict import Prediction
    from cnnart.run.previews import Previews

# The empty line at the end is what the live display of two lines clears when it redraws itself.
MESSAGE = b"\ncnnart: stopping; the picture so far will be saved (Ctrl-C again quits at once)\n\n"
QUICK_ON_ACCELERATOR = 2 << 20  # pixels of a picture
# What a run raises, sooner or later, that goes on from a state which is none of its own.
UNUSABLE = (
    *(KeyError, IndexError, TypeError, ValueError, AttributeError, ArithmeticError, RuntimeError),
    UsageError,
)


class UnusableState(Exception):
    """What an earlier run has left of a picture is none of cnnart's."""


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

    def __init__(
        self, count: int, reporter: Reporter, options: BatchOptions, journal: Journal
    ) -> None:
        self.count = count
        self._journal = journal
        self.failures: list[tuple[str, str]] = []
        self.cut_short = False
        self.planned = 0  # pictures that would have been made
        self._reporter, self._options = reporter, options
        self._began = time.monotonic()
        self._saved = self._skipped = 0
        journal.tell(reporter.warning)
        self._error: Exception | None = None

    def skips(self, task: Task) -> bool:
        """Whether a task's result is there already, and is to be left alone."""
        if task.target is None:
            return False
        if not self._journal.is_whole(task):
            begun = not self._options.skip_existing or self._journal.is_in_progress(task)
            if begun or not task.is_done():
                return False
        self._skipped += 1
        self._reporter.skipped(task.title, task.target)
        return True

    def saved(self, task: Task, kind: str, seconds: float) -> None:
        self._saved += 1
        self._reporter.saved(task.target, kind, seconds)

    def failed(self, task: Task, error: Exception) -> None:
        """Note a failure. Raises it where it would be the same for every other picture."""
        if isinstance(error, WeightsError):
            raise error
        name, self._error = task.title, error
        if isinstance(error, CnnartError):
            why = str(error).removeprefix(f"{task.source.given}: ")
        else:
            bug = f"a bug in cnnart ({type(error).__name__}: {error})"
            why = (in_words(error) or bug).removeprefix(f"{task.source.given}: ")
        self.failures.append((name, why))
        self._reporter.failed(name, why, getattr(error, "exit_code", 1))
        if self._options.debug and self.count > 1:
            traceback.print_exception(error)

    def close_journal(self, *, ended: bool) -> None:
        """Keep what the same command needs to go on, if not all is whole.

        ``ended``: every task had its turn.
        """
        interrupted = self.cut_short or not ended
        self._journal.close(interrupted=interrupted, failed=bool(self.failures))

    def conclude(self) -> int:
        """Tell the reporter how it went; returns the exit code.

        0: all done; 3: some failed; 1: none could be made; 130: interrupted, and what there was is
        saved. The error of an only task is raised as it is.
        """
        only = self._error if self.count == 1 else None
        code = getattr(only, "exit_code", 1) if only else self._exit_code()
        seconds = time.monotonic() - self._began
        self._reporter.done(
            Summary(self._saved, self._skipped, self.failures, seconds, code, self.planned)
        )
        if only:
            raise only
        return code

    def _exit_code(self) -> int:
        if self.cut_short:
            return INTERRUPTED
        if not self.failures:
            return 0
        return SOME_FAILED if self._saved or self._skipped or self.planned else 1


class Batch:
    """Works through tasks with ``open_run`` and tells ``reporter`` how it goes."""

    def __init__(
        self,
        open_run: Callable[[Task], Run],
        reporter: Reporter,
        options: BatchOptions = BatchOptions(),
        journal: Journal | None = None,
    ) -> None:
        self._open_run = open_run
        self._reporter = reporter
        self._journal = journal or Journal()
        self._options = options
        self._interrupt = Interrupt(quiet=options.quiet)
        self._prediction: tuple[object, Prediction | None] | None = None  # of what schedule

    def run(self, tasks: Sequence[Task]) -> int:
        """Make every task's picture; returns the exit code as ``Outcomes.conclude`` does."""
        outcomes, ended = Outcomes(len(tasks), self._reporter, self._options, self._journal), False
        self._inputs = {identity(task.source.path) for task in tasks if task.source.path}
        try:
            with self._interrupt:
                for index, task in enumerate(tasks, start=1):
                    if not outcomes.skips(task):
                        try:
                            with self._journal.at_work_on(task):
                                self._make(task, index, outcomes)
                        except Exception as error:
                            outcomes.failed(task, error)
                    if self._interrupt.asked:
                        outcomes.cut_short |= index < outcomes.count
                        break
                ended = True
        finally:
            self._reporter.stop()
            outcomes.close_journal(ended=ended)
        return outcomes.conclude()

    def stop(self) -> None:
        """As Ctrl-C does, from another thread: stop after the step under way, and save it."""
        self._interrupt.asked = True

    def _make(self, task: Task, index: int, outcomes: Outcomes) -> None:
        with contextlib.suppress(UnusableState):
            self._begin_or_go_on(task, index, outcomes)
            return
        self._reporter.warning(
            f"{self._journal.state_path} cannot be used: the picture is begun anew."
        )
        self._journal.forget_state()
        self._begin_or_go_on(task, index, outcomes)

    def _begin_or_go_on(self, task: Task, index: int, outcomes: Outcomes) -> None:
        """Raises UnusableState where nothing can be made of what an earlier run has left."""
        began = time.monotonic()
        task.check()
        run = self._open_run(task)
        previews = self._previews(task, run)
        shown = str(previews.preview) if previews and previews.preview else None
        start = replace(run.start(), preview=shown, index=index, count=outcomes.count)
        self._reporter.start(start)
        try:
            if not self._journal.is_in_progress(task):
                self._look_ahead(run, previews, began, start.device)
            step, kept = self._follow(task, run, previews)
            stopped = step.index if self._interrupt.asked and step.index < step.steps else None
            run.write(task.target or sys.stdout.buffer, run.finish(step.image), stopped)
        finally:
            self._interrupt.armed = False
            if previews:
                previews.close()
        outcomes.cut_short |= stopped is not None
        if stopped is None:
            self._journal.finished(task, self._journal.entry(task, photo_of(run)))
        elif kept:
            self._reporter.warning(
                f"stopped at step {step.index} of {step.steps}: the same command goes on from "
                "there (`fresh` begins anew)."
            )
        kind = "result" if stopped is None else "interrupted"
        outcomes.saved(task, kind, time.monotonic() - began)
        for finding in run.findings:
            self._reporter.found(finding)

    def _look_ahead(self, run: Run, previews: Previews | None, began: float, device: str) -> None:
        """Before the first step: show what the picture will be like, and say how long it takes."""
        shown = previews.preview if previews else None
        if previews and shown and (picture := run.first_look()) is not None:
            previews.show_first(picture)
            self._reporter.first_look(shown, time.monotonic() - began)
        schedule = run.schedule()
        sizes = {size for size, _ in schedule}
        # Else painting takes no longer than measuring would.
        is_long = device == "cpu" or max(map(math.prod, sizes), default=0) > QUICK_ON_ACCELERATOR
        if self._reporter.predicts and len(sizes) > 1 and is_long:
            # Once for pictures that take the same steps at the same sizes.
            if self._prediction is None or self._prediction[0] != schedule:
                self._prediction = schedule, run.predict()
            if prediction := self._prediction[1]:
                self._reporter.predicted(prediction)

    def _follow(self, task: Task, run: Run, previews: Previews | None) -> tuple[Step, bool]:
        """Run to the end or until asked to stop.

        Returns the last step made, and whether what goes on from there is kept.
        """
        told, kept = 0, False
        for step in self._steps(task, run):
            self._interrupt.armed = True  # from now on there is something to save
            self._reporter.step(step)
            for line in run.warnings[told:]:
                self._reporter.warning(line)
            told = len(run.warnings)
            if previews and (path := previews.step(step)):
                self._reporter.saved(path, "snapshot", step.seconds)
            asked = self._interrupt.asked
            if step.index < step.steps:
                kept = self._journal.keep(task, photo_of(run), step, now=asked)
            if asked:
                break
        return step, kept

    def _steps(self, task: Task, run: Run) -> Iterator[Step]:
        """A run's steps, from where one that was cut off stood.

        Raises UnusableState, perhaps after some steps.
        """
        state = self._journal.state_of(task, photo_of(run))
        if state is None:
            yield from run.steps()
            return
        steps, state = run.steps(state), None  # a run frees what it has taken over
        goes_on = False
        try:
            for step in steps:
                if not goes_on:
                    self._tell_going_on(step)
                    goes_on = True
                yield step
        except UNUSABLE:
            goes_on = False
        if not goes_on:
            raise UnusableState

    def _tell_going_on(self, first: Step) -> None:
        """Raises one of ``UNUSABLE`` for a step that cannot be."""
        if not (0 <= first.index <= first.steps and math.isfinite(first.seconds)):
            raise ValueError("no step of a run")
        self._reporter.warning(
            f"going on from step {first.index} of {first.steps} (`fresh` begins anew)."
        )

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
            warn=self._reporter.warning,
        )


def photo_of(run: Run) -> str | None:
    """The SHA-256 of a run's photo."""
    return getattr(run, "photo_sha256", None)


# Ctrl-C, what a scheduler sends, and what a terminal sends that is closed (not on Windows).
SIGNALS = [
    getattr(signal, name) for name in ("SIGINT", "SIGTERM", "SIGHUP") if hasattr(signal, name)
]


class Interrupt:
    """Catches SIGNALS while it is entered, in the main thread; elsewhere does nothing.

    A SIGHUP that is ignored (``nohup cnnart ...``) stays so.

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
            for number in SIGNALS:
                if number != signal.SIGINT and signal.getsignal(number) is signal.SIG_IGN:
                    continue
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
