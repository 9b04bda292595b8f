"""A garden in watercolour: wet washes, hard drying edges, granulating pigment on rough paper."""

from __future__ import annotations

import numpy as np
from PIL import Image

from .canvas import Canvas, light
from .noise import axes, blur, fbm, smoothstep
from .palette import colors
from .shapes import Sheet, disc, leaf, petal, turned

PAPER = colors("fbf6ea")[0]
CRIMSON, ROSE, ORANGE, GOLD, OLIVE, SAP, VIRIDIAN, CERULEAN, ULTRA, VIOLET, INDIGO, SEPIA = colors(
    "b3122f dd5a86 e8742a f0b52e 8a8a2a 4f8a35 1f7a63 3f9cc4 2d4bb0 7a3f9a 1f2f5a 5a3a28"
)
FLOWERS = [(CRIMSON, ORANGE), (ROSE, VIOLET), (GOLD, ORANGE), (VIOLET, ULTRA), (ORANGE, CRIMSON)]
LEAVES = [(SAP, VIRIDIAN), (OLIVE, SAP), (VIRIDIAN, ULTRA), (SAP, GOLD), (INDIGO, VIRIDIAN)]


class Wash(Sheet):
    """Glazes over paper: color is multiplied in, as light passes pigment twice."""

    def __init__(self, rng: np.random.Generator, n: int):
        super().__init__(rng, n)
        self.tooth = blur(self.fine, 0.5 * self.scale) + 0.35 * self.middle
        self.rgb = np.empty((n, n, 3), dtype=np.float32)
        self.rgb[:] = PAPER

    def glaze(self, area, inside, inks, strength: float, wet=1.5, rough=2.5, lift=0.0) -> None:
        """Lay one wash: `inside` is its signed distance, `wet` the softness of its edge in px.

        The two inks run into each other; pigment gathers at the rim and in the hollows of the
        paper. `lift` is how much of what lay there was kept white for this shape.
        """
        found = self.crop(area, inside, 2 * wet + 9 * rough)
        if found is None:
            return
        area, inside = found
        shape = inside.shape
        wide, middle = self.cut(self.wide, shape), self.cut(self.middle, shape)
        edge = inside + rough * (1.3 * wide + 0.8 * middle)
        load = smoothstep(-wet, wet, edge)
        rim = np.exp(-(((edge - 1.8) / 1.8) ** 2)) if wet < 4 else 0.0
        large = self.cut(self.large, shape)
        bloom = smoothstep(0.02, 0.30, np.abs(wide - 0.5))  # back-runs dry as branching lines
        grains = 1 + 0.20 * self.tooth[area]
        amount = np.clip(0.85 + 0.30 * large + 0.16 * wide, 0.2, 2) * (1.15 - 0.3 * bloom) * grains
        amount = strength * load * np.clip(amount + 0.7 * rim, 0, 3)
        part = np.clip(0.5 + 0.5 * large + 0.3 * np.roll(wide, 9, 1), 0, 1)[..., None]
        one, two = (-np.log(np.clip(ink, 0.02, 0.995)) for ink in inks)
        absorb = one + (two - one) * part
        below = self.rgb[area]
        below = below + (PAPER - below) * (lift * load)[..., None]
        self.rgb[area] = below * np.exp(-absorb * amount[..., None])


def sky_and_ground(work: Wash) -> None:
    whole, n = (slice(0, work.n), slice(0, work.n)), work.n
    x, y = (axis * 1024 for axis in axes(n))
    grow = [
        (np.full_like(x, 400) - y, (CERULEAN, ULTRA), 0.38),
        (np.abs(y - 380) * -1 + 170, (GOLD, ROSE), 0.34),
        (y - 420, (SAP, GOLD), 0.5),
        (y - 640, (VIRIDIAN, CERULEAN), 0.35),
        (y - 800, (INDIGO, SAP), 0.35),
        (260 - np.hypot(x - 220, y - 210), (VIOLET, ROSE), 0.3),
        (230 - np.hypot(x - 850, y - 130), (GOLD, ORANGE), 0.4),
    ]
    for inside, inks, strength in grow:
        work.glaze(whole, inside + 40 * work.large, inks, strength, wet=60, rough=14)
    for top, inks in ((330, (ULTRA, VIOLET)), (390, (VIRIDIAN, CERULEAN)), (455, (SAP, OLIVE))):
        ridge = top + 30 * np.sin(x / 1024 * 7 + top) + 24 * np.roll(work.large, top, 1)
        work.glaze(
            whole,
            np.minimum(y - ridge, ridge + 150 - y + 30 * work.wide),
            inks,
            0.6,
            wet=1.6,
            lift=0.3,
        )
    for _ in range(9):
        cx, cy = work.rng.uniform(0, 1024), work.rng.uniform(20, 260)
        inside = work.rng.uniform(50, 110) - np.hypot(x - cx, (y - cy) * 1.8)
        work.glaze(whole, inside, (CERULEAN, VIOLET), 0.26, wet=2, rough=13, lift=0.45)


