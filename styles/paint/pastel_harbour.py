"""A harbour at dusk in chalk pastel: hatched light on dark paper whose tooth shows through."""

from __future__ import annotations

import numpy as np
from PIL import Image

from .brush import Brush, Painter, pick, scatter
from .canvas import Canvas
from .noise import axes, fbm, grain, smoothstep
from .oil import enlarge
from .palette import colors, jitter, lookup, mix, nearest

DUSK = colors("f8e08a f6b25e ee7a5a d0567a 8a4f9a 4f4a9a 2a3a7a 1c2a58")
SEA = colors("101a34 1c3a5a 2a6a7a 5aa09a e8b878 f2dc9a")
HOUSES = colors("c84a3a e8a04a f0d8a8 5a8a9a 8a5a8a d87a6a 3a5a6a e8c05a")
HULLS = colors("e8e0d0 c8382e 1f6a8a f0b040 2a2a4a")
NIGHT = colors("17152a")[0]
CHALKS = np.concatenate([DUSK, SEA, HOUSES, HULLS])


def quay(rng, x, y, rgb, angle):
    """Gabled houses in a row, with lit windows."""
    places = np.linspace(-0.02, 1.0, 14)
    for number, cx in enumerate(places):
        wide, top = rng.uniform(0.036, 0.052), 0.46 - rng.uniform(0.10, 0.24)
        gable = np.maximum(top, top + (np.abs(x - cx) - wide * 0.15) * rng.choice([0.7, 1.1, 1.5]))
        wall = (np.abs(x - cx) < wide) & (y > gable) & (y < 0.55)
        paint = mix(HOUSES[number % 8], NIGHT, 0.25 + 0.5 * (x > cx))
        rgb = np.where(wall[..., None], paint, rgb)
        angle = np.where(wall, 1.45 + 0.25 * (number % 3 - 1), angle)
        roof = wall & (y < gable + 0.022)
        rgb = np.where(roof[..., None], mix(HOUSES[(number * 3) % 8], NIGHT, 0.55), rgb)
        u, v = (x - cx) / wide, (y - top - 0.05) / 0.043
        pane = wall & (np.abs(np.abs(u) - 0.45) < 0.20) & (v > 0) & (v % 1 < 0.55)
        lit = rng.random() < 0.75
        rgb = np.where(pane[..., None], DUSK[0] if lit else SEA[1], rgb)
    return rgb, angle


def boats(x, y, rgb, angle):
    fleet = [
        (0.20, 0.66, 0.20),
        (0.55, 0.62, 0.13),
        (0.80, 0.70, 0.23),
        (0.38, 0.83, 0.30),
        (0.95, 0.60, 0.10),
    ]
    for number, (cx, foot, big) in enumerate(fleet):
        u, v = (x - cx) / big, (y - foot) / big
        hull = (v > -0.17 - 0.16 * u**2) & (v < 0.02) & (np.abs(u) < 0.52 - 0.9 * (v + 0.17))
        band = hull & (v < -0.12)
        rgb = np.where(hull[..., None], mix(HULLS[number], NIGHT, 0.45 * (v > -0.06)), rgb)
        rgb = np.where(band[..., None], HULLS[(number + 3) % 5], rgb)
        angle = np.where(hull, 0.1 * np.sign(u), angle)
        mast = (np.abs(u) < 0.016) & (v < -0.15) & (v > -1.15)
        sail = (u > 0.03) & (v < -0.24) & (v > -1.08) & (u < 0.50 * (v + 1.08) + 0.03)
        jib = (u < -0.03) & (v < -0.22) & (v > -0.90) & (u > -0.42 * (v + 0.90) - 0.03)
        for part, which in ((sail, 1), (jib, 2)):
            tone = mix(HULLS[(number + which) % 5], DUSK[1], np.clip(0.3 + u, 0, 0.8))
            rgb = np.where(part[..., None], tone, rgb)
            angle = np.where(part, -1.1 if which == 1 else -2.0, angle)
        rgb = np.where(mast[..., None], NIGHT, rgb)
        cast = (v > 0.03) & (v < 0.85) & (np.abs(u + 0.05 * np.sin(70 * y)) < 0.34 * (1 - 0.7 * v))
        broken = cast & (np.sin(210 * y + 9 * x) > -0.25)
        rgb = np.where(broken[..., None], mix(HULLS[(number + 1) % 5], SEA[1], 0.45), rgb)
    return rgb, angle


