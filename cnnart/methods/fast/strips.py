"""A network's pass in strips of rows: any size in little memory, equal to the whole pass.

Instance normalization looks at the whole picture, so strips cannot go through the network one by
one. Between the coarsest layers everything is kept, which is little; on the way down and up, where
resolution is high, a strip is computed again for every normalization: once to add up the
statistics, then with them. Each strip comes with all the rows that it depends on.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence

import torch
import torch.nn.functional as F
from torch import Tensor

from cnnart.methods.fast.layers import Affine, AffinePair, ConvBlock, Rows, statistics
from cnnart.methods.fast.network import StyleNetwork, reflect_pad_to_stride
from cnnart.methods.fast.styled import cells


def in_strips(
    network: StyleNetwork,
    photo: Tensor,
    pair: AffinePair,
    dtype: torch.dtype,
    noise: Tensor | None,
    rows: int,
) -> Tensor:
    """What ``network(photo, pair, dtype, noise)`` returns, ``rows`` rows at a time.

    ``photo``: ``1x3xHxW``. Memory beyond the picture and the coarsest layers depends on ``rows``.
    """
    height, width = photo.shape[-2:]
    pairs = dict(zip(network.normalized_blocks(), network.layer_pairs(pair), strict=True))
    strips = _StripPass(pairs, dtype, max(1, rows // network.arch.stride))
    padded = reflect_pad_to_stride(photo, network.arch)
    seen = cells(padded, network.arch, dtype, torch.channels_last, noise)
    x = strips.stored(seen, _blocks(network.encoder))
    for residual in network.blocks:
        y = strips.stored(x, [residual.first])  # type: ignore[list-item]
        strips.add(x, y, residual.second)  # type: ignore[arg-type]
    result = strips.picture(x, [*_blocks(network.decoder), network.head])
    return result[..., :height, :width]


def _blocks(modules: object) -> list[ConvBlock]:
    return [one for one in modules if isinstance(one, ConvBlock)]  # type: ignore[attr-defined]


class _StripPass:
    """``step``: rows of the coarsest layer at a time."""

    def __init__(self, pairs: dict[ConvBlock, AffinePair], dtype: torch.dtype, step: int) -> None:
        self.pairs = pairs
        self.dtype = dtype
        self.step = step

    def stored(self, source: Tensor, blocks: Sequence[ConvBlock]) -> Tensor:
        """The whole output of a chain of blocks, in the pass's precision."""
        target, affines = self._measured(source, blocks)
        for rows in _strips(target.shape[-2], self.step):
            part = target[..., rows.start : rows.stop, :]
            part.copy_(_finish(blocks[-1], affines[-1], part))
        return target

    def add(self, x: Tensor, y: Tensor, block: ConvBlock) -> None:
        """Add a block's output for ``y`` to ``x``, in place."""
        target, affines = self._measured(y, [block])
        for rows in _strips(x.shape[-2], self.step):
            part = target[..., rows.start : rows.stop, :]
            x[..., rows.start : rows.stop, :] += _finish(block, affines[-1], part)

    def picture(self, source: Tensor, blocks: Sequence[ConvBlock]) -> Tensor:
        """The output of a chain that ends with the head, in float32 on the source's device."""
        affines: list[Affine | None] = []
        for count in range(1, len(blocks)):
            affines.append(self._affine(source, blocks[:count], affines, lambda *_: None))
        heights = _heights(source, blocks)
        result: Tensor | None = None
        for rows in _strips(heights[-1], self.step * heights[-1] // heights[0]):
            part = self._strip(source, blocks, affines, rows).float()
            if result is None:
                result = part.new_empty(*part.shape[:2], heights[-1], part.shape[-1])
            result[..., rows.start : rows.stop, :] = part
        assert result is not None
        return result

    def _measured(
        self, source: Tensor, blocks: Sequence[ConvBlock]
    ) -> tuple[Tensor, list[Affine | None]]:
        """The last block's convolution, and what each block's normalization does."""
        affines: list[Affine | None] = []
        target: list[Tensor] = []
        height = _heights(source, blocks)[-1]

        def keep(rows: Rows, part: Tensor) -> None:
            if not target:
                shape = (*part.shape[:2], height, part.shape[-1])
                new = torch.empty(shape, dtype=part.dtype, device=part.device)
                target.append(new.contiguous(memory_format=torch.channels_last))
            target[0][..., rows.start : rows.stop, :] = part

        for count in range(1, len(blocks) + 1):
            last = count == len(blocks)
            affines.append(
                self._affine(source, blocks[:count], affines, keep if last else lambda *_: None)
            )
        return target[0], affines

    def _affine(
        self,
        source: Tensor,
        blocks: Sequence[ConvBlock],
        affines: Sequence[Affine | None],
        take: Callable[[Rows, Tensor], None],
    ) -> Affine | None:
        """What the last block's normalization does, from its statistics over all strips."""
        heights = _heights(source, blocks)
        found = RunningStatistics()
        coarse = min(heights)
        for rows in _strips(heights[-1], self.step * heights[-1] // coarse):
            part = self._strip(source, blocks, affines, rows)
            take(rows, part)
            found.add(part)
        pair = self.pairs.get(blocks[-1])
        return None if pair is None else pair.affine(*found.result())

    def _strip(
        self,
        source: Tensor,
        blocks: Sequence[ConvBlock],
        affines: Sequence[Affine | None],
        rows: Rows,
    ) -> Tensor:
        """Rows of the last block's convolution; those before it are normalized by ``affines``."""
        heights = _heights(source, blocks)
        wanted = [rows]
        for block, height in zip(reversed(blocks), reversed(heights[:-1]), strict=True):
            wanted.insert(0, block.needed(wanted[0], height))
        x = source[..., wanted[0].start : wanted[0].stop, :].to(self.dtype)
        x = x.contiguous(memory_format=torch.channels_last)
        for i, block in enumerate(blocks):
            if i:
                x = _finish(blocks[i - 1], affines[i - 1], x)
            x = block.convolve_rows(x, wanted[i], heights[i], wanted[i + 1])
        return x


class RunningStatistics:
    """Mean and variance of a layer from its pieces (Chan et al. 1979), in float64 on the CPU."""

    def __init__(self) -> None:
        self.count = 0
        self.mean = self.square = torch.zeros(())
        self._device = torch.device("cpu")

    def add(self, piece: Tensor) -> None:
        """Count a piece, ``1xCxhxw``."""
        self._device = piece.device
        mean, variance = (v.cpu().double() for v in statistics(piece))
        count = piece.shape[-2] * piece.shape[-1]
        total = self.count + count
        delta = mean - self.mean
        self.mean = self.mean + delta * (count / total)
        between = delta.square() * (self.count * count / total)
        self.square = self.square + variance * count + between
        self.count = total

    def result(self) -> tuple[Tensor, Tensor]:
        """Mean and variance, ``1xC`` in float32."""
        variance = self.square / self.count
        return self.mean.float().to(self._device), variance.float().to(self._device)


def _finish(block: ConvBlock, affine: Affine | None, x: Tensor) -> Tensor:
    x = x if affine is None else affine(x)
    return F.relu_(x) if block.relu else x


def _heights(source: Tensor, blocks: Sequence[ConvBlock]) -> list[int]:
    """Rows of the source, then of each block's output."""
    heights = [source.shape[-2]]
    for block in blocks:
        heights.append(block.height(heights[-1]))
    return heights


def _strips(height: int, step: int) -> Iterator[Rows]:
    for start in range(0, height, step):
        yield Rows(start, min(start + step, height))
