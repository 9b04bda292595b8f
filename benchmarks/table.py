"""What the benchmarks write: Markdown tables, JSON, and which machine it was."""

from __future__ import annotations

import json
import os
import platform
from collections.abc import Sequence
from pathlib import Path
from typing import Any

GIB = 2**30


def markdown_table(header: Sequence[str], rows: Sequence[Sequence[object]]) -> str:
    """A Markdown table; numbers are given as the caller formats them."""
    lines = [list(header), ["---"] * len(header), *([str(cell) for cell in row] for row in rows)]
    return "\n".join("| " + " | ".join(line) + " |" for line in lines) + "\n"


def gibibytes(count: float) -> str:
    return f"{count / GIB:.2f} GiB"


def machine() -> dict[str, Any]:
    """The machine as far as timings depend on it; torch is left out for scripts without it."""
    return {
        "cpu": cpu_name(),
        "cores": len(os.sched_getaffinity(0))
        if hasattr(os, "sched_getaffinity")
        else os.cpu_count(),
        "system": f"{platform.system()} {platform.machine()}",
        "python": platform.python_version(),
    }


def cpu_name() -> str:
    info = Path("/proc/cpuinfo")
    if info.is_file():
        for line in info.read_text(encoding="utf-8", errors="replace").splitlines():
            if line.startswith("model name"):
                return line.partition(":")[2].strip()
    return platform.processor() or platform.machine()


def machine_line() -> str:
    """The machine in one sentence, for the head of a table."""
    found = machine()
    return f"{found['cpu']}, {found['cores']} cores, {found['system']}, Python {found['python']}"


def write_report(folder: Path, name: str, markdown: str, data: Any, *, quiet: bool = False) -> None:
    """``NAME.md`` and ``NAME.json`` in ``folder``, which is made if need be; printed too."""
    folder.mkdir(parents=True, exist_ok=True)
    (folder / f"{name}.md").write_text(markdown, encoding="utf-8")
    (folder / f"{name}.json").write_text(json.dumps(data, indent=2) + "\n", encoding="utf-8")
    if not quiet:
        print(f"\n{markdown}\nwritten: {folder / name}.md, .json")
