"""Running out of memory, called by its name."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

from cnnart.errors import OutOfMemory, is_out_of_memory
from cnnart.optimize import Step


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
            "Not enough memory for this size: choose a smaller --size or another device."
        ) from error
