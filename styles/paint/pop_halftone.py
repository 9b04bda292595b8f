"""A comic-strip burst over a city, printed in four coarse screens on newsprint, out of register."""

from __future__ import annotations

import numpy as np
from PIL import Image

from .canvas import Canvas
from .cells import number, seams
from .noise import axes, blur, fbm, grain, smoothstep, streaks
from .oil import enlarge
from .palette import colors, mix

PAPER = colors("f2e8d0")[0]
PLATES = [  # ink, angle in degrees, shift x and y in px
    (colors("ffd400")[0], 0, (1.0, -1.5)),
    (colors("e5206a")[0], 75, (-2.0, 1.0)),
    (colors("0a9ad6")[0], 15, (1.5, 1.5)),
]
BLACK = colors("17141a")[0]
PITCH = 10.0  # px between dots of a screen
C = dict(
    zip(
        [
            "sky",
            "deep",
            "rose",
            "red",
            "yolk",
            "lemon",
            "white",
            "teal",
            "navy",
            "plum",
            "peach",
            "mint",
        ],
        colors(
            "7fd0ee 1f6fc0 f27aa8 e23040 f9a51a ffe24a fdf6e2 1fa89a 24286a 7a2f8a fbc8a0 a8e0b8"
        ),
        strict=True,
    )
)


class Page:
    """Flat colors (HxWx3) and labels (HxW) whose borders become black outlines."""

    def __init__(self, size: int):
        self.x, self.y = axes(size)
        self.rgb = np.empty((size, size, 3), np.float32)
        self.rgb[:] = C["sky"]
        self.label = np.zeros((size, size), np.int64)

    def fill(self, where, color, fade=None, parts=None) -> None:
        """Color the mask; `fade` (color, HxW) blends in a second one, `parts` are outlined."""
        paint = np.broadcast_to(color, self.rgb.shape)
        if fade is not None:
            paint = mix(paint, fade[0], np.clip(fade[1], 0, 1))
        self.rgb = np.where(where[..., None], paint, self.rgb)
        inner = 0 if parts is None else parts[where] % 997
        self.label[where] = self.label.max() + 1 + inner


def burst(page: Page, place, radius: float, spikes: int, stack, phase: float = 0.0) -> None:
    x, y = page.x - place[0], page.y - place[1]
    turn, distance = np.arctan2(y, x) + phase, np.hypot(x, y)
    tooth = np.abs(((turn * spikes / (2 * np.pi)) % 1) - 0.5) * 2
    uneven = 1 + 0.16 * np.sin(turn * 3 + 1) + 0.10 * np.sin(turn * 7 + phase)
    for scale, color, second in stack:
        inside = distance < radius * scale * uneven * (0.66 + 0.44 * tooth)
        page.fill(inside, C[color], (C[second], 1.2 - distance / (radius * scale) * 1.3))


def scene(rng: np.random.Generator, size: int) -> Page:
    page = Page(size)
    x, y = page.x, page.y
    turn, far = np.arctan2(y - 0.42, x - 0.52), np.hypot(x - 0.52, y - 0.42)
    ray = np.floor((turn + np.pi) / (2 * np.pi) * 32)
    everywhere = np.ones_like(x, dtype=bool)
    page.fill(everywhere & (ray % 2 == 0), C["deep"], (C["sky"], 1.1 - far * 1.4), ray)
    page.fill(everywhere & (ray % 2 == 1), C["rose"], (C["peach"], 1.1 - far * 1.5), ray)
    for cx, cy, big in (
        (0.10, 0.16, 0.10),
        (0.90, 0.12, 0.11),
        (0.93, 0.50, 0.08),
        (0.05, 0.50, 0.09),
    ):
        puffs = np.zeros_like(everywhere)
        for part in range(9):
            px, py = cx + big * 1.3 * np.cos(part * 0.7), cy + 0.5 * big * np.sin(part * 1.7)
            puffs |= np.hypot(x - px, y - py) < big * (0.55 + 0.25 * np.sin(part * 2.3))
        page.fill(puffs, C["white"], (C["mint"], (y - cy) / big * 0.8 + 0.3))
    skyline(page, rng, 0.60, 0.26, ("plum", "navy"), "lemon", 15)
    stack = [
        (1.0, "red", "yolk"),
        (0.80, "yolk", "lemon"),
        (0.60, "lemon", "white"),
        (0.36, "white", "lemon"),
    ]
    burst(page, (0.52, 0.40), 0.40, 15, stack)
    burst(page, (0.52, 0.41), 0.105, 9, [(1.0, "teal", "mint"), (0.6, "red", "rose")], 0.5)
    burst(page, (0.16, 0.36), 0.12, 11, [(1.0, "lemon", "white"), (0.62, "red", "yolk")], 0.2)
    burst(page, (0.87, 0.31), 0.10, 10, [(1.0, "teal", "mint"), (0.6, "white", "lemon")], 0.9)
    skyline(page, rng, 0.78, 0.20, ("teal", "red", "yolk", "deep"), "white", 11)
    water(page)
    return page


