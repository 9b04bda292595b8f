"""The same look at every size: one photo painted fast at several sizes, judged at one.

    python -m benchmarks.sizes PHOTO... [--styles NAME...] [--sizes 512 1024 2048 4096] [--enlarged]

``fast-stylize`` paints each photo at each long side; each result is brought to ``JUDGED_AT`` pixels
and scored there (``judge.py``). ``spread`` is how far the style score of any size is from that of
the smallest, relative to it. Sizes above a photo's own are left out, and said: an enlarged photo
has no fine detail to paint. ``--enlarged`` measures them all the same.
"""

from __future__ import annotations

import argparse
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from benchmarks.judge import METRICS, Judge
from benchmarks.table import machine, machine_line, markdown_table, write_report
from cnnart.builtin_styles import find_style
from cnnart.commands.fast_stylize import network_runner, open_checkpoint, trained_styles
from cnnart.image.picture import fit_long_side, resize
from cnnart.image.read import read_image
from cnnart.image.write import write_image
from cnnart.methods.fast.config import FastConfig
from cnnart.methods.fast.stylize import FastStyle, FastStylization
from cnnart.runtime import Runtime

JUDGED_AT = 512  # long side
STYLES = ("night-swirls", "river-dots", "watercolour-garden", "stained-glass")
HEADER = ["photo", "painted in", "long side", *METRICS, "seconds", "spread"]


def main() -> None:
    args = parse_arguments()
    rows = [row for photo in args.photos for row in measured(photo, args)]
    if not rows:
        raise SystemExit("No size is left: give a larger photo, smaller --sizes or --enlarged.")
    cells = [[cell(row[key]) for key in HEADER] for row in rows]
    text = f"fast-stylize at several sizes, judged at {JUDGED_AT} px; {machine_line()}.\n\n"
    data = {"machine": machine(), "judged_at": JUDGED_AT, "pictures": rows}
    write_report(args.output, "sizes", text + markdown_table(HEADER, cells), data)


def measured(path: Path, args: argparse.Namespace) -> Iterator[dict[str, Any]]:
    """A row of the table for each style and size."""
    photo = read_image(path).rgb
    own = max(photo.shape[-2:])
    sizes = [size for size in sorted(args.sizes) if size <= own or args.enlarged]
    if len(sizes) < len(args.sizes):
        print(f"{path} has {own} px: no larger size is measured.", flush=True)
    small = fit_long_side(*photo.shape[-2:], JUDGED_AT)
    for name in args.styles:
        judge = Judge(photo, read_image(find_style(name).path).rgb, small)
        first: float | None = None
        for size in sizes:
            begun = time.perf_counter()
            picture = painted(photo, name, size, args)
            seconds = time.perf_counter() - begun
            write_image(args.output / f"sizes-{path.stem}-{name}-{size}.png", picture)
            scores = judge(resize(picture, *small))
            first = first or scores["style"]
            facts = {"photo": path.stem, "painted in": name, "long side": size, "seconds": seconds}
            yield {**facts, **scores, "spread": abs(scores["style"] - first) / first}
            print(f"{path.stem}, {name}, {size} px: style {scores['style']:.3f}", flush=True)


def painted(photo: Tensor, name: str, size: int, args: argparse.Namespace) -> Tensor:
    """As ``cnnart fast-stylize --size`` does it: ``1x3xHxW``."""
    runtime = Runtime(device=args.device, precision=args.precision)
    runner = network_runner(runtime.device, runtime.dtype, False)
    style = FastStyle(open_checkpoint(trained_styles()[name]), name)
    config = FastConfig(size=size)
    return FastStylization(photo, [style], config, runner, runtime.limits()).pictures()


def cell(value: Any) -> str:
    return f"{value:.3f}" if isinstance(value, float) else str(value)


def parse_arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("photos", type=Path, nargs="+", metavar="PHOTO")
    parser.add_argument("--styles", nargs="+", default=STYLES, choices=sorted(trained_styles()))
    parser.add_argument("--sizes", type=int, nargs="+", default=[512, 1024, 2048, 4096])
    parser.add_argument("--enlarged", action="store_true", help="also sizes above the photo's own")
    parser.add_argument("--device", default="auto")
    parser.add_argument("--precision", default="auto")
    parser.add_argument("--threads", type=int, default=torch.get_num_threads())
    parser.add_argument("--output", type=Path, default=Path("out", "benchmarks"))
    args = parser.parse_args()
    torch.set_num_threads(args.threads)
    args.output.mkdir(parents=True, exist_ok=True)
    return args


if __name__ == "__main__":
    main()
