"""What a run reports: JSON lines, plain lines, the live display, previews and the time left."""

from __future__ import annotations

import dataclasses
import io
import json
import signal
from pathlib import Path
from types import SimpleNamespace

import pytest
import torch
from rich.console import Console

from cnnart.cli.options import TalkOptions, make_reporter
from cnnart.errors import ImageError
from cnnart.files import identity
from cnnart.image.read import read_image
from cnnart.optim.steps import Step
from cnnart.run.bar import Bar
from cnnart.run.batch import Interrupt
from cnnart.run.predict import Prediction
from cnnart.run.previews import Previews, preview_path
from cnnart.run.report import (
    Eta,
    JsonLines,
    Plain,
    Reporter,
    Start,
    Summary,
    duration,
    failure_table,
)
from cnnart.run.terminal import Terminal

START = Start(
    command="stylize",
    input="a.jpg",
    output="out/a.png",
    size=(48, 64),
    about="style mosaic + waves",
    details={"styles": ["mosaic", "waves"]},
    device="cpu",
    device_reason="CPU, 2 threads",
    precision="bf16",
    seed=7,
    memory=2 << 30,
    tile=0,
    preview="out/a.preview.jpg",
    schedule=[(24 * 32, 2), (48 * 64, 2)],
    index=2,
    count=3,
)


def a_step(index: int = 1, seconds: float = 1.0, steps: int = 4, **losses: float) -> Step:
    image = torch.full((1, 3, 8, 8), 0.5)
    return Step(index, steps, losses or {"style": 0.25}, image, (48, 64), seconds)


def test_json_lines_have_the_documented_keys(capsys: pytest.CaptureFixture[str]) -> None:
    reporter = JsonLines()
    reporter.start(START)
    reporter.step(a_step(content=0.5, style=float("nan")))
    reporter.first_look(Path("out/a.preview.jpg"), 0.5)
    reporter.predicted(Prediction([(0.5, 2), (2.0, 2)], 6.04))
    reporter.step(a_step(2, 1.5))
    reporter.warning("careful")
    reporter.saved(Path("a.png"), "result", 1.5)
    reporter.skipped("b.jpg", Path("b.png"))
    reporter.failed("c.jpg", "no picture", 1)
    reporter.done(Summary(1, 1, [("c.jpg", "no picture")], 2.0, 3))
    start, step, look, predicted, later, *rest = map(
        json.loads, capsys.readouterr().out.splitlines()
    )
    assert look == {"event": "first_look", "path": "out/a.preview.jpg", "seconds": 0.5}
    assert predicted == {"event": "predicted", "seconds": 6.0}
    assert later["seconds_left"] == pytest.approx(12.0), "three times what was predicted"
    assert start == {
        "event": "start",
        "command": "stylize",
        "input": "a.jpg",
        "output": "out/a.png",
        "size": [64, 48],
        "styles": ["mosaic", "waves"],
        "device": "cpu",
        "device_reason": "CPU, 2 threads",
        "precision": "bf16",
        "seed": 7,
        "memory": 2 << 30,
        "tile": 0,
        "preview": "out/a.preview.jpg",
        "index": 2,
        "count": 3,
    }
    assert step.pop("seconds_left") == pytest.approx(9.0)  # 1 s for 32 x 24, three quarters to go
    assert step == {
        "event": "step",
        "step": 1,
        "steps": 4,
        "scale": [64, 48],
        "losses": {"content": 0.5, "style": None},
        "seconds": 1.0,
    }
    assert rest == [
        {"event": "warning", "message": "careful"},
        {"event": "saved", "path": "a.png", "kind": "result", "seconds": 1.5},
        {"event": "skipped", "input": "b.jpg", "path": "b.png"},
        {"event": "failed", "input": "c.jpg", "error": "no picture", "exit_code": 1},
        {"event": "done", "saved": 1, "skipped": 1, "failed": 1, "seconds": 2.0, "exit_code": 3},
    ]


