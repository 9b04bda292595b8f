"""Write docs/errors.md: every sentence with which cnnart refuses or gives up, from its source.

    python tools/make_error_table.py            write it
    python tools/make_error_table.py --check    exit 1 if it is not what the source says

A sentence is what an error of cnnart's (``cnnart/errors.py``, and what derives from it) is made
with, or what an option's type says (``self.fail``). It counts as tested where a test has some words
in a row that are in no other sentence.
"""

from __future__ import annotations

import argparse
import ast
import re
import sys
from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass
from functools import cache
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent
PAGE = ROOT / "docs" / "errors.md"
WORDS, LETTERS = 2, 11  # in a row, at least, by which a test is known to be about a sentence
FILLED_IN = "FILLED-IN"
INTRODUCTION = """# Errors

What cnnart says when it cannot do something, from its source: `{...}` stands for what the case at
hand fills in, and a setting in backquotes is told as its flag on the command line. What the system
reports (no space, no permission, a link that leads back to itself) is told in the same form, with
the file's name. This page is written by `python tools/make_error_table.py`.
"""
CODES = {
    1: "Exit code 1: it could not be done",
    2: "Exit code 2: the request makes no sense",
}


@dataclass(frozen=True)
class Sentence:
    """One sentence, and where it comes from. ``module``: below ``cnnart/``; ``test``: a file, or
    empty.
    """

    text: str
    kind: str
    code: int
    module: str
    test: str = ""


def page() -> str:
    """``docs/errors.md``."""
    found = table()
    parts = [INTRODUCTION]
    for code, title in CODES.items():
        rows = [each for each in found if each.code == code]
        parts.append(f"## {title}\n\n| sentence | error | where | test |\n|---|---|---|---|")
        parts[-1] += "".join(
            f"\n| {_cell(s.text)} | {s.kind} | {s.module} | {s.test} |" for s in rows
        )
        parts[-1] += "\n"
    return "\n".join(parts)


def untested() -> list[Sentence]:
    """The sentences that no test has."""
    return [each for each in table() if not each.test]


@cache
def table() -> list[Sentence]:
    """All sentences with their tests."""
    return tested(sentences())


def sentences() -> list[Sentence]:
    """All of them, in the order of modules and lines; each once for a module."""
    trees = {path: ast.parse(path.read_text(encoding="utf-8")) for path in sorted(modules())}
    codes = exit_codes(trees.values())
    found: dict[tuple[str, str], Sentence] = {}
    for path, tree in trees.items():
        module = path.relative_to(ROOT / "cnnart").as_posix()
        functions = {f.name: f for f in ast.walk(tree) if isinstance(f, ast.FunctionDef)}
        for call in (node for node in ast.walk(tree) if isinstance(node, ast.Call)):
            kind = name_of(call.func)
            if kind == "fail" and module.startswith("cli/"):
                kind, code = "UsageError", 2
            elif kind in codes:
                code = codes[kind]
            else:
                continue
            for text in texts(call.args[0], functions) if call.args else ():
                found.setdefault((module, text), Sentence(text, kind, code, module))
    return list(found.values())


def modules() -> Iterator[Path]:
    return (ROOT / "cnnart").rglob("*.py")


def exit_codes(trees: object) -> dict[str, int]:
    """The exit code of each error class."""
    classes = [c for tree in trees for c in ast.walk(tree) if isinstance(c, ast.ClassDef)]  # type: ignore[attr-defined]
    codes: dict[str, int] = {}
    while True:
        before = len(codes)
        for each in classes:
            own = [
                line.value.value
                for line in each.body
                if isinstance(line, ast.Assign)
                and name_of(line.targets[0]) == "exit_code"
                and isinstance(line.value, ast.Constant)
            ]
            bases = [codes[name] for base in each.bases if (name := name_of(base)) in codes]
            if each.name == "CnnartError" or bases:
                codes.setdefault(each.name, int((own or bases)[0]))
        if len(codes) == before:
            return codes


def name_of(node: ast.expr) -> str:
    """``UsageError`` of ``errors.UsageError``."""
    return node.attr if isinstance(node, ast.Attribute) else getattr(node, "id", "")


