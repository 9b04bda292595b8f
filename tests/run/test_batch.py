"""Many pictures in a row: failures, skipping, interrupts, exit codes; without a network."""

from __future__ import annotations

import signal
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import pytest
import torch

from cnnart.errors import ImageError, WeightsError
from cnnart.image.read import read_image, read_record
from cnnart.image.write import write_image
from cnnart.optim.steps import Step
from cnnart.run.batch import Batch, BatchOptions
from cnnart.run.inputs import expand
from cnnart.run.outputs import Task, plan
from cnnart.run.predict import Prediction
from cnnart.run.report import Finding, Reporter, Start, Summary


class Listener(Reporter):
    def __init__(self) -> None:
        self.heard: list[tuple] = []

    def warning(self, message: str) -> None:
        self.heard.append(("warning", message))

    def saved(self, path: Path | None, kind: str, seconds: float) -> None:
        self.heard.append((kind, path and path.name))

    def skipped(self, name: str, path: Path) -> None:
        self.heard.append(("skipped", name))

    def failed(self, name: str, error: str, exit_code: int) -> None:
        self.heard.append(("failed", name, error))

    def done(self, summary: Summary) -> None:
        self.summary = summary


def tasks(*names: str) -> list[Task]:
    for name in names:
        Path(name).write_bytes(b"x")
    return plan(expand(names), "out", style="s")


def four_steps(*, signals: int = 0) -> Iterator[Step]:
    for index in (1, 2, 3, 4):
        yield Step(index, 4, {"style": 1.0}, torch.full((1, 3, 4, 4), index / 4), (4, 4), 0.1)
        for _ in range(signals if index == 2 else 0):
            signal.raise_signal(signal.SIGINT)


class FakeRun:
    """A run without a method: four steps, and a record with the step of an interruption."""

    def __init__(self, task: Task, steps: Iterator[Step]) -> None:
        self.task = task
        self.steps = lambda: steps
        self.warnings = ["note"]
        self.findings: list[Finding] = []
        self.heard: list[str] = []

    def start(self) -> Start:
        name, target = self.task.source.name, str(self.task.target)
        return Start("dream", name, target, (4, 4), "", "cpu", "CPU", "fp32", 0, 1 << 30, 0)

    def schedule(self) -> list[tuple[tuple[int, int], int]]:
        return [((2, 2), 2), ((4, 4), 2)]

    def predict(self) -> Prediction:
        self.heard.append("measured")
        return Prediction([(1.0, 2), (4.0, 2)], 10.0)

    def first_look(self) -> torch.Tensor:
        self.heard.append("looked")
        return torch.full((1, 3, 4, 4), 1.0)

    def finish(self, image: torch.Tensor) -> torch.Tensor:
        return image

    def write(self, target, rgb: torch.Tensor, interrupted_at: int | None) -> None:
        record = '{"format": 1, "command": "stylize"' + (
            f', "interrupted_at": {interrupted_at}}}' if interrupted_at else "}"
        )
        write_image(target, rgb, record=record)


def open_run(task: Task, steps: Iterator[Step] | None = None) -> FakeRun:
    name = task.source.name
    if name.startswith("bad"):
        raise ImageError(f"{name}: not a picture.")
    if name.startswith("bug"):
        raise ZeroDivisionError("oh")
    return FakeRun(task, steps or four_steps())


def written() -> list[str]:
    return sorted(path.name for path in Path("out").iterdir())


@pytest.fixture(autouse=True)
def here(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)


def test_all_done() -> None:
    listener = Listener()
    assert Batch(open_run, listener).run(tasks("a.jpg", "b.jpg")) == 0
    results = [("result", "a-s.png"), ("result", "b-s.png")]
    assert listener.heard == [("warning", "note"), results[0], ("warning", "note"), results[1]]
    assert written() == ["a-s.png", "b-s.png"]


def test_it_goes_on_past_a_bad_file_and_even_a_bug() -> None:
    listener = Listener()
    assert Batch(open_run, listener).run(tasks("bad.jpg", "bug.jpg", "c.jpg")) == 3
    assert listener.summary.failures == [
        ("bad.jpg", "not a picture."),
        ("bug.jpg", "a bug in cnnart (ZeroDivisionError: oh)"),
    ]
    assert written() == ["c-s.png"]


def test_all_failed_is_not_a_partial_success() -> None:
    assert Batch(open_run, Listener()).run(tasks("bad1.jpg", "bad2.jpg")) == 1


def test_the_only_picture_fails_with_its_own_error() -> None:
    listener = Listener()
    with pytest.raises(ImageError, match="not a picture"):
        Batch(open_run, listener).run(tasks("bad.jpg"))
    assert listener.summary.exit_code == 1


def test_what_would_fail_for_all_stops_at_once() -> None:
    def wrong(task: Task) -> FakeRun:
        raise WeightsError("vgg16 is not on this machine")

    with pytest.raises(WeightsError):
        Batch(wrong, Listener()).run(tasks("a.jpg", "b.jpg"))


def test_a_traceback_only_when_asked_for(capsys: pytest.CaptureFixture[str]) -> None:
    Batch(open_run, Listener()).run(tasks("bug.jpg", "c.jpg"))
    assert "Traceback" not in capsys.readouterr().err
    Batch(open_run, Listener(), BatchOptions(debug=True)).run(tasks("bug.jpg", "c.jpg"))
    assert "Traceback" in capsys.readouterr().err