def test_in_a_pipe_only_the_result_is_on_standard_output(
    capsys: pytest.CaptureFixture[str],
) -> None:
    reporter = Plain()
    reporter.start(START)
    reporter.step(a_step())
    reporter.saved(Path("a-step0001.png"), "snapshot", 1.0)
    reporter.warning("careful")
    reporter.saved(Path("a.png"), "result", 1.0)
    reporter.done(Summary(saved=1))
    told = capsys.readouterr()
    assert told.out == "a.png\n"
    assert told.err == "cnnart: warning: careful\n"


def test_a_picture_on_standard_output_leaves_it_alone(capsys: pytest.CaptureFixture[str]) -> None:
    Plain(paths=False).saved(None, "result", 1.0)
    assert capsys.readouterr().out == ""


def test_quiet_tells_failures_only(capsys: pytest.CaptureFixture[str]) -> None:
    reporter = Reporter()
    reporter.start(START)
    reporter.warning("careful")
    reporter.saved(Path("a.png"), "result", 1.0)
    reporter.done(Summary(saved=1, failures=[("b.jpg", "no picture")]))
    told = capsys.readouterr()
    assert told.out == ""
    assert told.err == "cnnart: 1 failed, 1 saved, 0 skipped:\n  b.jpg  no picture\n"


def test_the_table_of_failures_lines_up() -> None:
    failures = [("a.jpg", "no picture"), ("longer.jpg", "too big")]
    assert failure_table(Summary(failures=failures))[1:] == [
        "  a.jpg       no picture",
        "  longer.jpg  too big",
    ]
    assert failure_table(Summary(saved=3)) == []
    assert failure_table(Summary(failures=failures[:1])) == [], "the only error is told by itself"


def test_the_terminal_shows_the_facts_and_the_losses(capsys: pytest.CaptureFixture[str]) -> None:
    screen = io.StringIO()
    console = Console(file=screen, force_terminal=True, width=100, color_system=None)
    reporter = Terminal(console=console)
    reporter.start(START)
    for index in (1, 2):
        reporter.step(a_step(index, float(index), content=0.5, style=0.25))
    reporter.warning("careful [bold]")
    reporter.saved(Path("out/a.png"), "result", 65.0)
    reporter.done(Summary(saved=1))
    shown = screen.getvalue()
    for fact in (
        "[2/3] a.jpg -> out/a.png",
        "64 x 48 px, style mosaic + waves, seed 7, on CPU, 2 threads, bf16",
        "preview while it works: out/a.preview.jpg",
        "64 px",
        "2/4",
        "8 s left",
        "losses: content 0.5   style 0.25",
        "warning: careful [bold]",
        "done in 1:05",
    ):
        assert fact in shown
    assert capsys.readouterr().out == "out/a.png\n"


def lines_about(seconds: float, times: int = 1) -> list[str]:
    """What the terminal says of a prediction."""
    screen = io.StringIO()
    reporter = Terminal(console=Console(file=screen, width=100, color_system=None))
    for _ in range(times):
        reporter.predicted(Prediction([(1.0, 1)], seconds))
    return screen.getvalue().splitlines()


def test_a_long_run_says_how_to_have_it_sooner_once() -> None:
    assert lines_about(48) == ["takes about 50 s"]
    assert lines_about(120) == ["takes about 2 min"]
    assert lines_about(235, times=2) == [
        "takes about 4 min; for the best picture in 60 s: --time-budget 60s",
        "takes about 4 min",
    ]
    assert lines_about(3600) == [
        "takes about 60 min; for the best picture in 15 min: --time-budget 15m"
    ]
    assert lines_about(8100) == [
        "takes about 2.2 h; for the best picture in 34 min: --time-budget 34m"
    ]


def test_the_terminal_names_the_first_look() -> None:
    screen = io.StringIO()
    reporter = Terminal(console=Console(file=screen, width=100, color_system=None))
    reporter.first_look(Path("out/a.preview.jpg"), 0.5)
    assert screen.getvalue() == "first look, by the fast network: out/a.preview.jpg\n"


