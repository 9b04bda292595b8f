"""Memory: what a run will need, what there is, and the settings that make one fit the other."""

from __future__ import annotations

import functools
from collections.abc import Iterable
from dataclasses import dataclass, replace

import psutil
import torch

from cnnart.errors import OutOfMemory
from cnnart.features import FeatureExtractor
from cnnart.optimize import LBFGS_HISTORY
from cnnart.tiled_features import picture_tiles

MIB = 1 << 20
FREE_SHARE = 0.7  # of the free memory, what a run may take when nothing is said
LEAST_TILE = 128
TILES = (2048, 1536, 1024, 768, 512, 384, 256, 192, LEAST_TILE)

# Calibrated on a CPU against the maximum resident set of whole runs (benchmarks/memory.py).
FIXED = 230 * MIB  # what computing takes at any size: work space, the network in a second precision
PICTURES = 6  # float32 pictures alive at once, the optimizer's state apart
SECOND_PASS = 1.45  # of an evaluation in tiles, for running the network forward twice
HALF_HISTORY_COST, ADAM_COST = 1.05, 2.0  # evaluations that L-BFGS in float32 would save


@dataclass(frozen=True)
class Limits:
    """What a run may take.

    ``memory``: bytes on the device, all included; None: a share of what is free.
    ``seconds``: None: as long as the preset takes.
    ``tile``: side of the tiles in pixels, 0 for none; None: as memory allows.
    """

    memory: int | None = None
    seconds: float | None = None
    tile: int | None = None


@dataclass(frozen=True)
class MemoryPlan:
    """How to evaluate and optimize a picture, and the bytes that takes beyond the idle process.

    ``tile`` is 0 for the whole picture at once.
    """

    tile: int = 0
    optimizer: str = "lbfgs"
    history_dtype: torch.dtype = torch.float32
    evaluations: int = LBFGS_HISTORY  # at the largest scale; L-BFGS remembers no more than these
    wrap: tuple[bool, bool] = (False, False)  # the axes along which the picture repeats
    peak: int = 0


def free_memory(device: torch.device) -> int:
    """Bytes free on the device, or in the machine for the CPU and for shared-memory GPUs."""
    if device.type == "cuda":
        return int(torch.cuda.mem_get_info(device)[0])
    return int(psutil.virtual_memory().available)


@functools.cache
def idle_memory(device: torch.device) -> int:
    """Bytes this process holds on the device before its first picture.

    Asked once: afterwards it also holds what a picture left behind, which the next one uses again.
    """
    if device.type == "cuda":
        return int(torch.cuda.memory_reserved(device))
    return int(psutil.Process().memory_info().rss)


def evaluation_bytes(
    features: FeatureExtractor, layers: Iterable[str], pixels: int, *, wrap: bool = False
) -> int:
    """Bytes that one forward and backward pass over ``pixels`` at these layers keeps alive.

    ``wrap``: the region repeats; then each convolution keeps a padded copy of what it sees.
    """
    wanted = list(layers)
    if not wanted:
        return 0
    item = torch.finfo(features.dtype).bits // 8
    names = list(features.geometry)
    deepest = max(names.index(name) for name in wanted)
    total, seen = 0.0, 3
    for name in names[: deepest + 1]:
        g = features.geometry[name]
        area = pixels / g.stride**2
        if name.startswith("conv"):
            total += g.channels * area * item  # its ReLU overwrites it
            total += seen * area * item * wrap
            seen = g.channels
        elif name.startswith("pool"):
            total += g.channels * area * (item + 8)  # and where the maxima were, as int64
    first = features.geometry["conv1_1"].channels * pixels
    total += 3 * first * item  # gradients of the widest layer, on their way back
    return int(total)


def plan_memory(
    features: FeatureExtractor,
    layers: Iterable[str],
    size: tuple[int, int],
    scheme: MemoryPlan,
    limit: int,
) -> MemoryPlan:
    """The fastest way to optimize a picture of this size in ``limit`` bytes.

    Chooses among the whole picture and tiles of several sizes, and for L-BFGS among a history in
    float32, one in bfloat16, and Adam in its place, which needs two pictures' worth of state.

    Args:
        scheme: what to start from: its optimizer and number of evaluations.

    Raises:
        OutOfMemory: when nothing fits.
    """
    wanted = list(layers)
    ways = [(1.0, scheme)]
    if scheme.optimizer == "lbfgs":
        ways.append((HALF_HISTORY_COST, replace(scheme, history_dtype=torch.bfloat16)))
        ways.append((ADAM_COST, replace(scheme, optimizer="adam")))
    least: MemoryPlan | None = None
    best: tuple[float, MemoryPlan] | None = None
    for way_cost, way in ways:
        for tile in (0, *(t for t in TILES if t < max(size))):
            plan = replace(way, tile=tile)
            plan = replace(plan, peak=predict_peak(features, wanted, size, plan))
            cost = way_cost * evaluation_cost(features, wanted, size, tile, way.wrap)
            if plan.peak <= limit and (best is None or cost < best[0]):
                best = cost, plan
            least = plan if least is None or plan.peak < least.peak else least
    if best:
        return best[1]
    assert least is not None
    raise OutOfMemory(
        f"{size[1]}x{size[0]} needs about {gigabytes(least.peak)}, and the limit leaves "
        f"{gigabytes(max(0, limit))}. Ask for a smaller --size or allow more with --max-memory."
    )


def predict_peak(
    features: FeatureExtractor, layers: Iterable[str], size: tuple[int, int], plan: MemoryPlan
) -> int:
    """Bytes that a run needs at this size beyond the idle process with its network."""
    wanted = list(layers)
    pixels = size[0] * size[1]
    grid = picture_tiles(features, wanted, size, plan.tile, plan.wrap)
    return int(
        FIXED
        + max(evaluation_bytes(features, wanted, t.pixels, wrap=any(t.wrap)) for t in grid)
        + PICTURES * pixels * 3 * 4
        + state_bytes(plan, pixels * 3)
        + content_bytes(features, wanted, pixels)
    )


def evaluation_cost(
    features: FeatureExtractor,
    layers: Iterable[str],
    size: tuple[int, int],
    tile: int,
    wrap: tuple[bool, bool] = (False, False),
) -> float:
    """The work of an evaluation in tiles, relative to one of the whole picture at once."""
    regions = [t.pixels for t in picture_tiles(features, list(layers), size, tile, wrap)]
    return (SECOND_PASS if len(regions) > 1 else 1.0) * sum(regions) / (size[0] * size[1])


def state_bytes(plan: MemoryPlan, values: int) -> int:
    """Bytes of the optimizer's state for that many values."""
    if plan.optimizer == "adam":
        return 2 * 4 * values
    item = torch.finfo(plan.history_dtype).bits // 8
    pairs = min(LBFGS_HISTORY, plan.evaluations)
    return (2 * pairs * item + 3 * 4) * values


def content_bytes(features: FeatureExtractor, layers: Iterable[str], pixels: int) -> int:
    """Bytes of the photo's own activations, at most: those of the deepest layers asked for."""
    item = torch.finfo(features.dtype).bits // 8
    deep = [features.geometry[name] for name in layers if features.geometry[name].stride >= 4]
    return max((int(g.channels * pixels / g.stride**2 * item) for g in deep), default=0)


def gigabytes(count: int) -> str:
    """A number of bytes for people."""
    return f"{count / (1 << 30):.1f} GB" if count >= 1 << 30 else f"{count / MIB:.0f} MB"
