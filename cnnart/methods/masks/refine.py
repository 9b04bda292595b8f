"""A coarse mask brought to the edges of its photo."""

from __future__ import annotations

import torch
import torch.nn.functional as F
from torch import Tensor

from cnnart.image.picture import fit_long_side, resize

WORKING_SIDE = 512  # long side at which the edges are found; the photo itself is used in the end
RADIUS = 1 / 64  # of the window, of the long side: a cell of a network's map and its neighbors
EDGE = 1e-4  # variance of the colors in a window below which there is no edge in it
LOW, HIGH = 0.15, 0.85  # what counts as outside and as inside: the filter leaves a haze
FEATHER = 0.001  # deviation of the blur along the edge, of the long side


def refined(mask: Tensor, photo: Tensor) -> Tensor:
    """A soft mask at the photo's size whose edges are the photo's.

    The guided filter (He, Sun and Tang 2010) with the photo's colors as the guide; as in the fast
    one (He and Sun 2015, arXiv:1505.00996), its planes are fitted at a small size.

    Args:
        mask: ``1x1xhxw`` in [0, 1] over all of the photo, of any size.
        photo: ``1x3xHxW`` in [0, 1].
    """
    height, width = photo.shape[-2:]
    size = fit_long_side(height, width, min(WORKING_SIDE, max(height, width)))
    guide, coarse = resize(photo, *size), resize(mask, *size, mode="bilinear")
    radius = max(1, round(max(size) * RADIUS))
    slopes, offset = _planes(guide, coarse, radius)
    slopes, offset = (
        F.interpolate(each, size=(height, width), mode="bilinear", align_corners=False)
        for each in (slopes, offset)
    )
    found = (slopes * photo).sum(1, keepdim=True) + offset
    return feathered(((found - LOW) / (HIGH - LOW)).clamp(0, 1))


def _planes(guide: Tensor, mask: Tensor, radius: int) -> tuple[Tensor, Tensor]:
    """For each pixel the plane over the colors (three slopes, an offset) that the masks of the
    windows around it lie on."""
    mean, mask_mean = _box_mean(guide, radius), _box_mean(mask, radius)
    products = _box_mean((guide[:, :, None] * guide[:, None]).flatten(1, 2), radius)
    spread = products.unflatten(1, (3, 3)) - mean[:, :, None] * mean[:, None]
    common = _box_mean(guide * mask, radius) - mean * mask_mean
    matrices = spread.permute(0, 3, 4, 1, 2) + EDGE * torch.eye(3)
    slopes = torch.linalg.solve(matrices, common.permute(0, 2, 3, 1)[..., None])[..., 0]
    slopes = slopes.permute(0, 3, 1, 2)
    offset = mask_mean - (slopes * mean).sum(1, keepdim=True)
    return _box_mean(slopes, radius), _box_mean(offset, radius)


def _box_mean(x: Tensor, radius: int) -> Tensor:
    """The mean over a window; at the border over what there is of it."""
    for axis in ((1, 2 * radius + 1), (2 * radius + 1, 1)):
        padding = (axis[0] // 2, axis[1] // 2)
        x = F.avg_pool2d(x, axis, 1, padding, count_include_pad=False)
    return x


def feathered(mask: Tensor, amount: float = FEATHER) -> Tensor:
    """``1x1xHxW`` blurred by a Gaussian; ``amount``: its deviation, of the long side."""
    deviation = amount * max(mask.shape[-2:])
    reach = round(3 * deviation)
    if reach < 1:
        return mask
    x = torch.arange(-reach, reach + 1, dtype=mask.dtype)
    weights = torch.exp(-0.5 * (x / deviation) ** 2)
    weights = weights / weights.sum()
    for kernel, pad in (
        (weights.view(1, 1, 1, -1), (reach, reach, 0, 0)),
        (weights.view(1, 1, -1, 1), (0, 0, reach, reach)),
    ):
        mask = F.conv2d(F.pad(mask, pad, mode="replicate"), kernel)
    return mask.clamp(0, 1)
