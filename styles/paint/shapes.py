"""Shapes as signed distances, in windows: papers and washes are cut from them.

Lengths are pixels of a 1024-px picture; a distance is positive inside the shape.
"""

from __future__ import annotations

import numpy as np

from .noise import fbm, grain


class Sheet:
    """A square picture of n x n canvas pixels with a bank of noise to tear, stain and grain it."""

    def __init__(self, rng: np.random.Generator, n: int):
        self.rng, self.n, self.scale = rng, n, n / 1024
        self.wide = fbm(rng, n, 260, 30, 2.4)
        self.middle = fbm(rng, n, 70, 8, 2.0)
        self.fine = fbm(rng, n, 16, 4, 1.0) * 0.6 + grain(rng, n, 1.0) * 0.5
        self.large = fbm(rng, n, 700, 100, 3.0)

    def window(self, place, reach: float):
        """Slices around `place` (x, y), and x and y in them relative to it; None if outside."""
        k, n = self.scale, self.n
        x0, x1 = (int(np.clip((place[0] + side * reach) * k, 0, n)) for side in (-1, 1))
        y0, y1 = (int(np.clip((place[1] + side * reach) * k, 0, n)) for side in (-1, 1))
        if x1 - x0 < 4 or y1 - y0 < 4:
            return None
        x = (np.arange(x0, x1, dtype=np.float32) / k - place[0])[None, :]
        y = (np.arange(y0, y1, dtype=np.float32) / k - place[1])[:, None]
        return (slice(y0, y1), slice(x0, x1)), *np.broadcast_arrays(x, y)

    @staticmethod
    def crop(area, inside: np.ndarray, margin: float):
        """The part of a window the shape is in, with a margin in px: (slices, inside) or None."""
        near = inside > -margin
        rows, columns = np.flatnonzero(near.any(1)), np.flatnonzero(near.any(0))
        if len(rows) < 2 or len(columns) < 2:
            return None
        top, left = area[0].start or 0, area[1].start or 0
        y, x = slice(rows[0], rows[-1] + 1), slice(columns[0], columns[-1] + 1)
        moved = slice(top + y.start, top + y.stop), slice(left + x.start, left + x.stop)
        return moved, inside[y, x]

    def cut(self, field: np.ndarray, shape: tuple[int, ...]) -> np.ndarray:
        """A random window of one of the noise fields, turned over at random."""
        top = self.rng.integers(0, self.n - shape[0] + 1)
        left = self.rng.integers(0, self.n - shape[1] + 1)
        piece = field[top : top + shape[0], left : left + shape[1]]
        return piece[:: self.rng.choice([-1, 1]), :: self.rng.choice([-1, 1])]


def turned(x, y, angle: float):
    """Coordinates along and across a direction (radians)."""
    c, s = np.cos(angle), np.sin(angle)
    return x * c + y * s, y * c - x * s


def disc(x, y, radius: float):
    return radius - np.hypot(x, y)


def box(x, y, half_width: float, half_height: float):
    return np.minimum(half_width - np.abs(x), half_height - np.abs(y))


def leaf(x, y, length: float, width: float, bend: float = 0.0):
    """A leaf from the origin along x, pointed at both ends, bent by `bend` of its length."""
    t = np.clip(x / length, 0, 1)
    side = y - bend * length * t * t
    half = 0.5 * width * np.sin(np.pi * t**0.8) ** 0.85
    return np.minimum(half - np.abs(side), np.minimum(x, length - x) + 2)


def petal(x, y, length: float, width: float):
    """A round-ended petal from the origin along x."""
    t = np.clip(x / length, 0, 1)
    half = 0.5 * width * np.sqrt(np.clip(t * (1 - t**5), 0, 1)) * (0.55 + 0.6 * t)
    return np.minimum(half - np.abs(y), np.minimum(x, length - x) + 2)
