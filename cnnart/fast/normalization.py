"""Conditional instance normalization (Dumoulin et al. 2017): an affine pair per style and layer."""

from __future__ import annotations

from typing import NamedTuple

import torch
import torch.nn.functional as F
from torch import Tensor, nn

EPSILON = 1e-5  # as in torch's InstanceNorm2d, whose checkpoints can be imported


class Affine(NamedTuple):
    """What a normalization does to a channel: ``(x - mean) * scale + shift``; ``BxC`` in float32.

    The mean goes first: in a blank picture ``scale`` is huge, and ``x * scale`` less ``mean *
    scale`` would leave nothing but their rounding errors, each layer's magnified by the next.
    """

    mean: Tensor
    scale: Tensor
    shift: Tensor

    def __call__(self, x: Tensor) -> Tensor:
        mean, scale, shift = (v[..., None, None].to(x.dtype) for v in self)
        return torch.addcmul(shift, x - mean, scale)


class ConditionalNorm(nn.Module):
    """Instance normalization whose affine pair is mixed from those of the styles.

    ``gamma`` and ``beta`` hold a row per entry; a row of weights that sum to 1 mixes them. With one
    entry, or a weight of one on one entry, it is plain instance normalization.
    """

    def __init__(self, channels: int, entries: int) -> None:
        super().__init__()
        self.gamma = nn.Parameter(torch.ones(entries, channels))
        self.beta = nn.Parameter(torch.zeros(entries, channels))

    def forward(self, x: Tensor, mix: Tensor) -> Tensor:
        """``BxCxHxW`` in any precision, normalized in float32; ``mix``: ``Bxentries``."""
        # torch's own kernel is one pass fewer, but knows one sample only and neither goes backwards
        # through a mix nor exports.
        plain = torch.is_grad_enabled() or torch.compiler.is_compiling() or _exporting()
        if len(x) == 1 and not plain and x.device.type == "cpu":
            gamma, beta = self.pair(mix)
            return F.batch_norm(x, None, None, gamma[0], beta[0], True, 0.0, EPSILON)
        return self.affine(*statistics(x), mix)(x)

    def pair(self, mix: Tensor) -> tuple[Tensor, Tensor]:
        """The mixed affine pair, each ``BxC``."""
        return mix @ self.gamma, mix @ self.beta

    def affine(self, mean: Tensor, variance: Tensor, mix: Tensor) -> Affine:
        """What to do to activations of these statistics (``BxC``)."""
        gamma, beta = self.pair(mix)
        return Affine(mean, gamma * torch.rsqrt(variance + EPSILON), beta)


def statistics(x: Tensor) -> tuple[Tensor, Tensor]:
    """Mean and variance of each channel of each sample (``BxC``), float32 in any precision.

    Over the pixels as rows: ``torch.var_mean`` over height and width of channels_last memory takes
    many times as long.
    """
    rows = x.permute(0, 2, 3, 1).flatten(1, 2).float()
    mean = rows.mean(1)
    return mean, (rows - mean[:, None]).square().mean(1)


def _exporting() -> bool:
    return torch.jit.is_tracing()
