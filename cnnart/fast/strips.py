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

from cnnart.fast.network import StyleNetwork, fill_up
from cnnart.fast.normalization import Affine, statistics
from cnnart.fast.unit import Rows, Unit


def in_strips(
    network: StyleNetwork, photo: Tensor, mix: Tensor, dtype: torch.dtype, rows: int
) -> Tensor:
    """What ``network(photo, mix, dtype)`` returns, computed ``rows`` rows of the picture at a time.

    ``photo``: ``1x3xHxW``. Memory beyond the picture and the coarsest layers depends on ``rows``.
    """
    height, width = photo.shape[-2:]
    pass_ = _Pass(mix, dtype, max(1, rows // network.arch.stride))
    x = pass_.stored(fill_up(photo, network.arch), _units(network.encoder))
    for block in network.blocks:
        y = pass_.stored(x, [block.first])  # type: ignore[list-item]
        pass_.add(x, y, block.second)  # type: ignore[arg-type]
    result = pass_.picture(x, [*_units(network.decoder), network.head])
    return result[..., :height, :width]


def _units(modules: object) -> list[Unit]:
    return [unit for unit in modules if isinstance(unit, Unit)]  # type: ignore[attr-defined]


class _Pass:
    """``step``: rows of the coarsest layer at a time."""

    def __init__(self, mix: Tensor, dtype: torch.dtype, step: int) -> None:
        self.mix = mix
        self.dtype = dtype
        self.step = step

    def stored(self, source: Tensor, units: Sequence[Unit]) -> Tensor:
        """The output of a chain of units, all of it, in the pass's precision."""
        target, known = self._measured(source, units)
        for rows in _strips(target.shape[-2], self.step):
            part = target[..., rows.start : rows.stop, :]
            part.copy_(_finish(units[-1], known[-1], part))
        return target

    def add(self, x: Tensor, y: Tensor, unit: Unit) -> None:
        """Add a unit's output for ``y`` to ``x``, in place."""
        target, known = self._measured(y, [unit])
        for rows in _strips(x.shape[-2], self.step):
            part = target[..., rows.start : rows.stop, :]
            x[..., rows.start : rows.stop, :] += _finish(unit, known[-1], part)

    def picture(self, source: Tensor, units: Sequence[Unit]) -> Tensor:
        """The output of a chain that ends with the head, in float32 on the source's device."""
        known: list[Affine | None] = []
        for count in range(1, len(units)):
            known.append(self._affine(source, units[:count], known, lambda *_: None))
        heights = _heights(source, units)
        result: Tensor | None = None
        for rows in _strips(heights[-1], self.step * heights[-1] // heights[0]):
            part = self._strip(source, units, known, rows).float()
            if result is None:
                result = part.new_empty(*part.shape[:2], heights[-1], part.shape[-1])
            result[..., rows.start : rows.stop, :] = part
        assert result is not None
        return result

    def _measured(
        self, source: Tensor, units: Sequence[Unit]
    ) -> tuple[Tensor, list[Affine | None]]:
        """The last unit's convolution, and what each unit's normalization does."""
        known: list[Affine | None] = []
        target: list[Tensor] = []
        height = _heights(source, units)[-1]

        def keep(rows: Rows, part: Tensor) -> None:
            if not target:
                shape = (*part.shape[:2], height, part.shape[-1])
                new = torch.empty(shape, dtype=part.dtype, device=part.device)
                target.append(new.contiguous(memory_format=torch.channels_last))
            target[0][..., rows.start : rows.stop, :] = part

        for count in range(1, len(units) + 1):
            last = count == len(units)
            known.append(
                self._affine(source, units[:count], known, keep if last else lambda *_: None)
            )
        return target[0], known

    def _affine(
        self,
        source: Tensor,
        units: Sequence[Unit],
        known: Sequence[Affine | None],
        see: Callable[[Rows, Tensor], None],
    ) -> Affine | None:
        """What the last unit's normalization does, from its statistics over all strips."""
        heights = _heights(source, units)
        found = Statistics()
        coarse = min(heights)
        for rows in _strips(heights[-1], self.step * heights[-1] // coarse):
            part = self._strip(source, units, known, rows)
            see(rows, part)
            found.add(part)
        norm = units[-1].norm
        return None if norm is None else norm.affine(*found.result(), self.mix)

    def _strip(
        self, source: Tensor, units: Sequence[Unit], known: Sequence[Affine | None], rows: Rows
    ) -> Tensor:
        """Rows of the last unit's convolution; the units before it are normalized as ``known``."""
        heights = _heights(source, units)
        wanted = [rows]
        for unit, height in zip(reversed(units), reversed(heights[:-1]), strict=True):
            wanted.insert(0, unit.needed(wanted[0], height))
        x = source[..., wanted[0].start : wanted[0].stop, :].to(self.dtype)
        x = x.contiguous(memory_format=torch.channels_last)
        for i, unit in enumerate(units):
            if i:
                x = _finish(units[i - 1], known[i - 1], x)
            x = unit.convolve_rows(x, wanted[i], heights[i], wanted[i + 1])
        return x


class Statistics:
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


def _finish(unit: Unit, affine: Affine | None, x: Tensor) -> Tensor:
    x = x if affine is None else affine(x)
    return F.relu_(x) if unit.relu else x


def _heights(source: Tensor, units: Sequence[Unit]) -> list[int]:
    """Rows of the source, then of each unit's output."""
    heights = [source.shape[-2]]
    for unit in units:
        heights.append(unit.height(heights[-1]))
    return heights


def _strips(height: int, step: int) -> Iterator[Rows]:
    for start in range(0, height, step):
        yield Rows(start, min(start + step, height))
