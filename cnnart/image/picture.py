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
    to carry over (without orientation and thumbnail). gray: the source stores no color.
    """

    rgb: Tensor
    alpha: Tensor | None = None
    source: str = "<memory>"
    dpi: tuple[float, float] | None = None
    exif: bytes | None = None
    gray: bool = False


def resize(image: Tensor, height: int, width: int) -> Tensor:
    """image (NxCxHxW) at another size: bicubic, antialiased where it shrinks.

    Clamped to [0, 1] if the input lay within, because bicubic overshoots at edges.
    """
    if height < 1 or width < 1:
        raise UsageError(f"A picture cannot be {height}x{width} pixels; both must be 1 or more.")
    if image.shape[-2:] == (height, width):
        return image
    within = float(image.min()) >= 0 and float(image.max()) <= 1
    result = F.interpolate(
        image, size=(height, width), mode="bicubic", align_corners=False, antialias=True
    )
    return result.clamp(0, 1) if within else result


def fit_long_side(height: int, width: int, long_side: int) -> tuple[int, int]:
    """(height, width) scaled so that the longer is long_side pixels and the proportions stay."""
    if min(height, width, long_side) < 1:
        raise UsageError(f"Sizes must be 1 or more: {height}x{width}, long side {long_side}.")
    longest = max(height, width)
    return (
        max(1, round(height * long_side / longest)),
        max(1, round(width * long_side / longest)),
    )


def output_size(height: int, width: int, size: int | tuple[int, int] | None) -> tuple[int, int]:
    """The result's ``(height, width)`` for a photo of this size.

    Args:
        size: the long side, a (height, width) pair, or None for the photo's own size.

    Raises UsageError if that is too small for a network to see anything.
    """
    if isinstance(size, int):
        size = fit_long_side(height, width, size)
    result = (height, width) if size is None else size
    if min(result) < SMALLEST_SIDE:
        raise UsageError(
            f"{result[1]}x{result[0]} is too small to stylize: the short side needs at least "
            f"{SMALLEST_SIDE} pixels. Ask for more with `size`."
        )
    return result


def alpha_like(alpha: Tensor | None, rgb: Tensor) -> Tensor | None:
    """A photo's alpha at the size of its result."""
    return None if alpha is None else resize(alpha, *rgb.shape[-2:])


def luma(image: Tensor) -> Tensor:
    """Lightness Y of a ``1x3xHxW`` picture, ``1x1xHxW``."""
    weights = torch.tensor(LUMA, device=image.device, dtype=image.dtype).view(1, 3, 1, 1)
    return (image * weights).sum(1, keepdim=True)


def center_crop(canvases: Tensor, height: int, width: int) -> Tensor:
    """The middle of ``canvases`` (``B x C x H x W``), of this size."""
    top, left = (canvases.shape[-2] - height) // 2, (canvases.shape[-1] - width) // 2
    return canvases[..., top : top + height, left : left + width]
