"""One thread for the device: previews first, paintings one after the other.

A painting that is under way lets previews in between two of its steps. All that computes runs
here, so that two tabs do not fight for the processor, or for the memory of a card.
"""

from __future__ import annotations

import heapq
import itertools
from collections import deque
from collections.abc import Callable
from concurrent.futures import Future
from contextlib import suppress
from threading import Condition, Thread
from typing import TYPE_CHECKING, Any

from cnnart.studio.guard import Refused

if TYPE_CHECKING:
    from cnnart.runtime import Runtime
    from cnnart.studio.paintings import Painting

MOST_WAITING = 256  # previews; more are refused
MOST_QUEUED = 100  # paintings
LATEST = 2  # the rank of what may wait for all others


class Worker:
    """The device's thread, to be started and closed.

    Args:
        settings: of the ``Runtime``, which is made in the thread: how many threads torch computes
            in is a thread's own.
    """

    def __init__(self, **settings: Any) -> None:
        self._settings = settings
        self._changed = Condition()
        self._previews: list[tuple[int, int, str, Callable[[Runtime], Any], Future[Any]]] = []
        self._slots: dict[str, Future[Any]] = {}
        self._numbers = itertools.count()
        self._paintings: deque[Painting] = deque()
        self._under_way: Painting | None = None
        self._closing = False
        self._runtime: Runtime | None = None
        self._thread = Thread(target=self._work, name="device", daemon=True)

    def start(self) -> None:
        self._thread.start()

    def close(self) -> None:
        """End: the painting under way is stopped, and what there is of it kept."""
        with self._changed:
            self._closing = True
            for painting in self._paintings:
                painting.dropped()
            self._paintings.clear()
            for *_, future in self._previews:
                future.cancel()
            if self._under_way:
                self._under_way.stop()
            self._changed.notify_all()
        if self._thread.ident is not None:
            self._thread.join()

    def preview(self, work: Callable[[Runtime], Any], slot: str = "", rank: int = 0) -> Future[Any]:
        """Have ``work`` done soon.

        Args:
            slot: a new one takes the place of one that still waits in the same slot; empty: none.
            rank: smaller ones are done first; up to ``LATEST``.

        Cancelling the Future takes it out again. Raises Refused where too many wait.
        """
        future: Future[Any] = Future()
        with self._changed:
            self._previews = [each for each in self._previews if not each[-1].cancelled()]
            heapq.heapify(self._previews)
            if len(self._previews) >= MOST_WAITING:
                raise Refused(503, "Too much at once: try again in a moment.")
            if slot:
                if before := self._slots.get(slot):
                    before.cancel()
                self._slots[slot] = future
            number = next(self._numbers)
            heapq.heappush(self._previews, (rank, number, slot, work, future))
            self._changed.notify_all()
        return future

    def paint(self, painting: Painting) -> None:
        """Put a painting at the end of the queue. Raises Refused where it is full."""
        with self._changed:
            if len(self._paintings) >= MOST_QUEUED or self._closing:
                raise Refused(503, "The queue is full: wait for a painting, or stop one.")
            self._paintings.append(painting)
            self._changed.notify_all()

    def stop(self, painting: Painting) -> None:
        """Stop a painting and keep what there is; one that waits is taken out of the queue."""
        with self._changed:
            if painting in self._paintings:
                self._paintings.remove(painting)
                painting.dropped()
            else:
                painting.stop()

    def do_previews(self, before: int = LATEST + 1) -> None:
        """Do the previews that wait, of a smaller rank than ``before``.

        For the device's thread, between two steps of a painting, or of what takes long.
        """
        assert self._runtime is not None
        while True:
            with self._changed:
                if not self._previews or self._previews[0][0] >= before:
                    return
                _, _, slot, work, future = heapq.heappop(self._previews)
                if self._slots.get(slot) is future:
                    del self._slots[slot]
            if not future.set_running_or_notify_cancel():
                continue
            try:
                future.set_result(work(self._runtime))
            except BaseException as error:
                future.set_exception(error)

    def _work(self) -> None:
        from cnnart.runtime import Runtime

        try:
            self._runtime = Runtime(**self._settings)
        except Exception as error:
            self._fail_all(error)
            return
        while True:
            with self._changed:
                if not self._waited_for_work():
                    return
            self.do_previews()
            with self._changed:
                if self._closing or not self._paintings:
                    continue
                painting = self._under_way = self._paintings.popleft()
            try:
                painting.run(self._runtime, self.do_previews)
            finally:
                self._under_way = None

    def _waited_for_work(self) -> bool:
        """Wait, the lock in hand, until there is something to do; False: it is time to close."""
        self._changed.wait_for(lambda: self._previews or self._paintings or self._closing)
        return not self._closing

    def _fail_all(self, error: Exception) -> None:
        """Without a device, tell everybody why."""
        while True:
            with self._changed:
                if not self._waited_for_work():
                    return
                futures = [each[-1] for each in self._previews]
                paintings = list(self._paintings)
                self._previews.clear()
                self._paintings.clear()
            for future in futures:
                with suppress(Exception):
                    future.set_exception(error)
            for painting in paintings:
                painting.failed(str(error))
