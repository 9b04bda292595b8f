"""Mountains, mist and a pine in ink: soft wet washes, split dry brush on top, one red seal."""

from __future__ import annotations

import numpy as np
from PIL import Image

from .brush import Brush, Painter, pick, scatter
from .canvas import Canvas, paper
from .noise import axes, blur, fbm, grain, smoothstep, streaks
from .palette import colors, jitter, mix

SILK = colors("efe3c8")[0]
INKS = colors("0f1014 23262e 454a54 75787c a39f96")
INDIGO, UMBER, OCHRE, MOSS, SEAL, PLUM = colors("2c4460 7a5636 bf8f4e 5a6a4a a8281e c4707a")


class Scroll:
    """The density of wet ink (HxW) under the strokes, and where the strokes should go."""

    def __init__(self, rng: np.random.Generator, canvas: Canvas):
        self.rng, self.canvas = rng, canvas
        n = canvas.size
        self.x, self.y = axes(n)
        self.large, self.wide = fbm(rng, n, 700, 90, 2.8), fbm(rng, n, 240, 40, 3.0)
        self.tint = np.empty((n, n, 3), np.float32)
        self.tint[:] = SILK
        self.angle = 0.3 * self.large
        self.tone = np.full((n, n), 0.12, np.float32)  # how many and how dark the strokes

    def wash(self, density: np.ndarray, ink: np.ndarray) -> None:
        """Wet ink multiplied into the silk, pooling and fringing."""
        pool = 1 + 0.28 * self.large + 0.16 * self.wide
        fringe = np.clip(density - blur(density, 7 * self.canvas.scale), 0, 1) * 0.9
        amount = np.clip(density * pool + fringe, 0, 1.4)
        self.tint *= np.exp(np.log(np.clip(ink, 0.03, 1)) * amount[..., None])

    def mountain(self, ridge, depth: float, dark: float, ink, lean: float) -> None:
        """One range: darkest along its ridge (HxW y), melting into mist `depth` below."""
        below = self.y - ridge
        body = smoothstep(-0.002, 0.004, below)
        fade = np.exp(-np.clip(below, 0, 1) / depth)
        folds = 0.72 + 0.42 * np.sin(30 * self.x + 26 * below + 1.6 * self.large)
        self.tint = mix(self.tint, SILK, body * 0.75)
        self.wash(dark * body * fade * np.clip(folds, 0.15, 1.3), ink)
        slope = np.gradient(ridge, axis=1) * self.canvas.size
        fall = np.arctan2(1.0, slope * 0.9 + lean)
        self.angle = np.where(body > 0.5, fall + 0.25 * self.wide, self.angle)
        stroke_tone = dark * (0.25 + 0.95 * fade * np.clip(folds, 0, 1.4))
        self.tone = np.where(body > 0.5, stroke_tone, self.tone).astype(np.float32)


def ranges(scroll: Scroll) -> None:
    x, large, wide = scroll.x, scroll.large, scroll.wide
    sky = np.clip(0.22 + 0.2 * large, 0, 1) * smoothstep(0.5, 0.0, scroll.y)
    scroll.wash(sky, mix(SILK, INDIGO, 0.7))
    moon = np.hypot(x - 0.73, scroll.y - 0.15)
    scroll.wash(smoothstep(0.075, 0.30, moon) * 0.22 * smoothstep(0.5, 0.1, scroll.y), OCHRE)
    scroll.tint = mix(scroll.tint, colors("f6e8c4")[0], smoothstep(0.076, 0.072, moon) * 0.9)
    peaks = [
        (0.33, 0.10, 0.30, INDIGO, ((0.25, 0.16, 0.16), (0.62, 0.08, 0.2), (0.95, 0.13, 0.13))),
        (0.44, 0.12, 0.55, INKS[2], ((0.10, 0.22, 0.11), (0.42, 0.20, 0.09), (0.86, 0.20, 0.10))),
        (0.58, 0.11, 0.85, INKS[1], ((0.27, 0.22, 0.10), (0.66, 0.28, 0.085), (1.0, 0.12, 0.1))),
        (0.74, 0.10, 0.80, MOSS, ((0.0, 0.14, 0.16), (0.48, 0.12, 0.12), (0.85, 0.17, 0.10))),
        (0.90, 0.12, 1.05, INKS[0], ((0.18, 0.12, 0.13), (0.98, 0.14, 0.12))),
    ]
    for level, depth, dark, ink, tops in peaks:
        ridge = level + 0.012 * wide + 0.010 * np.roll(large, int(level * 999), axis=1)
        for place, tall, spread in tops:
            shape = np.exp(-(np.abs((x - place) / spread) ** 1.4))
            ridge = ridge - tall * shape * (1 + 0.06 * np.sin(90 * x + 9 * level))
        scroll.mountain(ridge, depth, dark, ink, scroll.rng.uniform(-0.4, 0.4))
        warm = mix(SILK, (OCHRE, UMBER, PLUM)[int(level * 10) % 3], 0.65)
        haze = np.exp(-(((scroll.y - level - 0.05 + 0.04 * large) / 0.045) ** 2))
        scroll.wash(0.45 * haze, warm)


