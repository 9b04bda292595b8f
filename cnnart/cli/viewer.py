"""``--open``: the results in the desktop's viewer."""

from __future__ import annotations

import os
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Any, cast

import click

from cnnart.cli.lines import say

if TYPE_CHECKING:
    from cnnart.run.report import Reporter, Summary

RESULTS = ("result", "interrupted")


def then_open(reporter: Reporter) -> Reporter:
    """A reporter that does the same, and in the end opens what was made.

    The picture; the sheet of several, if there is one; else the folder of the first.
    """
    return cast("Reporter", _Opening(reporter))


class _Opening:
    def __init__(self, reporter: Reporter) -> None:
        self._reporter = reporter
        self._paths: list[Path] = []
        self._sheet: Path | None = None

    def __getattr__(self, name: str) -> Any:
        return getattr(self._reporter, name)

    def saved(self, path: Path | None, kind: str, seconds: float) -> None:
        if path and kind == "sheet":
            self._sheet = path
        elif path and kind in RESULTS:
            self._paths.append(path)
        self._reporter.saved(path, kind, seconds)

    def done(self, summary: Summary) -> None:
        self._reporter.done(summary)
        if self._sheet or self._paths:
            folder = self._paths[0].parent if len(self._paths) > 1 else None
            show(self._sheet or folder or self._paths[0])


def show(path: Path) -> None:
    """Open a picture or a folder; where there is no desktop, say so."""
    path = path.absolute()
    if not has_desktop() or click.launch(str(path)) != 0:
        say(f"cnnart: there is no desktop to open {path} on.", err=True)


def has_desktop() -> bool:
    """Whether there is a screen for a viewer, as far as the environment tells."""
    if sys.platform in ("win32", "darwin"):
        return True
    return bool(os.environ.get("DISPLAY") or os.environ.get("WAYLAND_DISPLAY"))