def test_existing_results_are_skipped_but_unfinished_ones_are_not() -> None:
    todo = tasks("a.jpg", "b.jpg", "bad.jpg")
    interrupted = Batch(lambda task: open_run(task, four_steps(signals=1)), Listener())
    assert interrupted.run(todo[:1]) == 130
    Batch(open_run, Listener()).run(todo[1:2])
    assert ("result", "a-s.png") not in remade(todo[1:2])
    whole = Path("out/b-s.png").read_bytes()
    Path("out/b-s.png").write_bytes(whole[:-9])
    assert ("result", "b-s.png") in remade(todo[1:2])
    listener = Listener()
    assert Batch(open_run, listener, BatchOptions(skip_existing=True)).run(todo) == 3
    assert ("result", "a-s.png") in listener.heard
    assert ("skipped", "b.jpg") in listener.heard


def remade(todo: list[Task]) -> list[tuple]:
    listener = Listener()
    assert Batch(open_run, listener, BatchOptions(skip_existing=True)).run(todo) == 0
    return listener.heard


def test_an_interrupt_saves_what_is_there_and_ends_the_batch() -> None:
    listener = Listener()
    batch = Batch(
        lambda task: open_run(task, four_steps(signals=1)), listener, BatchOptions(quiet=True)
    )
    assert batch.run(tasks("a.jpg", "b.jpg")) == 130
    assert listener.heard[-1] == ("interrupted", "a-s.png")
    assert written() == ["a-s.png"]
    assert '"interrupted_at": 3' in str(read_record("out/a-s.png"))
    assert float(read_image("out/a-s.png").rgb.mean()) == pytest.approx(0.75, abs=0.01)


def last_minute() -> Iterator[Step]:
    yield from four_steps()
    signal.raise_signal(signal.SIGINT)


def test_an_interrupt_that_comes_when_all_is_done_changes_nothing() -> None:
    listener = Listener()
    batch = Batch(lambda task: open_run(task, last_minute()), listener, BatchOptions(quiet=True))
    assert batch.run(tasks("a.jpg")) == 0
    assert listener.heard[-1] == ("result", "a-s.png")


def test_a_second_interrupt_leaves_nothing_behind() -> None:
    batch = Batch(
        lambda task: open_run(task, four_steps(signals=2)),
        Listener(),
        BatchOptions(preview=True, quiet=True),
    )
    with pytest.raises(KeyboardInterrupt):
        batch.run(tasks("a.jpg"))
    assert written() == []


def test_previews_and_snapshots_lie_beside_the_result() -> None:
    listener = Listener()
    Batch(open_run, listener, BatchOptions(preview=True, save_every=3)).run(tasks("a.jpg"))
    assert ("snapshot", "a-s-step0003.png") in listener.heard
    assert written() == ["a-s-step0003.png", "a-s.png"]


class Foreteller(Listener):
    predicts = True

    def first_look(self, path: Path, seconds: float) -> None:
        look = float(read_image(path).rgb.mean())
        self.heard.append(("first look", path.name, round(look, 2)))

    def predicted(self, prediction: Prediction) -> None:
        self.heard.append(("predicted", prediction.seconds))

    def step(self, step: Step) -> None:
        if step.index == 1:
            self.heard.append(("step",))


def test_before_the_first_step_comes_a_look_and_a_prediction_that_alike_pictures_share() -> None:
    listener, made = Foreteller(), []

    def opened(task: Task) -> FakeRun:
        made.append(open_run(task))
        return made[-1]

    Batch(opened, listener, BatchOptions(preview=True)).run(tasks("a.jpg", "b.jpg"))
    assert [e for e in listener.heard if e[0] not in ("warning", "result")] == [
        ("first look", "a-s.preview.jpg", 1.0),
        ("predicted", 10.0),
        ("step",),
        ("first look", "b-s.preview.jpg", 1.0),
        ("predicted", 10.0),
        ("step",),
    ]
    assert [run.heard for run in made] == [["looked", "measured"], ["looked"]]


@pytest.mark.parametrize(("device", "side", "measured"), [("cuda", 4, 0), ("cuda", 2048, 1)])
def test_what_a_card_paints_in_seconds_is_not_measured(
    device: str, side: int, measured: int
) -> None:
    listener, made = Foreteller(), []

    class OnACard(FakeRun):
        def start(self) -> Start:
            return replace(super().start(), device=device)

        def schedule(self) -> list[tuple[tuple[int, int], int]]:
            return [((2, 2), 2), ((side, side), 2)]

    def opened(task: Task) -> FakeRun:
        made.append(OnACard(task, four_steps()))
        return made[-1]

    Batch(opened, listener).run(tasks("a.jpg"))
    assert made[0].heard == ["measured"] * measured


def test_nobody_listens_nothing_is_measured_or_shown() -> None:
    made = []

    def opened(task: Task) -> FakeRun:
        made.append(open_run(task))
        return made[-1]

    Batch(opened, Listener()).run(tasks("a.jpg"))
    assert made[0].heard == []