def texture(painter: Painter, scroll: Scroll) -> None:
    """Split-brush strokes down the slopes, then dots of moss."""
    rng, n = scroll.rng, painter.canvas.size
    plan = [
        (Brush(34, 130, opacity=0.45, dry=0.45), 1100),
        (Brush(17, 80, opacity=0.62, dry=0.55), 3200),
        (Brush(9, 46, opacity=0.8, dry=0.5), 5200),
        (Brush(4.5, 26, opacity=0.9, dry=0.4), 4200),
    ]
    for brush, count in plan:
        brush = Brush(**{**brush.__dict__, "body": 0.05, "pickup": 0.0, "taper": 0.8, "square": 3})
        starts = scatter(rng, count, n)
        dark = pick(scroll.tone, starts) * rng.uniform(0.5, 1.25, len(starts))
        keep = dark > rng.uniform(0.10, 0.85, len(starts))
        which = np.clip((1 - dark[keep]) * 5 + rng.normal(0, 0.5, keep.sum()), 0, 4).astype(int)
        ink = jitter(rng, INKS[which], 0.02, 0.008)
        warm = rng.random(len(ink)) < 0.10
        ink[warm] = [UMBER, INDIGO, MOSS][rng.integers(3)]
        painter.cover(starts[keep], scroll.angle, ink, brush, wander=0.3)


def pine(painter: Painter, rng) -> None:
    """An old pine leaning in from the left, with needle fans, and plum blossom on the right."""
    k = painter.canvas.scale
    brush = Brush(1, 1, dry=0.42, body=0.1, pickup=0.05, taper=0.5, bristle=0.08)
    fans = []

    def limb(start, turn: float, length: float, width: float, depth: int) -> None:
        steps = np.cumsum(rng.normal(0, 0.22, 8)) + turn
        points = np.stack([np.cos(steps), np.sin(steps)], 1) * (length / 8)
        path = np.concatenate([[start], start + np.cumsum(points, axis=0)])
        painter.stroke(path * k, INKS[rng.integers(2)], brush, width * k)
        painter.stroke((path + np.array([0, width * 0.2])) * k, INKS[0], brush, width * 0.5 * k)
        for at in (3, 5, 7, 8) if depth else (4, 6, 8):
            if depth:
                side = rng.choice([-1, 1]) * rng.uniform(0.45, 0.95)
                limb(path[at], steps[at - 1] + side, length * 0.55, width * 0.55, depth - 1)
            else:
                fans.append(path[at])

    limb(np.array([-30.0, 800.0]), -0.95, 560, 50, 2)
    limb(np.array([1060.0, 930.0]), -2.5, 400, 30, 2)
    for number, place in enumerate(fans):
        right = place[0] > 620
        for _ in range(7 if right else 26):
            turn = rng.uniform(-3.4, 0.3)
            reach = rng.uniform(5, 9) if right else rng.uniform(22, 44)
            tip = place + reach * np.array([np.cos(turn), np.sin(turn) * 0.85])
            across = np.array([7, 3])  # a petal lies across its own tip
            ends = (tip - across, tip + across) if right else (place, tip)
            path = np.linspace(*ends, 4)
            if right:
                place_ink = (SEAL, PLUM, PLUM)[rng.integers(3)]
                painter.stroke(
                    path * k, place_ink, Brush(1, 1, dry=0.1, body=0.1, taper=0.6, square=3), 11 * k
                )
            else:
                ink = (INKS[0], INKS[1], INDIGO, MOSS)[number % 4]
                painter.stroke(path * k, ink, Brush(1, 1, dry=0.1, body=0.05, taper=0.9), 2.6 * k)


def seal(canvas: Canvas, rng) -> None:
    """The red square in the corner."""
    n = canvas.size
    x, y = axes(n)
    u, v = (x - 0.905) / 0.036, (y - 0.075) / 0.036
    edge = 0.05 * grain(rng, n, 2)
    square = smoothstep(1.03, 0.97, np.maximum(np.abs(u), np.abs(v)) + edge)
    strokes = (np.sin(u * 9 + 1) * np.sin(v * 6 + 2 * np.sin(u * 4)) > 0.25) & (
        np.maximum(np.abs(u), np.abs(v)) < 0.82
    )
    canvas.rgb = mix(
        canvas.rgb, SEAL, square * (1 - 0.85 * strokes) * (0.85 + 0.1 * grain(rng, n, 1)).clip(0, 1)
    )


def generate(seed: int, size: int = 1024) -> Image.Image:
    rng = np.random.default_rng(seed)
    canvas = Canvas(size, SILK)
    scroll = Scroll(rng, canvas)
    ranges(scroll)
    k = canvas.scale
    # Wet ink creeps along the fibres of the paper.
    fibres = streaks(rng, (canvas.size, canvas.size), 0.8 * k, 12 * k) - 0.5
    canvas.rgb = np.clip(blur(scroll.tint, 1.2 * k) * (1 + 0.07 * fibres)[..., None], 0, 1)
    painter = Painter(canvas, rng)
    texture(painter, scroll)
    pine(painter, rng)
    seal(canvas, rng)
    canvas.rgb = paper(rng, canvas.rgb.astype(np.float32), 0.035)
    return canvas.picture()
