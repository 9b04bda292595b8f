"""Write docs/cli.md and the man page: the help of every command, as the commands print it.

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
from collections.abc import Callable, Iterator
from importlib.metadata import version
from pathlib import Path

import click

from cnnart.cli import cli

ROOT = Path(__file__).resolve().parent.parent
PAGE = ROOT / "docs" / "cli.md"
MAN_PAGE = ROOT / "docs" / "cnnart.1"
WIDTH = 100  # columns of the help, whatever the terminal's
MAN_WIDTH = 72  # the same in the man page, whose lines are indented
WRITERS = ("click", "cloup")  # the packages that lay it out
INTRODUCTION = """# Command line

What `cnnart COMMAND -h` prints, for every command. This page is written by
`python tools/make_cli_reference.py`.
"""


MAN_HEAD = r""".TH CNNART 1 "" "cnnart" "User Commands"
.SH NAME
cnnart \- neural image stylization: any size, offline, on the hardware you have
.SH SYNOPSIS
.B cnnart
.I COMMAND
.RI [ OPTIONS ]
.RI [ PICTURES ]
.SH EXIT STATUS
0 done, 1 could not, 2 wrong usage, 3 some of a batch failed, 130 stopped.
.SH COMMANDS
"""


def page() -> str:
    """``docs/cli.md``."""
    sections = helps(section, WIDTH)
    writers = ", ".join(f"{name} {version(name)}" for name in WRITERS)
    return "\n".join([INTRODUCTION, f"<!-- {writers} -->\n", *sections])


def man_page() -> str:
    """``docs/cnnart.1``."""
    writers = ", ".join(f"{name} {version(name)}" for name in WRITERS)
    return f'.\\" {writers}\n{MAN_HEAD}{"".join(helps(man_section, MAN_WIDTH))}'


def man_section(context: click.Context) -> str:
    """A command's help as roff, line by line as it is."""
    lines = [line.rstrip().replace("\\", "\\e") for line in context.get_help().splitlines()]
    told = [f"\\&{line}" if line.startswith((".", "'")) else line for line in lines]
    told = [line.replace("-", "\\-") for line in told]
    return "\n".join([f".SS {context.command_path}".replace("-", "\\-"), ".nf", *told, ".fi", ""])


def helps(written: Callable[[click.Context], str], width: int) -> list[str]:
    """Every command's help as ``written`` writes it."""
    # The environment must not show: a default may come from it.
    kept = {name: os.environ.pop(name) for name in list(os.environ) if name.startswith("CNNART_")}
    try:
        return [written(context) for context in contexts(cli, "cnnart", width=width)]
    finally:
        os.environ.update(kept)


def contexts(
    command: click.Command, name: str, parent: click.Context | None = None, width: int = WIDTH
) -> Iterator[click.Context]:
    """A command and all below it, in the order of its help."""
    settings = {**command.context_settings, "terminal_width": width, "max_content_width": width}
    context = command.context_class(command, info_name=name, parent=parent, color=False, **settings)
    yield context
    if isinstance(command, click.Group):
        for child in command.list_commands(context):
            found = command.get_command(context, child)
            assert found is not None
            yield from contexts(found, child, context, width)


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


def is_current_man_page(found: str) -> bool:
    """The same for the man page."""
    wanted = man_page()
    if found == wanted:
        return True
    flags = [re.findall(r"^\.SS .*|(?<=\\-)[a-z][a-z\\-]*", text, re.M) for text in (found, wanted)]
    return found.splitlines()[0] != wanted.splitlines()[0] and set(flags[0]) == set(flags[1])


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
        MAN_PAGE.write_text(man_page(), encoding="utf-8", newline="\n")
        return 0
    pages = ((PAGE, is_current), (MAN_PAGE, is_current_man_page))
    stale = [
        path.name
        for path, holds in pages
        if not path.is_file() or not holds(path.read_text(encoding="utf-8"))
    ]
    for name in stale:
        print(f"docs/{name} is stale: python tools/make_cli_reference.py", file=sys.stderr)
    return int(bool(stale))


if __name__ == "__main__":
    sys.exit(main())
