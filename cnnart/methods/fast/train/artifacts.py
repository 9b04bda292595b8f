"""What goes wrong in trained networks, measured: checkerboards, dots, and pictures of nothing."""

from __future__ import annotations

import math
from collections.abc import Mapping

import torch
import torch.nn.functional as F
from torch import Tensor

from cnnart.image.picture import luma

PERIOD = 4  # pixels; patterns of 2 and 4 are what strides and shuffles leave
WINDOW = 32  # side in pixels of what is searched for a pattern
DOT_RADIUS, DOT_STEP = 4, 0.3  # a dot differs that much from the ring of that radius around it

# What counts as a defect.
MIN_CONTRAST = 0.12  # of the photo's
MAX_CHECKERBOARD, MAX_DOTS = 0.2, 0.01  # beyond the photo's and the painting's own

BLANK, NOT_FINITE = "a picture of almost nothing", "values that are no numbers"


def artifacts_of(pictures: Tensor) -> dict[str, float]:
    """The largest checkerboard and dot measures among pictures, ``Bx3xHxW`` in [0, 1]."""
    pictures = pictures.float()
    y = torch.cat([luma(p[None]) for p in pictures])
    return {"checkerboard": float(checkerboard(pictures).max()), "dots": float(dots(y).max())}


def checkerboard(pictures: Tensor) -> Tensor:
    """The share of fine detail (``BxCxHxW``) that repeats every 4 pixels exactly: ``B``, 0 to 1.

    That is the energy at frequencies 1/4 and 1/2 against that of all detail: a spectral peak. What
    white noise has there by chance is taken off.
    """
    side = _window(pictures, PERIOD)
    if side < PERIOD:
        return pictures.new_zeros(len(pictures))
    windows = _detail(pictures, side)
    energy = windows.square().mean((1, 2, 3)).clamp_min(1e-8)
    chance = PERIOD**2 / side**2
    return ((_repeated(windows, PERIOD) / energy - chance) / (1 - chance)).clamp(0, 1)


def grid_loss(pictures: Tensor, period: int) -> Tensor:
    """Energy of what repeats every ``period`` pixels in windows of a picture (``BxCxHxW``): ``B``.

    Strokes and dots of a style lie anywhere; what a network's own stride leaves lies on its grid,
    and it is the cheapest way to make details: nothing in the other losses keeps it from that.
    """
    side = _window(pictures, period)
    if side < period:
        return pictures.new_zeros(len(pictures))
    return _repeated(_detail(pictures, side), period)


def _window(pictures: Tensor, period: int) -> int:
    return min(WINDOW, *(length // period * period for length in pictures.shape[-2:]))


def _detail(pictures: Tensor, side: int) -> Tensor:
    """Details finer than 5 pixels, cut into windows: ``BxNxsidexside``."""
    smooth = F.avg_pool2d(F.pad(pictures, (2, 2, 2, 2), mode="replicate"), 5, 1)
    return (pictures - smooth).unfold(2, side, side).unfold(3, side, side).flatten(1, 3)


def _repeated(windows: Tensor, period: int) -> Tensor:
    """Mean square of the pattern of that period that is in windows: ``B``."""
    times = windows.shape[-1] // period
    folded = windows.reshape(*windows.shape[:2], times, period, times, period).mean((2, 4))
    return (folded - folded.mean((2, 3), keepdim=True)).square().mean((1, 2, 3))


def dots(y: Tensor) -> Tensor:
    """The share of pixels (``Bx1xHxW``) that are extremes far from all that surrounds them: ``B``.

    Brighter than the brightest of a ring around them by ``DOT_STEP``, or darker likewise.
    """
    size = 2 * DOT_RADIUS + 1
    top, bottom = y - _ring(y, size), -_ring(-y, size) - y
    return ((top > DOT_STEP) | (bottom > DOT_STEP)).float().mean((1, 2, 3))


def _ring(y: Tensor, size: int) -> Tensor:
    """The largest value on the border of the square of that side around each pixel."""
    reach = size // 2
    padded = F.pad(y, (reach,) * 4, mode="replicate")
    rows = F.max_pool2d(padded, (1, size), 1)
    columns = F.max_pool2d(padded, (size, 1), 1)
    height, width = y.shape[-2:]
    edges = (
        rows[..., :height, :],
        rows[..., size - 1 :, :],
        columns[..., :, :width],
        columns[..., :, size - 1 :],
    )
    return torch.stack(edges).max(0).values


def defects(
    outputs: Tensor, photos: Tensor, painting: Mapping[str, float]
) -> tuple[dict[str, float], list[str]]:
    """How much worse stylized photos are than their photos and their painting.

    Returns the measures, and a phrase for each that is too large.
    """
    found = measure(outputs, photos, painting)
    return found, describe(found)


def measure(outputs: Tensor, photos: Tensor, painting: Mapping[str, float]) -> dict[str, float]:
    """``checkerboard`` and ``dots`` beyond the photos' and the painting's own, and ``contrast``
    over the photos'; values that are no numbers have none.
    """
    if not bool(torch.isfinite(outputs).all()):
        return {"checkerboard": 0.0, "dots": 0.0, "contrast": math.nan}
    shown = outputs.clamp(0, 1)
    own, photo = artifacts_of(shown), artifacts_of(photos)
    found = {k: max(0.0, own[k] - max(photo[k], painting.get(k, 0.0))) for k in own}
    contrast = shown.std((1, 2, 3)) / photos.std((1, 2, 3)).clamp_min(1e-3)
    found["contrast"] = float(contrast.min())
    return found


def describe(found: Mapping[str, float]) -> list[str]:
    """What is wrong, by the measures."""
    if math.isnan(found["contrast"]):
        return [NOT_FINITE]
    checks = (
        (found["contrast"] < MIN_CONTRAST, BLANK),
        (found["checkerboard"] > MAX_CHECKERBOARD, f"a checkerboard ({found['checkerboard']:.0%})"),
        (found["dots"] > MAX_DOTS, f"dots ({found['dots']:.1%} of the pixels)"),
    )
    return [phrase for wrong, phrase in checks if wrong]
