"""Many photos through a network: read and written by threads while it computes, batched by size."""

from __future__ import annotations

import sys
import time
import traceback
from collections import deque
from collections.abc import Sequence
from concurrent.futures import Future, ThreadPoolExecutor

from cnnart.errors import CnnartError, WeightsError
from cnnart.jobs.batch import INTERRUPTED, SOME_FAILED, Habits
from cnnart.jobs.fast_studio import FastStudio, Job
from cnnart.jobs.interrupt import Interrupt
from cnnart.jobs.naming import Task
from cnnart.jobs.report import Quiet, Summary

READERS = WRITERS = 2
AHEAD = 4  # photos read ahead, beyond a batch
MOST_WAITING = 8  # results that may wait to be written


class FastBatch:
    """Works through tasks with a studio; the counterpart of ``Batch`` where reading takes longer
    than computing. Results are reported in the order of the tasks.
    """

    def __init__(self, studio: FastStudio, reporter: Quiet, habits: Habits) -> None:
        self._studio, self._reporter, self._habits = studio, reporter, habits
        self._failures: list[tuple[str, str]] = []
        self._errors: list[Exception] = []
        self._saved = self._skipped = self._count = self._told = 0
        self._begun: dict[int, float] = {}
        self._writing: deque[tuple[Job, Future[None], float]] = deque()

    def run(self, tasks: Sequence[Task]) -> int:
        """Make every task's picture; returns the exit code as ``Batch.run`` does."""
        began = time.monotonic()
        self._count = len(tasks)
        cut_short = False
        try:
            with (
                Interrupt(quiet=self._habits.quiet) as interrupt,
                ThreadPoolExecutor(READERS) as readers,
                ThreadPoolExecutor(WRITERS) as writers,
            ):
                interrupt.armed = len(tasks) > 1
                cut_short = self._work(self._wanted(tasks), interrupt, readers, writers)
        finally:
            self._reporter.stop()
        code = INTERRUPTED if cut_short else self._exit_code()
        only = self._errors[0] if self._errors and self._count == 1 else None
        code = getattr(only, "exit_code", 1) if only else code
        seconds = time.monotonic() - began
        self._reporter.done(Summary(self._saved, self._skipped, self._failures, seconds, code))
        if only:
            raise only
        return code

    def _exit_code(self) -> int:
        if not self._failures:
            return 0
        return SOME_FAILED if self._saved or self._skipped else 1

    def _wanted(self, tasks: Sequence[Task]) -> list[Task]:
        """The tasks that are not done yet."""
        if not self._habits.skip_existing:
            return list(tasks)
        left = []
        for task in tasks:
            if task.target and task.target.exists():
                self._skipped += 1
                self._reporter.skipped(task.source.given, task.target)
            else:
                left.append(task)
        return left

    def _work(
        self,
        tasks: Sequence[Task],
        interrupt: Interrupt,
        readers: ThreadPoolExecutor,
        writers: ThreadPoolExecutor,
    ) -> bool:
        """Returns whether it was interrupted before the end."""
        waiting = deque(tasks)
        reading: deque[tuple[Task, Future[Job]]] = deque()
        group: list[Job] = []
        while waiting or reading or group:
            while waiting and len(reading) < self._studio.batch + AHEAD and not interrupt.asked:
                task = waiting.popleft()
                reading.append((task, readers.submit(self._studio.read, task)))
            if interrupt.asked:
                for _, future in reading:
                    future.cancel()
                break
            job = self._next(reading)
            if group and (job is None or not _same_size(group[0], job)):
                self._paint(group, writers)
                group = []
            if job:
                group.append(job)
            if group and (len(group) >= self._studio.batch or not (reading or waiting)):
                self._paint(group, writers)
                group = []
        unfinished = bool(waiting or reading)
        while self._writing:
            self._collect()
        return unfinished

    def _next(self, reading: deque[tuple[Task, Future[Job]]]) -> Job | None:
        if not reading:
            return None
        task, future = reading.popleft()
        try:
            return future.result()
        except Exception as error:
            self._fail(task, error)
            return None

    def _paint(self, group: Sequence[Job], writers: ThreadPoolExecutor) -> None:
        """Compute a group's pictures and hand them to the writers."""
        began = time.monotonic()
        try:
            work = self._studio.begin(group)
            for job in group:
                self._reporter.start(self._studio.start(job, work))
            pictures = work.pictures()
        except WeightsError:
            raise  # it would be the same for every other picture
        except Exception as error:
            if len(group) > 1:  # one of them may be to blame
                for job in group:
                    self._paint([job], writers)
            else:
                self._fail(group[0].task, error)
            return
        for note in work.notes[self._told :]:
            self._reporter.warning(note)
        self._told = len(work.notes)
        for index, job in enumerate(group):
            picture = pictures[index : index + 1]
            self._writing.append((job, writers.submit(self._studio.write, job, picture), began))
        while len(self._writing) > MOST_WAITING or (self._writing and self._writing[0][1].done()):
            self._collect()

    def _collect(self) -> None:
        """Report the oldest result."""
        job, future, began = self._writing.popleft()
        try:
            future.result()
        except Exception as error:
            self._fail(job.task, error)
            return
        self._saved += 1
        self._reporter.saved(job.task.target, "result", time.monotonic() - began)

    def _fail(self, task: Task, error: Exception) -> None:
        name = task.source.given
        if isinstance(error, CnnartError):
            why = str(error).removeprefix(f"{name}: ")
        else:
            why = f"a bug in cnnart ({type(error).__name__}: {error})"
        self._failures.append((name, why))
        self._errors.append(error)
        self._reporter.failed(name, why, getattr(error, "exit_code", 1))
        if self._habits.debug and self._count > 1:
            traceback.print_exception(error, file=sys.stderr)


def _same_size(first: Job, second: Job) -> bool:
    return first.photo.rgb.shape == second.photo.rgb.shape
