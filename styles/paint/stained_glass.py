"""A window of lead and colored glass: sun, hills, river and great flowers, lit from behind."""

from __future__ import annotations

import numpy as np
from PIL import Image

from .canvas import Canvas, light
from .cells import number, seams, voronoi
from .noise import axes, blur, fbm, grain, smoothstep
from .palette import colors

SUN = colors("fff0b0 ffd24a f79a1e d9521a")
SKY = colors("0c2f7a 1a5fb4 3f95d0 8fd0e0 5a4fb0 2a2a88 c8e4e0 1a7fa0")
HILL = colors("0f4a34 2a7a3a 7fae2e c9c83a 145a5a 4a8f6a")
RIVER = colors("0a3a8a 1f8fb8 7fd8d8 1a5fa0")
PETAL = colors("b0122a e0312f f06a4a 8a1a5f c23f8f f2a0b8 5a1f7a")
HEART = colors("ffd24a f7b01e 7a3a0e")
LEAF = colors("0d3f22 1f6a2f 58962a a8c43a")


class Window:
    """Pieces of glass as an HxW label and the color of each pixel before texture."""

    def __init__(self, rng: np.random.Generator, size: int):
        self.rng = rng
        self.label = np.zeros((size, size), dtype=np.int32)
        self.rgb = np.zeros((size, size, 3), dtype=np.float32)

    def lay(self, where: np.ndarray, cuts: np.ndarray, ramp: np.ndarray) -> None:
        """Put glass into the mask `where`: one piece for each value of `cuts`, from `ramp`."""
        labels, local = np.unique(cuts[where], return_inverse=True)
        choice = self.rng.permutation(np.arange(len(labels)) % len(ramp))
        base = ramp[choice] + self.rng.normal(0, 0.05, (len(labels), 3))
        self.rgb[where] = base[local]
        self.label[where] = self.label.max() + 1 + local


