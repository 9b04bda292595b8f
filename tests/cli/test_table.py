"""Tables: through a pipe nothing is cut off, in a terminal they fit it."""

import click
import pytest
from rich.table import Table

from cnnart.cli.table import echo_table

LONG = "features." * 60 + "conv", "a sentence of many words, " * 20


def table():
    found = Table("layer", "said", box=None, pad_edge=False)
    found.add_row(*LONG)
    found.add_row("conv1", "short")
    return found


def test_a_piped_table_is_as_wide_as_it_needs_to_be(capsys, monkeypatch):
    monkeypatch.setenv("COLUMNS", "40")
    echo_table(table())
    lines = capsys.readouterr().out.splitlines()
    assert len(lines) == 3
    assert all(text.strip() in lines[1] for text in LONG)
    assert not any(line.endswith(" ") for line in lines)


def test_in_a_terminal_it_fits(capsys, monkeypatch):
    monkeypatch.setenv("COLUMNS", "40")
    monkeypatch.setattr("sys.stdout.isatty", lambda: True)
    echo_table(table())
    assert max(map(len, click.unstyle(capsys.readouterr().out).splitlines())) <= 40


@pytest.mark.parametrize("command", [["styles", "list"], ["inspect", "layers", "alexnet"]])
def test_commands_print_theirs_whole(command, capsys, monkeypatch):
    from cnnart.__main__ import main

    monkeypatch.setenv("COLUMNS", "30")
    assert main(command) == 0
    out = capsys.readouterr().out
    assert "…" not in out
    assert max(map(len, out.splitlines())) > 30
