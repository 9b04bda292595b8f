"""Many photos through a quick method: read and written by threads while it computes, in batches."""

from __future__ import annotations

import sys
import time
from collections import deque
from collections.abc import Callable, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass, replace
from typing import Any

import torch

from cnnart.errors import WeightsError
from cnnart.machine import available_cores
from cnnart.optim.memory import memory_errors_named
from cnnart.optim.steps import Synthesis
from cnnart.run.batch import BatchOptions, Interrupt, Outcomes, photo_of
from cnnart.run.command import Run
from cnnart.run.journal import Journal
from cnnart.run.outputs import Task
from cnnart.run.report import Reporter

READERS = 2  # at least; of many cores a quarter
BEYOND = 2  # pictures under way, beyond one for each thread that writes
UNDER_WAY = 1 << 30  # bytes of photos and results that may be under way


@dataclass(frozen=True)
class Opened:
    """A photo that has been read: a run about to begin, and its place in the batch from 1."""

    run: Run
    index: int


class PrefetchingBatch:
    """The counterpart of ``Batch`` where reading and writing take longer than computing.

    ``open_run`` is called in threads, and results are written by as many as there are cores. Runs
    whose works ``can_join`` each other are computed together, ``size`` at a time. Results are
    reported in the order of the tasks. What is under way is bounded, in pictures and in bytes,
    however many the tasks are.
    """

    def __init__(
        self,
        open_run: Callable[[Task], Run],
        reporter: Reporter,
        options: BatchOptions,
        size: int = 1,
        journal: Journal | None = None,
    ) -> None:
        self._journal = journal or Journal()
        self._open_run, self._reporter, self._options = open_run, reporter, options
        self._size = size
        self._told: set[str] = set()
        self._writing: deque[tuple[Task, Future[dict[str, Any] | None], float]] = deque()
        self._cores = available_cores()
        self._heaviest = 0  # bytes, of the photos so far

    def run(self, tasks: Sequence[Task]) -> int:
        """Make every task's picture; returns the exit code as ``Batch.run`` does."""
        self._outcomes = Outcomes(len(tasks), self._reporter, self._options, self._journal)
        ended = False
        try:
            with (
                Interrupt(quiet=self._options.quiet) as interrupt,
                ThreadPoolExecutor(max(READERS, self._cores // 4)) as readers,
                ThreadPoolExecutor(self._cores) as writers,
            ):
                interrupt.armed = len(tasks) > 1
                wanted = [
                    (task, index)
                    for index, task in enumerate(tasks, start=1)
                    if not self._outcomes.skips(task)
                ]
                self._outcomes.cut_short = self._work(wanted, interrupt, readers, writers)
                ended = True
        finally:
            self._reporter.stop()
            self._outcomes.close_journal(ended=ended)
        return self._outcomes.conclude()

    def _work(
        self,
        tasks: Sequence[tuple[Task, int]],
        interrupt: Interrupt,
        readers: ThreadPoolExecutor,
        writers: ThreadPoolExecutor,
    ) -> bool:
        """Returns whether it was interrupted before the end."""
        waiting = deque(tasks)
        reading: deque[tuple[Task, Future[Opened]]] = deque()
        group: list[Opened] = []
        while waiting or reading or group:
            while waiting and self._has_room(len(reading) + len(group)) and not interrupt.asked:
                task, index = waiting.popleft()
                reading.append((task, readers.submit(self._open, task, index)))
            if interrupt.asked:
                for _, future in reading:
                    future.cancel()
                break
            opened = self._next(reading)
            if group and (opened is None or not _belong_together(group[0], opened)):
                self._compute(group, writers)
                group = []
            if opened:
                self._heaviest = max(self._heaviest, weight_of(opened.run))
                group.append(opened)
            if group and (len(group) >= self._size or not (reading or waiting)):
                self._compute(group, writers)
                group = []
        unfinished = bool(waiting or reading)
        while self._writing:
            self._collect()
        return unfinished

    def _has_room(self, read: int) -> bool:
        """Whether one more photo may be read, when ``read`` are read and not yet computed."""
        if read < self._size:
            return True  # or the batch would never be full
        under_way = read + sum(not future.done() for _, future, _ in self._writing)
        fits = (under_way + 1) * self._heaviest <= UNDER_WAY
        return under_way < self._size + self._cores + BEYOND and fits

    def _open(self, task: Task, index: int) -> Opened:
        task.check()
        return Opened(self._open_run(task), index)

    def _next(self, reading: deque[tuple[Task, Future[Opened]]]) -> Opened | None:
        if not reading:
            return None
        task, future = reading.popleft()
        try:
            return future.result()
        except Exception as error:
            self._outcomes.failed(task, error)
            return None

    def _compute(self, group: Sequence[Opened], writers: ThreadPoolExecutor) -> None:
        """Compute a group's pictures and hand them to the writers."""
        began = time.monotonic()
        runs = [opened.run for opened in group]
        try:
            with memory_errors_named():
                work = work_of(runs)
                for run, opened in zip(runs, group, strict=True):
                    start = replace(run.start(), memory=work.memory.peak, tile=work.memory.tile)
                    self._reporter.start(
                        replace(start, index=opened.index, count=self._outcomes.count)
                    )
                pictures = pictures_of(work)
        except WeightsError:
            raise  # it would be the same for every other picture
        except Exception as error:
            if len(group) > 1:  # one of them may be to blame
                for opened in group:
                    self._compute([opened], writers)
            else:
                self._outcomes.failed(runs[0].task, error)
            return
        for line in work.warnings:
            if line not in self._told:
                self._told.add(line)
                self._reporter.warning(line)
        for run, picture in zip(runs, pictures, strict=True):
            self._writing.append((run.task, writers.submit(self._write, run, picture), began))
        while self._writing and (self._writing[0][1].done() or not self._has_room(self._size)):
            self._collect()

    def _collect(self) -> None:
        """Report the oldest result."""
        task, future, began = self._writing.popleft()
        try:
            self._journal.finished(task, future.result())
        except Exception as error:
            self._outcomes.failed(task, error)
            return
        self._outcomes.saved(task, "result", time.monotonic() - began)

    def _write(self, run: Run, picture: torch.Tensor) -> dict[str, Any] | None:
        """Write a result; what the journal is to know of it."""
        run.write(run.task.target or sys.stdout.buffer, picture, None)
        return self._journal.entry(run.task, photo_of(run))


def weight_of(run: Run) -> int:
    """Bytes of a run's photo as it was read, of the photo at the result's size, and of the result;
    all ``3xHxW`` in float32.
    """
    height, width = run.size
    return (run.photo.rgb.nbytes if run.photo else 0) + 2 * 3 * 4 * height * width


def work_of(runs: Sequence[Run]) -> Synthesis:
    """The work of one run, or of several that ``can_join`` each other as one."""
    work = runs[0].work
    if len(runs) > 1:
        work = work.joined([run.work for run in runs])  # type: ignore[attr-defined]
    return work


def pictures_of(work: Synthesis) -> Sequence[torch.Tensor]:
    """Run a work to its end; its pictures, ``1x3xHxW`` each."""
    for step in work.steps():
        image = step.image
    return work.finish(image).split(1)


def _belong_together(first: Opened, second: Opened) -> bool:
    return bool(first.run.work.can_join(second.run.work))  # type: ignore[attr-defined]
