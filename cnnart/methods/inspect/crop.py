"""The part of a photo that a network is given, and where it lies in the photo."""

from __future__ import annotations

from dataclasses import dataclass

from torch import Tensor

from cnnart.image.picture import fit_long_side, resize
from cnnart.networks.base import Classifier, Network

LONG_SIDE = 256  # of the picture, for a network that has no size of its own
DISPLAY_SCALE = 2  # a sheet's pictures are so many times larger than the network's input


@dataclass(frozen=True)
class Crop:
    """``input``: 1x3xhxw in [0, 1], on the network's device: what the network is given.

    ``display``: the same part of the photo in more pixels, on the CPU, to be looked at.
    ``scale``: pixels of ``input`` per pixel of the photo; ``top``, ``left``: where the part begins
    in the scaled photo.
    """

    input: Tensor
    display: Tensor
    scale: float
    top: int
    left: int

    def in_photo(self, top: float, left: float) -> tuple[int, int]:
        """A place of ``input`` (y, x) in the photo's own pixels."""
        return round((top + self.top) / self.scale), round((left + self.left) / self.scale)


def crop_for(network: Network, photo: Tensor) -> Crop:
    """What ``network`` is given of ``photo`` (1x3xHxW): the center, the square it was trained on.

    A network that does not say how it wants its pictures is given all of it, at a long side of 256
    pixels.
    """
    height, width = photo.shape[-2:]
    if not isinstance(network, Classifier):
        h, w = fit_long_side(height, width, LONG_SIDE)
        display = resize(photo, h * DISPLAY_SCALE, w * DISPLAY_SCALE)
        return Crop(resize(photo, h, w).to(network.device), display, w / width, 0, 0)
    prepared = network.prepare(photo)
    scale = network.resize / min(height, width)
    side = prepared.shape[-1]
    tall, wide = round(height * scale), round(width * scale)
    top, left = (tall - side) // 2, (wide - side) // 2
    large = resize(photo, tall * DISPLAY_SCALE, wide * DISPLAY_SCALE)
    rows, columns = (slice(k * DISPLAY_SCALE, (k + side) * DISPLAY_SCALE) for k in (top, left))
    return Crop(prepared.to(network.device), large[:, :, rows, columns], scale, top, left)
