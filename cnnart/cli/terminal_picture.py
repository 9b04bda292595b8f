"""``--show``: the results in a terminal that can draw pictures."""

from __future__ import annotations

import base64
import io
import os
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Any, cast

if TYPE_CHECKING:
    from cnnart.run.report import Reporter, Summary

LONG_SIDE = 640  # pixels of what is shown
CHUNK = 4096  # characters that kitty's protocol takes at once
KITTY_TERMS = ("xterm-kitty", "xterm-ghostty")
ITERM_PROGRAMS = ("iTerm.app", "WezTerm")


def then_show(reporter: Reporter) -> Reporter:
    """A reporter that does the same, and draws each result on the terminal of standard error."""
    return cast("Reporter", _Showing(reporter))


class _Showing:
    def __init__(self, reporter: Reporter) -> None:
        self._reporter = reporter
        self._protocol = protocol_of(os.environ) if sys.stderr.isatty() else None
        self._shown = False

    def __getattr__(self, name: str) -> Any:
        return getattr(self._reporter, name)

    def saved(self, path: Path | None, kind: str, seconds: float) -> None:
        self._reporter.saved(path, kind, seconds)
        if path and kind != "snapshot" and self._protocol:
            self._shown = show(path, self._protocol) or self._shown

    def done(self, summary: Summary) -> None:
        self._reporter.done(summary)
        if summary.saved and not self._shown:
            print("cnnart: this terminal shows no pictures: try --open.", file=sys.stderr)


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
    if max(size := rgb.shape[-2:]) > LONG_SIDE:
        rgb = resize(rgb, *fit_long_side(size[0], size[1], LONG_SIDE))
    buffer = io.BytesIO()
    to_pil(rgb).save(buffer, "PNG")
    sys.stderr.write(escape_of(buffer.getvalue(), protocol))
    sys.stderr.flush()
    return True


def escape_of(png: bytes, protocol: str) -> str:
    """What makes a terminal draw a PNG: kitty's graphics protocol, or iTerm2's inline images."""
    data = base64.b64encode(png).decode("ascii")
    if protocol == "iterm":
        return f"\033]1337;File=inline=1;size={len(png)}:{data}\a\n"
    chunks = [data[at : at + CHUNK] for at in range(0, len(data), CHUNK)]
    parts = []
    for number, chunk in enumerate(chunks, start=1):
        first = "a=T,f=100," if number == 1 else ""
        parts.append(f"\033_G{first}m={int(number < len(chunks))};{chunk}\033\\")
    return "".join(parts) + "\n"