def foliage(
    work: Wash, count: int, low: float, sizes: tuple[float, float], strength: float
) -> None:
    rng = work.rng
    for _ in range(count):
        place = (rng.uniform(-20, 1044), 1060 - (1060 - low) * rng.random() ** 1.3)
        length = rng.uniform(*sizes)
        window = work.window(place, length * 1.2)
        if window is None:
            continue
        u, v = turned(window[1], window[2], -np.pi / 2 + rng.normal(0, 0.75))
        wide = length * rng.uniform(0.14, 0.34)
        bend = rng.normal(0, 0.2)
        inside = leaf(u, v, length, wide, bend)
        work.glaze(
            window[0], inside, LEAVES[rng.integers(len(LEAVES))], strength, rough=1.8, lift=0.72
        )
        if wide > 22:  # one half of the leaf in shadow, and its vein left light
            spine = v - bend * u * u / length
            shade = np.minimum(inside, spine - 1.5)
            work.glaze(
                window[0], shade, LEAVES[rng.integers(len(LEAVES))], strength * 0.7, rough=1.2
            )


def blossom(work: Wash, place, radius: float, inks) -> None:
    rng = work.rng
    start, petals = rng.uniform(0, 6.28), int(rng.integers(5, 9))
    window = work.window(place, radius * 1.25)
    if window is None:
        return
    area, x, y = window
    squash = rng.uniform(0.65, 1.0)
    for ring, reach in enumerate((1.0, 0.66)):
        for number in range(petals):
            u, v = turned(x, y / squash, start + (number + 0.5 * ring) * 6.283 / petals)
            inside = petal(u, v, radius * reach, radius * 0.85 * reach * rng.uniform(0.85, 1.1))
            work.glaze(area, inside, inks, 0.62, rough=3.0, lift=0.93 - 0.45 * ring)
    turn = np.arctan2(y / squash, x) + 0.04 * np.sin(0.15 * np.hypot(x, y))
    veins = np.minimum(
        (0.22 - np.abs(np.sin(turn * petals * 4.5))) * 12, disc(x, y / squash, radius * 0.62)
    )
    work.glaze(area, veins, inks[::-1], 0.55, 1.2, 0.6)
    work.glaze(area, disc(x, y / squash, radius * 0.22), (SEPIA, INDIGO), 1.0, wet=3, lift=0.5)
    for _ in range(22):
        turn, far = rng.uniform(0, 6.28), radius * rng.uniform(0.15, 0.36)
        dot = disc(x - far * np.cos(turn), y / squash - far * np.sin(turn), rng.uniform(2, 4))
        work.glaze(area, dot, (SEPIA, INDIGO), 1.4, 0.8, 0.6)


def stems_and_splashes(work: Wash) -> None:
    rng = work.rng
    for _ in range(46):
        foot, tall = (rng.uniform(0, 1024), 1040), rng.uniform(200, 620)
        window = work.window((foot[0], foot[1] - tall / 2), tall / 2)
        if window is None:
            continue
        area, x, y = window
        up = np.clip(0.5 - y / tall, 0, 1)
        bow = rng.normal(0, 60) * up**2 + 5 * np.sin(up * 9 + foot[0])
        inside = np.minimum(
            rng.uniform(1.5, 3.6) * (1.2 - up) - np.abs(x - bow), 0.47 * tall - np.abs(y)
        )
        work.glaze(area, inside, (INDIGO, VIRIDIAN), 1.1, 0.9, 0.7)
    for _ in range(260):
        area_x_y = work.window((rng.uniform(10, 1014), rng.uniform(10, 1014)), 18)
        if area_x_y is None:
            continue
        area, x, y = area_x_y
        inks = (FLOWERS + LEAVES)[rng.integers(10)]
        radius = min(1.2 / rng.random() ** 0.6, 9)
        work.glaze(area, disc(x, y * rng.uniform(0.8, 1.2), radius), inks, 0.8, 0.9, 0.5)


def generate(seed: int, size: int = 1024) -> Image.Image:
    rng = np.random.default_rng(seed)
    canvas = Canvas(size, PAPER)
    work = Wash(rng, canvas.size)
    sky_and_ground(work)
    foliage(work, 60, 430, (120, 260), 0.7)
    places = [(230, 420, 150), (700, 350, 165), (480, 640, 150), (860, 660, 140), (130, 730, 120)]
    places += [
        (rng.uniform(40, 990), rng.uniform(380, 960), rng.uniform(36, 74)) for _ in range(20)
    ]
    for cx, cy, radius in places[5:15]:
        blossom(work, (cx, cy), radius, FLOWERS[rng.integers(len(FLOWERS))])
    stems_and_splashes(work)
    foliage(work, 90, 560, (60, 170), 0.95)
    for number, (cx, cy, radius) in enumerate(places[:5] + places[15:]):
        blossom(work, (cx, cy), radius, FLOWERS[number % len(FLOWERS)])
    tooth = work.tooth + 0.5 * fbm(rng, canvas.size, 40, 10, 1.0)
    canvas.rgb = light(np.clip(work.rgb, 0, 1), tooth, 0.22, 0.0, 0.3, canvas.scale)
    return canvas.picture()
