"""``cnnart bench``."""

from __future__ import annotations

from typing import Any

import click

from cnnart.cli.lines import say
from cnnart.cli.options import RUNTIME_OPTIONS

METHODS = {"stylize": "stylize", "fast": "fast-stylize", "dream": "dream"}


@click.command("bench")
@RUNTIME_OPTIONS["device"]
@RUNTIME_OPTIONS["precision"]
@click.option("--json", "as_json", is_flag=True, help="As one JSON object, for bug reports.")
def bench(device: str | None, precision: str | None, as_json: bool) -> None:
    """Measure this machine in a minute: stylize, fast-stylize and dream, beside other machines.

    \b
    cnnart bench
    cnnart bench --precision fp32 --json
    """
    import json

    from cnnart.commands.bench import bench as measured
    from cnnart.commands.bench import published
    from cnnart.runtime import Runtime

    def tell(phrase: str) -> None:
        if not as_json:
            say(f"cnnart: measuring {phrase}", err=True)

    asked = precision or "auto"
    facts = measured(Runtime(device=device or "auto", precision=asked), asked, tell=tell)
    if as_json:
        click.echo(json.dumps({**facts, "published": published()}, indent=2))
        return
    is_cpu = facts["device"]["name"] == "cpu"
    shown = f"{facts['cpu']}, {facts['device']['is']}" if is_cpu else facts["device"]["is"]
    say(f"{shown}; torch {facts['torch']}")
    say(f"precision     {facts['precision']['name']}: {facts['precision']['why']}")
    say(f"convolutions  {facts['convolutions']['engine']}: {facts['convolutions']['why']}")
    _show(facts, published())


def _show(facts: dict[str, Any], others: list[dict[str, Any]]) -> None:
    """The rates, beside those of other machines."""
    from rich.table import Table

    from cnnart.cli.table import echo_table

    rates = facts["rates"]
    table = Table("milliseconds", box=None)
    for name in rates:
        width, height = rates[name]["size"]
        unit = rates[name]["unit"].removesuffix("s")
        table.add_column(f"{METHODS[name]}, {width} x {height}\nper {unit}", justify="right")
    here = [
        f"{rate['milliseconds']:.0f} ({rate['per_second']:g} a second)" for rate in rates.values()
    ]
    table.add_row(f"this machine, {facts['precision']['name']}", *here)
    for other in others:
        cells = [str(other["milliseconds"].get(name, "")) for name in rates]
        table.add_row(f"{other['machine']}, {other['precision']}", *cells)
    echo_table(table)
