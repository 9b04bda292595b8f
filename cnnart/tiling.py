"""Cutting a picture into tiles whose activations are exactly those of the whole picture.

A tile's core is what it contributes; its region adds the halo that the core's activations depend
on. Regions start at multiples of the network's deepest stride, so that pooling grids agree, and
stop at the picture's border, so that padding happens there and nowhere else.
"""

from __future__ import annotations

import itertools
from collections.abc import Iterator
from dataclasses import dataclass


@dataclass(frozen=True)
class Span:
    """One axis of a tile, in pixels: the core ``[start, stop)`` in the region ``[low, high)``."""

    start: int
    stop: int
    low: int
    high: int

    def core_at(self, stride: int, beyond: int = 0) -> slice:
        """The core's units within the region's activations, for a layer of that stride.

        ``beyond``: so many more units after the core, as far as the region goes.
        """
        stop = min(self.stop + beyond * stride, self.high)
        return slice((self.start - self.low) // stride, stop // stride - self.low // stride)

    def whole_at(self, stride: int) -> slice:
        """The core's units within the whole picture's activations."""
        return slice(self.start // stride, self.stop // stride)


@dataclass(frozen=True)
class Tile:
    rows: Span
    columns: Span

    @property
    def is_whole(self) -> bool:
        """Whether the core is all of the region: nothing around it belongs to other tiles."""
        return all((s.start, s.stop) == (s.low, s.high) for s in (self.rows, self.columns))

    @property
    def region(self) -> tuple[slice, slice]:
        return slice(self.rows.low, self.rows.high), slice(self.columns.low, self.columns.high)


def spans(length: int, tile: int, halo: int, align: int) -> list[Span]:
    """Cover ``[0, length)`` with even cores of at most ``tile`` pixels.

    Inner borders are multiples of ``align``; the last core takes a remainder below ``align``, which
    is too short to have activations of its own.
    """
    halo = -(-halo // align) * align
    units = max(1, length // align)
    count = -(-units // max(1, tile // align))
    borders = [round(i * units / count) * align for i in range(count)] + [length]
    return [
        Span(start, stop, max(0, start - halo), min(length, stop + halo))
        for start, stop in itertools.pairwise(borders)
    ]


def tiles(height: int, width: int, tile: int, halo: int, align: int) -> Iterator[Tile]:
    """The tiles of a picture, row by row. ``tile`` <= 0, or large enough, gives a single one."""
    if tile <= 0 or max(height, width) <= tile:
        halo, tile = 0, max(height, width)
        yield Tile(Span(0, height, 0, height), Span(0, width, 0, width))
        return
    for rows in spans(height, tile, halo, align):
        for columns in spans(width, tile, halo, align):
            yield Tile(rows, columns)
