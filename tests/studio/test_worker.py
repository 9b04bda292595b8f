"""The device's thread: previews before paintings, newer ones instead of older ones."""

from __future__ import annotations

import threading
from collections.abc import Iterator
from typing import Any

import pytest

from cnnart.errors import UsageError
from cnnart.studio.guard import Refused
from cnnart.studio.worker import Worker


@pytest.fixture
def worker() -> Iterator[Worker]:
    made = Worker(device="cpu")
    yield made
    made.close()


class FakePainting:
    """Two steps, each of which lets previews in; notes what it was told."""

    def __init__(self, log: list[str], begun: threading.Event | None = None) -> None:
        self.log, self.told = log, []
        self.go_on, self.begun = threading.Event(), begun or threading.Event()

    def run(self, runtime: Any, between_steps: Any) -> None:
        self.log.append("step 1")
        self.begun.set()
        self.go_on.wait(10)
        between_steps()
        self.log.append("step 2")

    def stop(self) -> None:
        self.told.append("stop")
        self.go_on.set()

    def dropped(self) -> None:
        self.told.append("dropped")

    def failed(self, why: str) -> None:
        self.told.append(why)


def test_previews_go_before_paintings_and_between_their_steps(worker: Worker) -> None:
    log: list[str] = []
    painting: Any = FakePainting(log)
    first = worker.preview(lambda runtime: log.append("first"), rank=1)
    second = worker.preview(lambda runtime: log.append("second"), rank=0)
    worker.paint(painting)
    worker.start()
    second.result(10), first.result(10)
    painting.begun.wait(10)
    third = worker.preview(lambda runtime: log.append("between"))
    painting.go_on.set()
    third.result(10)
    worker.close()
    assert log == ["second", "first", "step 1", "between", "step 2"]


def test_a_newer_preview_takes_the_place_of_one_that_waits(worker: Worker) -> None:
    done: list[int] = []
    futures = [worker.preview(lambda runtime, n=n: done.append(n), "tab") for n in range(5)]
    other = worker.preview(lambda runtime: done.append(9), "another tab")
    worker.start()
    other.result(10)
    assert [future.cancelled() for future in futures] == [True] * 4 + [False]
    assert done == [4, 9]


def test_what_goes_wrong_is_the_previews_own(worker: Worker) -> None:
    def fail(runtime: Any) -> None:
        raise UsageError("No.")

    worker.start()
    with pytest.raises(UsageError, match="No"):
        worker.preview(fail).result(10)
    assert worker.preview(lambda runtime: 3).result(10) == 3


def test_too_much_at_once_is_refused(worker: Worker, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("cnnart.studio.worker.MOST_WAITING", 3)
    waiting = [worker.preview(lambda runtime: None) for _ in range(3)]
    with pytest.raises(Refused, match="Too much at once"):
        worker.preview(lambda runtime: None)
    waiting[0].cancel()  # its tab was closed: there is room again
    worker.preview(lambda runtime: None)
    monkeypatch.setattr("cnnart.studio.worker.MOST_QUEUED", 1)
    worker.paint(FakePainting([]))  # type: ignore[arg-type]
    with pytest.raises(Refused, match="The queue is full"):
        worker.paint(FakePainting([]))  # type: ignore[arg-type]


def test_at_the_end_the_painting_is_stopped_and_the_queue_dropped(worker: Worker) -> None:
    running, queued, other = (FakePainting([]) for _ in range(3))
    worker.start()
    for painting in (running, queued, other):
        worker.paint(painting)  # type: ignore[arg-type]
    running.begun.wait(10)
    worker.stop(other)  # type: ignore[arg-type]
    assert other.told == ["dropped"]
    worker.close()
    assert running.told == ["stop"]
    assert queued.told == ["dropped"]
    assert running.log == ["step 1", "step 2"]


def test_without_a_device_everybody_is_told(monkeypatch: pytest.MonkeyPatch) -> None:
    worker = Worker(device="no such thing")
    future, painting = worker.preview(lambda runtime: None), FakePainting([])
    worker.paint(painting)  # type: ignore[arg-type]
    worker.start()
    with pytest.raises(UsageError, match="Unknown device"):
        future.result(10)
    while not painting.told:
        pass
    worker.close()
    assert "Unknown device" in painting.told[0]
