"""An objective that survives running out of memory: it takes smaller tiles and goes on."""

from __future__ import annotations

import gc
from collections.abc import Callable

import torch
from torch import Tensor

from cnnart.budget import TILES
from cnnart.errors import OutOfMemory, is_out_of_memory
from cnnart.optimize import Evaluation, Objective


class ResilientObjective:
    """The objective that ``make(tile)`` gives, made again with a smaller tile when memory runs out.

    Args:
        make: from the side of a tile (0: none) to an objective.
        tile: the first one to try.
        long_side: of the picture; tiles that do not cut it are passed over.
        notes: gets a line for each step down.

    Calling it raises OutOfMemory when the smallest tile is still too large.
    """

    def __init__(
        self, make: Callable[[int], Objective], tile: int, long_side: int, notes: list[str]
    ) -> None:
        self.tile = tile
        self._make = make
        self._long_side = long_side
        self._notes = notes
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
                f"Out of memory even in tiles of {self.tile} pixels: choose a smaller --size."
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
