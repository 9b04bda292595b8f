"""A hot day over patchwork fields: broken color in oil, every field ploughed its own way."""

from __future__ import annotations

import numpy as np
from PIL import Image

from .brush import Brush, Painter, pick, scatter
from .canvas import Canvas
from .noise import axes, fbm, smoothstep
from .oil import curl, enlarge, layers
from .palette import colors, jitter, lookup, mix

SKY = colors("f3e3a6 f0c46a e9a15c d98a72 a9a6b5 6fa3b8 3f7fa6")
FIELDS = [
    colors("6b3a12 c4761d e9b23a f7dc7a"),
    colors("27401c 4f6d22 8a9a35 c9c352"),
    colors("5a1f16 a23a1e d96a2c f0a84e"),
    colors("1f3b3a 3a6b5c 6f9a72 b9c48a"),
    colors("3a1f3f 6b3a5e a8607a d99a8c"),
    colors("7a4a16 b98a2a e0c25a f3e8b0"),
    colors("2a2f4f 46568a 7a86a8 c0b8b0"),
]
TREE = colors("10201c 1f3d24 3f5c22 7a7a28 241a2c")
ROOF = colors("7a1f14 c2402a e8784a f4dcb0 2f2438")
ALL = np.concatenate([SKY, *FIELDS, TREE, ROOF])


def sky(rng, x, y, size):
    cloud = fbm(rng, size, 420, 40, 2.8)
    distance = np.hypot(x - 0.70, (y - 0.15) * 1.05)
    rgb = lookup(SKY, np.clip(distance * 1.35 + 0.07 * cloud, 0, 1))
    puff = smoothstep(0.5, 1.5, fbm(rng, size, 260, 40, 2.6) - 2.2 * np.abs(y - 0.2))
    rgb = mix(rgb, lookup(SKY[[3, 0, 0]], 0.5 + 0.3 * cloud), puff * 0.8)
    rgb = mix(rgb, colors("fff6cf")[0], smoothstep(0.062, 0.05, distance))
    u, v = curl(fbm(rng, size, 500, 120, 3.0), 0.8)
    near = 5 * np.exp(-((distance / 0.19) ** 2))  # the strokes circle the sun, then let go
    u = u + 0.9 - near * (y - 0.15) / np.maximum(distance, 0.01)
    v = v - 0.3 + near * (x - 0.70) / np.maximum(distance, 0.01)
    return rgb, np.arctan2(v, u)


def patchwork(rng, x, y, rgb, angle, size):
    """Fields between rolling lines that crowd together towards the horizon at y = 0.36."""
    wave = fbm(rng, size, 900, 200, 3.0)
    depth = np.maximum(y - 0.36 + 0.014 * wave * (0.3 + y), 1e-4)
    row = np.log(depth / 0.012) / np.log(1.75)
    across = (x - 0.45) / (depth + 0.10)
    for band in range(-3, 9):
        inside = np.floor(row) == band
        lean, shift = rng.uniform(-0.5, 0.5), rng.uniform(0, 1)
        column = np.floor((across + lean * (row - band)) / rng.uniform(0.55, 0.9) + shift)
        for which in np.unique(column[inside]):
            here = inside & (column == which)
            ramp = FIELDS[rng.integers(len(FIELDS))]
            turn = rng.uniform(-1.2, 1.2)
            # Furrows: straight on the ground, so they converge in the picture.
            ground = across * np.cos(turn) + np.log(depth) * 1.4 * np.sin(turn)
            tone = 0.5 + 0.38 * np.sin(ground * rng.uniform(22, 40)) + 0.12 * wave
            gy, gx = np.gradient(ground[::8, ::8])
            furrow = np.kron(np.arctan2(gx, -gy), np.ones((8, 8)))
            rgb = np.where(here[..., None], lookup(ramp, tone), rgb)
            angle = np.where(here, furrow, angle)
        edge = np.abs(row - np.floor(row)) < 0.05
        rgb = mix(rgb, TREE[1], (edge & inside) * 0.85)
    return rgb, angle


