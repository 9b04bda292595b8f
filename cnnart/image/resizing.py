"""Other sizes of a picture."""

from __future__ import annotations

import torch.nn.functional as F
from torch import Tensor

from cnnart.errors import UsageError


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
