"""Pictures of a list, one in memory at a time; a bad one is named and passed over.

Below them, the same picture in other sizes.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import PurePosixPath

from torch import Tensor

from cnnart.errors import ImageError, UsageError
from cnnart.image.picture import center_crop, fit_long_side, resize
from cnnart.networks.imagenet import WORDNET_ID

LEVELS = 255  # the largest 8-bit value


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


def label_of(name: str) -> str | None:
    """The label that a picture's name carries: a WordNet id at its start, or else its folder's."""
    path = PurePosixPath(name)
    if found := WORDNET_ID.match(path.name):
        return found[0]
    return path.parent.as_posix() if path.parent != PurePosixPath(".") else None


def labels_of(
    names: Sequence[str], label: Callable[[str], str | None] = label_of
) -> list[str | None]:
    """The labels of pictures. Raises UsageError where no two have one in common."""
    labels = [label(name) for name in names]
    known = [found for found in labels if found is not None]
    if len(known) == len(set(known)):
        raise UsageError(
            "No two pictures have a label in common: put each class into a folder of its own, or "
            "begin the file names with WordNet ids (n02084071-dog.jpg)."
        )
    return labels


def shrunk(image: Tensor, long_side: int) -> Tensor:
    """``image`` with a long side of at most so many pixels; smaller ones stay as they are."""
    height, width = image.shape[-2:]
    if max(height, width) <= long_side:
        return image
    return resize(image, *fit_long_side(height, width, long_side))


def thumbnail(image: Tensor, long_side: int, *, square: bool = False) -> Tensor:
    """``image``, or its middle square, with this long side, on the CPU."""
    if square:
        side = min(image.shape[-2:])
        image = center_crop(image, side, side)
    height, width = fit_long_side(image.shape[-2], image.shape[-1], long_side)
    return resize(image.cpu(), height, width)


def on_square(image: Tensor, side: int) -> Tensor:
    """``image``, which is no larger, in the middle of a white square."""
    height, width = image.shape[-2:]
    square = image.new_ones(1, 3, side, side)
    top, left = (side - height) // 2, (side - width) // 2
    square[..., top : top + height, left : left + width] = image
    return square


def quantized(image: Tensor) -> Tensor:
    """``image`` in whole levels of 8 bits, as a file gives it back."""
    return (image.clamp(0, 1) * LEVELS).round() / LEVELS
