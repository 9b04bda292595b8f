"""Memory: what a run will need, what there is, and the settings that make one fit the other."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, replace

import psutil
import torch

from cnnart.errors import OutOfMemory
from cnnart.features import FeatureExtractor
from cnnart.optimize import LBFGS_HISTORY

MIB = 1 << 20
FREE_SHARE = 0.7  # of the free memory, what a run may take when nothing is said
LEAST_TILE = 128
TILES = (2048, 1536, 1024, 768, 512, 384, 256, 192, LEAST_TILE)

# Calibrated on a CPU against the maximum resident set of whole runs (benchmarks/memory.py).
ALLOCATOR_SLACK = 1.08  # what the allocator holds beyond what is asked for
PICTURES = 14  # float32 pictures alive at once, the optimizer's state apart


@dataclass(frozen=True)
class MemoryPlan:
    """How to evaluate and optimize a picture, and the bytes that takes beyond the idle process.

    ``tile`` is 0 for the whole picture at once.
    """

    tile: int
    optimizer: str
    history_dtype: torch.dtype
    peak: int


def free_memory(device: torch.device) -> int:
    """Bytes free on the device, or in the machine for the CPU and for shared-memory GPUs."""
    if device.type == "cuda":
        return int(torch.cuda.mem_get_info(device)[0])
    return int(psutil.virtual_memory().available)


def used_memory(device: torch.device) -> int:
    """Bytes this process holds on the device already."""
    if device.type == "cuda":
        return int(torch.cuda.memory_reserved(device))
    return int(psutil.Process().memory_info().rss)


def evaluation_bytes(features: FeatureExtractor, layers: Iterable[str], pixels: int) -> int:
    """Bytes that one forward and backward pass over ``pixels`` at these layers keeps alive."""
    wanted = list(layers)
    if not wanted:
        return 0
    item = torch.finfo(features.dtype).bits // 8
    deepest = max(features.halo([name]) for name in wanted)
    total = 0.0
    for name, g in features.geometry.items():
        if g.radius > deepest:
            continue
        area = pixels / g.stride**2
        if name.startswith("conv"):
            total += g.channels * area * item  # its ReLU overwrites it
        elif name.startswith("pool"):
            total += g.channels * area * (item + 8)  # and where the maxima were, as int64
    first = features.geometry["conv1_1"].channels * pixels
    total += 3 * first * item  # gradients of the widest layer, on their way back
    return int(total)


def plan_memory(
    features: FeatureExtractor,
    layers: Iterable[str],
    size: tuple[int, int],
    optimizer: str,
    limit: int,
) -> MemoryPlan:
    """The fastest way to optimize a picture of this size in ``limit`` bytes.

    Tries the whole picture, then ever smaller tiles; then the same with the optimizer's history in
    half precision; then with Adam, which needs two pictures' worth of state and no more.

    Raises:
        OutOfMemory: when not even the last fits.
    """
    wanted = list(layers)
    ways = [(optimizer, torch.float32)]
    if optimizer == "lbfgs":
        ways += [("lbfgs", torch.bfloat16), ("adam", torch.float32)]
    least: MemoryPlan | None = None
    for name, dtype in ways:
        for tile in (0, *TILES):
            if tile >= max(size):
                continue
            plan = MemoryPlan(tile, name, dtype, 0)
            plan = replace(plan, peak=predict_peak(features, wanted, size, plan))
            if plan.peak <= limit:
                return plan
            least = plan if least is None or plan.peak < least.peak else least
    assert least is not None
    raise OutOfMemory(
        f"{size[1]}x{size[0]} needs about {gigabytes(least.peak)}, and the limit leaves "
        f"{gigabytes(limit)}. Ask for a smaller --size or allow more with --max-memory."
    )


def predict_peak(
    features: FeatureExtractor, layers: Iterable[str], size: tuple[int, int], plan: MemoryPlan
) -> int:
    """Bytes that a run needs at this size beyond the idle process with its network."""
    wanted = list(layers)
    height, width = size
    region = height * width
    if plan.tile and wanted:
        side = plan.tile + 2 * features.halo(wanted)
        region = min(height, side) * min(width, side)
    pictures = PICTURES * height * width * 3 * 4
    return int(
        ALLOCATOR_SLACK
        * (
            evaluation_bytes(features, wanted, region)
            + pictures
            + state_bytes(plan, height * width * 3)
            + content_bytes(features, wanted, height * width)
        )
    )


def state_bytes(plan: MemoryPlan, values: int) -> int:
    """Bytes of the optimizer's state for that many values."""
    if plan.optimizer == "adam":
        return 2 * 4 * values
    item = torch.finfo(plan.history_dtype).bits // 8
    return (2 * LBFGS_HISTORY * item + 3 * 4) * values


def content_bytes(features: FeatureExtractor, layers: Iterable[str], pixels: int) -> int:
    """Bytes of the photo's own activations, at most: those of the deepest layers asked for."""
    item = torch.finfo(features.dtype).bits // 8
    deep = [features.geometry[name] for name in layers if features.geometry[name].stride >= 4]
    return max((int(g.channels * pixels / g.stride**2 * item) for g in deep), default=0)


def gigabytes(count: int) -> str:
    """A number of bytes for people."""
    return f"{count / (1 << 30):.1f} GB" if count >= 1 << 30 else f"{count / MIB:.0f} MB"