def test_which_reporter(monkeypatch: pytest.MonkeyPatch) -> None:
    assert type(make_reporter(TalkOptions(json=True))) is JsonLines
    assert type(make_reporter(TalkOptions(quiet=True))) is Reporter
    monkeypatch.setattr("sys.stderr", io.StringIO())
    assert type(make_reporter(TalkOptions())) is Plain
    monkeypatch.setattr("sys.stderr.isatty", lambda: True, raising=False)
    monkeypatch.setenv("TERM", "xterm")
    assert type(make_reporter(TalkOptions())) is Terminal
    monkeypatch.setenv("TERM", "dumb")  # where rich cannot redraw a line
    assert type(make_reporter(TalkOptions())) is Bar


def test_time_left_knows_that_larger_steps_take_longer() -> None:
    eta = Eta([(100, 2), (400, 3)])
    assert eta.left(a_step(1, 1.0, steps=5)) == pytest.approx(1 + 3 * 4)
    assert eta.left(a_step(2, 2.0, steps=5)) == pytest.approx(3 * 4)
    assert eta.left(a_step(3, 6.0, steps=5)) == pytest.approx(2 * 4)
    assert eta.left(a_step(5, 14.0, steps=5)) == 0


def test_the_first_step_at_a_size_says_nothing_of_those_to_come() -> None:
    eta = Eta([(1, 2), (4, 4)])
    for index in (1, 2):
        eta.left(dataclasses.replace(a_step(index, float(index), steps=6), scale=(24, 32)))
    assert eta.left(a_step(3, 16.0, steps=6)) == pytest.approx(3 * 4), "it also made its targets"
    assert eta.left(a_step(4, 21.0, steps=6)) == pytest.approx(2 * 4 * (0.9 + 0.1 * 5 / 4))


def test_time_left_is_the_budgets_where_there_is_one() -> None:
    """The number of steps changes then, and their sizes with it."""
    eta = Eta([(100, 2), (400, 3)])
    assert eta.left(dataclasses.replace(a_step(1, 1.0, steps=9), left=7.5)) == 7.5
    assert eta.left(dataclasses.replace(a_step(2, 2.0, steps=11), left=6.0)) == 6.0


def test_time_left_without_a_schedule() -> None:
    assert Eta().left(a_step(1, 2.0, steps=4)) == pytest.approx(6)


def test_durations() -> None:
    assert [duration(s) for s in (0.4, 59, 60, 185, 3723)] == [
        "0 s",
        "59 s",
        "1:00",
        "3:05",
        "1:02:03",
    ]


def snapshots(target: Path, written: list, **more) -> Previews:
    def write(path: Path, rgb: torch.Tensor, index: int) -> None:
        written.append((path.name, index, float(rgb.mean())))

    return Previews(target, lambda image: image + 0.25, write, **more)


def test_the_preview_is_there_from_the_first_step_and_gone_at_the_end(tmp_path: Path) -> None:
    shots = snapshots(tmp_path / "new" / "a.png", [], preview=True)
    shots.step(a_step())
    assert shots.preview == tmp_path / "new" / "a.preview.jpg"
    assert float(read_image(shots.preview).rgb.mean()) == pytest.approx(0.75, abs=0.01)
    first = shots.preview.stat().st_mtime_ns
    shots.step(a_step(2))
    assert shots.preview.stat().st_mtime_ns == first, "renewed every few seconds, not every step"
    shots.close()
    assert not shots.preview.exists()


def test_the_first_look_stays_until_the_painting_has_grown(tmp_path: Path) -> None:
    shots = snapshots(tmp_path / "a.png", [], preview=True)
    shots.show_first(torch.full((1, 3, 32, 32), 1.0))
    path = shots.preview
    assert path is not None

    def shown(*scale: int) -> float:
        shots.step(dataclasses.replace(a_step(), scale=scale))
        return float(read_image(path).rgb.mean())

    assert shown(8, 8) == pytest.approx(1, abs=0.01), "the coarsest size would show less"
    assert shown(8, 8) == pytest.approx(1, abs=0.01)
    assert shown(16, 16) == pytest.approx(0.75, abs=0.01)
    shots.close()
    assert not path.exists()


