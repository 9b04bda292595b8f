"""Pictures of a batch computed beside each other, each in threads of its own.

The operations of a small picture are too short to be shared by threads: two cores are busy with two
pictures at once, and half idle with one after the other. A ``Batch`` needs to know nothing of it:
it follows the pictures in their order, and finds those that come later far advanced.
"""

from __future__ import annotations

import functools
import threading
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import ExitStack
from dataclasses import replace
from typing import Any, cast

import torch

from cnnart.optim.memory import FREE_SHARE, free_memory, idle_memory
from cnnart.optim.steps import State, Step
from cnnart.run.command import Run
from cnnart.run.outputs import Task

BEGUN = 2  # pictures for each lane that are computed, or wait for their turn


class Lanes(ExitStack):
    """Opens runs for a ``Batch``, as ``open_run`` does, and computes several at a time.

    Args:
        tasks: all of the batch, in its order.
        open_run: what opens one; it is not called twice at the same time.
        may_begin: whether a task may be begun before its turn.

    ``count``: how many are computed at a time; known when the first one is open. Until the lanes
    are left torch computes each in its share of the threads, mostly one.
    """

    def __init__(
        self,
        tasks: Sequence[Task],
        open_run: Callable[[Task], Run],
        may_begin: Callable[[Task], bool],
    ) -> None:
        super().__init__()
        self.count = 0
        self._to_come = list(tasks)
        self._open_run, self._may_begin = open_run, may_begin
        self._opening = threading.Lock()
        self._begun: dict[int, Picture] = {}  # by the task's id

    def open(self, task: Task) -> Run:
        """What ``open_run`` gives, but that its steps are made in a lane."""
        if (begun := self._begun.pop(id(task), None)) is not None:
            return self._in_lane(begun.opened.result(), begun)
        while self._to_come and self._to_come.pop(0) is not task:
            pass  # it was passed over
        run = self._opened(task)
        if not self.count:
            self._prepare(run)
        return self._in_lane(run, None) if self.count > 1 else run

    def _in_lane(self, run: Run, begun: Picture | None) -> Run:
        return cast(Run, _InLane(run, begun, self))

    def _opened(self, task: Task) -> Run:
        with self._opening:
            return self._open_run(task)

    def _prepare(self, first: Run) -> None:
        self.count = at_a_time(first, 1 + len(self._to_come))
        if self.count > 1:
            threads = torch.get_num_threads()
            share = threads // self.count
            self.callback(torch.set_num_threads, threads)
            torch.set_num_threads(share)
            self._pool = ThreadPoolExecutor(self.count, "lane", torch.set_num_threads, (share,))
            self.callback(self._pool.shutdown, cancel_futures=True)
            self.callback(self._stop_all)

    def _stop_all(self) -> None:
        for picture in self._begun.values():
            picture.stop()

    def compute(self, run: Run, state: State | None) -> Picture:
        """Have an opened picture's steps made, for who follows it from the first on."""
        picture = Picture(is_followed=True)
        self._pool.submit(picture.compute, lambda: run, state)
        return picture

    def begin_more(self) -> None:
        """Begin pictures whose turn is still to come."""
        while self._to_come and len(self._begun) < BEGUN * self.count - 1:
            task = self._to_come.pop(0)
            if self._may_begin(task):
                self._begun[id(task)] = picture = Picture()
                self._pool.submit(picture.compute, functools.partial(self._opened, task))


class Picture:
    """One that is computed in a lane: ahead of who will follow it, then step by step with them.

    ``opened``: its run.
    """

    def __init__(self, *, is_followed: bool = False) -> None:
        self.opened: Future[Run] = Future()
        self._changed = threading.Condition()
        self._is_followed = is_followed
        self._waits = self._is_stopped = self._is_over = False
        self._latest: Step | None = None
        self._error: BaseException | None = None

    def compute(self, open_run: Callable[[], Run], state: State | None = None) -> None:
        """All of it, in the lane."""
        try:
            run = open_run()
        except BaseException as error:
            self.opened.set_exception(error)
            return
        self.opened.set_result(run)
        try:
            for step in run.steps(state):
                if not self._goes_on_after(step):
                    break
        except BaseException as error:
            self._error = error
        with self._changed:
            self._is_over = True
            if self._latest is not None:  # what it could be gone on from is to be freed
                self._latest = replace(self._latest, state=None)
            self._changed.notify()

    def _goes_on_after(self, step: Step) -> bool:
        """Wait until who follows has done with a step; nobody: at once. False: it was stopped."""
        with self._changed:
            self._latest, self._waits = step, self._is_followed
            self._changed.notify()
            self._changed.wait_for(lambda: self._is_stopped or not self._waits)
            return not self._is_stopped

    def stop(self) -> None:
        """No further step is made."""
        with self._changed:
            self._is_stopped = True
            self._changed.notify()

    def follow(self) -> Iterator[Step]:
        """The steps from now on, and at least the last. Raises what the run raises."""
        seen: Step | None = None
        self._is_followed = True
        try:
            while True:
                with self._changed:
                    self._changed.wait_for(lambda: self._waits or self._is_over)
                    if not self._waits:
                        break
                    seen = self._latest
                assert seen is not None
                yield seen
                with self._changed:
                    self._waits = False
                    self._changed.notify()
            if self._error is not None:
                raise self._error
            if self._latest is not None and (seen is None or self._latest.index != seen.index):
                yield self._latest
        finally:
            self.stop()


class _InLane:
    """A run whose steps are made in a lane; in all else it is the run itself."""

    def __init__(self, run: Run, begun: Picture | None, lanes: Lanes) -> None:
        self._run, self._begun, self._lanes = run, begun, lanes

    def __getattr__(self, name: str) -> Any:
        return getattr(self._run, name)

    def steps(self, state: State | None = None) -> Iterator[Step]:
        picture = self._begun if state is None else None
        self._begun = None
        for step in (picture or self._lanes.compute(self._run, state)).follow():
            # Not before the first step: what is measured and checked once, is so undisturbed.
            self._lanes.begin_more()
            yield step


def at_a_time(first: Run, count: int) -> int:
    """How many pictures of a batch like its first are best computed at a time: 1, or more where
    the device is a CPU with several threads and there is memory for them.
    """
    device, memory = first.runtime.device, first.work.memory
    if device.type != "cpu" or memory.tile:
        return 1
    return min(torch.get_num_threads(), count, fitting(memory.peak, device))


def fitting(peak: int, device: torch.device, limit: int | None = None) -> int:
    """How many pictures there is memory for at a time, at least 1.

    Args:
        peak: bytes that the process holds at the most with one of them.
        limit: bytes that it may hold; None: as many as are free.
    """
    idle = idle_memory(device)
    most = int(FREE_SHARE * free_memory(device)) if limit is None else limit - idle
    return max(1, most // max(1, peak - idle))
