"""A still life broken into facets: knife and dry brush, each facet shaded from its own edge."""

from __future__ import annotations

import numpy as np
from PIL import Image

from .brush import Brush, Painter, pick, scatter
from .canvas import Canvas
from .cells import seams
from .noise import axes, blur, fbm, grain, smoothstep
from .oil import enlarge
from .palette import colors, jitter, lookup

RAMPS = [
    colors("1c1712 4a3420 8a6234 c89a58 efd9a6"),
    colors("14181e 2f3f4c 5f7a84 9fb2b0 e0e2d4"),
    colors("2a120e 6a2418 a8442a d88a5a f2d0a8"),
    colors("171c14 3a4a2c 6f7a48 b0ac74 e8e0b4"),
    colors("16161a 3a3640 6c6468 aca094 e6dac4"),
    colors("0e1418 1c3a48 2f6a78 7aa6a0 d6dcc4"),
]
CHARCOAL = colors("15110e")[0]


def split(rng: np.random.Generator, size: int, smallest: float) -> np.ndarray:
    """Cut the square with lines and arcs, again and again: an HxW label of facets."""
    x, y = axes(size)
    label, waiting, done = np.zeros((size, size), np.int32), [np.ones((size, size), bool)], 0
    while waiting:
        facet = waiting.pop()
        rows, columns = np.nonzero(facet)
        if len(rows) < (smallest * rng.uniform(0.5, 3.2)) ** 2 * size**2:
            done += 1
            label[facet] = done
            continue
        middle = rng.integers(len(rows))
        cx = 0.65 * columns.mean() / size + 0.35 * columns[middle] / size
        cy = 0.65 * rows.mean() / size + 0.35 * rows[middle] / size
        wide = np.ptp(columns) > np.ptp(rows)
        turn = (0.0 if wide else np.pi / 2) + rng.normal(0, 0.45)
        radius = rng.choice([0.12, 0.2, 0.35, 50, 50, 50])
        ox, oy = cx + radius * np.cos(turn), cy + radius * np.sin(turn)
        side = np.hypot(x - ox, y - oy) < radius
        parts = [facet & side, facet & ~side]
        sliver = min(part.sum() for part in parts) < 0.12 * len(rows)
        waiting.extend([facet] if sliver else parts)  # a sliver: try another cut
    return label


def bottles(x, y):
    """Which object lies where (bottle, guitar, fruit, cloth): an HxW number that picks the ramp."""
    thing = np.where(y > 0.68 + 0.12 * x, 2, 4)
    thing = np.where((y > 0.60 - 0.1 * x) & (np.abs(x - 0.52) < 0.46), 1, thing)
    guitar = np.minimum(np.hypot(x - 0.62, y - 0.66) / 0.20, np.hypot(x - 0.50, y - 0.46) / 0.145)
    thing = np.where(guitar < 1, 0, thing)
    neck = (np.abs((x - 0.5) + 0.55 * (y - 0.46)) < 0.035) & (y < 0.5)
    thing = np.where(neck, 2, thing)
    bottle = (np.abs(x - 0.23) < 0.085 * smoothstep(0.24, 0.36, y) + 0.03) & (y > 0.12) & (y < 0.76)
    thing = np.where(bottle, 3, thing)
    for cx, cy in ((0.30, 0.80), (0.42, 0.84), (0.36, 0.74), (0.84, 0.84)):
        thing = np.where(np.hypot(x - cx, y - cy) < 0.065, 2, thing)
    glass = (np.abs(x - 0.85) < 0.05 + 0.11 * (0.66 - y)) & (y > 0.34) & (y < 0.68)
    return np.where(glass, 5, thing)


def scene(rng: np.random.Generator, size: int):
    """Color (HxWx3), stroke angle and facet label (HxW)."""
    x, y = axes(size)
    bend = fbm(rng, size, 400, 120, 3.0) * 0.004
    facets = split(rng, size, 0.052)
    thing = bottles(x + bend, y - bend)
    label = facets * 8 + thing
    rgb = np.zeros((size, size, 3), np.float32)
    angle = np.zeros((size, size), np.float32)
    for each in np.unique(label):
        inside = label == each
        if inside.sum() < 4:
            continue
        own = int(each) % 8
        ramp = RAMPS[own if rng.random() < 0.68 else rng.choice([0, 0, 1, 1, 2, 3, 4, 5])]
        turn = rng.choice([0.35, 1.2, 1.9, 2.8]) + rng.normal(0, 0.2) + rng.choice([0, np.pi])
        place = (x * np.cos(turn) + y * np.sin(turn))[inside]
        place = (place - place.min()) / max(np.ptp(place), 1e-6)
        low = rng.uniform(-0.10, 0.25)
        tone = low + (rng.uniform(0.85, 1.3) - low) * place ** rng.uniform(0.7, 1.9)
        if rng.random() < 0.16:  # wood grain, strings, print
            stripe = np.sin((y * np.cos(turn) - x * np.sin(turn))[inside] * size / 2.6 * 0.55)
            tone = tone - 0.30 * (stripe > 0.3)
        rgb[inside] = lookup(ramp, tone)
        angle[inside] = turn + np.pi / 2 + rng.choice([0, 0, 0.6])
    return rgb, angle, label


def generate(seed: int, size: int = 1024) -> Image.Image:
    rng = np.random.default_rng(seed)
    canvas = Canvas(size, colors("6a5236")[0])
    canvas.weave(rng, 0.16)
    n, k = canvas.size, canvas.scale
    rgb, angle, label = enlarge(canvas, *scene(rng, size))
    painter = Painter(canvas, rng)
    plan = [(38, 60, 900, 0.3), (20, 34, 3600, 0.3), (13, 22, 7000, 0.3), (8, 14, 7000, 0.3)]
    for width, length, count, dry in plan:
        starts = scatter(rng, count, n)
        ink = jitter(rng, pick(rgb, starts), 0.035, 0.015)
        brush = Brush(width, length, dry=dry, body=0.7, pickup=0.12, taper=0.1, square=10)
        painter.cover(starts, angle, ink, brush, wander=0.03)
    # Charcoal along the facets, heavy here and missing there, then light scraped beside it.
    edge = seams(label)
    pressure = 0.5 + 0.5 * fbm(rng, n, 160, 30, 2.0)
    line = blur(edge, 1.5 * k) * 4.2 * k * np.clip(pressure + 0.35, 0, 1.4)
    rubbed = blur(edge, 5 * k) * 5 * k * np.clip(pressure, 0, 1)
    tooth = grain(rng, n, 1.0)
    dark = np.clip(
        smoothstep(0.35, 0.9, line + 0.16 * tooth) * 0.9 + 0.42 * rubbed * (1 + 0.3 * tooth), 0, 1
    )
    scrape = np.roll(smoothstep(0.5, 1.0, line), (int(3 * k), int(3 * k)), (0, 1)) * 0.35
    canvas.rgb += (colors("f3e6c8")[0] - canvas.rgb) * (scrape * (tooth > -0.2))[..., None]
    canvas.rgb += (CHARCOAL - canvas.rgb) * np.clip(dark, 0, 0.92)[..., None]
    canvas.relief(2.8, 0.2)
    return canvas.picture()
