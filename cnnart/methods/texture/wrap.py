"""Pictures that repeat: which axes, sizes of canvases that fit, and resizing without a seam."""

from __future__ import annotations

import math
from collections.abc import Sequence

import torch
import torch.nn.functional as F
from torch import Tensor

from cnnart.errors import UsageError
from cnnart.image.picture import fit_long_side, resize
from cnnart.settings import SMALLEST_SIDE

Wrap = tuple[bool, bool]  # repeats vertically, repeats horizontally

SIMILAR = 1.2  # ratio of sizes below which an axis that repeats is resized by its Fourier series
SUPPORT = 3  # pixels (of the smaller picture) that bicubic interpolation looks to each side
COARSEST_EXEMPLAR = 32  # short side, in pixels: two units of relu5_1
COARSEST_CANVAS = 48  # short side, in pixels
DEFAULT_ENLARGEMENT = 2  # the result's sides over the exemplar's, where nothing is said


def wrap_axes(tileable: str) -> Wrap:
    """``none``, ``x``, ``y`` or ``both`` -> the axes (vertical, horizontal) that repeat."""
    return tileable in ("y", "both"), tileable in ("x", "both")


def texture_size(
    exemplar: Sequence[int], size: int | tuple[int, int] | str | None, scale: float = 1.0
) -> tuple[int, int]:
    """The result's (height, width) for an exemplar's. Raises UsageError for one below 16 pixels.

    A texture fills a frame for print: it has no proportions of its own.
    """
    height, width = exemplar
    if isinstance(size, str):
        from cnnart.print_sizes import parse_print_size

        size = parse_print_size(size).filled(height, width)
    if isinstance(size, int):
        size = fit_long_side(height, width, size)
    result = size or (
        round(DEFAULT_ENLARGEMENT * height * scale),
        round(DEFAULT_ENLARGEMENT * width * scale),
    )
    if min(result) < SMALLEST_SIDE:
        raise UsageError(
            f"A texture of {result[1]}x{result[0]} is too small: {SMALLEST_SIDE} pixels at least "
            "each way. Ask for more with `size`."
        )
    return result


def canvas_extent(size: tuple[int, int], align: int, repeats: Wrap) -> tuple[int, int]:
    """How many pixels of texture (height, width) the canvas of a result shows.

    The canvas always repeats, so that it has no border where statistics would be other ones. Along
    an axis where the result is not asked to repeat it is the next multiple of ``align``, and cut in
    the end: so its pixels are the result's own.
    """
    height, width = (
        length if wraps else -(-length // align) * align
        for length, wraps in zip(size, repeats, strict=True)
    )
    return height, width


def canvas_sizes(
    extent: tuple[int, int], exemplar: Sequence[float], align: int, wrap: Wrap
) -> list[tuple[int, int]]:
    """Sizes of the canvases, coarsest first: the extent, halved as often as makes sense.

    ``exemplar``: (height, width) of the smallest exemplar beside the result. ``align``: what a
    repeating axis must be a multiple of; there a canvas may differ from the extent by a little.
    """
    result, factor = [_canvas(extent, 1, align, wrap)], 2
    while min(exemplar) / factor >= max(COARSEST_EXEMPLAR, align):
        canvas = _canvas(extent, factor, align, wrap)
        if min(canvas) < max(COARSEST_CANVAS, align):
            break
        result.insert(0, canvas)
        factor *= 2
    return result


def _canvas(extent: tuple[int, int], factor: int, align: int, wrap: Wrap) -> tuple[int, int]:
    height, width = (
        max(1, round(length / factor / align)) * align if wraps else -(-length // factor)
        for length, wraps in zip(extent, wrap, strict=True)
    )
    return height, width


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
        if wrap[axis] and length != new and 1 / SIMILAR < new / length < SIMILAR:
            image = resample(image, new, axis)
    image = image.clamp(0, 1) if within else image
    if tuple(image.shape[-2:]) == tuple(size):
        return image
    before, after = [0, 0], [0, 0]
    for axis in (0, 1):
        if wrap[axis]:
            before[axis], after[axis] = continuation(image.shape[axis - 2], size[axis])
    (down, across), (top, left) = before, after
    if any(before):
        image = F.pad(image, (across, across, down, down), mode="circular")
    result = resize(image, size[0] + 2 * top, size[1] + 2 * left)
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
