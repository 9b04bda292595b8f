"""Transformation robustness: a picture that must please however it is shaken.

What excites a unit only at one exact position is noise; what still does so after a random shift,
scale and turn is a shape (Mordvintsev et al. 2015; Olah, Mordvintsev and Schubert 2017).
"""

from __future__ import annotations

import math
from dataclasses import dataclass

import torch
import torch.nn.functional as F
from torch import Tensor

GREY = 0.5  # what lies outside a picture


@dataclass(frozen=True)
class Shake:
    """How far a picture may move: ``jitter`` in pixels each way, twice; ``scale`` 0.1 for 10 %
    smaller to 10 % larger; ``rotate`` in degrees each way."""

    jitter: float = 0.0
    scale: float = 0.0
    rotate: float = 0.0


def margin(amount: Shake, height: int, width: int) -> int:
    """Pixels of canvas around a picture into which it is usually shaken: half of the farthest."""
    turned = amount.scale + math.sin(math.radians(min(amount.rotate, 90)))
    return math.ceil((2 * amount.jitter + max(height, width) / 2 * turned) / 2)


def shake(
    canvases: Tensor,
    amount: Shake,
    generator: torch.Generator,
    size: tuple[int, int] | None = None,
) -> Tensor:
    """Cut pictures out of ``canvases`` (``B x C x H x W``), all moved in the same random way.

    Jitter, scale, turn and jitter again (a second shift, because the first is turned too) are one
    affine map and one bilinear sampling, differentiable; grey comes in from outside the canvas.

    Args:
        generator: the map is drawn from it, on the CPU.
        size: (height, width) of the pictures, cut from the middle; None: the canvas's own.
    """
    height, width = size or canvases.shape[-2:]
    if amount == Shake():
        return cut(canvases, height, width)
    drawn = torch.rand(6, generator=generator).mul(2).sub(1)
    first, scale, angle, second = drawn.split([2, 1, 1, 2])
    zoom = math.exp(float(scale) * math.log1p(amount.scale))
    turn = math.radians(float(angle) * amount.rotate)
    matrix = (
        torch.tensor([[math.cos(turn), -math.sin(turn)], [math.sin(turn), math.cos(turn)]]) / zoom
    )
    shift = matrix @ (first * amount.jitter) + second * amount.jitter
    # affine_grid counts in half-widths and half-heights: of the picture, then of the canvas.
    inner = torch.tensor([width / 2, height / 2])
    outer = torch.tensor([canvases.shape[-1] / 2, canvases.shape[-2] / 2])
    theta = torch.cat([matrix * inner / outer[:, None], (shift / outer)[:, None]], dim=1)
    shape = [*canvases.shape[:2], height, width]
    grid = F.affine_grid(theta.to(canvases).expand(len(canvases), 2, 3), shape, align_corners=False)
    moved = F.grid_sample(canvases - GREY, grid, padding_mode="zeros", align_corners=False)
    return moved + GREY


def cut(canvases: Tensor, height: int, width: int) -> Tensor:
    """The middle of ``canvases`` (``B x C x H x W``), of this size."""
    top, left = (canvases.shape[-2] - height) // 2, (canvases.shape[-1] - width) // 2
    return canvases[..., top : top + height, left : left + width]
