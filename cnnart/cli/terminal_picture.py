"""``--show``: the results in a terminal that can draw pictures."""

from __future__ import annotations

import base64
import contextlib
import importlib.util
import io
import os
import select
import struct
import sys
import time
from pathlib import Path
from typing import TYPE_CHECKING, Any, cast

from cnnart.cli.lines import say

if TYPE_CHECKING:
    from PIL import Image

    from cnnart.run.report import Reporter, Summary

LONG_SIDE = 640  # pixels of what is shown
CHUNK = 4096  # characters that kitty's protocol takes at once
KITTY_TERMS = ("xterm-kitty", "xterm-ghostty")
ITERM_PROGRAMS = ("iTerm.app", "WezTerm")

# "What are you?" (DA1, of the VT100), which all terminals answer: ``ESC [ ? 62 ; 4 ; ... c``.
QUESTION, SIXEL = b"\033[c", b"4"
PATIENCE = 0.5  # seconds for the answer: over SSH it takes a while
NO_TERMS = ("", "dumb", "linux")  # those that draw nothing, and may not answer


def then_show(reporter: Reporter) -> Reporter:
    """A reporter that does the same, and draws each result on the terminal of standard error."""
    return cast("Reporter", _Showing(reporter))


class _Showing:
    def __init__(self, reporter: Reporter) -> None:
        self._reporter = reporter
        self._protocol = None
        if sys.stderr.isatty():
            self._protocol = protocol_of(os.environ) or sixel_of(os.environ)
        self._shown = False

    def __getattr__(self, name: str) -> Any:
        return getattr(self._reporter, name)

    def saved(self, path: Path | None, kind: str, seconds: float) -> None:
        self._reporter.saved(path, kind, seconds)
        if path and kind != "snapshot" and self._protocol and not self._lacks_encoder:
            self._shown = show(path, self._protocol) or self._shown

    def done(self, summary: Summary) -> None:
        self._reporter.done(summary)
        if summary.saved and not self._shown:
            why = "this terminal shows no pictures: try --open."
            if self._lacks_encoder:
                why = "this terminal takes sixels: pip install 'cnnart[sixel]', or try --open."
            say(f"cnnart: {why}", err=True)

    @property
    def _lacks_encoder(self) -> bool:
        return self._protocol == "sixel" and not has_encoder()


def protocol_of(environment: Any) -> str | None:
    """How the terminal takes pictures (``kitty`` or ``iterm``), as far as it says what it is.

    A multiplexer (tmux, screen) in between passes neither on.
    """
    term, program = environment.get("TERM", ""), environment.get("TERM_PROGRAM", "")
    if environment.get("TMUX") or term.startswith(("screen", "tmux")):
        return None
    if environment.get("KITTY_WINDOW_ID") or term in KITTY_TERMS:
        return "kitty"
    return "iterm" if program in ITERM_PROGRAMS else None


def sixel_of(environment: Any, terminal: str = "/dev/tty") -> str | None:
    """``sixel`` if the terminal says that it draws these; it is asked.

    tmux answers for itself: it says so where it passes sixels on.
    """
    if environment.get("TERM", "") in NO_TERMS:
        return None
    return "sixel" if SIXEL in answer_of(terminal) else None


def answer_of(terminal: str) -> list[bytes]:
    """What a terminal says it is, as numbers; nothing where it does not answer, or is no terminal
    as those of Unix.
    """
    try:
        import termios
        import tty
    except ImportError:  # Windows
        return []
    with (
        contextlib.suppress(OSError, termios.error),
        Path(terminal).open("r+b", buffering=0) as device,
    ):
        if _is_in_background(device.fileno()):  # it would be stopped
            return []
        before = termios.tcgetattr(device)
        try:
            # No echo, no waiting for the end of a line.
            tty.setcbreak(device.fileno(), termios.TCSADRAIN)
            device.write(QUESTION)
            return _numbers(_read_answer(device.fileno()))
        finally:
            termios.tcsetattr(device, termios.TCSADRAIN, before)
    return []


def _is_in_background(terminal: int) -> bool:
    try:
        return os.tcgetpgrp(terminal) != os.getpgrp()
    except OSError:  # not the one that controls this process
        return False


def _read_answer(terminal: int) -> bytes:
    """All up to the answer's end, or what came until patience ran out."""
    told, end = b"", time.monotonic() + PATIENCE
    while not (b"\033[?" in told and told.endswith(b"c")):
        if not select.select([terminal], [], [], max(0.0, end - time.monotonic()))[0]:
            break
        if not (more := os.read(terminal, 1)):  # it was closed
            break
        told += more
    return told


def _numbers(answer: bytes) -> list[bytes]:
    """``ESC [ ? 62 ; 4 c`` -> 62, 4. What was typed before is passed over."""
    _, _, rest = answer.partition(b"\033[?")
    return rest.removesuffix(b"c").split(b";")


def has_encoder() -> bool:
    """Whether pictures can be made sixels."""
    return importlib.util.find_spec("textual_image") is not None


def show(path: Path, protocol: str) -> bool:
    """Draw a picture on standard error; whether there is one that can be drawn."""
    from cnnart.errors import ImageError
    from cnnart.image.picture import fit_long_side, resize
    from cnnart.image.read import read_image
    from cnnart.image.write import to_pil

    try:
        picture = read_image(path)
    except ImageError:  # a video, a folder
        return False
    rgb, alpha = picture.rgb, picture.alpha
    rgb = rgb if alpha is None else rgb * alpha + (1 - alpha)
    size = rgb.shape[-2:]
    most = min(LONG_SIDE, _width_of(sys.stderr) or LONG_SIDE) if protocol == "sixel" else LONG_SIDE
    if max(size) > most:
        rgb = resize(rgb, *fit_long_side(size[0], size[1], most))
    sys.stderr.write(escape_of(to_pil(rgb), protocol))
    sys.stderr.flush()
    return True


def _width_of(terminal: Any) -> int:
    """A terminal's width in pixels; 0 where it is not known. Sixels beyond it are cut off."""
    with contextlib.suppress(ImportError, OSError, ValueError):
        import fcntl
        import termios

        found = fcntl.ioctl(terminal.fileno(), termios.TIOCGWINSZ, bytes(8))
        width: int = struct.unpack("4H", found)[2]
        return width
    return 0


def escape_of(picture: Image.Image, protocol: str) -> str:
    """What makes a terminal draw a picture: kitty's graphics protocol, iTerm2's inline images, or
    sixels.
    """
    if protocol == "sixel":
        # Not by its documented door: textual_image.renderable asks the terminal when imported.
        from textual_image._sixel import image_to_sixels

        return f"{image_to_sixels(picture)}\n"
    buffer = io.BytesIO()
    picture.save(buffer, "PNG")
    png = buffer.getvalue()
    data = base64.b64encode(png).decode("ascii")
    if protocol == "iterm":
        return f"\033]1337;File=inline=1;size={len(png)}:{data}\a\n"
    chunks = [data[at : at + CHUNK] for at in range(0, len(data), CHUNK)]
    parts = []
    for number, chunk in enumerate(chunks, start=1):
        first = "a=T,f=100," if number == 1 else ""
        parts.append(f"\033_G{first}m={int(number < len(chunks))};{chunk}\033\\")
    return "".join(parts) + "\n"
