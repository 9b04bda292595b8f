"""A linocut in three blocks: a stormy coast, cut with a V-gouge and printed on cream paper."""

from __future__ import annotations

import numpy as np
from PIL import Image

from .brush import Brush, pick, ribbon, scatter, trace
from .canvas import Canvas
from .noise import axes, blur, fbm, grain, smoothstep, streaks
from .oil import enlarge
from .palette import colors, mix

PAPER, STRAW, CORAL, TEAL, SLATE, KEY = colors("f1e6cc ecbf5a d9583a 3f8f8c 2f5672 14182a")
GOUGE = Brush(1, 1, taper=1.0, square=8)


def scene(size: int, rng: np.random.Generator):
    """Light and middle ink (HxWx3), tone (HxW, 1 is paper-white) and cutting direction (HxW)."""
    x, y = axes(size)
    cloud = fbm(rng, size, 400, 40, 2.6)
    dx, dy = x - 0.64, y - 0.30
    distance, turn = np.hypot(dx, dy), np.arctan2(dy, dx)
    first, second = np.empty((size, size, 3)), np.empty((size, size, 3))
    first[:], second[:] = STRAW, CORAL
    rays = np.sin(turn * 26 + 0.5 * cloud)
    tone = 0.50 + 0.32 * rays - 0.35 * (distance - 0.2)
    angle = turn + 0.0
    disc = distance < 0.135
    tone = np.where(disc, 0.80 - 0.5 * (np.abs(distance - 0.125) < 0.012), tone)
    angle = np.where(disc, turn + np.pi / 2, angle)
    first[disc] = PAPER

    puff = np.sin(11 * x + 3 * np.sin(6 * y) + 2) * 0.04 + 0.02 * cloud
    for top, thick in ((0.10, 0.055), (0.22, 0.04), (0.40, 0.045)):
        depth = (y - top - puff) / thick
        here = np.abs(depth) < 0.5 + 0.6 * np.sin(5 * x + top * 40)
        first[here], second[here] = PAPER, TEAL
        tone = np.where(here, 0.75 - 0.65 * depth, tone)
        angle = np.where(here, 0.9 * np.cos(11 * x + 3 * np.sin(6 * y)) * 0.6, angle)

    for peak, top, spread, shade in (
        (0.20, 0.20, 0.9, 0.0),
        (0.48, 0.40, 0.75, 0.05),
        (0.92, 0.36, 0.8, 0.0),
    ):
        skew = x - peak + 0.035 * cloud * (y - top) * 4
        here = (y - top) > np.abs(skew) * spread + 0.012 * np.sin(60 * skew)
        here &= y < 0.66
        first[here], second[here] = PAPER, SLATE
        lit = skew + 0.05 * np.sin(30 * y + 9 * x) > 0
        folds = 0.35 * np.sin(38 * skew + 22 * (y - top) + 2 * cloud)
        snow = 0.5 * smoothstep(0.16, 0.02, y - top - 0.03 * np.sin(50 * x))
        tone = np.where(here, np.where(lit, 0.62, 0.22) + folds * 0.6 + snow - shade, tone)
        angle = np.where(here, np.where(lit, 0.95, 2.1) + 0.25 * cloud, angle)

    sea = y > 0.61 + 0.012 * np.sin(20 * x)
    deep = np.maximum(y - 0.60, 0.002)
    phase = 16 * np.log(deep + 0.03) + 3.0 * np.sin(4.5 * x + 9 * deep) + 0.4 * cloud
    first[sea], second[sea] = PAPER, TEAL
    tone = np.where(sea, 0.42 + 0.42 * np.sin(phase), tone)
    gy, gx = np.gradient(phase)
    angle = np.where(sea, np.arctan2(-gx, gy) + 0.25 * np.sin(2 * phase), angle)
    glow = sea & (np.abs(x - 0.64 - 0.03 * np.sin(50 * y)) < 0.05 + 0.30 * deep)
    first[glow], second[glow] = STRAW, CORAL
    return pines(x, y, cloud, first, second, tone, angle)


def pines(x, y, cloud, first, second, tone, angle):
    """A headland with wind-bent pines in front, almost all key block."""
    bank = 0.93 - 0.34 * smoothstep(0.42, -0.05, x) + 0.012 * cloud
    bank = np.minimum(bank, 0.97 - 0.22 * smoothstep(0.78, 1.05, x))
    here = y > bank
    first[here], second[here] = STRAW, SLATE
    tone = np.where(here, 0.22 + 0.20 * np.sin(46 * (y - bank) + 5 * cloud), tone)
    angle = np.where(here, -0.5 + 0.7 * cloud, angle)
    for foot, base, tall, lean in (
        (0.10, 0.72, 0.60, 0.10),
        (0.24, 0.80, 0.42, 0.16),
        (0.93, 0.86, 0.36, -0.2),
    ):
        up = (base - y) / tall
        bow = foot + lean * tall * up**2
        trunk = (np.abs(x - bow) < 0.016 * (1.4 - up)) & (up > -0.2) & (up < 1)
        first[trunk], second[trunk] = STRAW, CORAL
        tone = np.where(trunk, 0.30 + 0.4 * (x > bow), tone)
        angle = np.where(trunk, np.pi / 2, angle)
        for level in np.linspace(0.38, 1.04, 11):
            wide = 0.20 * tall * (1.25 - 0.75 * level) * (1 + 0.3 * np.sin(level * 77))
            cx = foot + lean * tall * level**2 + 0.9 * wide * np.sin(level * 43 + foot * 9)
            cy = base - tall * level
            shape = np.hypot((x - cx) / wide, (y - cy) / (wide * 0.45)) + 0.14 * cloud
            needles = shape < 1
            first[needles], second[needles] = TEAL, SLATE
            tone = np.where(needles, 0.30 - 0.7 * (y - cy) / wide, tone)
            angle = np.where(needles, np.arctan2((y - cy) * 2 + 0.02, x - cx), angle)
    return first, second, np.clip(tone, 0, 1), angle


