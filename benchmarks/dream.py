"""What a dream costs: per octave as a share of the machine's matrix-product rate, and in all.

    python -m benchmarks.dream [--size 1024] [--preset eyes] [--precision auto] [--repeats 3]

First the wall time and the peak memory of a whole `cnnart dream` in a process of its own. Then each
octave of the same dream: seconds per megapixel of one step, and its floating-point operations per
second (counted by torch's FlopCounterMode on that very step) beside those of torch.mm on square
matrices in the same precision, measured in between.
"""

from __future__ import annotations

import argparse
import tempfile
import time
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, Any

from benchmarks.process import ROOT, Finished, run_measured
from benchmarks.table import gibibytes, machine, machine_line, markdown_table, write_report

if TYPE_CHECKING:
    import torch

    from cnnart.methods.dream.dream import DeepDream

PHOTO = ROOT / "examples" / "raccoon.jpg"
MATRIX = 4096


def main() -> None:
    args = parse_arguments()
    whole = run_whole(args)  # before torch is imported: see run_measured
    print(f"whole: {whole.seconds:.1f} s, {whole.peak_told()}", flush=True)
    octaves, facts = measure_octaves(args)
    steps = sum(octave["steps"] for octave in octaves)
    text = (
        f"`cnnart dream {PHOTO.name} --preset {args.preset} --size {args.size}`: "
        f"{whole.seconds:.1f} s of wall time, {gibibytes(whole.peak)} at its peak, {steps} steps; "
        f"{machine_line()}, {facts['threads']} threads, {facts['precision']}.\n\n"
    )
    header = ["octave", "steps", "s/step", "s/MP", "GFLOP/s", "torch.mm GFLOP/s", "share"]
    text += markdown_table(header, [table_row(octave) for octave in octaves])
    data = {"machine": machine(), "whole": whole._asdict(), "octaves": octaves, **facts}
    write_report(args.output, "dream", text, data)


def run_whole(args: argparse.Namespace) -> Finished:
    """The command, from start to file."""
    with tempfile.TemporaryDirectory() as folder:
        target = str(Path(folder, "dream.png"))
        command = ["-m", "cnnart", "dream", str(PHOTO), "--preset", args.preset, "-o", target]
        options = ["--size", str(args.size), "--precision", args.precision, "--quiet"]
        return run_measured([*command, *options])


def measure_octaves(args: argparse.Namespace) -> tuple[list[dict[str, Any]], dict[str, Any]]:
    """One row of figures per octave, and the facts of the run."""
    import torch

    from cnnart.image.read import read_image
    from cnnart.methods.dream.config import DreamConfig
    from cnnart.methods.dream.dream import DeepDream
    from cnnart.runtime import Runtime

    network = Runtime(precision=args.precision).network()
    config = DreamConfig(preset=args.preset, size=args.size)
    dream = DeepDream(read_image(PHOTO).rgb, config, network)
    rows = []
    for scale in dream.schedule:
        row = measure_octave(dream, scale, args.repeats)
        row["matrix_rate"] = matrix_rate(network.dtype, network.device, args.repeats)
        rows.append(row)
        print(" ".join(table_row(row)), flush=True)
    precision = str(network.dtype).removeprefix("torch.")
    return rows, {"precision": precision, "threads": torch.get_num_threads()}


def measure_octave(dream: DeepDream, scale: Any, repeats: int) -> dict[str, Any]:
    """A step: the network's values and gradient, and the move along it."""
    from torch.utils.flop_counter import FlopCounterMode

    image = dream.enlarged(dream.start(scale.height, scale.width), (scale.height, scale.width))
    objective = dream.objective(scale, dream.memory.tile)
    move = dream.move(scale)
    counter = FlopCounterMode(display=False)
    with counter:  # also warms up
        objective(image)
    seconds = best_of(repeats, lambda: image + move(objective(image).gradient)[0])
    return {
        "size": [scale.width, scale.height],
        "steps": scale.iterations,
        "seconds": seconds,
        "per_megapixel": seconds / (scale.width * scale.height / 1e6),
        "rate": counter.get_total_flops() / seconds,
    }


def matrix_rate(dtype: torch.dtype, device: torch.device, repeats: int) -> float:
    """Floating-point operations per second of a product of square matrices."""
    import torch

    a = torch.randn(MATRIX, MATRIX).to(device, dtype)
    torch.mm(a, a)
    return 2 * MATRIX**3 / best_of(repeats, lambda: torch.mm(a, a)[0, 0].item())


def best_of(repeats: int, work: Callable[[], object]) -> float:
    """The least seconds that ``work`` took."""
    seconds = []
    for _ in range(repeats):
        begun = time.perf_counter()
        work()
        seconds.append(time.perf_counter() - begun)
    return min(seconds)


def table_row(octave: dict[str, Any]) -> list[str]:
    return [
        "{} x {}".format(*octave["size"]),
        str(octave["steps"]),
        f"{octave['seconds']:.2f}",
        f"{octave['per_megapixel']:.2f}",
        f"{octave['rate'] / 1e9:.0f}",
        f"{octave['matrix_rate'] / 1e9:.0f}",
        f"{octave['rate'] / octave['matrix_rate']:.0%}",
    ]


def parse_arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--size", type=int, default=1024)
    parser.add_argument("--preset", default="eyes")
    parser.add_argument("--precision", default="auto")
    parser.add_argument("--repeats", type=int, default=3)
    parser.add_argument("--output", type=Path, default=Path("out", "benchmarks"))
    return parser.parse_args()


if __name__ == "__main__":
    main()
