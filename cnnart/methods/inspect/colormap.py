"""Maps of numbers as pictures: a scale of colors, alone or over the photo they belong to."""

from __future__ import annotations

import torch
import torch.nn.functional as F
from torch import Tensor

# matplotlib's "inferno" (CC0) at nine even places: lightness rises evenly, and color-blind people
# and gray printers see the same order.
INFERNO = (
    (0.001, 0.000, 0.014),
    (0.129, 0.047, 0.291),
    (0.342, 0.062, 0.429),
    (0.541, 0.135, 0.415),
    (0.736, 0.216, 0.330),
    (0.894, 0.353, 0.194),
    (0.978, 0.558, 0.035),
    (0.975, 0.798, 0.206),
    (0.988, 0.998, 0.645),
)
BRIGHTEST = 0.995  # quantile of a map that gets the last color: single pixels do not dim the rest


def normalized_map(values: Tensor, quantile: float = BRIGHTEST) -> Tensor:
    """A map scaled so that 0 (and what is below) stays 0 and its brightest places are 1."""
    positive = values.float().clamp_min(0)
    top = torch.quantile(positive.flatten(), quantile)
    top = torch.where(top > 0, top, positive.max())  # a map with very few points
    return (positive / top.clamp_min(1e-30)).clamp(0, 1)


def apply_colormap(unit: Tensor) -> Tensor:
    """1x1xHxW in [0, 1] -> its colors, 1x3xHxW: black, purple, red, orange, pale yellow."""
    scale = torch.tensor(INFERNO, device=unit.device)
    place = unit.clamp(0, 1)[0, 0] * (len(INFERNO) - 1)
    below = place.floor().long().clamp_max(len(INFERNO) - 2)
    share = (place - below)[..., None]
    return (scale[below] * (1 - share) + scale[below + 1] * share).permute(2, 0, 1)[None]


def overlay(photo: Tensor, unit: Tensor) -> Tensor:
    """The photo in dim gray, its colors coming out where the map (1x1xhxw) is hot.

    The map is enlarged to the photo's size.
    """
    size = (photo.shape[-2], photo.shape[-1])
    unit = F.interpolate(unit, size=size, mode="bilinear", align_corners=False).to(photo)
    gray = photo.mean(1, keepdim=True) * 0.75
    opacity = 0.25 + 0.5 * unit
    return (gray * (1 - opacity) + apply_colormap(unit) * opacity).clamp(0, 1).expand(-1, 3, -1, -1)


def blurred(picture: Tensor, deviation: float) -> Tensor:
    """A Gaussian blur of ``deviation`` pixels."""
    half = round(2 * deviation)
    place = torch.arange(-half, half + 1, device=picture.device, dtype=picture.dtype)
    kernel = (-0.5 * (place / deviation).square()).exp()
    kernel = (kernel / kernel.sum()).expand(picture.shape[1], 1, -1)
    result = F.pad(picture, (half,) * 4, mode="reflect")
    for along in (kernel[..., None], kernel[..., None, :]):  # down, then across
        result = F.conv2d(result, along, groups=picture.shape[1])
    return result