def scene(rng: np.random.Generator, size: int):
    """Color (HxWx3) and hatching angle (HxW)."""
    x, y = axes(size)
    cloud = fbm(rng, size, 420, 40, 2.6)
    glow = np.hypot((x - 0.62) * 0.8, y - 0.40)
    rgb = lookup(DUSK, glow * 1.55 + 0.09 * cloud)
    bank = smoothstep(0.35, 0.9, np.sin(15 * y - 5 * x * (y - 0.3) + 1.1 * cloud))
    rgb = mix(rgb, lookup(DUSK[[4, 2, 1, 6]], 0.45 + 0.3 * cloud), bank * 0.75)
    angle = -0.7 + 0.55 * np.round(1.2 * cloud)
    hill = y > 0.37 - 0.06 * np.sin(4.5 * x + 0.7) - 0.012 * cloud
    rgb = np.where(
        hill[..., None], lookup(np.stack([NIGHT, DUSK[5], DUSK[4]]), 0.5 + 0.25 * cloud), rgb
    )
    angle = np.where(hill, 0.5, angle)
    rgb, angle = quay(rng, x, y, rgb, angle)
    sea = y > 0.535
    wave = np.sin(95 * np.maximum(y - 0.5, 0) ** 0.8 + 4 * np.sin(6 * x) + 1.2 * cloud)
    path = np.exp(-(((x - 0.62 + 0.02 * np.sin(60 * y)) / (0.07 + 0.25 * (y - 0.53))) ** 2))
    shine = 0.30 + 0.20 * wave + 0.50 * path * (0.6 + 0.4 * wave) + 0.06 * cloud
    rgb = np.where(sea[..., None], lookup(SEA, shine), rgb)
    angle = np.where(sea, 0.16 * np.sin(8 * x + 20 * y), angle)
    stones = y > 0.925 + 0.02 * np.sin(9 * x)
    cobble = np.sin(70 * x + 3 * np.sin(60 * y)) * np.sin(110 * y)
    rgb = np.where(
        stones[..., None],
        lookup(np.stack([NIGHT, DUSK[4], DUSK[2], DUSK[1]]), 0.4 + 0.35 * cobble),
        rgb,
    )
    angle = np.where(stones, 0.9, angle)
    rgb, angle = boats(x, y, rgb, angle)
    return rgb.astype(np.float32), angle.astype(np.float32)


def generate(seed: int, size: int = 1024) -> Image.Image:
    rng = np.random.default_rng(seed)
    canvas = Canvas(size, NIGHT * 1.35)
    n = canvas.size
    tooth = 0.8 * grain(rng, n, 0.5) + 0.4 * grain(rng, n, 1.1)
    canvas.rgb *= (1 + 0.10 * tooth)[..., None]
    rgb, angle = enlarge(canvas, *scene(rng, size))
    painter = Painter(canvas, rng, tooth / tooth.std())
    plan = [
        (Brush(40, 90, opacity=0.8, dry=0.5), 900),
        (Brush(18, 64, opacity=0.85, dry=0.45), 3400),
        (Brush(9, 44, opacity=0.9, dry=0.42), 7000),
        (Brush(5, 30, opacity=0.95, dry=0.34), 9000),
    ]
    for number, (brush, count) in enumerate(plan):
        brush = Brush(**{**brush.__dict__, "body": 0.15, "pickup": 0.06, "bristle": 0.12})
        starts = scatter(rng, count, n)
        ink = jitter(rng, pick(rgb, starts), 0.075, 0.045)
        pure = rng.random(len(ink)) < 0.30
        ink[pure] = nearest(CHALKS, ink[pure])
        hatch = angle + (0.0, 0.5, -0.35, 0.15)[number]  # each layer of hatching crosses the last
        painter.cover(starts, hatch, ink, brush, wander=0.05)
    canvas.height += 0.10 * tooth
    canvas.relief(0.9)
    return canvas.picture()
