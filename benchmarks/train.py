"""Training throughput: cnnart's trainer against the plain recipe, side by side in one run.

    python -m benchmarks.train [--photos DIR] [--arch small]

Images a second of whole steps: reading, network, losses, optimizer. The plain recipe is that of
pytorch/examples: Johnson's network in float32, VGG-16's layers (here VGG-19's of the same names)
for content and style, both pictures run through all of them, Adam, batches of 4 crops of 256 px.
Both take turns, so that the machine's moods hit both alike.
"""

from __future__ import annotations

import argparse
import itertools
import statistics
import tempfile
import time
from collections.abc import Iterator
from pathlib import Path

import torch
import torch.nn.functional as F
from torch import Tensor

from benchmarks.johnson import TransformerNet
from benchmarks.table import machine, machine_line, markdown_table, write_report
from cnnart.commands.style_args import choose_style, read_input
from cnnart.image.picture import resize
from cnnart.image.write import write_image
from cnnart.methods.fast.train.config import TrainConfig
from cnnart.methods.fast.train.data import Crops, find_photos
from cnnart.methods.fast.train.losses import make_losses
from cnnart.methods.fast.train.step import ComputeOptions
from cnnart.methods.fast.train.trainer import Painting, Trainer
from cnnart.networks.vgg import FeatureExtractor
from cnnart.run.inputs import expand
from cnnart.runtime import Runtime, keep_freed_memory

OURS, PLAIN = "cnnart train-style", "plain recipe"
LAYERS = ("relu1_2", "relu2_2", "relu3_3", "relu4_3")
CONTENT = "relu2_2"
CONTENT_WEIGHT, STYLE_WEIGHT = 1e5, 1e10  # pytorch/examples' defaults
MADE_UP = 16  # photos drawn where none are given


def main() -> None:
    args = parse_arguments()
    with tempfile.TemporaryDirectory() as scratch:
        folder = args.photos or made_up_photos(Path(scratch))
        paths = [s.path for s in expand([str(folder)], recursive=True) if s.path][: args.most]
        painting = read_input(choose_style(args.style).picture).rgb
        runs = {
            OURS: our_steps(args, paths, painting),
            PLAIN: plain_steps(args, paths, painting),
        }
        found = race(runs, args.rounds, args.steps)
    rows = []
    rates = {name: args.batch / statistics.median(times) for name, times in found.items()}
    for name, times in found.items():
        rows.append([name, f"{rates[name]:.2f}", f"{statistics.median(times):.2f}"])
    rows[0].append(f"{rates[OURS] / rates[PLAIN]:.1f}")
    rows[1].append("1.0")
    table = markdown_table(["", "images/s", "s/step", "ratio"], rows)
    text = f"{machine_line()}, batch {args.batch}, {args.size} px\n\n{table}"
    write_report(args.output, "train", text, {"machine": machine(), "seconds": found})


def our_steps(args: argparse.Namespace, paths: list[Path], painting: Tensor) -> Iterator[None]:
    """Our trainer as the command line runs it, at the full size of crops, without validations."""
    config = TrainConfig(
        arch=args.arch,
        size=args.size,
        batch=args.batch,
        small_crop_fraction=0,
        steps=10**6,
        validate_every=10**6,
    )
    runtime = Runtime()
    if runtime.device.type == "cpu":
        keep_freed_memory()
    losses = make_losses(runtime.features(), config)
    photos = find_photos(paths, config.size)
    styles = [Painting("style", painting)]
    trainer = Trainer(config, styles, photos, losses, ComputeOptions(runtime.dtype, workers=1))
    for _ in trainer.steps():
        yield


def plain_steps(args: argparse.Namespace, paths: list[Path], painting: Tensor) -> Iterator[None]:
    """pytorch/examples' loop."""
    vgg = Runtime(precision="fp32").features()
    network = TransformerNet()
    optimizer = torch.optim.Adam(network.parameters(), 1e-3)
    crops = Crops(paths, args.size, cache=0)
    with torch.no_grad():
        target = {
            k: gram(v) for k, v in vgg(resize(painting, args.size, args.size), LAYERS).items()
        }
    for step in itertools.count():
        batch = [
            crops.random((step * args.batch + i) % len(paths), args.size, f"{step}/{i}")
            for i in range(args.batch)
        ]
        photos = torch.cat(batch)
        optimizer.zero_grad()
        output = network(photos * 255) / 255
        plain_loss(vgg, output, photos, target).backward()
        optimizer.step()
        yield


def plain_loss(
    vgg: FeatureExtractor, output: Tensor, photos: Tensor, target: dict[str, Tensor]
) -> Tensor:
    """Content and style, both pictures through all layers."""
    found, wanted = vgg(output, LAYERS), vgg(photos, LAYERS)
    loss = CONTENT_WEIGHT * F.mse_loss(found[CONTENT], wanted[CONTENT])
    for name in LAYERS:
        grams = gram(found[name])
        loss = loss + STYLE_WEIGHT * F.mse_loss(grams, target[name].expand_as(grams))
    return loss


def gram(features: Tensor) -> Tensor:
    """``BxCxC``, over channels * height * width."""
    flat = features.flatten(2)
    return flat @ flat.transpose(1, 2) / features[0].numel()


def race(runs: dict[str, Iterator[None]], rounds: int, steps: int) -> dict[str, list[float]]:
    """Seconds of each step by name, after one that warms up."""
    for run in runs.values():
        next(run)
    found: dict[str, list[float]] = {name: [] for name in runs}
    for _ in range(rounds):
        for name, run in runs.items():
            next(run)  # what the other had thrown out of the caches
            for _ in range(steps):
                begun = time.perf_counter()
                next(run)
                found[name].append(time.perf_counter() - begun)
        print(".", end="", flush=True)
    return found


def made_up_photos(folder: Path) -> Path:
    """Noise at several scales: to measure time it does as well as photos."""
    rng = torch.Generator().manual_seed(0)
    for index in range(MADE_UP):
        coarse = torch.rand(1, 3, 24, 32, generator=rng)
        write_image(folder / f"{index}.jpg", resize(coarse, 480, 640))
    return folder


def parse_arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0] if __doc__ else None)
    parser.add_argument("--photos", type=Path)
    parser.add_argument("--style", default="night-swirls")
    parser.add_argument("--arch", default="small")
    parser.add_argument("--size", type=int, default=256)
    parser.add_argument("--batch", type=int, default=4)
    parser.add_argument("--rounds", type=int, default=4)
    parser.add_argument("--steps", type=int, default=4, help="of a contender in a round")
    parser.add_argument("--most", type=int, default=200, help="photos")
    parser.add_argument("--output", type=Path, default=Path("out/benchmarks"))
    return parser.parse_args()


if __name__ == "__main__":
    main()
