"""``--show``: what a terminal is sent, and what is said where it draws nothing."""

from __future__ import annotations

import base64
import io
import re
import sys
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from cnnart.__main__ import main
from cnnart.cli.terminal_picture import CHUNK, LONG_SIDE, escape_of, protocol_of, show
from tests.helpers.files import save_picture

TEXTURE = ["texture", "photo.png", "--method", "quilting", "--patch", "9", "--size", "32", "--show"]
NOTHING = "cnnart: this terminal shows no pictures: try --open."


@pytest.fixture(autouse=True)
def here(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    save_picture("photo.png", 32, 24)


def kitty_png(sent: str) -> bytes:
    parts = re.findall(r"\033_G([^;]*);([^\033]*)\033\\", sent)
    assert parts[0][0].startswith("a=T,f=100,")
    assert all(len(data) <= CHUNK for _, data in parts)
    assert [keys[-1] for keys, _ in parts] == ["1"] * (len(parts) - 1) + ["0"]
    return base64.b64decode("".join(data for _, data in parts))


def test_kitty_takes_it_in_chunks() -> None:
    png = bytes(np.random.default_rng(1).integers(0, 256, 9000, dtype=np.uint8))
    sent = escape_of(png, "kitty")
    assert sent.count("\033_G") == 3
    assert kitty_png(sent) == png


def test_iterm_takes_it_at_once() -> None:
    found = re.fullmatch(r"\033]1337;File=inline=1;size=5:(.*)\a\n", escape_of(b"12345", "iterm"))
    assert found
    assert base64.b64decode(found[1]) == b"12345"


@pytest.mark.parametrize(
    ("environment", "protocol"),
    [
        ({"TERM": "xterm-kitty"}, "kitty"),
        ({"TERM": "xterm-256color", "KITTY_WINDOW_ID": "1"}, "kitty"),
        ({"TERM": "xterm-ghostty"}, "kitty"),
        ({"TERM": "xterm-256color", "TERM_PROGRAM": "iTerm.app"}, "iterm"),
        ({"TERM": "xterm-256color", "TERM_PROGRAM": "WezTerm"}, "iterm"),
        ({"TERM": "tmux-256color", "TERM_PROGRAM": "WezTerm"}, None),
        ({"TERM": "xterm-kitty", "TMUX": "/tmp/tmux"}, None),
        ({"TERM": "xterm-256color"}, None),
        ({}, None),
    ],
)
def test_what_terminals_say_of_themselves(
    environment: dict[str, str], protocol: str | None
) -> None:
    assert protocol_of(environment) == protocol


def test_a_large_picture_is_shown_smaller(capsys: pytest.CaptureFixture[str]) -> None:
    save_picture("large.png", 2 * LONG_SIDE, 100)
    assert show(Path("large.png"), "kitty")
    png = kitty_png(capsys.readouterr().err)
    assert Image.open(io.BytesIO(png)).size == (LONG_SIDE, 50)
    Path("video.mp4").write_bytes(b"no picture")
    assert not show(Path("video.mp4"), "kitty")


def test_the_result_is_shown(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setenv("TERM", "xterm-kitty")
    monkeypatch.delenv("TMUX", raising=False)
    monkeypatch.setattr(sys.stderr, "isatty", lambda: True)
    assert main([*TEXTURE, "-q", "-o", "out.png"]) == 0
    shown = Image.open(io.BytesIO(kitty_png(capsys.readouterr().err)))
    assert shown.tobytes() == Image.open("out.png").convert("RGB").tobytes()


def test_elsewhere_it_is_one_line(capsys: pytest.CaptureFixture[str]) -> None:
    assert main([*TEXTURE, "-q", "-o", "out.png"]) == 0
    assert capsys.readouterr().err.strip() == NOTHING
    assert main([*TEXTURE, "-o", "-"]) == 2
    assert "--show shows a file, and -o - writes none" in capsys.readouterr().err


def test_nothing_is_said_where_nothing_was_made(capsys: pytest.CaptureFixture[str]) -> None:
    Path("photo.png").write_text("no picture")
    assert main([*TEXTURE, "-o", "out.png"]) == 1
    assert NOTHING not in capsys.readouterr().err
