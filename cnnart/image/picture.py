"""A picture in memory, and the sizes it can have."""

from __future__ import annotations

from dataclasses import dataclass

import torch
import torch.nn.functional as F
from torch import Tensor

from cnnart.errors import UsageError
from cnnart.settings import SMALLEST_SIDE

# ITU-R BT.601 full-range YCbCr, as in JPEG.
LUMA = (0.299, 0.587, 0.114)


@dataclass(frozen=True)
class Picture:
    """A picture in memory.

    rgb: 1x3xHxW, float32, sRGB in [0, 1], upright. alpha: 1x1xHxW in [0, 1], None if there is none.
    source: the path or stream it came from. dpi: horizontal and vertical. exif: the EXIF block
    to carry over (without orientation and thumbnail). gray: the source stores no color. warnings:
    what was guessed or left out when it was read, one line each.
    """

    rgb: Tensor
    alpha: Tensor | None = None
    source: str = "<memory>"
    dpi: tuple[float, float] | None = None
    exif: bytes | None = None
    gray: bool = False
    warnings: tuple[str, ...] = ()


# The most one antialiased interpolation shrinks an axis. CUDA keeps the weights of a whole block of
# pixels in shared memory and refuses more than 47 times along both axes (ROCm more than 31).
MOST_AT_ONCE = 16


def resize(image: Tensor, height: int, width: int, *, mode: str = "bicubic") -> Tensor:
    """image (NxCxHxW) at another size: bicubic (or bilinear), antialiased where it shrinks.

    Clamped to [0, 1] if the input lay within, because bicubic overshoots at edges. Nothing here
    waits for the device. Along an axis that shrinks by more than ``MOST_AT_ONCE`` it goes in
    several steps (``resize_stages``), on every device alike.
    """
    if height < 1 or width < 1:
        raise UsageError(f"A picture cannot be {height}x{width} pixels; both must be 1 or more.")
    if image.shape[-2:] == (height, width):
        return image
    low, high = image.detach().min(), image.detach().max()
    within = (low >= 0) & (high <= 1)
    result = image
    for size in resize_stages((image.shape[-2], image.shape[-1]), (height, width)):
        result = _interpolate(result, size, mode)
    infinite = torch.full_like(low, torch.inf)
    return result.clamp_(
        torch.where(within, torch.zeros_like(low), -infinite),
        torch.where(within, torch.ones_like(low), infinite),
    )


def resize_stages(before: tuple[int, int], after: tuple[int, int]) -> list[tuple[int, int]]:
    """The sizes (height, width) that a resize passes through, ``after`` the last of them.

    No stage shrinks an axis by more than ``MOST_AT_ONCE``. All but the first go as far as that, so
    that the first, whose filter is narrow, hardly shows: what comes out differs from one step
    by less than one of 255 levels, on noise too.
    """
    stages = [after]
    while any(n > MOST_AT_ONCE * m for n, m in zip(before, stages[0], strict=True)):
        height, width = (min(n, MOST_AT_ONCE * m) for n, m in zip(before, stages[0], strict=True))
        stages.insert(0, (height, width))
    return stages


def _interpolate(image: Tensor, size: tuple[int, int], mode: str) -> Tensor:
    """One antialiased interpolation, by the CPU where the device has none."""
    where = image
    if image.device.type == "mps" and image.requires_grad:
        where = image.cpu()  # Metal's has had a gradient only lately
    try:
        result = F.interpolate(where, size=size, mode=mode, align_corners=False, antialias=True)
    except NotImplementedError:  # Metal, before torch 2.8
        result = F.interpolate(
            image.cpu(), size=size, mode=mode, align_corners=False, antialias=True
        )
    return result.to(image.device)


def fit_long_side(height: int, width: int, long_side: int) -> tuple[int, int]:
    """(height, width) scaled so that the longer is long_side pixels and the proportions stay."""
    if min(height, width, long_side) < 1:
        raise UsageError(f"Sizes must be 1 or more: {height}x{width}, long side {long_side}.")
    longest = max(height, width)
    return (
        max(1, round(height * long_side / longest)),
        max(1, round(width * long_side / longest)),
    )


def chosen_size(
    height: int, width: int, size: int | tuple[int, int] | str | None
) -> tuple[int, int]:
    """The result's ``(height, width)`` for a photo of this size.

    Args:
        size: the long side, a (height, width) pair, text for print (``cnnart.print_sizes``), into
            which the photo is fitted, or None for the photo's own size.
    """
    if isinstance(size, str):
        from cnnart.print_sizes import parse_print_size

        return parse_print_size(size).fitted(height, width)
    if isinstance(size, int):
        return fit_long_side(height, width, size)
    return (height, width) if size is None else size


def output_size(
    height: int, width: int, size: int | tuple[int, int] | str | None
) -> tuple[int, int]:
    """The same as ``chosen_size``. Raises UsageError if that is too small for a network to see
    anything.
    """
    result = chosen_size(height, width, size)
    if min(result) < SMALLEST_SIDE:
        raise UsageError(
            f"{result[1]}x{result[0]} is too small to stylize: the short side needs at least "
            f"{SMALLEST_SIDE} pixels. Ask for more with `size`."
        )
    return result


def alpha_like(alpha: Tensor | None, rgb: Tensor) -> Tensor | None:
    """A photo's alpha at the size of its result; None if there is none, or nothing else."""
    return None if alpha is None or not bool(alpha.any()) else resize(alpha, *rgb.shape[-2:])


def luma(image: Tensor) -> Tensor:
    """Lightness Y of a ``1x3xHxW`` picture, ``1x1xHxW``."""
    weights = torch.tensor(LUMA, device=image.device, dtype=image.dtype).view(1, 3, 1, 1)
    return (image * weights).sum(1, keepdim=True)


def center_crop(canvases: Tensor, height: int, width: int) -> Tensor:
    """The middle of ``canvases`` (``B x C x H x W``), of this size."""
    top, left = (canvases.shape[-2] - height) // 2, (canvases.shape[-1] - width) // 2
    return canvases[..., top : top + height, left : left + width]
