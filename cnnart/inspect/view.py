"""The part of a photo that a network sees, and where it lies in the photo."""

from __future__ import annotations

from dataclasses import dataclass

from torch import Tensor

from cnnart.image import fit_long_side, resize
from cnnart.networks import Classifier, Network

LONG_SIDE = 256  # of the picture, for a network that has no size of its own
SHOWN = 2  # a sheet's pictures are so many times larger than what the network sees


@dataclass(frozen=True)
class View:
    """``seen``: 1x3xhxw in [0, 1], on the network's device: what the network is given.

    ``shown``: the same part of the photo in more pixels, on the CPU, to be looked at.
    ``scale``: pixels of ``seen`` per pixel of the photo; ``top``, ``left``: where the part begins
    in the scaled photo.
    """

    seen: Tensor
    shown: Tensor
    scale: float
    top: int
    left: int

    def in_photo(self, top: float, left: float) -> tuple[int, int]:
        """A place of ``seen`` (y, x) in the photo's own pixels."""
        return round((top + self.top) / self.scale), round((left + self.left) / self.scale)


def view_of(network: Network, photo: Tensor) -> View:
    """What ``network`` sees of ``photo`` (1x3xHxW): the square it was trained on, at the centre.

    One that does not say how it wants its pictures sees all of it, at a long side of 256 pixels.
    """
    height, width = photo.shape[-2:]
    if not isinstance(network, Classifier):
        h, w = fit_long_side(height, width, LONG_SIDE)
        shown = resize(photo, h * SHOWN, w * SHOWN)
        return View(resize(photo, h, w).to(network.device), shown, w / width, 0, 0)
    seen = network.prepare(photo)
    scale = network.resize / min(height, width)
    side = seen.shape[-1]
    tall, wide = round(height * scale), round(width * scale)
    top, left = (tall - side) // 2, (wide - side) // 2
    large = resize(photo, tall * SHOWN, wide * SHOWN)
    part = (slice(top * SHOWN, (top + side) * SHOWN), slice(left * SHOWN, (left + side) * SHOWN))
    return View(seen.to(network.device), large[:, :, part[0], part[1]], scale, top, left)
