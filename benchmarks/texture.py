"""Neural textures against the photo they come from, judged by a network that did not make them.

    python -m benchmarks.texture PHOTO[@X,Y,WxH]... [--side 128] [--size 256] [--tileable none]
        [--precision auto] [--save FOLDER]

The exemplar is the square of ``--side`` pixels at the top left of each photo (or its part at X,Y).
``--size`` is a square's, or WxH.
The table shows distances of Gram matrices to the exemplar's, as VGG-16 sees them (``style`` in
``benchmarks.judge``: at three sizes and four layers, relative; 0 is best):

texture    the synthesized texture, whole, at its own size
in crops   the mean over its crops of the exemplar's size: what a crop of a photo is compared with
elsewhere  the mean over the photo's other crops of the exemplar's size, where there are any
noise      white noise of the texture's size in the exemplar's colors
"""

from __future__ import annotations

import argparse
import re
import time
from dataclasses import replace
from pathlib import Path

import torch
from torch import Tensor

from benchmarks.judge import Judge
from benchmarks.table import markdown_table
from cnnart.image.read import read_image
from cnnart.image.write import write_image
from cnnart.methods.texture.config import TextureConfig
from cnnart.methods.texture.neural import NeuralTexture
from cnnart.runtime import Runtime

HEADER = ["exemplar", "texture", "in crops", "elsewhere", "noise", "texture / noise", "seconds"]


def read_part(text: str) -> tuple[str, Tensor]:
    """``PHOTO[@X,Y,WxH]`` -> a name and the pixels."""
    found = re.fullmatch(r"(.+?)(?:@(\d+),(\d+),(\d+)x(\d+))?", text)
    assert found
    rgb = read_image(Path(found[1])).rgb
    if found[2]:
        x, y, width, height = (int(found[i]) for i in range(2, 6))
        rgb = rgb[..., y : y + height, x : x + width]
    return Path(found[1]).stem, rgb


def crops(image: Tensor, height: int, width: int) -> list[Tensor]:
    """The picture's crops of that size, in rows from the top left, none overlapping."""
    rows = image.split(height, -2)
    found = [piece for row in rows for piece in row.split(width, -1)]
    return [piece for piece in found if piece.shape[-2:] == (height, width)]


def noise_like(exemplar: Tensor, size: tuple[int, int]) -> Tensor:
    """Random pixels of the exemplar, ``1x3xHxW``."""
    generator = torch.Generator().manual_seed(0)
    flat = exemplar.flatten(2)
    return flat[..., torch.randint(flat.shape[-1], size, generator=generator)]


def read_size(text: str) -> tuple[int, int]:
    """``256`` or ``384x320`` (width x height) -> (height, width)."""
    width, _, height = text.partition("x")
    return int(height or width), int(width)


def synthesize(
    exemplar: Tensor, config: TextureConfig, size: tuple[int, int], engine: Runtime
) -> Tensor:
    """The texture, ``1x3xHxW``."""
    features = engine.features(config.pooling)
    work = NeuralTexture([exemplar], [1.0], config, features, size=size)
    for step in work.steps():
        image = step.image
    return work.finish(image)


def judge_texture(exemplar: Tensor, texture: Tensor, others: list[Tensor]) -> list[float | None]:
    """The distances of the table's columns; None where there is nothing to compare."""
    height, width = exemplar.shape[-2:]
    judge = Judge(exemplar, exemplar, (height, width))

    def mean(pictures: list[Tensor]) -> float | None:
        found = [judge.style(p) for p in pictures]
        return sum(found) / len(found) if found else None

    return [
        judge.style(texture),
        mean(crops(texture, height, width)),
        mean(others),
        judge.style(noise_like(exemplar, (texture.shape[-2], texture.shape[-1]))),
    ]


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("photos", nargs="+", metavar="PHOTO[@X,Y,WxH]")
    parser.add_argument("--side", type=int, default=128)
    parser.add_argument("--size", type=read_size, default=(256, 256), metavar="N|WxH")
    parser.add_argument("--precision", default="auto")
    parser.add_argument("--save", type=Path, help="a folder for exemplars and textures")
    names = ("preset", "statistic", "pooling", "tileable")
    for name in names:
        parser.add_argument(f"--{name}", default=getattr(TextureConfig(), name))
    args = parser.parse_args()
    settings = {name: getattr(args, name) for name in names}
    config, engine = replace(TextureConfig(), **settings), Runtime(precision=args.precision)
    rows = []
    for text in args.photos:
        name, photo = read_part(text)
        height, width = (min(args.side, n) for n in photo.shape[-2:])
        exemplar, *others = crops(photo, height, width)
        began = time.perf_counter()
        texture = synthesize(exemplar, config, args.size, engine)
        seconds = time.perf_counter() - began
        found = judge_texture(exemplar, texture, others)
        assert found[0] is not None
        assert found[3] is not None
        shown = ["" if value is None else f"{value:.3f}" for value in found]
        rows.append([name, *shown, f"{found[0] / found[3]:.2f}", f"{seconds:.0f}"])
        print(markdown_table(HEADER, rows[-1:]), flush=True)
        if args.save:
            args.save.mkdir(parents=True, exist_ok=True)
            write_image(args.save / f"{name}.png", exemplar)
            write_image(args.save / f"{name}-texture.png", texture)
    print(markdown_table(HEADER, rows), end="")


if __name__ == "__main__":
    main()
