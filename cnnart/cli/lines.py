"""Lines for people, and paths for programs: what comes from outside never steers the terminal."""

from __future__ import annotations

import sys
from pathlib import Path

import click

from cnnart.errors import on_one_line


def say(text: object, *, err: bool = False) -> None:
    """A line, ``on_one_line``."""
    click.echo(on_one_line(str(text)), err=err)


def say_path(path: Path | str) -> None:
    """A path on standard output: a program that reads it finds the file, by whatever name."""
    click.echo(on_one_line(str(path)) if sys.stdout.isatty() else str(path))
