"""The losses, as pure functions of activations, moments and pixels.

Everything a style loss needs of a layer is its first and second moment, and moments of disjoint
regions add up: that is what lets ``tiling`` compute the same loss a piece at a time.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, NamedTuple

import torch
from torch import Tensor

from cnnart.errors import UsageError
from cnnart.settings import STATISTICS

EPSILON = 1e-12
BF16_PIECE = 1024  # positions whose products bfloat16 may add up before float32 takes over


class Moments(NamedTuple):
    """Weighted sums over the positions of a layer, all float32.

    ``mass``: the sum of the weights (scalar); ``total``: ``C``, the sum of the activations;
    ``outer``: ``CxC``, the sum of their outer products.
    """

    mass: Tensor
    total: Tensor
    outer: Tensor

    def plus(self, other: Moments) -> Moments:
        return Moments(*(a + b for a, b in zip(self, other, strict=True)))

    def scaled(self, factor: float) -> Moments:
        return Moments(*(a * factor for a in self))

    def normalized(self) -> Moments:
        """The moments of a distribution: the same, with a mass of one."""
        return Moments(torch.ones_like(self.mass), self.mean(), self.gram())

    def mean(self) -> Tensor:
        """Mean activation, ``C``."""
        return self.total / self.mass.clamp_min(EPSILON)

    def gram(self) -> Tensor:
        """Gram matrix divided by the number of positions, ``CxC`` (Gatys et al. 2015).

        Dividing by the positions alone makes it independent of the picture's size; the style
        losses below are relative, so no further normalization is needed.
        """
        return self.outer / self.mass.clamp_min(EPSILON)

    def covariance(self) -> Tensor:
        """Covariance of the activations over positions, ``CxC``."""
        mean = self.mean()
        return self.gram() - torch.outer(mean, mean)


def moments(features: Tensor, weight: Tensor | None = None) -> Moments:
    """Moments of ``1xCxhxw`` activations, each position counted ``weight`` (``1x1xhxw``) times."""
    flat = features.permute(0, 2, 3, 1).flatten(0, 2)  # a view when the memory is channels_last
    if weight is None:
        mass = flat.new_full((), len(flat), dtype=torch.float32)
        return Moments(mass, flat.sum(0, dtype=torch.float32), _OuterSum.apply(flat, None))
    w = weight.reshape(-1, 1)
    total = (flat * w).sum(0, dtype=torch.float32)
    return Moments(w.sum(), total, _OuterSum.apply(flat, w.to(flat.dtype)))


class _OuterSum(torch.autograd.Function):
    """``flat.T @ (weight * flat)`` in float32, for ``NxC`` activations.

    Written out because autograd does not know that both factors are the same, and would multiply
    twice on the way back. bfloat16 is multiplied as it is, in pieces whose products are added up in
    float32: within 5e-4 of the float32 product, at a sixth of its time.
    """

    @staticmethod
    def forward(ctx: Any, flat: Tensor, weight: Tensor | None) -> Tensor:
        ctx.save_for_backward(flat, weight)
        weighted = flat if weight is None else flat * weight
        if flat.dtype != torch.bfloat16:
            return weighted.float().T @ flat.float()
        pieces, rest = divmod(len(flat), BF16_PIECE)
        whole = len(flat) - rest
        shape = (pieces, BF16_PIECE, flat.shape[1])
        left = weighted[:whole].view(shape).transpose(1, 2)
        result = torch.bmm(left, flat[:whole].view(shape)).sum(0, dtype=torch.float32)
        return result + (weighted[whole:].T @ flat[whole:]).float() if rest else result

    @staticmethod
    def backward(ctx: Any, grad: Tensor) -> tuple[Tensor, None]:
        flat, weight = ctx.saved_tensors
        if flat.dtype == torch.bfloat16:
            result = flat @ (grad + grad.T).to(flat.dtype)
        else:
            result = (flat.float() @ (grad + grad.T)).to(flat.dtype)
        return result if weight is None else result * weight, None


def blend(parts: list[tuple[Moments, float]]) -> Moments:
    """The moments of a mixture of styles: weights need not sum to one."""
    total = sum(weight for _, weight in parts)
    blended = [m.normalized().scaled(weight / total) for m, weight in parts]
    result = blended[0]
    for other in blended[1:]:
        result = result.plus(other)
    return result


def style_loss(found: Moments, target: Moments, statistic: str = "gram") -> Tensor:
    """How far a layer's statistics are from the style's, relative to the style's own size.

    ``gram``: squared Frobenius distance of the Gram matrices over the target's squared norm
    (Gatys et al. 2015). ``covariance``: the same of the covariances, plus the means'. Not
    distinguishing mean from deviation is what makes Gram matrices shift contrast and color.
    ``wasserstein``: squared 2-Wasserstein distance of the two Gaussians over the target's energy.
    0 when equal, about 1 for unrelated pictures, whatever the layer and the network's scale.
    """
    if statistic == "gram":
        return relative_square(found.gram(), target.gram())
    if statistic == "covariance":
        means = relative_square(found.mean(), target.mean())
        return 0.5 * (relative_square(found.covariance(), target.covariance()) + means)
    if statistic == "wasserstein":
        return _wasserstein(found, target)
    raise UsageError(f"Unknown statistic {statistic!r}: use {', '.join(STATISTICS)}.")


def relative_square(found: Tensor, target: Tensor) -> Tensor:
    """Squared distance over the target's squared norm; 0 when equal, 1 for ``found`` = 0."""
    return (found - target).square().sum() / target.square().sum().clamp_min(EPSILON)


