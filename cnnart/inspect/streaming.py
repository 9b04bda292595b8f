"""Any number of pictures, one in memory at a time; a bad one is told and passed over."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass, field

from torch import Tensor

from cnnart.errors import ImageError
from cnnart.image import fit_long_side, resize


@dataclass(frozen=True)
class Item:
    """A picture that is read when its turn comes.

    ``name``: unique among its like. ``stamp``: size in bytes and time of change, in nanoseconds;
    the same as long as the picture is. ``read``: returns it as ``1x3xHxW`` in [0, 1], or raises
    ImageError. ``key``: equal for two names of one file.
    """

    name: str
    read: Callable[[], Tensor]
    stamp: tuple[int, int] = (0, 0)
    key: object = None


@dataclass(frozen=True)
class Progress:
    """Where a pass over many pictures stands: ``done`` of ``total``, the last being ``name``."""

    done: int
    total: int
    name: str


@dataclass
class Failures:
    """The pictures that could not be used, and why: one line each, without the name."""

    found: list[tuple[str, str]] = field(default_factory=list)

    def add(self, name: str, why: object) -> None:
        _, _, reason = str(why).rpartition(f"{name}: ")  # errors begin with the path
        self.found.append((name, reason))


def stream(items: Iterable[Item], failures: Failures) -> Iterator[tuple[Item, Tensor | None]]:
    """Read one picture after the other; None stands for one that is now among ``failures``.

    No picture is held here while the next is read.
    """
    for item in items:
        try:
            yield item, item.read()
        except ImageError as error:
            failures.add(item.name, error)
            yield item, None


def shrunk(image: Tensor, long_side: int) -> Tensor:
    """``image`` with a long side of at most so many pixels; smaller ones stay as they are."""
    height, width = image.shape[-2:]
    if max(height, width) <= long_side:
        return image
    return resize(image, *fit_long_side(height, width, long_side))
