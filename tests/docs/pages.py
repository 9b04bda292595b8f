"""What stands in the documentation: its pages, fences, command lines, links."""

from __future__ import annotations

import re
import shlex
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import click

from cnnart.cli import cli

ROOT = Path(__file__).resolve().parents[2]
GENERATED = ROOT / "docs" / "cli.md"
ERRORS = ROOT / "docs" / "errors.md"  # sentences of the code, with placeholders in them
PAGES = [
    *sorted(path for path in ROOT.glob("*.md")),
    *sorted(path for path in (ROOT / "docs").glob("*.md") if path not in (GENERATED, ERRORS)),
    ROOT / "benchmarks" / "README.md",
]
FENCE = re.compile(r"^ *```(\w*)\n(.*?)^ *```$", re.DOTALL | re.MULTILINE)
SPAN = re.compile(r"(?<!`)`([^`\n]+)`(?!`)")
OPERATORS = {"|", "||", "&", "&&", ";"}
RUNNERS = {"uvx", "uv", "pipx", "env", "time"}  # cnnart may come after these and their arguments


@dataclass(frozen=True)
class Line:
    """A command line. ``complete``: it is to run as it stands, not only a mention in the text."""

    where: str
    text: str
    complete: bool = True


def name_of(path: Path) -> str:
    return path.relative_to(ROOT).as_posix()


def fences(path: Path) -> Iterator[tuple[int, str, str]]:
    """Each fence's first line's number, its language and its content."""
    text = path.read_text(encoding="utf-8")
    for found in FENCE.finditer(text):
        yield text.count("\n", 0, found.start()) + 2, found[1], found[2]


def without_fences(path: Path) -> str:
    """A page's text, its fences blank, line by line where it was."""
    text = path.read_text(encoding="utf-8")
    return FENCE.sub(lambda found: "\n" * found[0].count("\n"), text)


def page_lines(path: Path) -> Iterator[Line]:
    """The command lines in a page's ``sh`` fences, and those it mentions in backquotes."""
    for start, language, code in fences(path):
        if language != "sh":
            continue
        number = start
        for text in code.replace("\\\n", "\0").splitlines():
            yield Line(f"{name_of(path)}:{number}", text.replace("\0", " "))
            number += 1 + text.count("\0")
    for number, text in enumerate(without_fences(path).splitlines(), start=1):
        for span in SPAN.findall(text):
            yield Line(f"{name_of(path)}:{number}", span, complete=False)


def commands(
    command: click.Command = cli, path: tuple[str, ...] = ("cnnart",)
) -> Iterator[tuple[str, click.Command]]:
    """Every command with its name, groups first."""
    yield " ".join(path), command
    if isinstance(command, click.Group):
        context = click.Context(command)
        for name in command.list_commands(context):
            found = command.get_command(context, name)
            assert found is not None
            yield from commands(found, (*path, name))


def help_lines() -> Iterator[Line]:
    """The command lines in the help of every command."""
    for name, command in commands():
        text = command.help or ""
        for paragraph in re.split(r"\n\s*\n", text):
            # Click keeps the lines after \b; other paragraphs name a command after a colon.
            if "\b" in paragraph:
                found = re.findall(r"(?:^|  )(cnnart .*)$", paragraph, re.MULTILINE)
            else:
                found = re.findall(r": (cnnart [^,`]+)", " ".join(paragraph.split()))
            yield from (Line(f"{name} --help", line) for line in found)
        helps = [getattr(param, "help", None) or "" for param in command.params]
        for span in SPAN.findall(" ".join([" ".join(text.split()), *helps, command.epilog or ""])):
            yield Line(f"{name} --help", span, complete=False)


def cnnart_arguments(text: str) -> list[list[str]]:
    """What follows each ``cnnart`` that a shell line runs: none, one, or several in a pipe."""
    lexer = shlex.shlex(text.removeprefix("$ "), posix=True, punctuation_chars="|&;<>")
    lexer.whitespace_split = True
    found, words = [], list(lexer)
    while words:
        end = next((i for i, word in enumerate(words) if word in OPERATORS), len(words))
        arguments = _after_cnnart(_without_redirections(words[:end]))
        if arguments is not None:
            found.append(arguments)
        words = words[end + 1 :]
    return found


def _without_redirections(words: list[str]) -> list[str]:
    kept: list[str] = []
    words = iter(words)  # type: ignore[assignment]
    for word in words:
        if set(word) <= set("<>&") and word:
            next(words, None)  # type: ignore[call-overload]
        else:
            kept.append(word)
    return kept


def _after_cnnart(words: list[str]) -> list[str] | None:
    while words and re.match(r"[A-Za-z_]+=", words[0]):
        words = words[1:]
    if not words:
        return None
    if words[0] in ("torchrun", "python", "python3"):
        return words[words.index("-m") + 2 :] if "-m cnnart" in " ".join(words) else None
    if words[0] in RUNNERS and "cnnart" in words:
        words = words[words.index("cnnart") :]
    return words[1:] if Path(words[0]).name == "cnnart" else None
