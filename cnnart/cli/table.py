"""Tables for people, and for the program that reads them through a pipe."""

from __future__ import annotations

import sys
from typing import TYPE_CHECKING

import click

from cnnart.errors import on_one_line

if TYPE_CHECKING:
    from rich.table import Table

UNLIMITED = 1_000_000  # columns


def add_row(table: Table, *cells: str) -> None:
    """A row of plain text: brackets are no markup, and control characters are shown."""
    from rich.text import Text

    table.add_row(*(Text(on_one_line(cell)) for cell in cells))


def echo_table(table: Table) -> None:
    """Print a table: as wide as the terminal, or, piped, as wide as it needs to be.

    Piped, no cell is cut off or broken into lines, and no line ends in spaces.
    """
    from rich.console import Console

    console = Console(width=None if sys.stdout.isatty() else UNLIMITED)
    with console.capture() as captured:
        console.print(table)
    for line in captured.get().splitlines():
        click.echo(line.rstrip())
