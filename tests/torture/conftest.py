"""How much is tried: a little in the whole suite, all of it by ``make torture``.

TORTURE=1 means all, TORTURE=0.05 a twentieth. What was tried is counted, told at the end and
written to out/torture.json.
"""

from __future__ import annotations

import json
import os
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from tests.torture.workshop import Workshop

SHARE = float(os.environ.get("TORTURE") or 0)
ROOT = Path(__file__).parents[2]
counts: dict[str, int] = {}


@pytest.fixture(scope="session")
def amount() -> Callable[[int, int], int]:
    """``amount(few, all)``: how many to try."""
    return lambda few, all_: max(few, round(SHARE * all_)) if SHARE else few


@pytest.fixture(scope="session")
def count() -> Callable[[str, int], None]:
    """``count(what, n)``: n more of them were tried, and held."""

    def add(what: str, n: int = 1) -> None:
        counts[what] = counts.get(what, 0) + n

    return add


@pytest.fixture(scope="session")
def workshop() -> Iterator[Workshop]:
    """Runs of cnnart in processes of their own, which begin with torch imported."""
    with Workshop() as shop:
        yield shop


def pytest_terminal_summary(terminalreporter: pytest.TerminalReporter) -> None:
    if not (SHARE and counts):
        return
    failed = len(terminalreporter.stats.get("failed", []))
    terminalreporter.section("torture")
    for what, n in counts.items():
        terminalreporter.write_line(f"{n:7,} {what}")
    terminalreporter.write_line(f"{failed:7,} tests failed")
    target = ROOT / "out" / "torture.json"
    target.parent.mkdir(exist_ok=True)
    target.write_text(json.dumps({**counts, "tests failed": failed}, indent=1) + "\n")
