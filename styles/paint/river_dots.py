"""A river bank in the afternoon, in dots of unmixed color that the eye mixes."""

from __future__ import annotations

import numpy as np
from PIL import Image

from .brush import Brush, Painter, pick, scatter
from .canvas import Canvas
from .noise import axes, fbm, smoothstep
from .oil import enlarge
from .palette import colors, jitter, lookup, mix

# The tube colors: complementary pairs, and white for light.
TUBES = colors(
    "1b2456 2f4fa8 5f93d0 a9cfe6 1c4a34 3f8a3f 9cc24a e6dc5a f2b632"
    " e8762a c8322e 7a2a63 b88fc4 f3c9b0 fbf3d8"
)
WATER = colors("1b2f66 2f5fa8 6fa3d0 c3dce0 f2d8a8 e8a070")
GRASS = colors("173a2a 2f6a38 7fae45 d6cf58 f2dc86")
LEAF = colors("14213f 1c4a34 3f7a3c 8fae3f e0a838")
SKY = colors("7fb0dc bcd8e2 f3e6c4 f6c9a0 e8a4a0")
CLOTH = colors("c8322e 2a2050 f4ead0 e8762a 7a2a63")


def scene(rng: np.random.Generator, size: int):
    """Color (HxWx3) and dab angle (HxW)."""
    x, y = axes(size)
    cloud = fbm(rng, size, 300, 25, 2.4)
    fine = fbm(rng, size, 70, 10, 1.8)
    rgb = lookup(SKY, y * 2.6 + 0.10 * cloud)
    angle = 0.4 * cloud

    far = smoothstep(0.0, 0.006, y - 0.27 - 0.03 * fbm(rng, size, 300, 40, 2.2) * (x + 0.2))
    rgb = mix(rgb, lookup(LEAF[1:], 0.45 + 0.16 * cloud + 0.1 * fine), far)
    ripple = np.sin(90 * np.sqrt(np.maximum(y - 0.36, 0)) + 5 * np.sin(5 * x) + 0.8 * cloud)
    river = lookup(WATER, 0.48 + 0.2 * ripple + 0.9 * (0.45 - y) * 0.6 + 0.12 * cloud)
    rgb = mix(rgb, river, smoothstep(0, 0.004, y - 0.36))
    angle = np.where(y > 0.36, 0.15 * cloud, angle)

    bank = smoothstep(0, 0.004, -(0.56 + 0.34 * (x - 0.35) - 0.02 * np.sin(9 * x) - y))
    light = 0.62 + 0.30 * np.sin(7 * x + 15 * y) + 0.14 * cloud
    rgb = mix(rgb, lookup(GRASS, light), bank)
    angle = np.where(bank > 0.5, -1.1 + 0.5 * cloud, angle)
    # Long violet shadows of trees outside the picture lie across the grass.
    shadow = smoothstep(0.15, 0.5, np.sin(11 * (y + 0.30 * x) + 1.2) + 0.25 * fine) * bank
    rgb = mix(rgb, mix(TUBES[0], TUBES[4], 0.55), shadow * 0.75)

    for cx, top, wide in ((0.16, 0.22, 0.20), (0.86, 0.16, 0.17), (0.60, 0.30, 0.06)):
        crown = np.hypot((x - cx) / wide, (y - top) / (wide * 1.1)) + 0.16 * cloud + 0.10 * fine
        lit = 0.55 - 1.4 * (x - cx) * -1 - 1.5 * (y - top) + 0.13 * fine + 0.08 * cloud
        rgb = mix(rgb, lookup(LEAF, lit), smoothstep(1.04, 0.98, crown))
        angle = np.where(crown < 1, np.arctan2(y - top, x - cx) + 1.6, angle)
        stem = np.abs(x - cx - 0.02 * np.sin(9 * y)) < wide * 0.09
        rgb = mix(rgb, LEAF[0], stem & (y > top + wide * 0.7) & (y < top + wide * 2.6))
    rgb = sails(rng, x, y, rgb)
    return figures(rng, x, y, rgb).astype(np.float32), angle