def test_previews_that_cannot_be_written_stop_nothing(tmp_path: Path) -> None:
    def full(path: Path, rgb: torch.Tensor, index: int) -> None:
        raise ImageError(f"{path}: cannot write the picture (No space left on device).")

    told: list[str] = []
    (tmp_path / "a.preview.jpg").mkdir()
    shots = Previews(tmp_path / "a.png", lambda x: x, full, preview=True, every=1, warn=told.append)
    assert shots.step(a_step(1)) is shots.step(a_step(2)) is None
    assert shots.preview is None
    assert [line.rpartition(". ")[2] for line in told] == [
        "There is no preview; the run goes on.",
        "No more snapshots are kept; the run goes on.",
    ]
    shots.close()


def test_a_painting_of_one_size_replaces_the_first_look_at_once(tmp_path: Path) -> None:
    shots = snapshots(tmp_path / "a.png", [], preview=True)
    shots.show_first(torch.full((1, 3, 8, 8), 1.0))
    shots.step(dataclasses.replace(a_step(), scale=(8, 8)))
    assert shots.preview is not None
    assert float(read_image(shots.preview).rgb.mean()) == pytest.approx(0.75, abs=0.01)


def test_snapshots_are_kept_every_so_many_steps(tmp_path: Path) -> None:
    written: list = []
    shots = snapshots(tmp_path / "a.webp", written, preview=False, every=2)
    kept = [shots.step(a_step(index)) for index in range(1, 6)]
    assert [path and path.name for path in kept] == [
        None,
        "a-step0002.webp",
        None,
        "a-step0004.webp",
        None,
    ]
    assert written == [("a-step0002.webp", 2, 0.75), ("a-step0004.webp", 4, 0.75)]
    assert list(tmp_path.iterdir()) == []


def test_neither_preview_nor_snapshot_overwrites_an_input(tmp_path: Path) -> None:
    inputs = [tmp_path / "a.preview.jpg", tmp_path / "a-step0001.png"]
    for path in inputs:
        path.write_bytes(b"mine")
    guarded = {identity(path) for path in inputs}
    written: list = []
    shots = snapshots(tmp_path / "a.png", written, preview=True, every=1, guarded=guarded)
    assert shots.step(a_step(1)) is None
    shots.close()
    assert [path.read_bytes() for path in inputs] == [b"mine", b"mine"]
    assert (shots.preview, written) == (None, [])
    assert preview_path(tmp_path / "a.png") == inputs[0]


def test_the_first_interrupt_asks_and_the_second_quits(capfd: pytest.CaptureFixture[str]) -> None:
    before = signal.getsignal(signal.SIGINT)
    with Interrupt() as interrupt:
        interrupt.armed = True
        signal.raise_signal(signal.SIGINT)
        assert interrupt.asked
        with pytest.raises(KeyboardInterrupt):
            signal.raise_signal(signal.SIGINT)
    assert signal.getsignal(signal.SIGINT) is before
    assert "the picture so far will be saved (Ctrl-C again quits at once)" in capfd.readouterr().err


def test_sigterm_is_heard_likewise_and_quiet_is_quiet(capfd: pytest.CaptureFixture[str]) -> None:
    with Interrupt(quiet=True) as interrupt:
        interrupt.armed = True
        signal.raise_signal(signal.SIGTERM)
        assert interrupt.asked
    assert capfd.readouterr().err == ""


def test_with_nothing_to_save_an_interrupt_quits_at_once() -> None:
    with Interrupt() as interrupt, pytest.raises(KeyboardInterrupt):
        signal.raise_signal(signal.SIGINT)
    assert not interrupt.asked


def test_a_line_is_written_in_one_go(monkeypatch: pytest.MonkeyPatch) -> None:
    """Else two processes that write unbuffered, as under torchrun, make one line of two."""
    written: list[str] = []
    stream = SimpleNamespace(write=written.append, flush=lambda: None, isatty=lambda: False)
    monkeypatch.setattr("sys.stdout", stream)
    Plain().saved(Path("out/a.png"), "result", 1.0)
    assert written[0] == "out/a.png\n"
