"""Write docs/cli.md: the help of every command, as the commands print it.

    python tools/make_cli_reference.py            write it
    python tools/make_cli_reference.py --check    exit 1 if it is not what the commands say

How Click lays out a help changes with its version, so the page says which one wrote it. With
another one, ``--check`` compares the commands and their options only.
"""

from __future__ import annotations

import argparse
import os
import re
import sys
from collections.abc import Iterator
from importlib.metadata import version
from pathlib import Path

import click

from cnnart.cli import cli

ROOT = Path(__file__).resolve().parent.parent
PAGE = ROOT / "docs" / "cli.md"
WIDTH = 100  # columns of the help, whatever the terminal's
WRITERS = ("click", "cloup")  # the packages that lay it out
INTRODUCTION = """# Command line

What `cnnart COMMAND -h` prints, for every command. This page is written by
`python tools/make_cli_reference.py`.
"""


def page() -> str:
    """``docs/cli.md``."""
    # The environment must not show: a default may come from it.
    kept = {name: os.environ.pop(name) for name in list(os.environ) if name.startswith("CNNART_")}
    try:
        sections = [section(context) for context in contexts(cli, "cnnart")]
    finally:
        os.environ.update(kept)
    writers = ", ".join(f"{name} {version(name)}" for name in WRITERS)
    return "\n".join([INTRODUCTION, f"<!-- {writers} -->\n", *sections])


def contexts(
    command: click.Command, name: str, parent: click.Context | None = None
) -> Iterator[click.Context]:
    """A command and all below it, in the order of its help."""
    settings = {**command.context_settings, "terminal_width": WIDTH, "max_content_width": WIDTH}
    context = command.context_class(command, info_name=name, parent=parent, color=False, **settings)
    yield context
    if isinstance(command, click.Group):
        for child in command.list_commands(context):
            found = command.get_command(context, child)
            assert found is not None
            yield from contexts(found, child, context)


def section(context: click.Context) -> str:
    """A heading, and a command's help below it."""
    heading = "#" * (len(context.command_path.split()) + 1)
    lines = [line.rstrip() for line in context.get_help().splitlines()]
    return "\n".join([f"{heading} {context.command_path}", "", "```text", *lines, "```", ""])


def is_current(found: str) -> bool:
    """Whether a page's text is what the commands say."""
    wanted = page()
    if found == wanted:
        return True
    return _writers(found) != _writers(wanted) and _said(found) == _said(wanted)


def _writers(text: str) -> list[str]:
    return re.findall(r"<!-- (.*) -->", text)


def _said(text: str) -> list[tuple[str, list[str]]]:
    """Each command and its options, whichever version of Click laid them out."""
    commands = re.findall(r"^#+ (cnnart.*)\n\n```text\n((?:.*\n)*?)```", text, re.MULTILINE)
    option = re.compile(r"^  -.*?(?=  |$)", re.MULTILINE)
    flag = re.compile(r"(?<![\w-])--?[a-z][a-z-]*")
    return [(name, flag.findall(" ".join(option.findall(told)))) for name, told in commands]


def main() -> int:
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--check", action="store_true", help="write nothing; exit 1 if it is stale")
    args = parser.parse_args()
    if not args.check:
        PAGE.write_text(page(), encoding="utf-8", newline="\n")
    elif not PAGE.is_file() or not is_current(PAGE.read_text(encoding="utf-8")):
        print("docs/cli.md is stale: python tools/make_cli_reference.py", file=sys.stderr)
        return 1
    return 0


if __name__ == "__main__":
    sys.exit(main())
