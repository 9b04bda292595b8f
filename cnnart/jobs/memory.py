"""Running out of memory, called by its name."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager

from torch import Tensor

from cnnart.errors import OutOfMemory, is_out_of_memory
from cnnart.optimize import Step


def guarded(steps: Iterator[Step]) -> Iterator[Step]:
    """The same steps; running out of memory is named as such. Raises OutOfMemory."""
    with memory_errors_named():
        yield from steps


def last_image(steps: Iterator[Step], callback: Callable[[Step], object] | None) -> Tensor:
    """The image of the last step, or of the one after which ``callback`` returned False."""
    for step in guarded(steps):
        image = step.image
        if callback is not None and callback(step) is False:
            break
    return image


@contextmanager
def memory_errors_named() -> Iterator[None]:
    """Raises OutOfMemory for the several errors with which torch and Python report it."""
    try:
        yield
    except (RuntimeError, MemoryError) as error:
        if not is_out_of_memory(error):
            raise
        raise OutOfMemory(
            "Not enough memory for this size: choose a smaller --size or another device."
        ) from error
