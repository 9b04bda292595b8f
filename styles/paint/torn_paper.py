"""A collage of torn and painted papers: dunes, sun, sea and plants in layers."""

from __future__ import annotations

import numpy as np
from PIL import Image

from .canvas import Canvas, light
from .collage import Collage
from .noise import axes
from .palette import colors
from .shapes import box, disc, leaf, petal, turned

INKS = colors(
    "17202e 1f4a5f 2f8088 86b8a8 e9dcc0 f2b84a e0762f b8372e"
    " 7a2440 d99aa0 5a6b2f a8a848 3a2a4a c8b090"
)
NAVY, DEEP, TEAL, MINT, CREAM, YOLK, ORANGE, RED, WINE, PINK, MOSS, LIME, PLUM, KRAFT = INKS


def ground(work: Collage) -> None:
    """Strips across the whole sheet: sky, mountains, sea, dunes."""
    rng, whole = work.rng, (slice(0, work.n), slice(0, work.n))
    x, y = (axis * 1024 for axis in axes(work.n))
    strips = [  # top edge, swing, waves, ink, print, second ink
        (-40, 10, 1.0, DEEP, "brush", TEAL),
        (88, 26, 0.8, TEAL, "", NAVY),
        (185, 30, 1.1, MINT, "brush", CREAM),
        (285, 26, 0.9, PINK, "", NAVY),
        (365, 22, 1.4, ORANGE, "brush", YOLK),
    ]
    ridges = [
        (470, 60, 2.0, PLUM, "brush", WINE),
        (530, 46, 2.6, DEEP, "stripes", TEAL),
        (610, 20, 1.2, TEAL, "waves", CREAM),
        (668, 18, 1.5, NAVY, "waves", TEAL),
        (735, 34, 1.3, YOLK, "text", WINE),
        (800, 44, 1.6, ORANGE, "dots", CREAM),
        (868, 40, 1.9, RED, "brush", ORANGE),
        (945, 30, 2.4, WINE, "stripes", NAVY),
    ]
    for top, swing, waves, ink, print_, second in strips:
        edge = (
            top + swing * np.sin(x / 1024 * waves * 6.28 + rng.uniform(0, 6.28)) + 10 * work.large
        )
        work.glue(whole, y - edge, ink, print_, second)
    sun(work)
    for top, swing, waves, ink, print_, second in ridges:
        edge = (
            top + swing * np.sin(x / 1024 * waves * 6.28 + rng.uniform(0, 6.28)) + 14 * work.large
        )
        work.glue(whole, y - edge - 0.10 * (x - 512) * rng.choice([-1, 1]), ink, print_, second)


def sun(work: Collage) -> None:
    for radius, ink, print_, second in (
        (205, ORANGE, "stripes", YOLK),
        (160, YOLK, "brush", CREAM),
        (112, RED, "dots", ORANGE),
        (64, CREAM, "text", NAVY),
    ):
        area, x, y = work.window((690, 270), radius * 1.35)
        work.glue(area, disc(x, y, radius), ink, print_, second)
    for number in range(15):
        turn = number / 15 * 6.28 + work.rng.normal(0, 0.05)
        place = (690 + 262 * np.cos(turn), 270 + 262 * np.sin(turn))
        area, x, y = work.window(place, 70)
        u, v = turned(x, y, turn)
        ink = (YOLK, RED, CREAM)[number % 3]
        work.glue(area, np.minimum(box(u, v, 42, 40), 17 - np.abs(v) - 0.22 * u), ink)


def plants(work: Collage) -> None:
    """Leaves on stems, flowers, and scraps that break the horizon."""
    rng = work.rng
    greens = [
        (MOSS, "stripes", LIME),
        (LIME, "", NAVY),
        (DEEP, "brush", MINT),
        (MINT, "dots", DEEP),
    ]
    for foot, base, tall, lean in (
        (120, 1010, 560, 0.16),
        (300, 1040, 330, -0.1),
        (900, 1030, 470, -0.2),
    ):
        for step in np.linspace(0.15, 1.0, 9):
            place = (foot + lean * tall * step**2, base - tall * step)
            for side in (-1, 1):
                size = 165 * (1.15 - 0.7 * step) * rng.uniform(0.85, 1.15)
                turn = -np.pi / 2 + side * (1.15 - 0.5 * step) + lean
                window = work.window(place, size * 1.15)
                if window is None:
                    continue
                u, v = turned(window[1], window[2], turn)
                ink, print_, second = greens[rng.integers(len(greens))]
                work.glue(window[0], leaf(u, v, size, size * 0.36, 0.2 * side), ink, print_, second)
    for place, size, ink, second in (
        ((470, 880), 105, PINK, WINE),
        ((640, 940), 88, YOLK, RED),
        ((770, 850), 74, CREAM, RED),
    ):
        for number in range(9):
            window = work.window(place, size * 1.2)
            u, v = turned(window[1], window[2], number * 2.44)
            work.glue(window[0], petal(u, v, size, size * 0.62), ink, "brush", second)
        area, x, y = work.window(place, size * 0.5)
        work.glue(area, disc(x, y, size * 0.26), NAVY, "dots", YOLK)
    for place in ((110, 130), (330, 90), (420, 330), (215, 300), (930, 90), (960, 420), (60, 420)):
        area, x, y = work.window(place, 90)
        u, v = turned(x, y, rng.uniform(0, 3))
        number = rng.integers(len(INKS))
        scrap = box(u, v, rng.uniform(30, 58), rng.uniform(14, 34))
        work.glue(
            area, scrap, INKS[number], rng.choice(["text", "dots", "waves"]), INKS[number - 4]
        )


def generate(seed: int, size: int = 1024) -> Image.Image:
    rng = np.random.default_rng(seed)
    canvas = Canvas(size, KRAFT)
    work = Collage(rng, canvas.size, KRAFT)
    ground(work)
    plants(work)
    k = canvas.scale
    canvas.rgb = light(np.clip(work.rgb, 0, 1), work.height, 0.9, 0.0, 0.5 * k, k)
    return canvas.picture()
