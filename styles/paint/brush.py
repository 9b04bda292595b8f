"""Brush strokes: paths that follow a field of angles, and a bristle brush that leaves relief."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from .canvas import Canvas
from .noise import streaks

ATLAS = (1024, 2048)  # bristle noise that every stroke cuts its own window from


@dataclass(frozen=True)
class Brush:
    """How a stroke is laid. Lengths in pixels of a 1024-px picture, the rest in [0, 1]."""

    width: float
    length: float
    opacity: float = 0.95
    bristle: float = 0.15  # tone difference between bristles
    dry: float = 0.35  # how far the stroke breaks up towards its end
    pickup: float = 0.15  # how much of the wet paint below is dragged along
    body: float = 0.6  # thickness of the paint
    taper: float = 0.35  # how much the ends narrow
    square: float = 6.0  # edge profile across: 2 is soft, 8 is a flat brush


def trace(
    angle: np.ndarray, starts: np.ndarray, length, scale: float, knots: int = 10
) -> np.ndarray:
    """Follow an HxW field of angles (radians) from Nx2 starts (canvas x, y): Nxknotsx2 paths.

    Each path is centered on its start; `length` (one for all, or N) is in canvas pixels / scale.
    """
    size = angle.shape[0]
    step = np.broadcast_to(np.asarray(length) * scale / (knots - 1), len(starts))

    def walk(sign: float, count: int) -> list[np.ndarray]:
        here, points = starts.astype(np.float64), []
        for _ in range(count):
            index = np.clip(here.astype(np.int64), 0, size - 1)
            turn = angle[index[:, 1], index[:, 0]]
            here = here + sign * step[:, None] * np.stack([np.cos(turn), np.sin(turn)], axis=1)
            points.append(here)
        return points

    back = walk(-1.0, knots // 2)
    forth = walk(1.0, knots - 1 - knots // 2)
    return np.stack([*back[::-1], starts.astype(np.float64), *forth], axis=1)


class Painter:
    """Lays strokes on a canvas with one set of bristles.

    `tooth` (HxW, unit deviation) is the grain of a paper that takes color on its tops only; the
    drier the brush, the more of it stays bare.
    """

    def __init__(self, canvas: Canvas, rng: np.random.Generator, tooth: np.ndarray | None = None):
        self.canvas, self.rng, self.tooth = canvas, rng, tooth
        k = canvas.scale
        self.fine = streaks(rng, ATLAS, 1.1 * k, 70 * k)
        self.coarse = streaks(rng, ATLAS, 3.5 * k, 25 * k)

    def stroke(self, path: np.ndarray, color: np.ndarray, brush: Brush, width: float) -> None:
        """Lay one stroke along `path` (Kx2, canvas pixels); `width` in canvas pixels."""
        s, x, y, t = ribbon(path, width, brush)
        rows, columns = x.shape
        if rows >= ATLAS[0] or columns >= ATLAS[1]:
            raise ValueError("stroke larger than the bristle atlas; use a shorter brush")
        top = self.rng.integers(0, ATLAS[0] - rows)
        left = self.rng.integers(0, ATLAS[1] - columns)
        window = (slice(top, top + rows), slice(left, left + columns))
        bristles = 0.65 * self.fine[window] + 0.35 * self.coarse[window]

        size = self.canvas.size
        ix, iy = np.rint(x).astype(np.int32), np.rint(y).astype(np.int32)
        inside = (ix >= 0) & (iy >= 0) & (ix < size) & (iy < size)
        edge = 1 - np.abs(t) ** brush.square
        # Paint runs out: towards the end only the loaded bristles still touch the canvas.
        threshold = brush.dry * (0.15 + 0.85 * s**1.5) + 0.35 * (1 - edge)
        alpha = np.clip((bristles - threshold) * 5 + 0.4, 0, 1) * np.clip(edge * 3, 0, 1)
        # Each bristle touches down and lifts at its own moment: ragged ends.
        end = np.minimum(s, 1 - s) * (columns / rows)
        alpha *= np.clip((end - 0.55 * self.coarse[top : top + rows, :1]) * 6, 0, 1)
        alpha = (alpha * brush.opacity)[inside]
        iy, ix = iy[inside], ix[inside]
        if self.tooth is not None:
            alpha *= np.clip(self.tooth[iy, ix] * 0.6 + 1.7 - 2 * brush.dry, 0.04, 1)

        below = self.canvas.rgb[iy, ix]
        paint = color + brush.bristle * 2 * (bristles[inside] - 0.5)[:, None]
        if brush.pickup and len(below):
            drag = brush.pickup * (0.3 + 0.7 * np.broadcast_to(s, x.shape)[inside])[:, None]
            paint = paint + (below.mean(0) - paint) * drag
        self.canvas.rgb[iy, ix] = below + (np.clip(paint, 0, 1) - below) * alpha[:, None]

        ridge = np.abs(t) ** 4 * 0.5 + s**8 * 0.4  # paint pushed to the sides and the end
        lump = brush.body * (0.35 + 0.65 * bristles + ridge)[inside]
        old = self.canvas.height[iy, ix]
        self.canvas.height[iy, ix] = old + (0.45 * old + lump - old) * alpha

    def cover(self, starts, angle, ink, brush: Brush, wander: float = 0.12) -> None:
        """One layer of strokes from `starts` (Nx2), in the colors `ink` (Nx3), along `angle`."""
        rng, scale, count = self.rng, self.canvas.scale, len(starts)
        lengths = brush.length * np.exp(rng.normal(0, 0.3, count))
        paths = trace(angle, starts, lengths, scale)
        bend = rng.normal(0, wander, (count, 1, 1)) * brush.width * scale
        paths += bend * np.linspace(-1, 1, paths.shape[1])[None, :, None] ** 2
        flip = rng.random(count) < 0.3
        paths[flip] = paths[flip, ::-1]
        widths = brush.width * scale * np.exp(rng.normal(0, 0.22, count))
        for path, color, width in zip(paths, ink, widths, strict=True):
            self.stroke(path, color, brush, float(width))


def ribbon(path: np.ndarray, width: float, brush: Brush):
    """A dense (across x along) grid over the stroke: s in [0, 1], canvas x and y, t in [-1, 1]."""
    segment = np.hypot(*np.diff(path, axis=0).T)
    place = np.concatenate([[0], np.cumsum(segment)])
    columns = max(4, int(place[-1] * 1.5))
    rows = max(3, int(width * 1.7))
    at = np.linspace(0, place[-1], columns)
    cx, cy = np.interp(at, place, path[:, 0]), np.interp(at, place, path[:, 1])
    smooth = max(1, columns // 12) * 2 + 1
    kernel = np.full(smooth, 1 / smooth)
    pad = smooth // 2
    cx = np.convolve(np.pad(cx, pad, mode="reflect", reflect_type="odd"), kernel, mode="valid")
    cy = np.convolve(np.pad(cy, pad, mode="reflect", reflect_type="odd"), kernel, mode="valid")
    dx, dy = np.gradient(cx), np.gradient(cy)
    norm = np.maximum(np.hypot(dx, dy), 1e-9)
    s = np.linspace(0, 1, columns, dtype=np.float32)[None, :]
    t = np.linspace(-1, 1, rows, dtype=np.float32)[:, None]
    half = 0.5 * width * (1 - brush.taper * np.abs(2 * s - 1) ** 4)
    # Round the ends: the outer bristles start later and stop earlier.
    along = (s - 0.5) * (1 - 0.5 * width / max(place[-1], 1.0) * t**2) + 0.5
    index = np.clip(along * (columns - 1), 0, columns - 1).astype(np.int32)
    x = cx[index] - dy[index] / norm[index] * half * t
    y = cy[index] + dx[index] / norm[index] * half * t
    return s, x, y, t


def scatter(rng: np.random.Generator, count: int, size: int, where=None) -> np.ndarray:
    """`count` jittered-grid points (Nx2, canvas x, y) in random order; `where` (HxW) thins them."""
    side = int(np.ceil(np.sqrt(count)))
    cell = (size * 1.04) / side
    gx, gy = np.meshgrid(np.arange(side), np.arange(side))
    points = np.stack([gx.ravel(), gy.ravel()], axis=1) + rng.random((side * side, 2))
    points = points * cell - 0.02 * size
    points = points[rng.permutation(len(points))]
    if where is None:
        return points
    index = np.clip(points.astype(np.int64), 0, size - 1)
    return points[rng.random(len(points)) < where[index[:, 1], index[:, 0]]]


def pick(field: np.ndarray, points: np.ndarray) -> np.ndarray:
    """The values of an HxW(xC) field at Nx2 points (clamped to the border)."""
    index = np.clip(points.astype(np.int64), 0, field.shape[0] - 1)
    return field[index[:, 1], index[:, 0]]
