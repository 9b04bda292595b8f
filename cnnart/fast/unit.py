"""The one building block: convolution, normalization, ReLU; whole or a strip at a time."""

from __future__ import annotations

from dataclasses import dataclass
from functools import reduce
from typing import NamedTuple

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from cnnart.fast.depthwise import depthwise
from cnnart.fast.normalization import ConditionalNorm


class Rows(NamedTuple):
    """Rows ``start`` to ``stop`` (exclusive) of a layer."""

    start: int
    stop: int


@dataclass(frozen=True)
class Shape:
    """What a unit's convolution does, in this order.

    ``unshuffle``: pixels to channels; ``enlarge``: repeat pixels; convolve (``kernel``,
    ``stride``), or, ``separable``, depthwise then pointwise, without a stride; ``shuffle``:
    channels to pixels, and a box filter as large as a block: what repeats from block to block comes
    out constant, so that shuffling leaves no grid, at the start or ever (Sugawara et al. 2018).
    ``outputs`` counts the channels that come out at the end.
    """

    inputs: int
    outputs: int
    kernel: int = 3
    stride: int = 1
    unshuffle: int = 1
    enlarge: int = 1
    shuffle: int = 1
    separable: bool = False


class Unit(nn.Module):
    """A convolution, then conditional normalization if ``entries``, then a ReLU if asked for."""

    def __init__(self, shape: Shape, entries: int = 0, *, relu: bool = True) -> None:
        super().__init__()
        self.shape = shape
        self.relu = relu
        inputs = shape.inputs * shape.unshuffle**2
        last = shape.outputs * shape.shuffle**2
        self.depthwise: nn.Parameter | None = None
        if shape.separable:
            self.depthwise = nn.Parameter(_he(inputs, 1, shape.kernel))
        weight = _he(shape.outputs, inputs, 1 if shape.separable else shape.kernel)
        # ICNR: all pixels of a block start alike, so that no grid is there to be unlearned.
        weight = weight.repeat_interleave(shape.shuffle**2, 0)
        self.weight = nn.Parameter(weight.contiguous(memory_format=torch.channels_last))
        self.bias: nn.Parameter | None = None
        self.norm: ConditionalNorm | None = None
        if entries:
            self.norm = ConditionalNorm(shape.outputs, entries)  # which undoes any bias
        else:
            self.bias = nn.Parameter(torch.zeros(last))

    def forward(self, x: Tensor, mix: Tensor) -> Tensor:
        """``BxCxHxW`` -> the unit's output; ``mix`` (``Bxentries``) as in ConditionalNorm."""
        x = self.convolve(x)
        if self.norm is not None:
            x = self.norm(x, mix)
        return F.relu_(x) if self.relu else x

    def height(self, rows: int) -> int:
        """Rows that come out of so many rows."""
        s = self.shape
        inner = rows // s.unshuffle * s.enlarge
        return -(-inner // s.stride) * s.shuffle

    def needed(self, rows: Rows, height: int) -> Rows:
        """The rows of an input of this height on which these output rows depend."""
        s = self.shape
        low, high = self._inner(self._shuffled(rows, height))
        inner = height // s.unshuffle * s.enlarge
        low, high = max(low, 0), min(high, inner)
        return Rows(low // s.enlarge * s.unshuffle, -(-high // s.enlarge) * s.unshuffle)

    def _shuffled(self, rows: Rows, height: int) -> Rows:
        """The rows that the box filter covers for these output rows, within the picture."""
        block = self.shape.shuffle
        low, high = rows.start - block // 2, rows.stop + (block - 1) // 2
        return Rows(max(low, 0), min(high, self.height(height)))

    def _inner(self, rows: Rows) -> Rows:
        """The rows that the kernel covers for these shuffled rows; some beyond the borders."""
        s = self.shape
        first, last = rows.start // s.shuffle, -(-rows.stop // s.shuffle) - 1
        reach = s.kernel // 2
        return Rows(first * s.stride - reach, last * s.stride - reach + s.kernel)

    def convolve(self, x: Tensor) -> Tensor:
        """The convolution alone, of a whole picture."""
        if self._folds():
            return self._enlarged(x)
        side = self.shape.kernel // 2
        x = self._kernel(self._padded(self._before(x), side, side))
        if (block := self.shape.shuffle) == 1:
            return x
        return _smoothed(F.pixel_shuffle(x, block), block, block // 2, (block - 1) // 2)

    def convolve_rows(self, x: Tensor, given: Rows, height: int, rows: Rows) -> Tensor:
        """``rows`` of the output, from the rows ``given`` of an input of that height.

        What lies beyond the true borders is reflected; other rows must be given.
        """
        s = self.shape
        x = self._before(x)
        covered = self._shuffled(rows, height)
        low, high = self._inner(covered)
        inner = height // s.unshuffle * s.enlarge
        offset = given.start // s.unshuffle * s.enlarge
        top, bottom = max(0, -low), max(0, high - inner)
        x = x[..., max(low, 0) - offset : min(high, inner) - offset, :]
        x = self._kernel(self._padded(x, top, bottom))
        if s.shuffle > 1:
            skip = covered.start % s.shuffle
            x = F.pixel_shuffle(x, s.shuffle)[..., skip : skip + covered.stop - covered.start, :]
            above = s.shuffle // 2 - (rows.start - covered.start)
            below = (s.shuffle - 1) // 2 - (covered.stop - rows.stop)
            x = _smoothed(x, s.shuffle, above, below)
        return x

    def _folds(self) -> bool:
        s = self.shape
        plain = not s.separable and (s.kernel, s.stride, s.enlarge, s.shuffle) == (3, 1, 2, 1)
        return plain and not torch.is_grad_enabled() and not torch.jit.is_tracing()

    def _enlarged(self, x: Tensor) -> Tensor:
        """Repeating pixels and then convolving 3x3, as one transposed convolution of 4x4: the same
        without the enlarged picture in between, and less work, since repeated pixels share weights.
        """
        weight, bias = self._cast(x.dtype)
        turned = weight.flip(-1, -2).transpose(0, 1)
        moved = [F.pad(turned, (i, 1 - i, j, 1 - j)) for i in (0, 1) for j in (0, 1)]
        folded = torch.stack(moved).sum(0)
        x = F.pad(x, (1, 1, 1, 1), mode="replicate")  # what reflecting repeated pixels comes to
        return F.conv_transpose2d(x, folded, bias, stride=2, padding=3)

    def _padded(self, x: Tensor, top: int, bottom: int) -> Tensor:
        side = self.shape.kernel // 2
        return F.pad(x, (side, side, top, bottom), mode="reflect") if side else x

    def _kernel(self, x: Tensor) -> Tensor:
        """The convolution of what is padded already."""
        weight, bias = self._cast(x.dtype)
        if self.depthwise is None:
            return F.conv2d(x, weight, bias, self.shape.stride)
        return F.conv2d(depthwise(x, self.depthwise.to(x.dtype)), weight, bias)

    def _before(self, x: Tensor) -> Tensor:
        s = self.shape
        if s.unshuffle > 1:
            x = F.pixel_unshuffle(x, s.unshuffle)
        return F.interpolate(x, scale_factor=s.enlarge, mode="nearest") if s.enlarge > 1 else x

    def _cast(self, dtype: torch.dtype) -> tuple[Tensor, Tensor | None]:
        return self.weight.to(dtype), None if self.bias is None else self.bias.to(dtype)


def _smoothed(x: Tensor, block: int, above: int, below: int) -> Tensor:
    """Each pixel the mean of a block around it; ``above`` and ``below``: rows that lie beyond the
    picture, where its border is repeated.
    """
    x = F.pad(x, (block // 2, (block - 1) // 2, above, below), mode="replicate")
    for axis in (-2, -1):  # torch's pooling takes twenty times as long
        parts = [x.narrow(axis, i, x.shape[axis] - block + 1) for i in range(block)]
        x = reduce(torch.add, parts) / block
    return x


def _he(outputs: int, inputs: int, kernel: int) -> Tensor:
    """Random weights that keep activations' size (He et al. 2015)."""
    weight = torch.empty(outputs, inputs, kernel, kernel)
    nn.init.kaiming_normal_(weight, nonlinearity="relu")
    return weight
