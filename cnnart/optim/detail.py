"""Fine detail of pictures: how much of it there is, and pictures with as much as others have.

A texture's finest octaves are a few numbers, the energies of bands, and to give a picture those is
the oldest way to make one (Heeger and Bergen 1995).
"""

from __future__ import annotations

from collections.abc import Sequence
from itertools import pairwise

import torch
import torch.nn.functional as F
from torch import Tensor

OCTAVES = 2  # the finest ones
LEAST = 1e-5  # deviation of what has none
MOST_GAIN = 1.5  # what a clear sky has is noise


@torch.no_grad()
def detail_of(pictures: Tensor) -> Tensor:
    """How much fine detail pictures (``Bx3xHxW`` in [0, 1]) have: ``Bx4``, the deviations of gray
    and of color (what a pixel differs by from its gray) in each octave, the finest first.
    """
    return _deviations(_pyramid(pictures))


@torch.no_grad()
def match_detail(
    pictures: Tensor, wanted: Tensor, most_gain: float = MOST_GAIN, share: float = 1.0
) -> Tensor:
    """``Bx3xHxW`` with as much fine detail as wanted (``Bx4`` or ``1x4``, see ``detail_of``), none
    raised by more than ``most_gain``. Float32, not clamped; what is coarser stays. Without
    gradients; nothing waits for the device. ``share``: how much of the way they go.
    """
    pyramid = _pyramid(pictures)
    gains = (wanted / _deviations(pyramid)).clamp(max=most_gain)
    gains = 1 + share * (gains - 1)
    each = [*gains.split(2, 1), torch.ones_like(gains[:, :2])]
    steps = [each[0], *(coarse - fine for fine, coarse in pairwise(each))]
    # An octave is what a level has beyond the next one, enlarged. Enlarging and scaling colors can
    # change places, so each level is scaled once, by what its gains differ from the finer one's.
    result: Tensor | None = None
    for level, gain in zip(reversed(pyramid), reversed(steps), strict=True):
        result = torch.zeros_like(level) if result is None else doubled(result, level.shape[-2:])
        gray, color = (value[:, None, None, None] for value in gain.unbind(1))
        result = result.addcmul_(level, color).addcmul_(_gray(level), gray - color)
    assert result is not None
    return result


def halved(pictures: Tensor) -> Tensor:
    """``BxCxHxW`` at half of its size, rounded up: each pixel the mean of four."""
    # When traced, sizes are open: of what an even side is given too much, nothing comes.
    if torch.jit.is_tracing() or any(side % 2 for side in pictures.shape[-2:]):
        pictures = F.pad(pictures, (0, 1, 0, 1), mode="replicate")
    if pictures.device.type != "cpu" or torch.is_grad_enabled():
        return F.avg_pool2d(pictures, 2)
    even = [side // 2 * 2 for side in pictures.shape[-2:]]
    pictures = pictures[..., : even[0], : even[1]]
    rows = pictures[..., ::2, :] + pictures[..., 1::2, :]
    return (rows[..., ::2] + rows[..., 1::2]).mul_(0.25)  # torch's pooling takes 8 times as long


def doubled(pictures: Tensor, size: Sequence[int]) -> Tensor:
    """``BxCxhxw`` at twice its size, bilinear, and of that the part of this size (at most a row and
    a column less): undoes ``halved``.
    """
    height, width = size
    if pictures.device.type != "cpu" or torch.is_grad_enabled() or torch.jit.is_tracing():
        larger = F.interpolate(pictures, scale_factor=2, mode="bilinear")
        return larger[..., :height, :width]
    # torch's interpolation takes four times as long.
    padded = F.pad(pictures, (1, 1, 1, 1), mode="replicate")
    count, channels, rows, columns = pictures.shape
    tall = padded.new_empty(count, channels, 2 * rows, columns + 2)
    own = 0.75 * padded[..., 1:-1, :]
    torch.add(own, padded[..., :-2, :], alpha=0.25, out=tall[..., ::2, :])
    torch.add(own, padded[..., 2:, :], alpha=0.25, out=tall[..., 1::2, :])
    larger = padded.new_empty(count, channels, 2 * rows, 2 * columns)
    own = 0.75 * tall[..., 1:-1]
    torch.add(own, tall[..., :-2], alpha=0.25, out=larger[..., ::2])
    torch.add(own, tall[..., 2:], alpha=0.25, out=larger[..., 1::2])
    return larger[..., :height, :width]


def _pyramid(pictures: Tensor) -> list[Tensor]:
    """Pictures, and these at half of their size again and again."""
    levels = [pictures.float().contiguous()]  # networks' are not, and twice as slow here
    for _ in range(OCTAVES):
        levels.append(halved(levels[-1]))
    return levels


def _deviations(pyramid: list[Tensor]) -> Tensor:
    """``detail_of``: what is lost of the colors' variance from level to level."""
    variances = []
    for level in pyramid:
        gray = _variance(_gray(level))
        variances.append(torch.cat((gray, _variance(level) - gray), 1))
    lost = torch.cat([fine - coarse for fine, coarse in pairwise(variances)], 1)
    return lost.clamp_min(LEAST**2).sqrt()


def _variance(level: Tensor) -> Tensor:
    """Of the channels' values, each about its mean: their mean, ``Bx1``."""
    return (level - level.mean((2, 3), keepdim=True)).square().mean((1, 2, 3))[:, None]


def _gray(level: Tensor) -> Tensor:
    return (level[:, :1] + level[:, 1:2] + level[:, 2:]) / 3  # torch's mean takes twice as long
