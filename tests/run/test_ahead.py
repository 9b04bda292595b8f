"""What is begun before it is needed, and where ``--debug`` says the time went."""

from __future__ import annotations

import re
import threading
from pathlib import Path
from types import SimpleNamespace

import pytest
import torch

from cnnart.__main__ import main
from cnnart.errors import ImageError
from cnnart.image import read
from cnnart.run.inputs import Source
from cnnart.run.timings import Timings
from tests.helpers.files import only_builtin_style, save_picture


@pytest.fixture(autouse=True)
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)


def test_a_photo_read_ahead_is_read_once_and_not_kept(monkeypatch: pytest.MonkeyPatch) -> None:
    source = Source(save_picture("photo.png"), "photo.png")
    expected, threads = source.read(), []
    plain = read.read_image

    def noted(*args: object, **more: object) -> object:
        threads.append(threading.current_thread())
        return plain(*args, **more)  # type: ignore[arg-type]

    monkeypatch.setattr(read, "read_image", noted)
    source.read_ahead()
    found = source.read()
    assert torch.equal(found.rgb, expected.rgb)
    assert len(threads) == 1
    assert threads[0] is not threading.main_thread()
    assert source.being_read == []
    source.read()
    assert threads[1] is threading.main_thread()


def test_an_error_ahead_is_raised_when_the_photo_is_read() -> None:
    Path("photo.png").write_text("no picture", encoding="utf-8")
    source = Source(Path("photo.png"), "photo.png")
    source.read_ahead()
    with pytest.raises(ImageError, match="this is a text file"):
        source.read()
    big = Source(save_picture("big.png", 40, 30), "big.png")
    big.read_ahead(100)
    with pytest.raises(ImageError, match=r"1,200 pixels, the limit is 100"):
        big.read(100)


def test_parts_add_up_to_the_whole(monkeypatch: pytest.MonkeyPatch) -> None:
    now, runtime = [0.0], SimpleNamespace(loading={"weights": 1.5})
    monkeypatch.setattr("cnnart.run.timings.time.time", lambda: now[0])
    timings = Timings(90.0, {"command line": 91.0, "imports": 100.0})
    for now[0], event in ((104.0, "start"), (105.0, "step"), (107.0, "step"), (108.0, "step")):
        timings.called(event, runtime)  # type: ignore[arg-type]
    assert timings.table().splitlines() == [
        "  command line     1.00 s",
        "  imports          9.00 s",
        "  photo            2.50 s",
        "  weights          1.50 s",
        "  first step       1.00 s",
        "  steps            3.00 s",
        "  in all          18.00 s",
    ]


def test_debug_says_where_the_time_went(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    only_builtin_style(monkeypatch, Path("styles"))
    save_picture("photo.png")
    quick = ["--size", "32", "--steps", "2", "--preset", "draft", "--device", "cpu"]
    assert main(["stylize", "photo.png", "-s", "mosaic", "-o", "a.png", "--debug", *quick]) == 0
    shown = capsys.readouterr()
    assert shown.out == "a.png\n"
    rows = dict(re.findall(r"^  (.+?) +(\d+\.\d\d) s$", shown.err, re.MULTILINE))
    expected = "command line, imports, styles, photo, weights, first step, steps, writing"
    assert set(rows) >= {*expected.split(", "), "in all"}
    parts = sum(float(seconds) for name, seconds in rows.items() if name != "in all")
    assert parts == pytest.approx(float(rows["in all"]), abs=0.01 * len(rows))
    assert main(["stylize", "photo.png", "-s", "mosaic", "-o", "b.png", *quick]) == 0
    assert "where the time went" not in capsys.readouterr().err
