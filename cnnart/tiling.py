"""Cutting a picture into tiles whose activations are exactly those of the whole picture.

A tile's core is what it contributes; its region adds the halo that the core's activations depend
on. Regions start at multiples of the network's deepest stride, so that pooling grids agree, and
stop at the picture's border, so that padding happens there and nowhere else. On an axis along which
the picture repeats there is no border: regions go on at the other side.
"""

from __future__ import annotations

import itertools
from collections.abc import Iterator
from dataclasses import dataclass


@dataclass(frozen=True)
class Span:
    """One axis of a tile, in pixels: the core ``[start, stop)`` in the region ``[low, high)``.

    ``period``: the length of an axis along which the picture repeats, else 0. There the region may
    begin below 0 and end beyond the length.
    """

    start: int
    stop: int
    low: int
    high: int
    period: int = 0

    @property
    def is_closed(self) -> bool:
        """Whether the region is the whole of a repeating axis: its ends are neighbours."""
        return self.period > 0 and self.high - self.low == self.period

    @property
    def crosses(self) -> bool:
        """Whether the region goes on at the other side of the picture."""
        return self.period > 0 and (self.low < 0 or self.high > self.period)

    def places(self) -> list[int]:
        """The picture's rows (or columns) that the region consists of, in order."""
        return [i % self.period if self.period else i for i in range(self.low, self.high)]

    def core_at(self, stride: int) -> slice:
        """The core's units within the region's activations, for a layer of that stride."""
        return slice((self.start - self.low) // stride, self.stop // stride - self.low // stride)

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
    def pixels(self) -> int:
        """Those of the region."""
        return (self.rows.high - self.rows.low) * (self.columns.high - self.columns.low)

    @property
    def wrap(self) -> tuple[bool, bool]:
        """The axes along which the region itself repeats."""
        return self.rows.is_closed, self.columns.is_closed

    @property
    def region(self) -> tuple[slice, slice]:
        """The region's pixels, where it does not cross the picture's border."""
        return slice(self.rows.low, self.rows.high), slice(self.columns.low, self.columns.high)


def spans(length: int, tile: int, halo: int, align: int, wrap: bool = False) -> list[Span]:
    """Cover ``[0, length)`` with even cores of at most ``tile`` pixels.

    Inner borders are multiples of ``align``; the last core takes a remainder below ``align``, which
    is too short to have activations of its own. With ``wrap`` the axis repeats, and its length must
    be a multiple of ``align``.
    """
    halo = -(-halo // align) * align
    units = max(1, length // align)
    count = -(-units // max(1, tile // align))
    borders = [round(i * units / count) * align for i in range(count)] + [length]
    pairs = list(itertools.pairwise(borders))
    if not wrap:
        return [Span(a, b, max(0, a - halo), min(length, b + halo)) for a, b in pairs]
    if length % align:
        raise ValueError(f"A repeating axis of {length} pixels is no multiple of {align}.")
    return [
        # No region needs to show anything twice: the whole axis closes on itself.
        Span(a, b, 0, length, length)
        if b - a + 2 * halo >= length
        else Span(a, b, a - halo, b + halo, length)
        for a, b in pairs
    ]


def tiles(
    height: int,
    width: int,
    tile: int,
    halo: int,
    align: int,
    *,
    wrap: tuple[bool, bool] = (False, False),
) -> Iterator[Tile]:
    """The tiles of a picture, row by row. ``tile`` <= 0, or large enough, gives a single one.

    ``wrap``: the axes (vertical, horizontal) along which the picture repeats.
    """
    if tile <= 0 or max(height, width) <= tile:
        halo, tile = 0, max(height, width)
        yield Tile(
            Span(0, height, 0, height, height * wrap[0]), Span(0, width, 0, width, width * wrap[1])
        )
        return
    for rows in spans(height, tile, halo, align, wrap[0]):
        for columns in spans(width, tile, halo, align, wrap[1]):
            yield Tile(rows, columns)
