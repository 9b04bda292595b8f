"""One step of a flight: the picture a little nearer and turned a little."""

from __future__ import annotations

import math

import torch
import torch.nn.functional as F
from torch import Tensor

from cnnart.errors import UsageError


def zoom_picture(image: Tensor, zoom: float = 1.0, rotate: float = 0.0) -> Tensor:
    """``image`` (``B x C x H x W``) enlarged and turned about its centre, at the same size.

    Bicubic; what comes in from outside is the picture's own mirror image. A zoom of 1 and a turn
    of 0 return ``image`` itself.

    Args:
        zoom: 1.03 comes 3 % nearer, below 1 moves away.
        rotate: degrees, counter-clockwise.

    Raises UsageError for a zoom that is not above zero.
    """
    if not (0 < zoom < math.inf):
        raise UsageError(f"A zoom of {zoom:g} is not possible: 1.03 comes nearer, 0.97 moves away.")
    if zoom == 1 and rotate % 360 == 0:
        return image
    turn = math.radians(rotate)
    ratio = image.shape[-2] / image.shape[-1]
    # affine_grid counts in half-widths and half-heights, so a turn also changes the unit.
    theta = torch.tensor(
        [
            [math.cos(turn), -math.sin(turn) * ratio, 0],
            [math.sin(turn) / ratio, math.cos(turn), 0],
        ]
    )
    theta = (theta / torch.tensor([zoom, zoom, 1])).to(image).expand(len(image), 2, 3)
    grid = F.affine_grid(theta, list(image.shape), align_corners=False)
    moved = F.grid_sample(
        image, grid, mode="bicubic", padding_mode="reflection", align_corners=False
    )
    return moved.clamp(0, 1)  # bicubic overshoots at edges
