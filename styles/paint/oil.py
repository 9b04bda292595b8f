"""What the oil paintings share: vortices to paint along, and layers from broad to fine brushes."""

from __future__ import annotations

import numpy as np

from .brush import Brush, Painter, pick, scatter
from .canvas import Canvas
from .palette import jitter, nearest


def swirl(x, y, centers, drift=(0.15, 0.0)):
    """The flow (u, v), HxW each, of vortices [(x, y, radius, spin), ...] over a steady drift."""
    u, v = np.full_like(x, drift[0]), np.full_like(x, drift[1])
    for cx, cy, radius, spin in centers:
        dx, dy = x - cx, y - cy
        pull = spin * np.exp(-(dx**2 + dy**2) / (2 * radius**2)) / radius
        u, v = u - dy * pull, v + dx * pull
    return u, v


def curl(field: np.ndarray, amount: float):
    """A divergence-free flow (u, v) from a potential."""
    dy, dx = np.gradient(field)
    norm = np.sqrt((dx**2 + dy**2).mean())
    return dy / norm * amount, -dx / norm * amount


def enlarge(canvas: Canvas, *fields: np.ndarray) -> list[np.ndarray]:
    """Repeat the pixels of scene fields until they fit the canvas: scenes need no supersampling."""
    times = [canvas.size // field.shape[0] for field in fields]
    return [f.repeat(n, 0).repeat(n, 1) for f, n in zip(fields, times, strict=True)]


def layers(
    painter: Painter,
    target: np.ndarray,
    angle: np.ndarray,
    plan: list[tuple[Brush, int]],
    palette: np.ndarray,
    light: float = 0.05,
    hue: float = 0.025,
) -> None:
    """Paint the HxWx3 `target` with each (brush, strokes) of the plan, along `angle`.

    Every third stroke takes the pure palette color nearest to the target, as a painter would who
    mixes little; the others are the target's own color, varied.
    """
    rng, size = painter.rng, painter.canvas.size
    for brush, count in plan:
        starts = scatter(rng, count, size)
        ink = jitter(rng, pick(target, starts), light, hue)
        pure = rng.random(len(ink)) < 0.35
        ink[pure] = jitter(rng, nearest(palette, ink[pure]), light * 0.6, hue)
        painter.cover(starts, angle, ink, brush)