def sails(rng, x, y, rgb):
    for cx, foot, tall in ((0.40, 0.41, 0.13), (0.50, 0.385, 0.07), (0.70, 0.43, 0.17)):
        up = (foot - y) / tall
        sail = (up > 0) & (up < 1) & (x > cx) & (x < cx + tall * 0.55 * (1 - up))
        rgb = mix(rgb, lookup(SKY[[2, 2, 3, 4]], (x - cx) / tall * 2), sail.astype(np.float32))
        hull = (np.abs(y - foot - 0.006) < 0.008) & (np.abs(x - cx - 0.02) < tall * 0.45)
        rgb = mix(rgb, CLOTH[1], hull)
        glow = (y > foot) & (y < foot + tall * 0.7) & (np.abs(x - cx - 0.02) < tall * 0.16)
        rgb = mix(rgb, SKY[2], glow * (np.sin(500 * y) > -0.1) * 0.7)
    return rgb


def figures(rng, x, y, rgb):
    """Walkers with parasols, as a few cones and discs."""
    places = [(0.30, 0.80, 0.22), (0.37, 0.81, 0.19), (0.72, 0.93, 0.27), (0.10, 0.66, 0.12)]
    places += [(0.56, 0.79, 0.12), (0.22, 0.62, 0.08), (0.90, 0.90, 0.14)]
    for number, (cx, foot, tall) in enumerate(places):
        up = (foot - y) / tall
        cloth, top = CLOTH[number % 5], CLOTH[(number + 3) % 5]
        skirt = (up > 0) & (up < 0.52) & (np.abs(x - cx) < tall * (0.24 - 0.32 * up))
        chest = (up >= 0.5) & (up < 0.80) & (np.abs(x - cx) < tall * 0.085)
        shade = 0.45 * (x > cx + 0.01)
        rgb = np.where(skirt[..., None], mix(cloth, TUBES[0], shade), rgb)
        rgb = np.where(chest[..., None], mix(top, TUBES[0], shade), rgb)
        rgb = mix(rgb, TUBES[13], np.hypot(x - cx, y - foot + tall * 0.86) < tall * 0.05)
        canopy = np.hypot((x - cx - 0.03) / 1.5, y - foot + tall * 0.95) < tall * 0.17
        rgb = mix(rgb, CLOTH[(number + 2) % 5], canopy & (y < foot - tall * 0.93))
        cast = np.hypot((x - cx + tall * 0.32) / 5, y - foot) < tall * 0.07
        rgb = mix(rgb, TUBES[0], cast * 0.6)
    return rgb


def split(rng: np.random.Generator, wanted: np.ndarray) -> np.ndarray:
    """Tube colors (Nx3) that average to the wanted ones: random, the nearer the likelier."""
    distance = ((wanted[:, None] - TUBES) ** 2).sum(-1)
    score = -distance / 0.045 + rng.gumbel(size=distance.shape)
    return TUBES[score.argmax(1)]


def generate(seed: int, size: int = 1024) -> Image.Image:
    rng = np.random.default_rng(seed)
    canvas = Canvas(size, colors("e8dcc0")[0])
    canvas.weave(rng, 0.10)
    target, angle = enlarge(canvas, *scene(rng, size))
    painter = Painter(canvas, rng)
    under = scatter(rng, 900, canvas.size)
    brush = Brush(36, 70, dry=0.3, body=0.3)
    painter.cover(under, angle, jitter(rng, pick(target, under), 0.04, 0.03), brush)
    for width, length, count in ((15, 20, 4500), (10, 13.5, 9000), (7, 9, 12000)):
        dab = Brush(
            width, length, opacity=0.96, dry=0.12, pickup=0.05, body=1.0, taper=0.5, square=4
        )
        starts = scatter(rng, count, canvas.size)
        ink = jitter(rng, split(rng, pick(target, starts)), 0.03, 0.02)
        painter.cover(starts, angle, ink, dab, wander=0.02)
    canvas.relief(2.0, 0.25)
    return canvas.picture()