def skyline(page: Page, rng, foot: float, tall: float, walls, window: str, count: int) -> None:
    x, y = page.x, page.y
    for part in rng.permutation(count):
        cx, wide = (part + 0.5) / count + rng.normal(0, 0.01), rng.uniform(0.55, 0.8) / count
        top = foot - tall * rng.uniform(0.35, 1.0)
        slant = rng.choice([0, 0.6, -0.6])
        house = (np.abs(x - cx) < wide) & (y > top + slant * (x - cx)) & (y < foot + 0.1)
        wall = C[walls[part % len(walls)]]
        page.fill(house, wall, (C["navy"], (x - cx) / wide * 0.6 + (y - top) * 1.2))
        side = house & (x > cx + wide * 0.35)
        page.fill(side, mix(wall, C["navy"], 0.55))
        u, v = (x - cx) * 1024 % 19, (y - top) * 1024 % 25
        lit = (
            house & ~side & (u < 10) & (v < 14) & (y > top + 0.035) & (np.abs(x - cx) < wide * 0.85)
        )
        cell = number(np.floor((x - cx) * 1024 / 19), np.floor((y - top) * 1024 / 25))
        page.fill(lit & ((cell * 7 + part) % 5 < 3), C[window])
        page.fill(lit & ((cell * 7 + part) % 5 >= 3), C["navy"])


def water(page: Page) -> None:
    x, y = page.x, page.y
    for row, (color, second) in enumerate(
        (("deep", "sky"), ("teal", "mint"), ("navy", "deep"), ("plum", "rose"))
    ):
        top = 0.765 + 0.066 * row
        swing = (x * (5 - 0.5 * row) + 0.37 * row) % 1
        crest = top - 0.055 * np.abs(np.sin(np.pi * swing)) ** 0.6 + 0.02 * swing
        page.fill(y > crest, C[color], (C[second], 1 - (y - crest) * 9))
        foam = (y > crest + 0.006) & (y < crest + 0.022 + 0.012 * np.sin(x * 60 + row))
        page.fill(foam, C["white"])
        curl = (np.abs(((y - crest) * 60 + swing * 3) % 1 - 0.5) < 0.13) & (y > crest + 0.03)
        page.fill(curl & (y < crest + 0.075), C["white" if row % 2 else "lemon"])


def screen(n: int, degrees: float, wobble: np.ndarray) -> np.ndarray:
    """A dot screen in [0, 1]: a tone above it prints."""
    line = np.arange(n, dtype=np.float32) / n * 1024 * 2 * np.pi / PITCH
    c, s = np.cos(np.deg2rad(degrees)), np.sin(np.deg2rad(degrees))
    u = line[None, :] * c + line[:, None] * s + wobble
    v = line[:, None] * c - line[None, :] * s - wobble
    return 0.5 - 0.25 * (np.cos(u) + np.cos(v))


def generate(seed: int, size: int = 1024) -> Image.Image:
    rng = np.random.default_rng(seed)
    canvas = Canvas(size, PAPER)
    n, k = canvas.size, canvas.scale
    page = scene(rng, size)
    flat, label = enlarge(canvas, page.rgb, page.label)
    flat = blur(flat, 1.0 * k)
    mottle = 0.6 * grain(rng, n, 1.0) + 0.6 * fbm(rng, n, 120, 10, 1.6)
    wobble = 0.10 * fbm(rng, n, 200, 40, 2.0)
    rgb = canvas.rgb * (1 + 0.03 * mottle)[..., None]
    rgb = mix(rgb, colors("a8946a")[0], (streaks(rng, (n, n), 0.8 * k, 9 * k) > 0.985) * 0.4)
    for channel, (ink, degrees, shift) in zip((2, 1, 0), PLATES, strict=True):
        tone = np.roll(1 - flat[..., channel], (int(shift[1] * k), int(shift[0] * k)), (0, 1))
        tone = np.clip(tone * 1.08 - 0.02, 0, 1)
        dots = smoothstep(-0.07, 0.07, tone - screen(n, degrees, wobble) + 0.03 * mottle)
        worn = np.clip(0.96 - 0.10 * np.clip(mottle - 0.7, 0, 2), 0, 1)
        film = 1 - (1 - ink) * (dots * worn)[..., None]
        rgb = rgb * film
    weight = 1.5 + 1.0 * fbm(rng, n, 150, 50, 2.4) + 1.2
    outline = blur(seams(label), 1.7 * k) * 1.9 * k * np.clip(weight, 1.2, 4.5)
    dry = smoothstep(2.3, 1.6, mottle)
    rgb = mix(rgb, BLACK, smoothstep(0.75, 1.15, outline + 0.05 * mottle) * (0.6 + 0.36 * dry))
    canvas.rgb = np.clip(rgb, 0, 1).astype(np.float32)
    return canvas.picture()
