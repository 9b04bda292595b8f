"""``cnnart presets``: the presets of the user's own."""

from __future__ import annotations

import click

from cnnart.cli.table import echo_table


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
    from rich.text import Text

    table = Table("preset", "command", "options", box=None, pad_edge=False)
    for row in rows:
        said = ", ".join(f"{key} {_shown(value)}" for key, value in row.get("options", {}).items())
        told = Text(said or row.get("error", ""))  # brackets are no markup
        table.add_row(row["name"], Text(row.get("command", "")), told)
    echo_table(table)


def _shown(value: object) -> str:
    return " + ".join(map(str, value)) if isinstance(value, list) else str(value)


@presets.command()
@click.argument("name")
def show(name: str) -> None:
    """Print a preset's file, its path in the first line."""
    from cnnart.commands.own_presets import preset_path, read_preset

    read_preset(name)  # says what is wrong with it
    click.echo(f"# {preset_path(name)}")
    click.echo(preset_path(name).read_text(encoding="utf-8"), nl=False)


@presets.command()
@click.argument("names", metavar="NAME...", nargs=-1, required=True)
def remove(names: tuple[str, ...]) -> None:
    """Remove presets of your own, and print where they were."""
    from cnnart.commands.own_presets import remove_preset

    for name in names:
        click.echo(str(remove_preset(name)))
