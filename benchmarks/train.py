"""Training throughput: cnnart's trainer against the plain recipe, side by side in one run.

    python -m benchmarks.train [--photos DIR] [--arch small]

Images a second of whole steps: reading, network, losses, optimizer. The plain recipe is that of
pytorch/examples: Johnson's network in float32, VGG-16's layers (here VGG-19's of the same names)
for content and style, both pictures run through all of them, Adam, batches of 4 crops of 256 px.
Both take turns, so that the machine's moods hit both alike. ``--batch`` may name several, for which
ours is told as well: what ``--batch auto`` is to know.
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
from cnnart.methods.fast.train.data import PhotoPool, Sampler, find_photos
from cnnart.methods.fast.train.losses import make_losses
from cnnart.methods.fast.train.step import ComputeOptions
from cnnart.methods.fast.train.trainer import Painting, Trainer
from cnnart.networks.vgg import FeatureExtractor
from cnnart.run.inputs import expand
from cnnart.runtime import Runtime, device_reason, keep_freed_memory, precision_name

OURS, PLAIN = "cnnart train-style", "plain recipe"
LAYERS = ("relu1_2", "relu2_2", "relu3_3", "relu4_3")
CONTENT = "relu2_2"
CONTENT_WEIGHT, STYLE_WEIGHT = 1e5, 1e10  # pytorch/examples' defaults
MADE_UP = 16  # photos drawn where none are given
WARM_UP = 30  # steps on a GPU, that read all photos and record the step


def main() -> None:
    args = parse_arguments()
    runtime = Runtime(device=args.device, precision=args.precision)
    if runtime.device.type == "cpu":
        keep_freed_memory()
    with tempfile.TemporaryDirectory() as scratch:
        folder = args.photos or made_up_photos(Path(scratch))
        paths = [s.path for s in expand([str(folder)], recursive=True) if s.path][: args.most]
        painting = read_input(choose_style(args.style).picture, runtime).rgb
        runs = {
            (OURS, batch): our_steps(args, runtime, batch, paths, painting) for batch in args.batch
        }
        plain = (PLAIN, args.batch[0])
        runs[plain] = plain_steps(args, runtime.device, paths, painting)
        found = race(runs, runtime.device, args.rounds, args.steps)
    rates = {run: run[1] / statistics.median(times) for run, times in found.items()}
    rows = [
        [name, batch, f"{rate:.2f}", f"{batch / rate:.3f}", f"{rate / rates[plain]:.1f}"]
        for (name, batch), rate in rates.items()
    ]
    table = markdown_table(["", "batch", "images/s", "s/step", "ratio"], rows)
    device, precision = device_reason(runtime.device), precision_name(runtime.dtype)
    text = f"{machine_line()}\n{device}, {precision}, {args.size} px\n\n{table}"
    seconds = {f"{name}, batch {batch}": times for (name, batch), times in found.items()}
    write_report(
        args.output, "train", text, {"machine": machine(), "device": device, "seconds": seconds}
    )


def our_steps(
    args: argparse.Namespace, runtime: Runtime, batch: int, paths: list[Path], painting: Tensor
) -> Iterator[None]:
    """Our trainer as the command line runs it, at the full size of crops, without validations."""
    config = TrainConfig(
        arch=args.arch,
        size=args.size,
        batch=batch,
        small_crop_fraction=0,
        steps=10**6,
        validate_every=10**6,
    )
    losses = make_losses(runtime.features(), config)
    photos = find_photos(paths, config.size)
    styles = [Painting("style", painting)]
    trainer = Trainer(config, styles, photos, losses, ComputeOptions(runtime.dtype, args.workers))
    for _ in trainer.steps():
        yield


def plain_steps(
    args: argparse.Namespace, device: torch.device, paths: list[Path], painting: Tensor
) -> Iterator[None]:
    """pytorch/examples' loop."""
    batch = args.batch[0]
    vgg = Runtime(device=str(device), precision="fp32").features()
    network = TransformerNet().to(device)
    optimizer = torch.optim.Adam(network.parameters(), 1e-3)
    photos = find_photos(paths, args.size)
    pool = PhotoPool(photos, args.size, batch, device, capacity=1 << 30)
    sampler = Sampler(len(photos.train), 1, 0, None)
    small = resize(painting, args.size, args.size).to(device)
    with torch.no_grad():
        target = {k: gram(v) for k, v in vgg(small, LAYERS).items()}
    for step in itertools.count():
        samples = [sampler(step * batch + i) for i in range(batch)]
        crops = pool.crops(samples, args.size)
        optimizer.zero_grad()
        output = network(crops * 255) / 255
        plain_loss(vgg, output, crops, target).backward()
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


def race(
    runs: dict[tuple[str, int], Iterator[None]], device: torch.device, rounds: int, steps: int
) -> dict[tuple[str, int], list[float]]:
    """Seconds of a step by name and batch, a mean for each turn, after some that warm up.

    A turn begins with a step that brings back what the other had thrown out of the caches.
    """
    for run in runs.values():
        for _ in range(1 if device.type == "cpu" else WARM_UP):
            next(run)
    found: dict[tuple[str, int], list[float]] = {name: [] for name in runs}
    for _ in range(rounds):
        for name, run in runs.items():
            next(run)
            wait(device)
            begun = time.perf_counter()
            for _ in range(steps):
                next(run)
            wait(device)
            found[name].append((time.perf_counter() - begun) / steps)
        print(".", end="", flush=True)
    return found


def wait(device: torch.device) -> None:
    """Until the device has done all that it was told to."""
    if device.type == "cuda":
        torch.cuda.synchronize(device)


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
    parser.add_argument("--batch", type=int, nargs="+", default=[4])
    parser.add_argument("--device", default="auto")
    parser.add_argument("--precision", default="auto")
    parser.add_argument("--workers", type=int, default=1, help="threads that read photos ahead")
    parser.add_argument("--rounds", type=int, default=4)
    parser.add_argument("--steps", type=int, default=4, help="of a contender in a round")
    parser.add_argument("--most", type=int, default=200, help="photos")
    parser.add_argument("--output", type=Path, default=Path("out/benchmarks"))
    return parser.parse_args()


if __name__ == "__main__":
    main()
