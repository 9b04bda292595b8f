"""``--show``: what a terminal is sent, and what is said where it draws nothing."""

from __future__ import annotations

import base64
import io
import os
import re
import sys
import threading
from collections.abc import Callable, Iterator
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from cnnart.__main__ import main
from cnnart.cli import terminal_picture
from cnnart.cli.terminal_picture import (
    CHUNK,
    LONG_SIDE,
    escape_of,
    protocol_of,
    show,
    sixel_of,
)
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


def noise(height: int = 56, width: int = 56) -> Image.Image:
    values = np.random.default_rng(1).integers(0, 256, (height, width, 3), dtype=np.uint8)
    return Image.fromarray(values)


def test_kitty_takes_it_in_chunks() -> None:
    sent = escape_of(noise(), "kitty")
    assert sent.count("\033_G") > 2
    assert Image.open(io.BytesIO(kitty_png(sent))).tobytes() == noise().tobytes()


def test_iterm_takes_it_at_once() -> None:
    found = re.fullmatch(
        r"\033]1337;File=inline=1;size=(\d+):(.*)\a\n", escape_of(noise(), "iterm")
    )
    assert found
    png = base64.b64decode(found[2])
    assert len(png) == int(found[1])
    assert Image.open(io.BytesIO(png)).tobytes() == noise().tobytes()


def drawn(sixels: str) -> np.ndarray:
    """What a terminal draws, ``HxWx3``: bands of six rows, in one color after the other."""
    found = re.fullmatch(r'\033P[\d;]*q"1;1;(\d+);(\d+)(.*)\033\\\n', sixels, re.DOTALL)
    assert found
    width, height = int(found[1]), int(found[2])
    picture = np.full((height + 6, width, 3), -1)
    colors: dict[int, list[int]] = {}
    color = x = y = 0
    for number, red, green, blue, count, sixel, move in re.findall(
        r"#(\d+)(?:;2;(\d+);(\d+);(\d+))?|(?:!(\d+))?([?-~])|([$-])", found[3]
    ):
        if number:
            color = int(number)
            if red:
                colors[color] = [round(int(part) * 2.55) for part in (red, green, blue)]
        elif sixel:
            for _ in range(int(count or 1)):
                rows = [row for row in range(6) if ord(sixel) - 63 >> row & 1]
                picture[[y + row for row in rows], x] = colors[color]
                x += 1
        else:
            x, y = 0, y + 6 * (move == "-")
    return picture[:height]


def test_a_terminal_of_sixels_draws_the_picture() -> None:
    ramp = np.zeros((20, 33, 3), np.uint8)
    ramp[..., 0] = np.linspace(0, 255, 33)
    ramp[..., 1] = np.linspace(255, 0, 20)[:, None]
    seen = drawn(escape_of(Image.fromarray(ramp), "sixel"))
    assert seen.min() >= 0  # all of it
    assert np.abs(seen - ramp).mean() < 16  # of 256 colors


class Terminal:
    """One that answers what it is asked. ``name``: its device; ``heard``: what it was sent."""

    def __init__(self, answer: bytes) -> None:
        self._master, self._slave = os.openpty()
        self.name = os.ttyname(self._slave)
        self.heard = b""
        self._answer = answer
        self._thread = threading.Thread(target=self._listen, daemon=True)
        self._thread.start()

    def _listen(self) -> None:
        while not self.heard.endswith(b"\033[c"):
            self.heard += os.read(self._master, 1)
        os.write(self._master, self._answer)

    def type(self, text: bytes) -> None:
        os.write(self._master, text)

    def settings(self) -> object:
        import termios

        return termios.tcgetattr(self._slave)

    def close(self) -> None:
        self._thread.join()
        os.close(self._master)
        os.close(self._slave)