def texts(node: ast.expr, functions: dict[str, ast.FunctionDef]) -> list[str]:
    """The sentences an expression can be; those that a function of the same module returns."""
    if isinstance(node, ast.Call) and name_of(node.func) in functions:
        returns = [r for r in ast.walk(functions[name_of(node.func)]) if isinstance(r, ast.Return)]
        return [text for r in returns if r.value for text in texts(r.value, {})]
    if isinstance(node, ast.IfExp):
        return [*texts(node.body, functions), *texts(node.orelse, functions)]
    text = rendered(node)
    return [text] if len(re.findall(r"[a-z]{2,}", re.sub(r"\{\w*\}", "", text))) >= 2 else []


def rendered(node: ast.expr) -> str:
    """Text with ``{name}`` for what is filled in."""
    if isinstance(node, ast.Constant) and isinstance(node.value, str):
        return node.value
    if isinstance(node, ast.JoinedStr):
        return "".join(rendered(part) for part in node.values)
    if isinstance(node, ast.BinOp):
        return rendered(node.left) + rendered(node.right)
    if isinstance(node, ast.FormattedValue):
        return rendered(node.value) if isinstance(node.value, ast.Constant) else _hole(node.value)
    return _hole(node)


def _hole(node: ast.expr) -> str:
    name = name_of(node) or name_of(getattr(node, "func", node))
    return f"{{{name.strip('_') or '...'}}}"


def tested(found: list[Sentence]) -> list[Sentence]:
    """The same, with the first test file that has words in a row of a sentence's own."""
    files = {
        path.relative_to(ROOT).as_posix(): _plain(path.read_text(encoding="utf-8"))
        for path in sorted((ROOT / "tests").rglob("test_*.py"))
    }
    runs = [frozenset(_runs(each.text)) for each in found]
    counts = Counter(run for own in runs for run in own)
    result = []
    for each, own in zip(found, runs, strict=True):
        shared = runs.count(own)  # what several modules say in the same words
        mine = [run for run in own if counts[run] <= max(shared, 2)]
        test = next((name for name, text in files.items() if any(_has(text, r) for r in mine)), "")
        result.append(Sentence(each.text, each.kind, each.code, each.module, test))
    return result


def _runs(text: str) -> Iterator[str]:
    """The shortest runs of words, from each word on; ``*`` for what is filled in between."""
    words = _plain(re.sub(r"\{[\w.]*\}", f" {FILLED_IN} ", text)).split()
    for start, first in enumerate(words):
        if first == FILLED_IN:
            continue
        for end in range(start + 1, len(words) + 1):
            own = [word for word in words[start:end] if word != FILLED_IN]
            if len(" ".join(own)) >= LETTERS and (len(own) >= WORDS or end == len(words)):
                yield re.sub(rf"{FILLED_IN}( {FILLED_IN})*", "*", " ".join(words[start:end]))
                break


def _has(text: str, run: str) -> bool:
    """Whether a test has a run; a few words, or a pattern's ``.*``, stand for what is filled in."""
    parts = run.split(" * ")
    if len(parts) == 1 or not all(part in text for part in parts):
        return len(parts) == 1 and run in text
    return bool(re.search(r"(?: \S+){0,6}? ".join(map(re.escape, parts)), text))


def _plain(text: str) -> str:
    """Letters and single spaces: without what a pattern or a string of several lines adds."""
    text = re.sub(r'"\s*\n\s*[rf]?"', "", text)
    words = re.sub(r"[^\w'-]+", " ", text.replace("\\", "").replace("_", "-")).split()
    return " ".join(word.lstrip("-") or word for word in words)  # a flag, or a setting's name


def _cell(text: str) -> str:
    text = " ".join(text.split()).replace("|", "\\|").replace("<", "&lt;")
    return text.replace("*", "\\*")


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0] if __doc__ else None)
    parser.add_argument("--check", action="store_true", help="compare only")
    args = parser.parse_args()
    text = page()
    if args.check:
        return int(PAGE.read_text(encoding="utf-8") != text)
    PAGE.write_text(text, encoding="utf-8")
    left = untested()
    print(f"{PAGE.relative_to(ROOT)}: {len(sentences())} sentences, {len(left)} without a test")
    for each in left:
        print(f"  {each.module}: {each.text}")
    return 0


if __name__ == "__main__":
    sys.exit(main())