def _wasserstein(found: Moments, target: Moments) -> Tensor:
    """Squared 2-Wasserstein distance of two Gaussians over the target's energy.

    tr(A + B - 2 (A^1/2 B A^1/2)^1/2) + |means|^2, with A the target, whose root needs no gradient.
    """
    # On the CPU in float64: not every device has either the precision or the decomposition.
    root = matrix_sqrt(target.covariance().cpu().double())
    inner = root @ found.covariance().cpu().double() @ root
    eigenvalues = torch.linalg.eigvalsh(0.5 * (inner + inner.T)).clamp_min(0)
    # A root whose slope stays finite at 0, where rank-deficient layers have many eigenvalues.
    jitter = 1e-9 * eigenvalues.mean().detach() + 1e-30
    cross = (eigenvalues / (eigenvalues + jitter).sqrt()).sum().to(found.total.device)
    spread = found.covariance().trace() + target.covariance().trace() - 2 * cross.float()
    means = (found.mean() - target.mean()).square().sum()
    return (spread + means) / target.gram().trace().clamp_min(EPSILON)


def matrix_sqrt(matrix: Tensor) -> Tensor:
    """The symmetric square root of a symmetric positive semidefinite matrix."""
    values, vectors = torch.linalg.eigh(0.5 * (matrix + matrix.T))
    return (vectors * values.clamp_min(0).sqrt()) @ vectors.T


def content_loss_sum(found: Tensor, target: Tensor, weight: Tensor | None = None) -> Tensor:
    """Sum of squared differences of two activations (Gatys et al. 2015), float32.

    A sum, not a mean, so that tiles add up; the caller divides by the target's energy.
    ``weight``: of each place, ``1x1xhxw``; None: all count alike.
    """
    squares = (found.float() - target.float()).square()
    return squares.sum() if weight is None else (squares * weight).sum()


def tv_loss(image: Tensor) -> Tensor:
    """Squared differences of neighboring pixels, averaged: L2 total variation (Mahendran 2015)."""
    return tv_part(image, image.shape[-2:], image.shape[-2:])


def tv_part(
    piece: Tensor,
    core: Sequence[int],
    whole: Sequence[int],
    wrap: tuple[bool, bool] = (False, False),
) -> Tensor:
    """What a piece adds to the TV loss of a picture of size ``whole`` (height, width).

    ``core``: the size of the part that is the piece's own. Where the picture goes on below or to
    the right of it, ``piece`` has one more row or column: the difference to it is counted here.
    ``wrap``: the axes (vertical, horizontal) along which it goes on at the other side.
    """
    (height, width), (rows, columns) = core, whole
    pairs_down, pairs_across = rows - 1 + wrap[0], columns - 1 + wrap[1]
    down = piece[..., 1:, :width] - piece[..., :-1, :width]
    across = piece[..., :height, 1:] - piece[..., :height, :-1]
    return down.square().sum() / max(3 * pairs_down * columns, 1) + across.square().sum() / max(
        3 * rows * pairs_across, 1
    )


def excess_sum(image: Tensor) -> Tensor:
    """Squared excess over [0, 1], summed: how far pixels are from what a file can hold."""
    return (image - image.clamp(0, 1)).square().sum()
