"""Peak memory of one evaluation, tiled and untiled, and of full runs.

    python -m benchmarks.memory [--tiled 1024 2048 4096 8192] [--untiled 1024 2048] [--runs 1024]

Peak memory is the maximum resident set of a process that does only that: Python, torch, the
network, the pictures and all. Untiled evaluations of large pictures need what the machine may not
have; a process that the system ended is reported as such. Pictures are 4:3; sizes are long sides.
"""

from __future__ import annotations

import argparse
import tempfile
from pathlib import Path
from typing import Any

from benchmarks.plot import Panel, draw_charts
from benchmarks.process import Finished, evaluate, run_measured
from benchmarks.table import machine, machine_line, markdown_table, write_report

GIB = 2**30
TILED, UNTILED, RUN = "one evaluation, tiled", "one evaluation, untiled", "full run"


def main() -> None:
    args = parse_arguments()
    found: dict[str, dict[int, Finished]] = {TILED: {}, UNTILED: {}, RUN: {}}
    for long_side in args.tiled:
        found[TILED][long_side] = measured(TILED, long_side, evaluate(long_side, args.tile)[0])
    for long_side in args.untiled:
        found[UNTILED][long_side] = measured(UNTILED, long_side, evaluate(long_side, 0)[0])
    for long_side in args.runs:
        finished = full_run(long_side, args.style, args.stylize_options)
        found[RUN][long_side] = measured(RUN, long_side, finished)
    report(args, found)


def full_run(long_side: int, style: str, options: list[str]) -> Finished:
    """``cnnart stylize`` as the command line runs it."""
    with tempfile.TemporaryDirectory() as folder:
        command = ["-m", "cnnart", "stylize", str(Path("examples", "raccoon.jpg"))]
        command += ["--style", style, "--size", str(long_side)]
        return run_measured([*command, *options, "--output", str(Path(folder, "result.png"))])


def measured(kind: str, long_side: int, finished: Finished) -> Finished:
    print(f"{kind}, {long_side} px: {cell(finished)}, {finished.seconds:.0f} s", flush=True)
    return finished


def cell(finished: Finished | None) -> str:
    if finished is None:
        return ""
    peak = f"{finished.peak / GIB:.2f} GiB"
    return peak if finished.code == 0 else f"did not finish (code {finished.code}, {peak} reached)"


def facts(finished: Finished) -> dict[str, Any]:
    return {
        "code": finished.code,
        "peak_bytes": finished.peak,
        "seconds": round(finished.seconds, 1),
    }


def report(args: argparse.Namespace, found: dict[str, dict[int, Finished]]) -> None:
    sizes = sorted({size for group in found.values() for size in group})
    kinds = [kind for kind in found if found[kind]]
    rows = [
        [f"{size} x {size * 3 // 4}", *(cell(found[kind].get(size)) for kind in kinds)]
        for size in sizes
    ]
    text = f"Peak memory of the process; {machine_line()}; tiles of {args.tile} pixels"
    text += f"; full runs with {' '.join(args.stylize_options)}" if args.stylize_options else ""
    data: dict[str, Any] = {"machine": machine(), "tile": args.tile}
    data["options"] = args.stylize_options
    for kind in kinds:
        data[kind] = {size: facts(f) for size, f in found[kind].items()}
    write_report(args.output, "memory", f"{text}.\n\n{markdown_table(['', *kinds], rows)}", data)
    series = {
        kind: [(size, f.peak / GIB) for size, f in found[kind].items() if f.code == 0]
        for kind in kinds
    }
    panel = Panel("peak memory, GiB", "long side, pixels", series, True, True, sizes)
    draw_charts([panel], args.output / "memory.png")


def parse_arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(
        description=(__doc__ or "").splitlines()[0],
        epilog="What follows -- is handed to `cnnart stylize` in full runs.",
    )
    parser.add_argument("--tiled", type=int, nargs="*", default=[1024, 2048, 4096, 8192])
    parser.add_argument("--untiled", type=int, nargs="*", default=[1024, 2048])
    parser.add_argument("--runs", type=int, nargs="*", default=[1024, 2048])
    parser.add_argument("--tile", type=int, default=512)
    parser.add_argument("--style", default="night-swirls", help="of full runs")
    parser.add_argument("--output", type=Path, default=Path("out", "benchmarks"))
    parser.add_argument("stylize_options", nargs="*", metavar="OPTION")
    return parser.parse_args()


if __name__ == "__main__":
    main()