def gouge(rng, canvas: Canvas, tone, angle, plan) -> np.ndarray:
    """Cuts in a block (HxW, 1 is cut away): wide where `tone` is high, none where it is low."""
    cut = np.zeros((canvas.size, canvas.size), dtype=np.float32)
    for width, length, count in plan:
        starts = scatter(rng, count, canvas.size)
        wide = width * canvas.scale * np.clip(pick(tone, starts) * 1.25 - 0.12, 0, 1)
        keep = wide > 0.22 * width * canvas.scale
        starts, wide = starts[keep], wide[keep] * rng.uniform(0.8, 1.15, keep.sum())
        paths = trace(angle, starts, length * rng.uniform(0.6, 1.3, len(starts)), canvas.scale)
        for path, each in zip(paths, wide, strict=True):
            _, px, py, _ = ribbon(path, float(each), GOUGE)
            ix, iy = np.rint(px).astype(np.int32), np.rint(py).astype(np.int32)
            inside = (ix >= 0) & (iy >= 0) & (ix < canvas.size) & (iy < canvas.size)
            cut[iy[inside], ix[inside]] = 1
    return cut


def print_block(rng, rgb, ink, block, cover: float) -> np.ndarray:
    """Print the HxW `block` (1 prints) over the picture: salty, starved and squeezed ink."""
    n = rgb.shape[0]
    k = n / 1024
    salt = 0.55 * grain(rng, n, 0.8) + 0.45 * grain(rng, n, 2.5) + 0.5 * fbm(rng, n, 300, 40, 2.0)
    soft = blur(block, 0.8 * k)
    solid = smoothstep(0.40, 0.60, soft + 0.05 * grain(rng, n, 1.0))
    rim = smoothstep(0.95, 0.6, blur(block, 2.0 * k)) * solid
    load = cover - 0.10 * smoothstep(1.3, 2.0, salt) * 6 + 0.06 * rim
    return mix(rgb, ink * (1 + 0.05 * salt)[..., None], np.clip(load, 0, 1) * solid)


def generate(seed: int, size: int = 1024) -> Image.Image:
    rng = np.random.default_rng(seed)
    canvas = Canvas(size, PAPER)
    n, k = canvas.size, canvas.scale
    first, second, tone, angle = enlarge(canvas, *scene(size, rng))
    rgb = canvas.rgb * (1 + 0.02 * grain(rng, n, 1.2) + 0.012 * fbm(rng, n, 300, 40))[..., None]
    fibres = streaks(rng, (n, n), 0.7 * k, 14 * k) > 0.992
    rgb = mix(rgb, colors("b09a70")[0], fibres * 0.35)

    edge = fbm(rng, n, 200, 30) * 0.002
    x, y = axes(n)
    plate = (np.maximum(np.abs(x - 0.5), np.abs(y - 0.5)) + edge < 0.489).astype(np.float32)
    cuts = gouge(rng, canvas, tone * 1.05 - 0.40, angle + 0.12, [(8, 46, 5200)])
    rgb = print_block(rng, rgb, first, plate * (1 - 0.9 * cuts), 0.97)
    cuts = gouge(rng, canvas, tone * 1.15 - 0.22, angle, [(13, 90, 1800), (8, 50, 4200)])
    block = np.roll(plate * (1 - cuts), (int(2 * k), int(-1.5 * k)), (0, 1))  # out of register
    rgb = print_block(rng, rgb, second, block, 0.95)
    dark = tone * 1.1 - 0.02
    cuts = gouge(rng, canvas, dark, angle, [(13, 110, 2600), (8, 60, 5200), (4.5, 28, 6500)])
    # Fine lines keep the darks open.
    cuts = np.maximum(cuts, gouge(rng, canvas, np.maximum(dark, 0.34), angle, [(7, 40, 3000)]))
    rgb = print_block(rng, rgb, KEY, plate * (1 - cuts), 0.98)
    canvas.rgb = np.clip(rgb, 0, 1).astype(np.float32)
    canvas.height = 0.06 * grain(rng, n, 1.0)
    canvas.relief(1.0)
    return canvas.picture()
