"""How visible the seam is where a texture meets itself, and the line where it is least so."""

from __future__ import annotations

import math

import torch
from torch import Tensor

from cnnart.errors import UsageError

OUTLIERS = 0.02  # of the interior's gradients, at each end: clipped


def seam_error(image: Tensor, axis: str) -> float:
    """The gradient across the wrap against the interior's, less 1: 0 is no seam.

    Along ``x`` the gradient between two columns is the mean absolute difference of their pixels.
    That between the last column and the first is divided by the mean over all neighboring columns
    of the interior. The outermost 2 % of these at each end are clipped, so that a few lines (the
    only joint of a wall, a border) do not decide. A texture whose columns differ much among
    themselves (few and straight edges) has no use for this number.

    Args:
        image: ``1xCxHxW``.
        axis: ``x`` or ``y``.

    Returns:
        0.5 for a seam half as strong again as the interior's gradient, negative for a softer one;
        infinite for any seam in a picture that is constant along the axis inside.

    Raises:
        UsageError: for another axis, or fewer than 3 pixels along it.
    """
    gradient = line_gradients(image, axis)
    wrap, interior = float(gradient[0]), gradient[1:]
    ends = torch.tensor([OUTLIERS, 1 - OUTLIERS], dtype=interior.dtype, device=interior.device)
    low, high = interior.quantile(ends)
    usual = float(interior.clamp(low, high).mean())
    if usual == 0:
        return math.inf if wrap > 0 else 0.0
    return wrap / usual - 1


def line_gradients(image: Tensor, axis: str) -> Tensor:
    """Of each line along an axis, its mean absolute difference from the one before (wrapped)."""
    if axis not in ("x", "y"):
        raise UsageError(f"A seam runs along x or y, not {axis!r}.")
    lines = image.detach().double().transpose(-1, -2) if axis == "x" else image.detach().double()
    if lines.shape[-2] < 3:
        raise UsageError(f"A seam needs 3 pixels along {axis}; there are {lines.shape[-2]}.")
    return (lines - lines.roll(1, -2)).abs().mean((0, 1, 3))


def typical_border(image: Tensor, axis: str) -> int:
    """The line of a texture that wraps around before which its border is least conspicuous.

    On a ring every line is as good as another, and single lines of a photograph differ by tens of
    percent. The one whose gradient is nearest to the mean makes the least conspicuous border, where
    the tile is looked at alone or beside something else.
    """
    gradient = line_gradients(image, axis)
    return int((gradient - gradient.mean()).abs().argmin())
