"""Peak memory of full runs beside the one predicted.

    python -m benchmarks.memory [--sizes 512 1024 2048] [--max-memory 2GB 1500MB] [--limited 1024]

Each run is a ``cnnart stylize`` in a process of its own. It says before it begins what it will take
at the most; its maximum resident set is what it took: Python, torch, network, pictures and all.
Sizes are long sides. With ``--max-memory`` one size, ``--limited``, also runs under each limit.
"""

from __future__ import annotations

import argparse
import json
import tempfile
from collections.abc import Sequence
from pathlib import Path
from typing import Any, NamedTuple

import click

from benchmarks.plot import Panel, draw_charts
from benchmarks.process import Finished, run_measured
from benchmarks.table import GIB, gibibytes, machine, machine_line, markdown_table, write_report
from cnnart.cli.types import MEMORY

MEASURED, PREDICTED = "measured", "predicted"
HEADER = ["size", "limit", "tiles", PREDICTED, MEASURED, f"{MEASURED} / {PREDICTED}"]


class Run(NamedTuple):
    """One ``cnnart stylize``. ``start`` is its first event, empty if it never began.

    ``limit``: bytes, None for what it takes by itself.
    """

    long_side: int
    limit: int | None
    finished: Finished
    start: dict[str, Any]

    @property
    def predicted(self) -> int | None:
        return self.start.get("memory")

    def row(self) -> list[str]:
        done = self.predicted and self.finished.code == 0
        return [
            " x ".join(str(side) for side in self.start.get("size", [self.long_side])),
            gibibytes(self.limit) if self.limit else "none",
            (str(self.start["tile"]) if self.start["tile"] else "none") if self.start else "",
            gibibytes(self.predicted) if self.predicted else "",
            self.finished.peak_told(),
            f"{self.finished.peak / self.predicted:.2f}" if done and self.predicted else "",
        ]

    def facts(self) -> dict[str, Any]:
        return {
            "long_side": self.long_side,
            "limit_bytes": self.limit,
            "tile": self.start.get("tile"),
            "predicted_bytes": self.predicted,
            "peak_bytes": self.finished.peak,
            "code": self.finished.code,
            "seconds": round(self.finished.seconds, 1),
        }


def main() -> None:
    args = parse_arguments()
    runs: list[Run] = []
    wanted = [(size, None) for size in args.sizes]
    wanted += [(args.limited, limit) for limit in args.max_memory]
    for size, limit in wanted:
        runs.append(full_run(size, limit, args.style, args.stylize_options))
        cells = [
            f"{name} {cell}" for name, cell in zip(HEADER, runs[-1].row(), strict=True) if cell
        ]
        print(f"{', '.join(cells)} ({runs[-1].finished.seconds:.0f} s)", flush=True)
        report(args, runs, quiet=True)
    report(args, runs)


def full_run(long_side: int, limit: int | None, style: str, options: Sequence[str]) -> Run:
    """``cnnart stylize`` as the command line runs it."""
    with tempfile.TemporaryDirectory() as folder:
        command = ["-m", "cnnart", "stylize", str(Path("examples", "raccoon.jpg")), "--json"]
        command += ["--style", style, "--size", str(long_side)]
        command += ["--max-memory", f"{limit}b"] if limit else []
        command += [*options, "--output", str(Path(folder, "result.png"))]
        finished = run_measured(command)
    return Run(long_side, limit, finished, start_event(finished.output))


def start_event(output: str) -> dict[str, Any]:
    for line in output.splitlines():
        event: dict[str, Any] = json.loads(line)
        if event["event"] == "start":
            return event
    return {}


def report(args: argparse.Namespace, runs: Sequence[Run], *, quiet: bool = False) -> None:
    text = f"Peak memory of full runs, {args.style}; {machine_line()}"
    text += f"; with {' '.join(args.stylize_options)}" if args.stylize_options else ""
    text += f".\n\n{markdown_table(HEADER, [run.row() for run in runs])}"
    data = {"machine": machine(), "style": args.style, "options": args.stylize_options}
    write_report(
        args.output, "memory", text, data | {"runs": [run.facts() for run in runs]}, quiet=quiet
    )
    free = [(run.long_side, run) for run in runs if run.limit is None]
    limited = [(run.limit / GIB, run) for run in runs if run.limit]
    panels = []
    if free:
        ticks = sorted({size for size, _ in free})
        panels.append(chart("peak memory, GiB", "long side, pixels", free, ticks))
    if limited:
        title = f"peak memory at {args.limited} px, GiB"
        ticks = sorted({round(limit, 2) for limit, run in limited if run.start})
        panels.append(chart(title, "limit, GiB", limited, ticks))
    if panels:
        draw_charts(panels, args.output / "memory.png", quiet=quiet)


def chart(
    title: str, label: str, runs: Sequence[tuple[float, Run]], ticks: Sequence[float]
) -> Panel:
    done = sorted((x, run.predicted, run.finished) for x, run in runs if run.predicted)
    series: dict[str, Sequence[tuple[float, float]]] = {
        PREDICTED: [(x, predicted / GIB) for x, predicted, _ in done],
        MEASURED: [(x, finished.peak / GIB) for x, _, finished in done if finished.code == 0],
    }
    return Panel(title, label, series, True, False, ticks)


def amount(text: str) -> int:
    """``2GB`` -> bytes, as ``cnnart stylize --max-memory`` reads it."""
    try:
        return int(MEMORY.convert(text, None, None))
    except click.BadParameter as error:
        raise argparse.ArgumentTypeError(error.message) from error


def parse_arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(
        description=(__doc__ or "").splitlines()[0],
        epilog="What follows -- is handed to `cnnart stylize`.",
    )
    parser.add_argument("--sizes", type=int, nargs="*", default=[512, 1024, 2048])
    parser.add_argument("--max-memory", type=amount, nargs="*", default=[], metavar="LIMIT")
    parser.add_argument("--limited", type=int, default=1024, help="the size to run under limits")
    parser.add_argument("--style", default="night-swirls")
    parser.add_argument("--output", type=Path, default=Path("out", "benchmarks"))
    parser.add_argument("stylize_options", nargs="*", metavar="OPTION")
    return parser.parse_args()


if __name__ == "__main__":
    main()
