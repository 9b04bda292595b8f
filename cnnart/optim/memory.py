"""Memory: what a run will need, what there is, and the settings that make one fit the other."""

from __future__ import annotations

import ctypes
import functools
import gc
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass

import psutil
import torch
from torch import Tensor

from cnnart.errors import OutOfMemory, is_out_of_memory
from cnnart.machine import available_memory
from cnnart.optim.steps import Evaluation, Objective, Step

MIB = 1 << 20
FREE_SHARE = 0.7  # of the free memory, what a run may take when nothing is said
LEAST_TILE = 128
TILES = (2048, 1536, 1024, 768, 512, 384, 256, 192, LEAST_TILE)

# Calibrated on a CPU against the maximum resident set of whole runs (benchmarks/memory.py).
FIXED = 110 * MIB  # what computing takes at any size: work space, pieces of pictures
PICTURES = 5  # float32 pictures alive at once, the optimizer's state apart
SPARE = 400 * MIB  # what the C library holds back, at most, in holes between what is in use
MMAP_THRESHOLD = -3  # from glibc's malloc.h
# Measured on an H100, at 512 to 4096 px: what the allocator holds back in holes and of recordings,
# and cuDNN's and cuBLAS' work space.
DEVICE_FACTORS = {"cuda": 1.35}
DEVICE_FIXED = {"cuda": 220 * MIB}
# Of a CUDA process beside tensors, there too: 0.51 GiB when it begins to plan, 0.83 with all the
# kernels, which are loaded as they are needed.
CONTEXT = 840 * MIB
KERNELS = 330 * MIB


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
    """Bytes free on the device, or for the process for the CPU and for shared-memory GPUs."""
    if device.type == "cuda":
        return int(torch.cuda.mem_get_info(device)[0])
    if device.type == "xpu":  # not every driver tells what is free
        total = torch.xpu.get_device_properties(device).total_memory
        return int(total - torch.xpu.memory_reserved(device))
    return available_memory()


@functools.cache
def idle_memory(device: torch.device) -> int:
    """Bytes this process holds on the device before its first picture.

    Asked once: afterwards it also holds what a picture left behind, which the next one uses again.
    """
    if device.type == "cuda":
        return int(torch.cuda.memory_reserved(device)) + context_memory(device)
    if device.type == "xpu":
        return int(torch.xpu.memory_reserved(device))
    return int(psutil.Process().memory_info().rss)


@functools.cache
def context_memory(device: torch.device) -> int:
    """Bytes that a CUDA process holds on the card beside tensors.

    The driver tells what all processes hold: the usual, where that may not be this one's alone. The
    kernels that are still to be loaded count.
    """
    free, total = torch.cuda.mem_get_info(device)
    beside = int(total - free - torch.cuda.memory_reserved(device)) + KERNELS
    return beside if CONTEXT // 2 <= beside <= 2 * CONTEXT else CONTEXT


_freed_returns = False


def hold_to(limit: int, device: torch.device) -> None:
    """Make the device's allocator keep to ``limit`` bytes, as far as that can be done.

    On CUDA it fails beyond it, and the run goes on in smaller tiles. On the CPU it gives freed
    memory back to the system at once: glibc would keep blocks of up to 32 MiB, and the holes
    between those in use come to hundreds of megabytes in a network. Fresh memory takes time, so
    this is for runs with a limit; it is for the whole process and for good.
    """
    global _freed_returns
    if device.type == "cuda":
        total = torch.cuda.get_device_properties(device).total_memory
        share = min(1.0, max(0, limit - context_memory(device)) / total)
        # Of all that is asked of a device, this alone refuses one without a number.
        torch.cuda.set_per_process_memory_fraction(share, device.index)
    elif device.type == "cpu" and sys.platform == "linux":
        with suppress(OSError, AttributeError):  # musl has neither
            _freed_returns = bool(ctypes.CDLL("libc.so.6").mallopt(MMAP_THRESHOLD, MIB))


def spare_bytes(used: int, device: torch.device) -> int:
    """Bytes that the C library may hold beside those that an evaluation uses."""
    return 0 if device.type != "cpu" or _freed_returns else min(used, SPARE)


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
    elif device.type == "xpu":
        torch.xpu.empty_cache()
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
