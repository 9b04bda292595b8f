"""``cnnart bench``: how fast this machine is, and what was chosen for it, in a minute."""

from __future__ import annotations

import itertools
import json
import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import torch

from cnnart.builtin_styles import builtin_styles
from cnnart.commands.dream import Dream
from cnnart.commands.fast_stylize import FastStylize, parse_trained, trained_styles
from cnnart.commands.info import cpu_model
from cnnart.commands.style_args import parse_style
from cnnart.commands.stylize import Stylize
from cnnart.image.picture import resize
from cnnart.networks.convolution import choices_made
from cnnart.run.inputs import Source
from cnnart.run.outputs import Task
from cnnart.runtime import Runtime, auto_precision, auto_reason, device_reason, precision_name
from cnnart.version import __version__

if TYPE_CHECKING:
    from cnnart.run.command import Run

PUBLISHED = Path(__file__).parents[1] / "data" / "benchmarks.json"


@dataclass(frozen=True)
class Measurements:
    """What is measured: pictures of these sizes (height, width), each method for so many seconds
    at its final size, after so many steps that only warm up."""

    stylize: tuple[int, int] = (192, 256)
    fast: tuple[int, int] = (512, 512)
    dream: tuple[int, int] = (192, 256)
    seconds: float = 8.0
    warming_up: int = 2


def bench(
    runtime: Runtime,
    precision: str = "auto",
    what: Measurements = Measurements(),
    tell: Callable[[str], None] = lambda _: None,
) -> dict[str, Any]:
    """Measure; the facts as plain values, ready for JSON.

    Args:
        precision: as it was asked for.
        tell: told in a phrase what is measured next.
    """
    settings = {"size": max(what.stylize), "preset": "draft"}
    style = next(iter(builtin_styles()))
    methods: dict[str, tuple[Any, tuple[int, int], str]] = {
        "stylize": (Stylize.make([parse_style(style)], [], settings), what.stylize, "evaluations"),
        "dream": (Dream.make({"size": max(what.dream)}), what.dream, "steps"),
    }
    if trained := list(trained_styles())[:1]:
        fast = FastStylize.make([parse_trained(trained[0])], [], {"stroke": "pixels=1"})  # a pass
        methods["fast"] = fast, what.fast, "pictures"
    rates: dict[str, Any] = {}
    for name, (command, size, unit) in methods.items():
        tell(f"{name}, {size[1]} x {size[0]} px")
        task = Task(Source(None, "photo", picture=_photo(*size)), None, "png")
        each = command.open(runtime)
        seconds = _pass(each, task, what) if name == "fast" else _step(each(task), what)
        rates[name] = {
            "size": [size[1], size[0]],
            "milliseconds": round(1000 * seconds, 3),
            "per_second": round(1 / seconds, 2),
            "unit": unit,
        }
    return {
        "cnnart": __version__,
        "torch": torch.__version__,
        "cpu": cpu_model(),
        "device": {
            "name": str(runtime.device),
            "is": device_reason(runtime.device),
            "why": auto_reason(runtime.device),
        },
        "precision": {"name": precision_name(runtime.dtype), "why": _why(runtime, precision)},
        "convolutions": convolutions(runtime),
        "rates": rates,
    }


def published() -> list[dict[str, Any]]:
    """Other machines: ``machine``, ``precision``, and ``milliseconds`` by method, as docs/
    benchmarks.md has them."""
    found: list[dict[str, Any]] = json.loads(PUBLISHED.read_text(encoding="utf-8"))
    return found


def convolutions(runtime: Runtime) -> dict[str, Any]:
    """The engine of the network's convolutions, why, and what was measured for it."""
    if runtime.device.type != "cpu":
        return {"engine": "the device's own", "why": "there is a choice on processors alone"}
    if runtime.dtype != torch.float32:
        return {"engine": "oneDNN", "why": "there is a choice in fp32 alone"}
    made = choices_made()
    winograd = [layers for layers, chosen in made.items() if chosen]
    if not made:
        why = "nothing was measured: no layer was large enough"
    elif not winograd:
        why = "measured: Winograd's way is not clearly faster here"
    else:
        why = f"measured: Winograd's way is clearly faster at {', '.join(winograd)}"
    return {"engine": "Winograd" if winograd else "oneDNN", "why": why, "winograd": made}


def _why(runtime: Runtime, asked: str) -> str:
    return auto_precision(runtime.device)[1] if asked == "auto" else "it was asked for"


def _photo(height: int, width: int) -> torch.Tensor:
    """A picture of soft spots: what it shows has no influence on the time."""
    spots = torch.rand(1, 3, 12, 12, generator=torch.Generator().manual_seed(0))
    return resize(spots, height, width).clamp(0, 1)


def _step(run: Run, what: Measurements) -> float:
    """Seconds that a step of the last level takes."""
    before = sum(steps for _, steps in run.schedule()[:-1])
    times: list[float] = []
    for step in run.steps():
        if step.index <= before:
            continue
        _wait(run.runtime.device)
        times.append(time.perf_counter())
        if len(times) > what.warming_up + 1 and times[-1] - times[0] > what.seconds:
            break
    return _middle([after - before for before, after in itertools.pairwise(times)], what)


def _pass(open_one: Callable[[Task], Run], task: Task, what: Measurements) -> float:
    """Seconds from a picture in memory to the painted one."""
    taken: list[float] = []
    while len(taken) <= what.warming_up or sum(taken) < what.seconds:
        begun = time.perf_counter()
        run = open_one(task)
        for step in run.steps():
            run.finish(step.image)
        _wait(run.runtime.device)
        taken.append(time.perf_counter() - begun)
    return _middle(taken, what)


def _middle(taken: list[float], what: Measurements) -> float:
    """The median, without those that only warm up, if there are others."""
    kept = sorted(taken[what.warming_up :] or taken)
    return kept[len(kept) // 2]


def _wait(device: torch.device) -> None:
    if device.type != "cpu":
        getattr(torch, device.type).synchronize()
