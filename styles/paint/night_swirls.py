"""Night sky of whirling winds and lamps over a dark coast, in thick oil."""

from __future__ import annotations

import numpy as np
from PIL import Image

from .brush import Brush, Painter, pick, scatter
from .canvas import Canvas
from .noise import axes, fbm, smoothstep
from .oil import curl, enlarge, layers, swirl
from .palette import colors, jitter, lookup, mix

SKY = colors("0a1634 12295e 1d459a 2a66b8 4f92c4 8dbfc6 1c3d8a 0e2352 2f74b4 b9d6c4")
LAMP = colors("fff4c2 f8d95f efa92b c8641d")
LAND = colors("071418 0f2a2a 1d4a3c 3f6a3a 8a8b3c 123048")
SEA = colors("081a3a 10406a 1f7288 62a89a d8c878 123a70")
ALL = np.concatenate([SKY, LAMP, LAND, SEA])

WHIRLS = [
    (0.40, 0.30, 0.115, 1.0),
    (0.63, 0.40, 0.085, -0.9),
    (0.12, 0.14, 0.070, 0.8),
    (0.88, 0.56, 0.060, 0.7),
    (0.14, 0.52, 0.055, -0.7),
]
LAMPS = [  # x, y, radius
    (0.84, 0.15, 0.085),
    (0.60, 0.12, 0.040),
    (0.27, 0.11, 0.036),
    (0.10, 0.34, 0.042),
    (0.50, 0.53, 0.032),
    (0.78, 0.38, 0.034),
    (0.31, 0.51, 0.028),
    (0.95, 0.36, 0.030),
]


def scene(rng: np.random.Generator, size: int):
    """Color (HxWx3) and stroke angle (HxW) to paint."""
    x, y = axes(size)
    u, v = swirl(x, y, WHIRLS + [(cx, cy, r * 0.8, 0.75) for cx, cy, r in LAMPS], (0.35, -0.05))
    cloud = fbm(rng, size, 500, 60, 3.0)
    cu, cv = curl(cloud, 0.25)
    angle = np.arctan2(v + cv, u + cu)

    # Bands of wind: the phase winds round each whirl, so light and dark follow the strokes.
    phase = 2.2 * y + 0.22 * fbm(rng, size, 500, 40, 2.4)
    for cx, cy, radius, spin in WHIRLS:
        distance = np.hypot(x - cx, y - cy) / radius
        turn = np.arctan2(y - cy, x - cx) / (2 * np.pi) * np.sign(spin)
        phase = phase + np.exp(-0.5 * (distance / 1.3) ** 2) * (distance * 0.55 + turn)
    rgb = lookup(SKY, np.abs((phase * 1.15) % 2 - 1))
    for cx, cy, radius in LAMPS:
        distance = np.hypot(x - cx, y - cy) / radius + 0.06 * cloud
        halo = lookup(LAMP, 0.10 + 0.62 * distance + 0.10 * np.sin(distance * 14))
        rgb = mix(rgb, halo, smoothstep(1.5, 0.95, distance))
        round_lamp = np.arctan2(x - cx, cy - y) + 0.25
        angle = np.where(distance < 1.7, round_lamp, angle)

    shore = 0.66 + 0.035 * np.sin(5.2 * x + 0.4) + 0.02 * np.sin(13 * x)
    ridge = (
        shore
        - 0.10 * np.exp(-(((x - 0.93) / 0.16) ** 2))
        - 0.07 * np.exp(-(((x - 0.1) / 0.2) ** 2))
    )
    land = smoothstep(-0.004, 0.004, y - ridge)
    hill = lookup(LAND, 0.5 + 0.30 * np.sin(26 * (y - ridge) + 4 * x) + 0.13 * cloud)
    rgb = mix(rgb, hill, land)
    bank = np.arctan2(0.22 * np.cos(5.2 * x + 0.4), 1.0)
    angle = np.where(land > 0.5, bank + 0.5 * np.sin(9 * x + 3), angle)

    coast = 0.775 + 0.02 * np.sin(7 * x + 2)
    water = smoothstep(-0.003, 0.003, y - coast)
    crest = np.sin(70 * np.maximum(y - coast, 0) ** 0.85 + 3 * np.sin(7 * x))
    wave = 0.42 + 0.26 * crest + 0.12 * cloud
    glints = np.zeros_like(x)
    for cx, _, radius in LAMPS:
        reach = radius * (0.5 + 0.5 * np.maximum(y - coast, 0) / 0.2)
        glints = glints + np.exp(-(((x - cx + 0.01 * np.sin(60 * y)) / reach) ** 2) * 2)
    glints = np.clip(glints, 0, 0.9) * (np.sin(120 * y + 3 * cloud) > -0.2)
    sea = mix(lookup(SEA[[0, 1, 2, 3, 5]], wave), lookup(LAMP[::-1], wave), glints)
    rgb = mix(rgb, sea.astype(np.float32), water)
    angle = np.where(water > 0.5, 0.25 * np.sin(14 * x + 20 * y), angle)

    # A tall dark flame of a tree on the left, in front of everything.
    lean = 0.205 + 0.018 * np.sin(9 * y) + 0.008 * np.sin(31 * y)
    wide = 0.062 * np.clip((y - 0.19) / 0.75, 0, 1) ** 0.8 * (1 + 0.22 * np.sin(24 * y + 40 * x))
    tree = smoothstep(0.004, -0.004, np.abs(x - lean) - wide) * (y > 0.19)
    flame = lookup(
        LAND, 0.22 + 0.20 * np.sin(34 * (x - lean) / (wide + 0.05) + 9 * y) + 0.12 * cloud
    )
    rgb = mix(rgb, flame, tree)
    licks = -np.pi / 2 + 0.5 * np.sin(16 * y + 25 * (x - lean))
    angle = np.where(tree > 0.5, licks, angle)
    return rgb.astype(np.float32), angle


def generate(seed: int, size: int = 1024) -> Image.Image:
    rng = np.random.default_rng(seed)
    canvas = Canvas(size, colors("2a2418")[0])
    canvas.weave(rng, 0.12)
    target, angle = enlarge(canvas, *scene(rng, size))
    painter = Painter(canvas, rng)
    plan = [
        (Brush(46, 190, dry=0.25), 420),
        (Brush(25, 130, pickup=0.2), 1300),
        (Brush(14, 85, body=0.8), 3200),
        (Brush(8, 48, body=0.9), 3600),
    ]
    layers(painter, target, angle, plan, ALL)
    # Last accents: short light touches where the picture is light, dark ones where it is dark.
    starts = scatter(rng, 2600, canvas.size)
    seen = pick(target, starts)
    lift = np.where(seen.mean(1, keepdims=True) > 0.42, 0.13, -0.08)
    keep = rng.random(len(starts)) < 0.55
    ink = jitter(rng, np.clip(seen + lift, 0, 1), 0.05, 0.04)
    painter.cover(starts[keep], angle, ink[keep], Brush(5.5, 30, body=1.1, dry=0.2))
    canvas.relief(2.6, 0.35)
    return canvas.picture()