def background(glass: Window, x, y, shards):
    everywhere = np.ones_like(x, dtype=bool)
    angle = np.arctan2(y - 0.27, x - 0.33)
    distance = np.hypot(x - 0.33, y - 0.27)
    rays = np.floor((angle + np.pi) / (2 * np.pi) * 18 + 0.12 * np.sin(distance * 30))
    wavy = distance * (1 + 0.05 * np.sin(angle * 12))
    rings = np.digitize(wavy, [0.05, 0.105, 0.17, 0.25, 0.36, 0.49, 0.63, 0.8])
    glass.lay(everywhere, number(shards, rays, rings // 2), SKY)
    glow = (rings == 3) | ((rings == 4) & (rays % 2 == 0)) | ((rings == 5) & (rays % 4 == 0))
    glass.lay(glow, number(rays, rings), SUN[[1, 2, 3, 2]])
    glass.lay(rings == 2, number(rays // 2, rings), SUN[[1, 2]])
    glass.lay(rings == 1, np.floor((angle + np.pi) / (2 * np.pi) * 6), SUN[[0, 1]])
    glass.lay(rings == 0, rings, SUN[:1])
    for row, foot in enumerate((0.53, 0.61, 0.69)):
        top = foot + 0.05 * np.sin((5 + 2 * row) * x + 2.1 * row) - 0.05 * (x - 0.5) * (row - 1)
        glass.lay(
            y > top, number(np.floor(x * 12 + row * 0.5 + 2.5 * y), np.floor((y - top) * 14)), HILL
        )
    bend = 0.60 + 0.13 * np.sin(9 * y + 0.5) - 0.25 * (y - 0.6)
    wide = 0.02 + 0.30 * np.maximum(y - 0.60, 0)
    across = (x - bend) / wide
    river = (np.abs(across) < 1) & (y > 0.60)
    flow = number(np.floor(across * 1.5 + 0.5 * np.sin(30 * y)), np.floor(y * 13 + 0.6 * across))
    glass.lay(river, flow, RIVER)


def flower(glass: Window, x, y, place, radius: float, petals: int, ramp) -> None:
    cx, cy = place
    turn = np.arctan2(y - cy, x - cx) + glass.rng.uniform(0, 1)
    distance = np.hypot(x - cx, y - cy) / radius
    for layer, reach in enumerate((1.0, 0.68)):
        phase = turn * petals / (2 * np.pi) + 0.5 * layer
        wave = np.abs(np.sin(np.pi * phase))
        inside = distance < reach * (0.52 + 0.48 * wave**0.6)
        half = np.floor(phase * (2 - layer))
        glass.lay(inside, number(half, np.full_like(x, layer)), np.roll(ramp, layer, axis=0))
    vein = np.abs(np.sin(turn * petals * 3.5 + 2 * np.sin(5 * distance)))
    painted = smoothstep(0.75, 0.25, distance) * smoothstep(0.28, 0.10, vein)
    glass.rgb *= 1 - 0.6 * (painted * (distance < 0.8))[..., None]
    glass.lay(distance < 0.27, np.floor(turn * 6 / (2 * np.pi)), HEART[:2])
    glass.lay(distance < 0.12, np.zeros_like(x), HEART[2:])


def leaves(glass: Window, x, y) -> None:
    for cx, foot, tall, lean in (
        (0.20, 1.02, 0.34, -0.35),
        (0.30, 1.04, 0.40, 0.30),
        (0.74, 1.05, 0.42, -0.28),
        (0.86, 1.03, 0.36, 0.32),
        (0.52, 1.05, 0.26, 0.10),
        (0.05, 1.03, 0.30, 0.15),
        (0.97, 1.02, 0.55, -0.06),
        (0.42, 1.05, 0.34, -0.12),
        (0.64, 1.05, 0.30, 0.25),
    ):
        up = (foot - y) / tall
        side = (x - cx - lean * tall * up**2) / (0.17 * tall)
        inside = (np.abs(side) < np.abs(np.sin(np.pi * up)) ** 0.8) & (up > 0) & (up < 1)
        glass.lay(inside, number(np.sign(side), np.floor(up * 3 + 0.4 * side)), LEAF)


def generate(seed: int, size: int = 1024) -> Image.Image:
    rng = np.random.default_rng(seed)
    canvas = Canvas(size, np.zeros(3))
    n, k = canvas.size, canvas.scale
    x, y = axes(n)
    wobble = fbm(rng, n, 300, 60, 3.0) * 0.004  # glass is cut by hand
    x, y = x + wobble, y + np.roll(wobble, n // 3, axis=1)
    shards, _ = voronoi(rng.random((90, 2)) * n, n, 0.25 * n)
    glass = Window(rng, n)
    background(glass, x, y, shards)
    leaves(glass, x, y)
    for place, radius, petals, ramp in (
        ((0.79, 0.66), 0.185, 7, PETAL[:3]),
        ((0.17, 0.74), 0.17, 6, PETAL[3:6]),
        ((0.46, 0.85), 0.145, 8, SUN[:3]),
        ((0.90, 0.30), 0.105, 6, PETAL[[0, 4, 5]]),
    ):
        flower(glass, x, y, place, radius, petals, ramp)
    frame = np.maximum(np.abs(x - 0.5), np.abs(y - 0.5))
    border = frame > 0.462
    blocks = number(np.floor(x * 14), np.floor(y * 14))
    glass.lay(border, blocks, np.concatenate([SKY[:2], PETAL[:2], SUN[1:3], LEAF[1:3]]))

    edge = seams(glass.label)
    lead = blur(edge, 2.6 * k) * 6.4 * k * (1 + 0.12 * fbm(rng, n, 200, 40, 2.0))
    inner = np.clip(blur(edge, 9 * k) * 14 * k, 0, 1)
    rgb = texture(rng, glass, n, inner)
    came = smoothstep(0.42, 0.60, lead + 0.05 * fbm(rng, n, 60, 8, 1.5))
    metal = colors("24262b")[0] * (1 + 0.25 * grain(rng, n, 1.5))[..., None]
    metal = light(metal, np.minimum(lead, 1.6) * 3 + 0.25 * grain(rng, n, 1.2), 0.9, 0.35, k, k)
    rgb = rgb * (1 - came[..., None]) + metal * came[..., None]
    canvas.rgb = np.clip(rgb, 0, 1)
    return canvas.picture()


def texture(rng, glass: Window, n: int, inner) -> np.ndarray:
    """Streaks, bubbles and ripples in the glass, and the light behind it."""
    k = n / 1024
    pieces = glass.label.max() + 1
    way = rng.uniform(0, np.pi, pieces)[
        glass.label
    ]  # every piece is cut its own way from its sheet
    phase = rng.uniform(0, 7, pieces)[glass.label]
    x, y = axes(n)
    along, across = x * np.cos(way) + y * np.sin(way), y * np.cos(way) - x * np.sin(way)
    drift, fine = fbm(rng, n, 260, 30, 2.6), fbm(rng, n, 60, 6, 1.6)
    streak = np.sin(across * 90 + 2.0 * drift + phase) + 0.6 * np.sin(across * 230 + 5 * drift)
    streak = 0.6 * streak + 0.12 * fine
    sheet = np.sin(9 * along + 2 * phase + 0.5 * drift)  # from thick to thin
    glow = 1.13 + 0.12 * fbm(rng, n, 600, 120, 3.0)
    tone = glow + 0.11 * streak + 0.17 * sheet - 0.50 * inner**1.5
    tone += 0.05 * grain(rng, n, 0.8) + 0.02 * fine
    rgb = glass.rgb * tone[..., None]
    white = np.clip(tone - 1.05, 0, 1) * 0.5 + 0.10 * np.clip(streak, 0, 1)
    rgb += (1 - rgb) * white[..., None]  # opal streaks, and thin glass
    tint = np.stack([streak, -0.3 * streak, -streak], axis=-1) * 0.035
    specks = (rng.random((n, n)) > 1 - 0.0006 / k**2).astype(np.float32)
    bubbles = np.minimum(blur(specks, 1.0 * k) * 8 * k**2, 1.5)
    ripples = fine * 0.5 + streak * 0.5 + grain(rng, n, 3) * 0.15 + bubbles
    return light(np.clip(rgb + tint, 0, 1), ripples, 0.55, 0.2, k, k)
