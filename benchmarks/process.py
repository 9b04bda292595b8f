"""Running a command and measuring the most memory it held."""

from __future__ import annotations

import json
import os
import subprocess
import sys
import tempfile
import time
from collections.abc import Sequence
from pathlib import Path
from typing import Any, NamedTuple

from benchmarks.table import gibibytes

ROOT = Path(__file__).resolve().parent.parent


class Finished(NamedTuple):
    """``peak`` is the maximum resident set in bytes; ``code`` is negative after a signal."""

    code: int
    peak: int
    seconds: float
    output: str

    def peak_told(self) -> str:
        """The peak for a table; where the process did not finish, that, and how far it came."""
        peak = gibibytes(self.peak)
        return peak if self.code == 0 else f"did not finish (code {self.code}, {peak} reached)"


def run_measured(arguments: Sequence[str]) -> Finished:
    """Run ``python ARGUMENTS`` in the repository and wait for it.

    The caller must stay small itself (no torch): Linux counts what the parent held when it forked.
    """
    if not hasattr(os, "wait4"):
        raise SystemExit("This benchmark needs os.wait4: run it on Linux or macOS.")
    begun = time.perf_counter()
    with tempfile.TemporaryFile("w+", encoding="utf-8") as stdout:
        process = subprocess.Popen([sys.executable, *arguments], stdout=stdout, cwd=ROOT)
        _, status, usage = os.wait4(process.pid, 0)
        process.returncode = os.waitstatus_to_exitcode(status)
        stdout.seek(0)
        output = stdout.read()
    unit = 1 if sys.platform == "darwin" else 1024  # macOS counts bytes, Linux KiB
    seconds = time.perf_counter() - begun
    return Finished(process.returncode, usage.ru_maxrss * unit, seconds, output)


def evaluate(
    long_side: int, tile: int, repeats: int = 1, precision: str = "auto"
) -> tuple[Finished, dict[str, Any] | None]:
    """``benchmarks.evaluation`` in its own process; None for its result if it did not finish."""
    options = {"--long-side": long_side, "--tile": tile, "--repeats": repeats}
    flags = [str(part) for pair in options.items() for part in pair] + ["--precision", precision]
    finished = run_measured(["-m", "benchmarks.evaluation", *flags])
    return finished, json.loads(finished.output) if finished.code == 0 else None
