"""Memory: what a run will need, what there is, and the settings that make one fit the other."""

from __future__ import annotations

import functools
import gc
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass

import psutil
import torch
from torch import Tensor

from cnnart.errors import OutOfMemory, is_out_of_memory
from cnnart.optim.steps import Evaluation, Objective, Step

MIB = 1 << 20
FREE_SHARE = 0.7  # of the free memory, what a run may take when nothing is said
LEAST_TILE = 128
TILES = (2048, 1536, 1024, 768, 512, 384, 256, 192, LEAST_TILE)

# Calibrated on a CPU against the maximum resident set of whole runs (benchmarks/memory.py).
FIXED = 230 * MIB  # what computing takes at any size: work space, the network in a second precision
PICTURES = 6  # float32 pictures alive at once, the optimizer's state apart


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


def gigabytes(count: int) -> str:
    """A number of bytes for people."""
    return f"{count / (1 << 30):.1f} GB" if count >= 1 << 30 else f"{count / MIB:.0f} MB"


class ResilientObjective:
    """The objective that ``make(tile)`` gives, made again with a smaller tile when memory runs out.

    Args:
        make: from the side of a tile (0: none) to an objective.
        tile: the first one to try.
        long_side: of the picture; tiles that do not cut it are passed over.
        warnings: gets a line for each step down.

    Calling it raises OutOfMemory when the smallest tile is still too large.
    """

    def __init__(
        self, make: Callable[[int], Objective], tile: int, long_side: int, warnings: list[str]
    ) -> None:
        self.tile = tile
        self._make = make
        self._long_side = long_side
        self._notes = warnings
        self._objective: Objective | None = None

    def __call__(self, image: Tensor) -> Evaluation:
        while True:
            try:
                if self._objective is None:
                    self._objective = self._make(self.tile)
                return self._objective(image)
            except (MemoryError, RuntimeError) as error:
                if not is_out_of_memory(error):
                    raise
            # Outside the handler: the error's traceback keeps the tensors of the attempt alive.
            self._step_down(image.device)

    def _step_down(self, device: torch.device) -> None:
        self._objective = None
        release_memory(device)
        smaller = [t for t in TILES if t < (self.tile or self._long_side)]
        if not smaller:
            raise OutOfMemory(
                f"Out of memory even in tiles of {self.tile} pixels: choose a smaller `size`."
            )
        self.tile = smaller[0]
        self._notes.append(f"Out of memory: going on in tiles of {self.tile} pixels.")


def release_memory(device: torch.device) -> None:
    """Give back what nothing refers to any more, also to the device's own allocator."""
    gc.collect()
    if device.type == "cuda":
        torch.cuda.empty_cache()
    elif device.type == "mps":
        torch.mps.empty_cache()


def guarded(steps: Iterator[Step]) -> Iterator[Step]:
    """The same steps; running out of memory is named as such. Raises OutOfMemory."""
    with memory_errors_named():
        yield from steps


@contextmanager
def memory_errors_named() -> Iterator[None]:
    """Raises OutOfMemory for the several errors with which torch and Python report it."""
    try:
        yield
    except (RuntimeError, MemoryError) as error:
        if not is_out_of_memory(error):
            raise
        raise OutOfMemory(
            "Not enough memory for this size: choose a smaller `size` or another `device`."
        ) from error
