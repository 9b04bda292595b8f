"""``cnnart info``."""

from __future__ import annotations

import click

from cnnart.cli.lines import say


@click.command("info")
@click.option("--json", "as_json", is_flag=True, help="As one JSON object.")
def info(as_json: bool) -> None:
    """Show versions, devices, precisions and weights: what a bug report needs."""
    import json

    from cnnart.commands.info import describe_environment

    facts = describe_environment()
    if as_json:
        click.echo(json.dumps(facts, indent=2))
        return
    remedy = facts.get("unused_cuda", {}).pop("lines", [])
    for name, value in facts.items():
        lines = value if isinstance(value, list) else [value]
        for i, line in enumerate(lines or ["none"]):
            say(f"{name.replace('_', ' ') if i == 0 else '':<18}{_text(line, name)}")
            for word in remedy if name == "unused_cuda" else ():
                say(f"  {word}")


def _text(value: object, name: str = "") -> str:
    if name in ("memory", "disk") and isinstance(value, int):
        return f"{value / 2**30:.1f} GiB"
    if isinstance(value, dict):
        first, *rest = value
        more = [f"{_key(key)}{_text(value[key], key)}" for key in rest]
        return f"{_text(value[first], first)}: {', '.join(more)}"
    return ", ".join(map(str, value)) if isinstance(value, list) else str(value)


def _key(name: str) -> str:
    """What stands before a value of this name: nothing where it speaks for itself."""
    return "" if name in ("is", "why") else f"{name.replace('_', ' ')} "
