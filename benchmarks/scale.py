"""Time per megapixel of one evaluation, tiled and untiled, over sizes.

    python -m benchmarks.scale [--tiled 512 1024 2048 4096 8192] [--untiled 512 1024 2048]

Each size runs in a process of its own and is timed inside it, without loading the network and
preparing the targets. Small pictures are timed as the best of three evaluations after the first,
pictures above ten megapixels once. Pictures are 4:3; sizes are long sides.
"""

from __future__ import annotations

import argparse
from pathlib import Path
from typing import Any

from benchmarks.plot import Panel, draw_charts
from benchmarks.process import evaluate
from benchmarks.table import machine, machine_line, markdown_table, write_report

LARGE = 4096  # long side from which on an evaluation is long enough to be timed once
TILED, UNTILED = "tiled", "untiled"
Found = dict[str, dict[int, dict[str, Any]]]


def main() -> None:
    args = parse_arguments()
    found: Found = {UNTILED: {}, TILED: {}}
    for kind, sizes, tile in ((UNTILED, args.untiled, 0), (TILED, args.tiled, args.tile)):
        for long_side in sizes:
            finished, result = evaluate(long_side, tile, 1 if long_side >= LARGE else 4)
            if result is None:
                print(f"{kind}, {long_side} px: did not finish (code {finished.code})")
                continue
            result["per_megapixel"] = per_megapixel(result)
            found[kind][long_side] = result
            print(f"{kind}, {long_side} px: {result['per_megapixel']:.2f} s per megapixel")
    report(args, found)


def per_megapixel(result: dict[str, Any]) -> float:
    seconds = result["seconds"]
    best = min(seconds[1:] or seconds)  # the first evaluation also pays for warming up
    return best / (result["height"] * result["width"] / 1e6)


def report(args: argparse.Namespace, found: Found) -> None:
    rows = []
    sizes = sorted({size for group in found.values() for size in group})
    for size in sizes:
        untiled, tiled = (
            found[kind].get(size, {}).get("per_megapixel") for kind in (UNTILED, TILED)
        )
        ratio = f"{tiled / untiled:.2f}" if tiled and untiled else ""
        rows.append([f"{size} x {size * 3 // 4}", number(untiled), number(tiled), ratio])
    some = next(result for group in found.values() for result in group.values())
    text = f"Seconds per megapixel of one evaluation (losses and gradient); {machine_line()}, "
    text += f"{some['threads']} threads, {some['precision']}; tiles of {args.tile} pixels.\n\n"
    text += markdown_table(["", UNTILED, TILED, "tiled / untiled"], rows)
    write_report(args.output, "scale", text, {"machine": machine(), "tile": args.tile, **found})
    series = {
        kind: [(size, result["per_megapixel"]) for size, result in group.items()]
        for kind, group in found.items()
    }
    panel = Panel("seconds per megapixel", "long side, pixels", series, True, False, sizes)
    draw_charts([panel], args.output / "scale.png")


def number(value: float | None) -> str:
    return "" if value is None else f"{value:.2f}"


def parse_arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--tiled", type=int, nargs="*", default=[512, 1024, 2048, 4096, 8192])
    parser.add_argument("--untiled", type=int, nargs="*", default=[512, 1024, 2048])
    parser.add_argument("--tile", type=int, default=512)
    parser.add_argument("--output", type=Path, default=Path("out", "benchmarks"))
    return parser.parse_args()


if __name__ == "__main__":
    main()
