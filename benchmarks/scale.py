"""Seconds per megapixel and peak memory of one evaluation, tiled and untiled, over sizes.

    python -m benchmarks.scale [--tiled 2048 4096 8192] [--untiled 512 1024 2048] [--tile 768]
                               [--precision fp32]

Each size runs once, in a process of its own that gives both: it is timed inside, without loading
the network and preparing the targets; its maximum resident set is the peak. Sizes are long sides of
4:3 pictures. One no larger than a tile is a single tile, which is the same as untiled. Untiled, a
large picture may need more than the machine has; if the system ends the process, the table says so.
"""

from __future__ import annotations

import argparse
from pathlib import Path
from typing import Any, NamedTuple

from benchmarks.plot import Panel, draw_charts
from benchmarks.process import Finished, evaluate
from benchmarks.table import GIB, machine, machine_line, markdown_table, write_report

UNTILED, TILED = "untiled", "tiled"
FIRST = "*"  # marks the time of a first evaluation


class Measured(NamedTuple):
    """``result`` is what ``benchmarks.evaluation`` printed, None if it did not finish."""

    finished: Finished
    result: dict[str, Any] | None

    @property
    def per_megapixel(self) -> float | None:
        if self.result is None:
            return None
        seconds = self.result["seconds"]
        best = min(seconds[1:] or seconds)  # the first evaluation also pays for warming up
        return float(best / (self.result["height"] * self.result["width"] / 1e6))

    def time_told(self) -> str:
        if self.result is None or self.per_megapixel is None:
            return ""
        return f"{self.per_megapixel:.2f}{FIRST if len(self.result['seconds']) == 1 else ''}"

    def facts(self) -> dict[str, Any]:
        found = {"code": self.finished.code, "peak_bytes": self.finished.peak}
        return found | (self.result or {}) | {"per_megapixel": self.per_megapixel}


Found = dict[str, dict[int, Measured]]


def main() -> None:
    args = parse_arguments()
    found: Found = {UNTILED: {}, TILED: {}}
    for size in sorted({*args.untiled, *args.tiled}):
        for kind, sizes, tile in ((UNTILED, args.untiled, 0), (TILED, args.tiled, args.tile)):
            if size in sizes:
                now = found[kind][size] = Measured(
                    *evaluate(size, tile, repeats(size), args.precision)
                )
                time = f"{now.time_told()} s/MP, " if now.result else ""
                print(f"{size} px, {kind}: {time}{now.finished.peak_told()}", flush=True)
        report(args, found, quiet=True)
    report(args, found)


def repeats(long_side: int) -> int:
    """Evaluations in one process. From 4096 on there is time for one only."""
    if long_side <= 1024:
        return 3
    return 2 if long_side < 4096 else 1


def report(args: argparse.Namespace, found: Found, *, quiet: bool = False) -> None:
    sizes = sorted({size for group in found.values() for size in group})
    rows = [table_row(size, found[UNTILED].get(size), found[TILED].get(size)) for size in sizes]
    header = ["size", "untiled s/MP", "tiled s/MP", "tiled / untiled", "untiled peak", "tiled peak"]
    results = [m.result for group in found.values() for m in group.values() if m.result]
    text = "One evaluation (losses and gradient): seconds per megapixel and the peak memory of its"
    text += f" process; {machine_line()}, "
    if results:
        text += f"{results[0]['threads']} threads, {results[0]['precision']}, "
    text += f"tiles of {args.tile} pixels.\n\n{markdown_table(header, rows)}"
    if any(len(result["seconds"]) == 1 for result in results):
        text += f"\n\\{FIRST} The first evaluation in its process, warming up included;"
        text += " the others are the best after the first.\n"
    data: dict[str, Any] = {"machine": machine(), "tile": args.tile}
    for kind, group in found.items():
        data[kind] = {size: measured.facts() for size, measured in group.items()}
    write_report(args.output, "scale", text, data, quiet=quiet)
    times, peaks = {}, {}
    for kind, group in found.items():
        done = {size: measured for size, measured in group.items() if measured.result}
        times[kind] = [(size, m.per_megapixel or 0.0) for size, m in done.items()]
        peaks[kind] = [(size, m.finished.peak / GIB) for size, m in done.items()]
    panels = [
        Panel("seconds per megapixel", "long side, pixels", times, True, False, sizes),
        Panel("peak memory, GiB", "long side, pixels", peaks, True, False, sizes),
    ]
    draw_charts(panels, args.output / "scale.png", quiet=quiet)


def table_row(size: int, untiled: Measured | None, tiled: Measured | None) -> list[str]:
    ratio = ""
    if untiled and tiled and untiled.per_megapixel and tiled.per_megapixel:
        ratio = f"{tiled.per_megapixel / untiled.per_megapixel:.2f}"
    times = [measured.time_told() if measured else "" for measured in (untiled, tiled)]
    peaks = [measured.finished.peak_told() if measured else "" for measured in (untiled, tiled)]
    return [f"{size} x {size * 3 // 4}", *times, ratio, *peaks]


def parse_arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--tiled", type=int, nargs="*", default=[2048, 4096, 8192])
    parser.add_argument("--untiled", type=int, nargs="*", default=[512, 1024, 2048])
    parser.add_argument("--tile", type=int, default=768)
    parser.add_argument("--precision", default="auto")
    parser.add_argument("--output", type=Path, default=Path("out", "benchmarks"))
    return parser.parse_args()


if __name__ == "__main__":
    main()
