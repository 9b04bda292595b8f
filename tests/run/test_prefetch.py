"""Many photos through a quick method: order, failures, and how much is under way."""

from __future__ import annotations

import threading
from types import SimpleNamespace
from typing import Any

import pytest
import torch

from cnnart.errors import ImageError
from cnnart.optim.steps import MemoryPlan, Step
from cnnart.run import prefetch
from cnnart.run.batch import BatchOptions
from cnnart.run.outputs import Task
from cnnart.run.prefetch import BEYOND, PrefetchingBatch
from tests.run.test_batch import FakeRun, Listener, tasks, written

CORES = 3


@pytest.fixture(autouse=True)
def folder(tmp_path: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(prefetch, "available_cores", lambda: CORES)


class Counted(FakeRun):
    """A run that counts how many are open, and whose writing ``gate`` may hold up."""

    lock = threading.Lock()
    open = most = 0
    size, photo = (4, 4), None

    def __init__(self, task: Task, gate: threading.Event | None = None) -> None:
        super().__init__(task, iter(()))
        self.gate = gate
        image = torch.full((1, 3, 4, 4), 0.5)
        self.work = SimpleNamespace(
            steps=lambda: iter([Step(1, 1, {}, image, (4, 4), 0.1)]),
            finish=lambda image: image,
            can_join=lambda other: False,
            warnings=[],
            memory=MemoryPlan(),
        )
        with Counted.lock:
            Counted.open += 1
            Counted.most = max(Counted.most, Counted.open)

    def write(self, target: Any, rgb: torch.Tensor, interrupted_at: int | None) -> None:
        if self.gate:
            assert self.gate.wait(30)
        if "unwritable" in self.task.source.name:
            raise ImageError(f"{target}: cannot write the picture (no space left).")
        super().write(target, rgb, interrupted_at)
        with Counted.lock:
            Counted.open -= 1


@pytest.fixture(autouse=True)
def uncounted() -> None:
    Counted.open = Counted.most = 0


def test_results_are_reported_in_order_though_the_first_is_written_last() -> None:
    first_may_go, listener = threading.Event(), Listener()
    gates = {"a.jpg": first_may_go}
    left = [3]

    class Run(Counted):
        def write(self, target: Any, rgb: torch.Tensor, interrupted_at: int | None) -> None:
            super().write(target, rgb, interrupted_at)
            with Counted.lock:
                left[0] -= 1
                if left[0] == 1:  # the others are written
                    first_may_go.set()

    def open_run(task: Task) -> Any:
        return Run(task, gates.get(task.source.name))

    assert (
        PrefetchingBatch(open_run, listener, BatchOptions()).run(tasks("a.jpg", "b.jpg", "c.jpg"))
        == 0
    )
    saved = [what for what in listener.heard if what[0] == "result"]
    assert saved == [("result", f"{stem}-s.png") for stem in "abc"]
    assert written() == ["a-s.png", "b-s.png", "c-s.png"]


def test_a_photo_that_cannot_be_written_is_told_and_the_others_are_made() -> None:
    listener = Listener()
    code = PrefetchingBatch(Counted, listener, BatchOptions()).run(
        tasks("a.jpg", "unwritable.jpg", "c.jpg")
    )
    assert code == 3
    assert [what[:2] for what in listener.heard] == [
        ("result", "a-s.png"),
        ("failed", "unwritable.jpg"),
        ("result", "c-s.png"),
    ]


def test_however_many_photos_few_are_under_way() -> None:
    names = [f"{i:02}.jpg" for i in range(40)]
    assert PrefetchingBatch(Counted, Listener(), BatchOptions()).run(tasks(*names)) == 0
    assert len(written()) == 40
    # One in the making besides those that wait to be computed or written.
    assert Counted.most <= 1 + CORES + BEYOND + 1


def test_heavy_photos_go_one_by_one(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(prefetch, "UNDER_WAY", 1)  # any photo is more
    batch = PrefetchingBatch(Counted, Listener(), BatchOptions())
    batch._heaviest = 2  # of a photo before these
    assert batch.run(tasks(*(f"{i:02}.jpg" for i in range(12)))) == 0
    assert Counted.most <= 2  # one that is written while the next is read