def trees(rng, x, y, rgb, angle, cloud):
    places = [(0.13, 0.74, 0.50), (0.22, 0.66, 0.36), (0.90, 0.80, 0.58), (0.61, 0.50, 0.17)]
    places += [
        (rng.uniform(0, 1), rng.uniform(0.40, 0.5), rng.uniform(0.05, 0.09)) for _ in range(12)
    ]
    for cx, foot, tall in places:
        up = (foot - y) / tall
        bow = 0.03 * tall * np.sin(7 * up + cx * 40)
        wide = 0.12 * tall * np.clip(up, 0, 1) ** 0.35 * np.clip(1 - up, 0, 1) ** 0.6
        wide = wide * (1 + 0.25 * np.sin(30 * up + 20 * x))
        here = (np.abs(x - cx - bow) < wide) & (up > 0) & (up < 1)
        side = (x - cx - bow) / np.maximum(wide, 1e-4)
        rgb = np.where(here[..., None], lookup(TREE[:4], 0.35 + 0.3 * side + 0.12 * cloud), rgb)
        angle = np.where(here, -np.pi / 2 + 0.45 * side, angle)
        shade = (
            (np.abs(y - foot - 0.25 * (cx - x)) < 0.02 * tall + 0.004)
            & (x < cx)
            & (x > cx - tall * 0.5)
        )
        rgb = mix(rgb, TREE[4], shade * 0.75)
    return rgb, angle


def village(rng, x, y, rgb, angle):
    for cx in np.concatenate([rng.uniform(0.28, 0.56, 9), rng.uniform(0.72, 0.86, 4)]):
        foot, wide = 0.425 + rng.uniform(-0.02, 0.06), rng.uniform(0.018, 0.032)
        tall = wide * rng.uniform(0.6, 1.0)
        wall = (np.abs(x - cx) < wide) & (y < foot) & (y > foot - tall)
        roof = (np.abs(x - cx) < wide * 1.15 + (y - foot + tall) * 0.7) & (y <= foot - tall)
        roof &= y > foot - 1.9 * tall
        rgb = np.where(wall[..., None], mix(ROOF[3], ROOF[4], (x > cx + wide * 0.4) * 0.8), rgb)
        rgb = np.where(roof[..., None], mix(ROOF[1], ROOF[2], (x < cx) * 0.8), rgb)
        angle = np.where(wall, np.pi / 2, np.where(roof, 0.6, angle))
    return rgb, angle


def generate(seed: int, size: int = 1024) -> Image.Image:
    rng = np.random.default_rng(seed)
    canvas = Canvas(size, colors("8a3f1f")[0])
    canvas.weave(rng, 0.15)
    x, y = axes(size)
    rgb, angle = sky(rng, x, y, size)
    rgb, angle = patchwork(rng, x, y, rgb, angle, size)
    rgb, angle = village(rng, x, y, rgb, angle)
    rgb, angle = trees(rng, x, y, rgb, angle, fbm(rng, size, 120, 12, 2.0))
    rgb, angle = enlarge(canvas, rgb, angle)
    painter = Painter(canvas, rng)
    plan = [
        (Brush(44, 150, dry=0.3, square=8), 420),
        (Brush(24, 80, dry=0.3, square=8), 1500),
        (Brush(14, 50, body=0.8), 4000),
        (Brush(8.5, 30, body=1.0), 6500),
    ]
    layers(painter, rgb.astype(np.float32), angle, plan, ALL, light=0.06, hue=0.04)
    starts = scatter(rng, 2500, canvas.size)
    ink = np.clip(pick(rgb, starts) * [1.12, 1.08, 0.95] + 0.06, 0, 1)
    painter.cover(starts, angle, jitter(rng, ink, 0.05, 0.05), Brush(6, 22, body=1.2, dry=0.25))
    canvas.relief(2.6, 0.3)
    return canvas.picture()
