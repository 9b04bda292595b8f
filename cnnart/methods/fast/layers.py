"""The building block: convolution, conditional normalization, ReLU; whole or by strips of rows."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from functools import reduce
from typing import Any, NamedTuple

import torch
import torch.nn.functional as F
from torch import Tensor, nn

EPSILON = 1e-5  # as in torch's InstanceNorm2d, whose checkpoints can be imported


class Rows(NamedTuple):
    """Rows ``start`` to ``stop`` (exclusive) of a layer."""

    start: int
    stop: int


@dataclass(frozen=True)
class ConvSpec:
    """What a block's convolution does, in this order.

    ``upsample``: repeat pixels; convolve (``kernel``, ``stride``), or, ``separable``, depthwise
    then pointwise, without a stride; ``shuffle``: channels to pixels, and a box filter as large as
    what one pixel becomes: what repeats with that period comes out constant, so that shuffling
    leaves no grid, at the start or ever (Sugawara et al. 2018). ``outputs`` counts the channels
    that come out at the end.
    """

    inputs: int
    outputs: int
    kernel: int = 3
    stride: int = 1
    upsample: int = 1
    shuffle: int = 1
    separable: bool = False


class ConvBlock(nn.Module):
    """A convolution, then conditional normalization if ``pairs``, then a ReLU if ``relu``.

    ``pairs``: number of styles' affine pairs that it holds, see ``ConditionalNorm``.
    """

    def __init__(self, spec: ConvSpec, pairs: int = 0, *, relu: bool = True) -> None:
        super().__init__()
        self.spec = spec
        self.relu = relu
        last = spec.outputs * spec.shuffle**2
        self.depthwise: nn.Parameter | None = None
        if spec.separable:
            self.depthwise = nn.Parameter(_he(spec.inputs, 1, spec.kernel))
        weight = _he(spec.outputs, spec.inputs, 1 if spec.separable else spec.kernel)
        # ICNR: all pixels that one becomes start alike, so that no grid is there to be unlearned.
        weight = weight.repeat_interleave(spec.shuffle**2, 0)
        self.weight = nn.Parameter(weight.contiguous(memory_format=torch.channels_last))
        self.bias: nn.Parameter | None = None
        self.norm: ConditionalNorm | None = None
        if pairs:
            self.norm = ConditionalNorm(spec.outputs, pairs)  # which undoes any bias
        else:
            self.bias = nn.Parameter(torch.zeros(last))

    def forward(self, x: Tensor, pair: AffinePair | None) -> Tensor:
        """``BxCxHxW`` -> the block's output; ``pair``: of its normalization, if it has one."""
        x = self.convolve(x)
        if pair is not None:
            x = instance_norm(x, pair)
        return F.relu_(x) if self.relu else x

    def convolve(self, x: Tensor) -> Tensor:
        """The convolution alone, of a whole picture."""
        if self._folds():
            return self._folded(x)
        side = self.spec.kernel // 2
        x = self._kernel(self._padded(self._before(x), side, side))
        if (factor := self.spec.shuffle) == 1:
            return x
        return _box_filter(F.pixel_shuffle(x, factor), factor, factor // 2, (factor - 1) // 2)

    # Strips of rows

    def height(self, rows: int) -> int:
        """Rows that come out of so many rows."""
        s = self.spec
        return -(-rows * s.upsample // s.stride) * s.shuffle

    def needed(self, rows: Rows, height: int) -> Rows:
        """The rows of an input of this height on which these output rows depend."""
        s = self.spec
        low, high = self._kernel_rows(self._filter_rows(rows, height))
        low, high = max(low, 0), min(high, height * s.upsample)
        return Rows(low // s.upsample, -(-high // s.upsample))

    def convolve_rows(self, x: Tensor, given: Rows, height: int, rows: Rows) -> Tensor:
        """``rows`` of the output, from the rows ``given`` of an input of that height.

        What lies beyond the true borders is reflected; other rows must be given.
        """
        s = self.spec
        x = self._before(x)
        covered = self._filter_rows(rows, height)
        low, high = self._kernel_rows(covered)
        inner, offset = height * s.upsample, given.start * s.upsample
        top, bottom = max(0, -low), max(0, high - inner)
        x = x[..., max(low, 0) - offset : min(high, inner) - offset, :]
        x = self._kernel(self._padded(x, top, bottom))
        if s.shuffle > 1:
            skip = covered.start % s.shuffle
            x = F.pixel_shuffle(x, s.shuffle)[..., skip : skip + covered.stop - covered.start, :]
            above = s.shuffle // 2 - (rows.start - covered.start)
            below = (s.shuffle - 1) // 2 - (covered.stop - rows.stop)
            x = _box_filter(x, s.shuffle, above, below)
        return x

    def _filter_rows(self, rows: Rows, height: int) -> Rows:
        """The rows that the box filter covers for these output rows, within the picture."""
        factor = self.spec.shuffle
        low, high = rows.start - factor // 2, rows.stop + (factor - 1) // 2
        return Rows(max(low, 0), min(high, self.height(height)))

    def _kernel_rows(self, rows: Rows) -> Rows:
        """The rows that the kernel covers for these shuffled rows; some beyond the borders."""
        s = self.spec
        first, last = rows.start // s.shuffle, -(-rows.stop // s.shuffle) - 1
        reach = s.kernel // 2
        return Rows(first * s.stride - reach, last * s.stride - reach + s.kernel)

    # The convolution's parts

    def _before(self, x: Tensor) -> Tensor:
        factor = self.spec.upsample
        return F.interpolate(x, scale_factor=factor, mode="nearest") if factor > 1 else x

    def _padded(self, x: Tensor, top: int, bottom: int) -> Tensor:
        return reflected(x, self.spec.kernel // 2, top, bottom)

    def _kernel(self, x: Tensor) -> Tensor:
        """The convolution of what is padded already."""
        weight, bias = self._cast(x.dtype)
        if self.depthwise is None:
            return F.conv2d(x, weight, bias, self.spec.stride)
        return F.conv2d(depthwise(x, self.depthwise.to(x.dtype)), weight, bias)

    def _cast(self, dtype: torch.dtype) -> tuple[Tensor, Tensor | None]:
        return self.weight.to(dtype), None if self.bias is None else self.bias.to(dtype)

    def repeats_pixels(self) -> bool:
        """Whether upsampling and convolving can be one transposed convolution."""
        s = self.spec
        return not s.separable and (s.kernel, s.stride, s.upsample, s.shuffle) == (3, 1, 2, 1)

    def _folds(self) -> bool:
        plain = not torch.is_grad_enabled() and not torch.jit.is_tracing()
        return plain and self.repeats_pixels()

    def _folded(self, x: Tensor) -> Tensor:
        """Repeating pixels and then convolving 3x3, as one transposed convolution of 4x4: the same
        without the upsampled picture in between, and less work, since repeated pixels share
        weights.
        """
        weight, bias = self._cast(x.dtype)
        x = F.pad(x, (1, 1, 1, 1), mode="replicate")  # what reflecting repeated pixels comes to
        return F.conv_transpose2d(x, repeated_weight(weight), bias, stride=2, padding=3)


def reflected(x: Tensor, side: int, top: int | None = None, bottom: int | None = None) -> Tensor:
    """``x`` continued by reflection: by ``side`` pixels, or other numbers of rows."""
    if not side:
        return x
    top, bottom = side if top is None else top, side if bottom is None else bottom
    return F.pad(x, (side, side, top, bottom), mode="reflect")


def repeated_weight(weight: Tensor) -> Tensor:
    """The weight (``inputs x outputs x 4 x 4``, for a stride of 2) of the transposed convolution
    that repeats pixels and then convolves them with ``weight`` (``outputs x inputs x 3 x 3``).
    """
    flipped = weight.flip(-1, -2).transpose(0, 1)
    moved = [F.pad(flipped, (i, 1 - i, j, 1 - j)) for i in (0, 1) for j in (0, 1)]
    return torch.stack(moved).sum(0)


def _box_filter(x: Tensor, side: int, above: int, below: int) -> Tensor:
    """Each pixel the mean of a square around it; ``above`` and ``below``: rows that lie beyond the
    picture, where its border is repeated.
    """
    x = F.pad(x, (side // 2, (side - 1) // 2, above, below), mode="replicate")
    for axis in (-2, -1):  # torch's pooling takes twenty times as long
        parts = [x.narrow(axis, i, x.shape[axis] - side + 1) for i in range(side)]
        x = reduce(torch.add, parts) / side
    return x


def _he(outputs: int, inputs: int, kernel: int) -> Tensor:
    """Random weights that keep activations' size (He et al. 2015)."""
    weight = torch.empty(outputs, inputs, kernel, kernel)
    nn.init.kaiming_normal_(weight, nonlinearity="relu")
    return weight


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


class AffinePair(NamedTuple):
    """A style, to an instance normalization: what it scales and shifts each channel by (``BxC``
    each, float32; Dumoulin et al. 2017). Of one layer, or of all of a network's in their order.
    """

    gamma: Tensor
    beta: Tensor

    def affine(self, mean: Tensor, variance: Tensor) -> Affine:
        """What to do to activations of these statistics (``BxC``)."""
        return Affine(mean, self.gamma * torch.rsqrt(variance + EPSILON), self.beta)

    def split(self, channels: Sequence[int]) -> list[AffinePair]:
        """Of all layers -> of each layer, which have so many channels."""
        parts = (value.split(list(channels), 1) for value in self)
        return [AffinePair(*each) for each in zip(*parts, strict=True)]


class ConditionalNorm(nn.Module):
    """The affine pairs of the styles that a normalization was trained for, a row each."""

    def __init__(self, channels: int, pairs: int) -> None:
        super().__init__()
        self.gamma = nn.Parameter(torch.ones(pairs, channels))
        self.beta = nn.Parameter(torch.zeros(pairs, channels))


def instance_norm(x: Tensor, pair: AffinePair) -> Tensor:
    """``BxCxHxW`` in any precision, normalized in float32."""
    # torch's own kernel is one pass fewer, but knows one sample only and neither goes backwards
    # through mixed pairs nor exports.
    plain = torch.is_grad_enabled() or torch.compiler.is_compiling() or torch.jit.is_tracing()
    if len(x) == 1 and not plain and x.device.type == "cpu":
        gamma, beta = pair
        return F.batch_norm(x, None, None, gamma[0], beta[0], True, 0.0, EPSILON)
    return pair.affine(*statistics(x))(x)


def statistics(x: Tensor) -> tuple[Tensor, Tensor]:
    """Mean and variance of each channel of each sample (``BxC``), float32 in any precision.

    Over the pixels as rows, and on a CPU in two passes: ``torch.var_mean`` of channels_last memory
    takes many times as long there. Elsewhere it is the one pass that it looks like.
    """
    rows = x.permute(0, 2, 3, 1).flatten(1, 2).float()
    if x.device.type != "cpu":
        variance, mean = torch.var_mean(rows, 1, correction=0)
        return mean, variance
    mean = rows.mean(1)
    return mean, (rows - mean[:, None]).square().mean(1)


def depthwise(x: Tensor, weight: Tensor) -> Tensor:
    """``BxCxHxW`` convolved channel by channel with ``Cx1xkxk``; no padding, a stride of 1."""
    if torch.is_grad_enabled() and x.device.type == "cpu":
        result: Tensor = _Depthwise.apply(x, weight)
        return result
    return F.conv2d(x, weight, groups=len(weight))


class _Depthwise(torch.autograd.Function):
    """On a CPU, torch's own gradient of the weights takes 20 times as long in bfloat16, and costs
    more than all else in a small network.
    """

    @staticmethod
    def forward(ctx: Any, x: Tensor, weight: Tensor) -> Tensor:
        ctx.save_for_backward(x, weight)
        return F.conv2d(x, weight, groups=len(weight))

    @staticmethod
    def backward(ctx: Any, grad: Tensor) -> tuple[Tensor | None, Tensor | None]:
        x, weight = ctx.saved_tensors
        reach = weight.shape[-1] - 1
        to_x = to_weight = None
        if ctx.needs_input_grad[0]:
            to_x = F.conv2d(grad, weight.flip(-2, -1), padding=reach, groups=len(weight))
        if ctx.needs_input_grad[1]:
            # Every channel of every sample is a group: the gradient is the kernel slid over it.
            batch, channels = x.shape[:2]
            planes = x.contiguous().reshape(1, batch * channels, *x.shape[-2:])
            kernels = grad.contiguous().reshape(batch * channels, 1, *grad.shape[-2:])
            found = F.conv2d(planes, kernels, groups=batch * channels)
            to_weight = found.reshape(batch, *weight.shape).float().sum(0).to(weight.dtype)
        return to_x, to_weight
