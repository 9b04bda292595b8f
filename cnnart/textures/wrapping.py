"""Pictures that repeat: which axes, sizes that fit, and resizing without a seam."""

from __future__ import annotations

import math
from collections.abc import Sequence

import torch
import torch.nn.functional as F
from torch import Tensor

from cnnart.image import resize

Wrap = tuple[bool, bool]  # repeats vertically, repeats horizontally
LITTLE = 1.2  # ratio of sizes
SUPPORT = 3  # pixels (of the smaller picture) that bicubic interpolation looks to each side


def wrap_axes(tileable: str) -> Wrap:
    """``none``, ``x``, ``y`` or ``both`` -> the axes (vertical, horizontal) that repeat."""
    return tileable in ("y", "both"), tileable in ("x", "both")


def resize_wrapped(image: Tensor, size: Sequence[int], wrap: Wrap) -> Tensor:
    """``image`` (``NxCxHxW``) at another (height, width); it still repeats along the axes ``wrap``.

    Each such axis is continued with the other side of the picture before it is resized, by as much
    as becomes a whole number of pixels, and cut back afterwards. Where it changes by little, it is
    resized by its Fourier series instead: bicubic interpolation would leave the pixels that stay
    where they are sharp, those at the border, and blur those in between.
    """
    within = float(image.min()) >= 0 and float(image.max()) <= 1
    for axis in (-2, -1):
        length, new = image.shape[axis], size[axis]
        if wrap[axis] and length != new and 1 / LITTLE < new / length < LITTLE:
            image = resample(image, new, axis)
    image = image.clamp(0, 1) if within else image
    if tuple(image.shape[-2:]) == tuple(size):
        return image
    before, after = [0, 0], [0, 0]
    for axis in (0, 1):
        if wrap[axis]:
            before[axis], after[axis] = continuation(image.shape[axis - 2], size[axis])
    (down, across), (top, left) = before, after
    around = F.pad(image, (across, across, down, down), mode="circular") if any(before) else image
    result = resize(around, size[0] + 2 * top, size[1] + 2 * left)
    return result[..., top : top + size[0], left : left + size[1]]


def resample(image: Tensor, new: int, axis: int) -> Tensor:
    """``image`` with ``new`` pixels along an axis that repeats: the same Fourier series."""
    length = image.shape[axis]
    spectrum = torch.fft.rfft(image, dim=axis)
    # Not the wave of two pixels: its phase is unknown, so it would be at some places only.
    kept = spectrum.narrow(axis, 0, (min(length, new) + 1) // 2)
    # Pixels are at the middle of their intervals: the first one's place moves with their number.
    shift = 0.5 * (1 / new - 1 / length)
    order = torch.arange(kept.shape[axis], device=image.device)
    turn = torch.polar(torch.ones_like(shift * order), 2 * math.pi * shift * order)
    kept = kept * (turn[:, None] if axis == -2 else turn)
    return torch.fft.irfft(kept, n=new, dim=axis) * (new / length)


def continuation(length: int, new: int) -> tuple[int, int]:
    """By how many pixels to continue an axis before resizing it, and how many these become."""
    step = length // math.gcd(length, new)  # the fewest pixels that become a whole number
    support = math.ceil(SUPPORT * max(1.0, length / new))
    count = min(-(-support // step), length // step)
    return count * step, count * step * new // length
