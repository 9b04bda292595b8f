"""Cells around points, for glass, tesserae and facets. Points are canvas (x, y)."""

from __future__ import annotations

import numpy as np


def voronoi(points: np.ndarray, size: int, reach: float, angle: np.ndarray | None = None):
    """The nearest point of every pixel: index (HxW, -1 beyond `reach`) and distance (HxW).

    With `angle` (one per point, radians) the distance is that of a square turned by the angle, so
    the cells become squares; otherwise it is the Euclidean one.
    """
    best = np.full((size, size), np.inf, dtype=np.float32)
    index = np.full((size, size), -1, dtype=np.int32)
    line = np.arange(size, dtype=np.float32)
    for number, (px, py) in enumerate(points):
        x0, x1 = max(0, int(px - reach)), min(size, int(px + reach) + 2)
        y0, y1 = max(0, int(py - reach)), min(size, int(py + reach) + 2)
        if x0 >= x1 or y0 >= y1:
            continue
        dx, dy = line[None, x0:x1] - px, line[y0:y1, None] - py
        if angle is None:
            distance = np.sqrt(dx * dx + dy * dy)
        else:
            c, s = np.cos(angle[number]), np.sin(angle[number])
            distance = np.maximum(np.abs(dx * c + dy * s), np.abs(dy * c - dx * s))
        window = (slice(y0, y1), slice(x0, x1))
        nearer = distance < best[window]
        best[window][nearer] = distance[nearer]
        index[window][nearer] = number
    return index, best


def centers(index: np.ndarray, points: np.ndarray) -> np.ndarray:
    """Each point moved to the center of its cell (Lloyd's step)."""
    inside = index.ravel() >= 0
    cell = index.ravel()[inside]
    height, width = index.shape
    count = np.maximum(np.bincount(cell, minlength=len(points)), 1)
    x = np.tile(np.arange(width), height)[inside]
    y = np.repeat(np.arange(height), width)[inside]
    sums = [np.bincount(cell, weights=axis, minlength=len(points)) for axis in (x, y)]
    moved = np.stack(sums, axis=1) / count[:, None]
    return np.where((np.bincount(cell, minlength=len(points)) > 0)[:, None], moved, points)


def seams(index: np.ndarray) -> np.ndarray:
    """1 where a pixel's index differs from its right or lower neighbor (HxW float32)."""
    edge = np.zeros(index.shape, dtype=np.float32)
    edge[:, :-1] += index[:, 1:] != index[:, :-1]
    edge[:-1] += index[1:] != index[:-1]
    return np.minimum(edge, 1)


def number(*labels: np.ndarray) -> np.ndarray:
    """One integer label per combination of the given integer labels, counted from 0."""
    joined = np.zeros(labels[0].shape, dtype=np.int64)
    for label in labels:
        joined = joined * 4096 + (label.astype(np.int64) + 1024)
    return np.unique(joined, return_inverse=True)[1].reshape(joined.shape).astype(np.int32)
