"""Pictures computed beside each other: in order, whole, and each step to who follows it."""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterator
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
import torch

from cnnart.errors import ImageError
from cnnart.optim.steps import MemoryPlan, Step
from cnnart.run import lanes as subject
from cnnart.run.inputs import Source
from cnnart.run.lanes import Lanes
from cnnart.run.outputs import OutputOptions, Task

PATIENCE = 20  # seconds that one thread waits for another before the test fails


@pytest.fixture(autouse=True)
def two_threads() -> Iterator[None]:
    before = torch.get_num_threads()
    torch.set_num_threads(2)
    yield
    torch.set_num_threads(before)


def tasks(count: int) -> list[Task]:
    source = Source(Path("photo.png"), "photo.png")
    return [
        Task(source, Path(f"{number}.png"), "png", OutputOptions(), None, str(number))
        for number in range(count)
    ]


class FakeRun:
    """Three steps on one picture, which is changed in place. ``at``: called before each."""

    def __init__(self, task: Task, at: Callable[[str, int], object], peak: int = 0) -> None:
        self.name = task.style or ""
        self.at = at
        self.runtime = SimpleNamespace(device=torch.device("cpu"))
        self.work = SimpleNamespace(memory=MemoryPlan(peak=peak))

    def steps(self, state: Any = None) -> Iterator[Step]:
        image = torch.zeros(1, 3, 2, 2)
        for index in range(1 + (state or 0), 4):
            self.at(self.name, index)
            image += 1
            yield Step(index, 3, {}, image, (2, 2), 0.0, dict)


def opener(at: Callable[[str, int], object] = lambda *_: None, **more: Any) -> Any:
    return lambda task: FakeRun(task, at, **more)


def anything(task: Task) -> bool:
    return True


def test_two_are_computed_at_a_time_and_followed_in_order() -> None:
    meet = threading.Barrier(2, timeout=PATIENCE)
    threads = set()

    def at(name: str, index: int) -> None:
        threads.add((name, torch.get_num_threads()))
        if index == 3:  # the last step of 0 and of 1, of 2 and of 3, is made at the same time
            meet.wait()

    found = []
    with Lanes(given := tasks(4), opener(at), anything) as lanes:
        for task in given:
            *_, last = lanes.open(task).steps()
            found.append((task.style, last.index, float(last.image.mean())))
        assert lanes.count == 2
        assert torch.get_num_threads() == 1
    assert found == [(str(number), 3, 3.0) for number in range(4)]
    assert threads == {(str(number), 1) for number in range(4)}
    assert torch.get_num_threads() == 2


def test_few_pictures_share_many_threads() -> None:
    torch.set_num_threads(5)
    threads = set()
    at = lambda name, index: threads.add(torch.get_num_threads())  # noqa: E731
    with Lanes(given := tasks(2), opener(at), anything) as lanes:
        for task in given:
            list(lanes.open(task).steps())
        assert (lanes.count, threads, torch.get_num_threads()) == (2, {2}, 2)
    assert torch.get_num_threads() == 5


def test_who_follows_has_each_step_to_itself() -> None:
    made: list[tuple[str, int]] = []
    with Lanes(given := tasks(2), opener(lambda *at: made.append(at)), anything) as lanes:
        for step in lanes.open(given[0]).steps():
            assert max(index for name, index in made if name == "0") == step.index
            assert float(step.image.mean()) == step.index
        assert step.index == 3


def test_one_that_fails_is_told_when_its_turn_comes() -> None:
    def at(name: str, index: int) -> None:
        if (name, index) == ("1", 2):
            raise ZeroDivisionError("oh")

    def open_run(task: Task) -> Any:
        if task.style == "2":
            raise ImageError("not a picture.")
        return FakeRun(task, at)

    with Lanes(given := tasks(4), open_run, anything) as lanes:
        assert len(list(lanes.open(given[0]).steps())) == 3
        with pytest.raises(ZeroDivisionError, match="oh"):
            list(lanes.open(given[1]).steps())
        with pytest.raises(ImageError, match="not a picture"):
            lanes.open(given[2])
        *_, last = lanes.open(given[3]).steps()
    assert last.index == 3


def test_leaving_stops_those_that_are_under_way() -> None:
    begun, made = threading.Event(), []

    def at(name: str, index: int) -> None:
        if name == "1":
            begun.set()
            assert stopped.wait(PATIENCE)
            made.append(index)

    stopped = threading.Event()
    with Lanes(given := tasks(3), opener(at), anything) as lanes:
        for step in lanes.open(given[0]).steps():
            assert begun.wait(PATIENCE)
            if step.index == 2:
                break
        threading.Timer(0.05, stopped.set).start()
    assert made in ([], [1])
    assert not [thread for thread in threading.enumerate() if thread.name.startswith("lane")]


def test_what_may_not_be_begun_waits_for_its_turn() -> None:
    opened = []

    def open_run(task: Task) -> Any:
        opened.append((task.style, threading.current_thread() is threading.main_thread()))
        return FakeRun(task, lambda *_: None)

    with Lanes(given := tasks(4), open_run, lambda task: task.style == "3") as lanes:
        list(lanes.open(given[0]).steps())
        *_, last = lanes.open(given[2]).steps(1)  # 1 was skipped, and 2 goes on from a state
        list(lanes.open(given[3]).steps())
    assert last.index == 3
    assert sorted(opened) == [("0", True), ("2", True), ("3", False)]


@pytest.mark.parametrize("why", ["threads", "memory", "tiles", "device", "count"])
def test_one_at_a_time_is_the_run_itself(why: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(subject, "idle_memory", lambda device: 0)
    monkeypatch.setattr(subject, "free_memory", lambda device: 100)
    if why == "threads":
        torch.set_num_threads(1)
    threads = torch.get_num_threads()

    def open_run(task: Task) -> Any:
        run = FakeRun(task, lambda *_: None, peak=36 if why == "memory" else 35)
        if why == "tiles":
            run.work.memory = MemoryPlan(tile=128)
        if why == "device":
            run.runtime.device = torch.device("cuda")
        return run

    with Lanes(given := tasks(1 if why == "count" else 2), open_run, anything) as lanes:
        assert isinstance(lanes.open(given[0]), FakeRun)
        assert lanes.count == 1
        assert torch.get_num_threads() == threads


def test_two_fit_into_the_memory(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(subject, "idle_memory", lambda device: 0)
    monkeypatch.setattr(subject, "free_memory", lambda device: 100)
    with Lanes(given := tasks(2), opener(peak=35), anything) as lanes:
        lanes.open(given[0])
        assert lanes.count == 2
