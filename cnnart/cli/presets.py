"""``cnnart presets``: the presets of the user's own."""

from __future__ import annotations

import click

from cnnart.cli.lines import say, say_path
from cnnart.cli.table import add_row, echo_table
from cnnart.errors import on_one_line


@click.group()
def presets() -> None:
    """List, show and remove presets of your own.

    --save-preset NAME keeps the options of a command line, --preset NAME uses them. Each is a TOML
    file, to be read and edited.

    \b
    cnnart stylize photo.jpg --style ink-wash --strength 0.7 --save-preset ink
    cnnart stylize other.jpg --preset ink
    """


@presets.command("list")
@click.option("--json", "as_json", is_flag=True, help="Print JSON instead of a table.")
def list_(as_json: bool) -> None:
    """Show every preset of your own: name, command and options."""
    from cnnart.cli.own_presets import listed
    from cnnart.files import json_line

    rows = listed()
    if as_json:
        click.echo(json_line(rows))
        return
    if not rows:
        click.echo("No presets yet: --save-preset NAME keeps the options of a command line.")
        return
    from rich.table import Table

    table = Table("preset", "command", "options", box=None, pad_edge=False)
    for row in rows:
        said = ", ".join(f"{key} {_shown(value)}" for key, value in row.get("options", {}).items())
        add_row(table, row["name"], row.get("command", ""), said or row.get("error", ""))
    echo_table(table)


def _shown(value: object) -> str:
    return " + ".join(map(str, value)) if isinstance(value, list) else str(value)


@presets.command()
@click.argument("name")
def show(name: str) -> None:
    """Print a preset's file, its path in the first line."""
    from cnnart.commands.own_presets import preset_path, read_preset

    read_preset(name)  # says what is wrong with it
    say(f"# {preset_path(name)}")
    for line in preset_path(name).read_text(encoding="utf-8").splitlines():
        click.echo("\t".join(map(on_one_line, line.split("\t"))))


@presets.command()
@click.argument("names", metavar="NAME...", nargs=-1, required=True)
def remove(names: tuple[str, ...]) -> None:
    """Remove presets of your own, and print where they were."""
    from cnnart.commands.own_presets import remove_preset

    for name in names:
        say_path(remove_preset(name))
