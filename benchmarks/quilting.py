"""How the cost of the patch methods grows with the size: quilting against Efros and Leung.

    python -m benchmarks.quilting [EXEMPLAR] [--quilting 128 256 512 1024] [--pixelwise 32 64 128]

Without a picture the exemplar is a wall drawn by this script. Efros and Leung get it at 64 pixels
(a baseline: its cost also grows with the exemplar), quilting at 64 for the comparison and at 256.
Seconds include the preparation of the exemplar, not its reading and the writing of the result.
"""

from __future__ import annotations

import argparse
import time
from collections.abc import Callable, Sequence
from pathlib import Path

import torch
from torch import Tensor

from benchmarks.plot import Panel, draw_charts
from benchmarks.table import machine, machine_line, markdown_table, write_report
from cnnart.image.picture import fit_long_side, resize
from cnnart.image.read import read_image
from cnnart.methods.texture.config import TextureConfig
from cnnart.methods.texture.efros_leung import EfrosLeung
from cnnart.methods.texture.quilting import Quilting

SMALL, LARGE = 64, 256  # long sides of the exemplar
Method = Callable[..., Quilting | EfrosLeung]
Found = dict[str, dict[int, float]]
Series = dict[str, Sequence[tuple[float, float]]]


def main() -> None:
    args = parse_arguments()
    picture = read_image(args.exemplar).rgb if args.exemplar else wall(LARGE)
    runs: list[tuple[str, Method, int, list[int]]] = [
        (f"Efros-Leung, {SMALL} px exemplar", EfrosLeung, SMALL, args.pixelwise),
        (f"quilting, {SMALL} px exemplar", Quilting, SMALL, args.pixelwise),
        (f"quilting, {LARGE} px exemplar", Quilting, LARGE, args.quilting),
    ]
    found: Found = {name: {} for name, *_ in runs}
    for name, method, side, sizes in runs:
        height, width = picture.shape[-2:]
        exemplar = resize(picture, *fit_long_side(height, width, side))
        for size in sizes:
            found[name][size] = seconds(method, exemplar, size)
            print(f"{name}: {size} px in {found[name][size]:.1f} s", flush=True)
            report(args, found, quiet=True)
    report(args, found)


def seconds(method: Method, exemplar: Tensor, size: int) -> float:
    begun = time.perf_counter()
    work = method([exemplar], [1.0], TextureConfig(), size=(size, size))
    for step in work.steps():
        image = step.image
    work.finish(image)
    return time.perf_counter() - begun


def wall(side: int) -> Tensor:
    """Bricks of several tones with joints and grain: ``1x3xSxS``."""
    rng = torch.Generator().manual_seed(0)
    tall, wide = side // 8, side // 4
    y, x = torch.arange(side)[:, None].expand(side, side), torch.arange(side)[None]
    x = x + (y // tall % 2) * (wide // 2)
    tone = 0.5 + 0.5 * torch.rand(16, 16, generator=rng)[y // tall, x // wide]
    joint = (y % tall < side // 80 + 1) | (x % wide < side // 80 + 1)
    brick = torch.tensor([0.65, 0.32, 0.24]).view(3, 1, 1) * tone
    grain = 0.03 * torch.randn(1, side, side, generator=rng)
    return (torch.where(joint, torch.full_like(brick, 0.7), brick) + grain).clamp(0, 1)[None]


def report(args: argparse.Namespace, found: Found, *, quiet: bool = False) -> None:
    sizes = sorted({size for group in found.values() for size in group})
    rows = [
        [f"{size} x {size}", *(told(group.get(size)) for group in found.values())] for size in sizes
    ]
    text = f"Seconds for one texture; {machine_line()}, {torch.get_num_threads()} threads.\n\n"
    text += markdown_table(["size", *found], rows)
    data = {"machine": machine(), "threads": torch.get_num_threads(), "seconds": found}
    write_report(args.output, "quilting", text, data, quiet=quiet)
    whole: Series = {name: list(group.items()) for name, group in found.items() if group}
    each: Series = {
        name: [(size, took / size**2 * 1e6) for size, took in points]
        for name, points in whole.items()
    }
    panels = [
        Panel("seconds", "side, pixels", whole, True, True, sizes),
        Panel("seconds per megapixel", "side, pixels", each, True, True, sizes),
    ]
    draw_charts(panels, args.output / "quilting.png", quiet=quiet)


def told(took: float | None) -> str:
    return "" if took is None else f"{took:.1f}"


def parse_arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("exemplar", nargs="?", type=Path)
    parser.add_argument("--quilting", type=int, nargs="*", default=[128, 256, 512, 1024])
    parser.add_argument("--pixelwise", type=int, nargs="*", default=[32, 64, 128])
    parser.add_argument("--output", type=Path, default=Path("out", "benchmarks"))
    return parser.parse_args()


if __name__ == "__main__":
    main()