@pytest.fixture
def terminal(monkeypatch: pytest.MonkeyPatch) -> Iterator[Callable[[bytes], Terminal]]:
    pytest.importorskip("termios", reason="terminals are asked on Unix alone")
    made: list[Terminal] = []

    def make(answer: bytes) -> Terminal:
        made.append(Terminal(answer))
        return made[-1]

    yield make
    for each in made:
        each.close()


@pytest.mark.parametrize(
    ("answer", "protocol"),
    [
        (b"\033[?62;4;6;22c", "sixel"),
        (b"\033[?63;1;2;4c", "sixel"),
        (b"\033[?4c", "sixel"),
        (b"\033[?62;22;24c", None),
        (b"\033[?64c", None),
        (b"\033[?1;2c", None),
    ],
)
def test_a_terminal_is_asked_for_sixels(
    answer: bytes, protocol: str | None, terminal: Callable[[bytes], Terminal]
) -> None:
    asked = terminal(answer)
    before = asked.settings()
    assert sixel_of({"TERM": "xterm-256color"}, asked.name) == protocol
    assert asked.heard == b"\033[c"
    assert asked.settings() == before


def test_what_was_typed_before_is_no_answer(terminal: Callable[[bytes], Terminal]) -> None:
    asked = terminal(b"\033[?62;4c")
    asked.type(b"exec\n")
    assert sixel_of({"TERM": "foot"}, asked.name) == "sixel"


def test_one_that_says_nothing_is_not_waited_for(
    terminal: Callable[[bytes], Terminal], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(terminal_picture, "PATIENCE", 0.01)
    assert sixel_of({"TERM": "xterm"}, terminal(b"").name) is None
    assert sixel_of({"TERM": "xterm"}, "no such device") is None
    assert sixel_of({"TERM": "xterm"}, "photo.png") is None
    monkeypatch.setattr(terminal_picture, "answer_of", lambda name: pytest.fail("it was asked"))
    assert sixel_of({"TERM": "dumb"}) is None
    assert sixel_of({}) is None


def test_in_the_background_it_is_not_asked(
    terminal: Callable[[bytes], Terminal], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(os, "tcgetpgrp", lambda file: -1)
    asked = terminal(b"\033[?62;4c")
    assert sixel_of({"TERM": "xterm"}, asked.name) is None
    assert asked.heard == b""
    asked.type(b"\n")
    os.write(os.open(asked.name, os.O_RDWR), b"\033[c")  # let it go


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


def test_the_result_is_shown_in_sixels(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(terminal_picture, "sixel_of", lambda environment: "sixel")
    monkeypatch.setattr(terminal_picture, "_width_of", lambda terminal: 16)
    for name in ("TERM", "TERM_PROGRAM", "KITTY_WINDOW_ID", "TMUX"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setattr(sys.stderr, "isatty", lambda: True)
    assert main([*TEXTURE, "-q", "-o", "out.png"]) == 0
    assert drawn(capsys.readouterr().err).shape == (12, 16, 3)
    monkeypatch.setattr(terminal_picture, "has_encoder", lambda: False)
    assert main([*TEXTURE, "-q", "-o", "out.png"]) == 0
    told = capsys.readouterr().err
    assert told == (
        "cnnart: this terminal takes sixels: pip install 'cnnart[sixel]', or try --open.\n"
    )


def test_elsewhere_it_is_one_line(capsys: pytest.CaptureFixture[str]) -> None:
    assert main([*TEXTURE, "-q", "-o", "out.png"]) == 0
    assert capsys.readouterr().err.strip() == NOTHING
    assert main([*TEXTURE, "-o", "-"]) == 2
    assert "--show shows a file, and -o - writes none" in capsys.readouterr().err


def test_nothing_is_said_where_nothing_was_made(capsys: pytest.CaptureFixture[str]) -> None:
    Path("photo.png").write_text("no picture")
    assert main([*TEXTURE, "-o", "out.png"]) == 1
    assert NOTHING not in capsys.readouterr().err
