"""A floor mosaic: fish among waves, in stone and glass tesserae laid along the curves."""

from __future__ import annotations

import numpy as np
from PIL import Image

from .brush import pick, scatter
from .canvas import Canvas, light
from .cells import centers, voronoi
from .noise import axes, fbm, grain, resize, smoothstep
from .palette import colors, lookup, mix

SEA = colors("0c2440 14507a 1f86a0 6fc0b8 d8e8d0 1a6a8a 103058")
GOLD = colors("5a3410 a8701c e0b040 f8e49a")
CORAL = colors("5a1220 a82a24 e0603a f4b07a")
ROSE = colors("3a1a3a 7a2a5a c0607a f0c0a8")
OLIVE = colors("1c2a1a 4a5a24 8f9438 d8d080")
STONE = colors("2a2620 6a5e50 a89880 e4dac4")
TILE = 10.5  # side of a tessera in pixels of a 1024-px picture


def waves(x, y, cloud):
    """Rolling waves: rows of spirals. Color and the direction of the rows."""
    row = np.floor(y * 5.2)
    shift = x * 4 + 0.5 * (row % 2)
    u, v = (shift % 1) - 0.5, (y * 5.2) % 1 - 0.55
    distance, turn = np.hypot(u, v * 0.9), np.arctan2(v, u)
    coil = (distance * 4.2 - turn / (2 * np.pi)) % 1
    rgb = lookup(SEA, np.clip(0.02 + 1.0 * coil * (0.55 + 0.8 * distance) + 0.03 * cloud, 0, 1))
    rgb = mix(rgb, SEA[4], smoothstep(0.80, 0.88, coil) * smoothstep(0.62, 0.5, distance))
    return rgb, turn + np.pi / 2 - 0.15


def fish(x, y, place, length: float, tilt: float, ramp, fin):
    """Mask (HxW), color and direction of one fish; it swims along `tilt`."""
    c, s = np.cos(tilt), np.sin(tilt)
    u = ((x - place[0]) * c + (y - place[1]) * s) / length
    v = ((y - place[1]) * c - (x - place[0]) * s) / length
    v = v - 0.06 * np.sin(4 * u)
    belly = 0.24 * np.sqrt(np.clip(1 - (u / 0.5) ** 2, 0, 1)) * (1 + 0.95 * u)
    body = np.abs(v) < belly
    tail = (u > -0.72) & (u < -0.34) & (np.abs(v) < 0.02 + 0.62 * (-0.30 - u))
    tail &= np.abs(v) > (-0.55 - u) * 1.2
    fins = (np.abs(v) < belly + 0.13 * np.clip(np.sin(3.2 * (u + 0.45)), 0, 1)) & (np.abs(u) < 0.4)
    row = np.floor(u * 15)
    scale = np.hypot((u * 15) % 1 - 1, ((v * 13 + 0.5 * (row % 2)) % 1 - 0.5) * 1.1)
    tone = np.clip(0.95 - 0.75 * scale - 1.3 * v, 0, 1)
    rgb = lookup(fin, 0.5 + 0.45 * np.sin(70 * v + 16 * u))
    rgb = np.where(body[..., None], lookup(ramp, tone), rgb)
    head = body & (u > 0.24)
    rgb = np.where(head[..., None], lookup(fin, 0.75 - 1.6 * v - 0.6 * (u - 0.24)), rgb)
    rgb = np.where((np.abs(u - 0.24) < 0.014)[..., None] & body[..., None], ramp[0], rgb)
    eye = np.hypot(u - 0.34, v + 0.05)
    rgb = np.where((eye < 0.055)[..., None], STONE[3], rgb)
    rgb = np.where((eye < 0.028)[..., None], SEA[0], rgb)
    mask = body | tail | (fins & ~body)
    slope = np.where(body, 0.25 * np.sin(4 * u) - v * u * 2.5, np.arctan2(v, u + 0.2) * 0.6)
    return mask, rgb, slope + tilt


def scene(rng: np.random.Generator, size: int):
    """Color (HxWx3) and direction of the rows (HxW)."""
    x, y = axes(size)
    cloud = fbm(rng, size, 300, 40, 2.2)
    rgb, angle = waves(x, y, cloud)
    sun = np.hypot(x - 0.5, y + 0.06)
    ring = np.floor(sun * 26)
    arcs = lookup(GOLD, 0.35 + 0.30 * (ring % 3) + 0.06 * cloud)
    arcs = np.where((ring % 5 == 4)[..., None], CORAL[1], arcs)
    sky = sun < 0.36
    rgb = np.where(sky[..., None], arcs, rgb)
    angle = np.where(sky, np.arctan2(y + 0.06, x - 0.5) + np.pi / 2, angle)
    for place, length, tilt, ramp, fin in (
        ((0.36, 0.47), 0.56, -0.22, CORAL, GOLD),
        ((0.70, 0.72), 0.50, 0.20 + np.pi, GOLD, ROSE),
        ((0.22, 0.80), 0.36, 0.15, OLIVE, CORAL),
        ((0.82, 0.40), 0.30, 0.5 + np.pi, ROSE, STONE),
        ((0.62, 0.93), 0.24, -0.1, STONE, CORAL),
    ):
        mask, paint, slope = fish(x, y, place, length, tilt, ramp, fin)
        halo = np.maximum(fish(x, y + 0.012, place, length, tilt, ramp, fin)[0], mask)
        rgb = np.where(halo[..., None], SEA[0], rgb)
        rgb = np.where(mask[..., None], paint, rgb)
        angle = np.where(mask, slope, angle)
    edge = np.maximum(np.abs(x - 0.5), np.abs(y - 0.5))
    along = np.where(np.abs(x - 0.5) > np.abs(y - 0.5), y, x)
    fret = lookup(STONE, ((along * 24 + (edge - 0.5) * 36) % 1 > 0.5) * 0.9 + 0.04)
    border = np.where((edge > 0.488)[..., None], CORAL[0], fret)
    border = np.where((edge < 0.452)[..., None], CORAL[1], border)
    rgb = np.where((edge > 0.438)[..., None], border, rgb)
    angle = np.where(edge > 0.438, 0.0, angle)
    return rgb.astype(np.float32), angle.astype(np.float32)


def generate(seed: int, size: int = 1024) -> Image.Image:
    rng = np.random.default_rng(seed)
    canvas = Canvas(size, colors("b8ab94")[0])
    n, k = canvas.size, canvas.scale
    target, angle = scene(rng, size)
    # Lloyd's steps on a coarse grid pack the squares along the rows (Hausner 2001).
    coarse, shrink = 512, 512 / size
    points = scatter(rng, int((1024 / TILE) ** 2), coarse)
    reach = TILE * 512 / 1024 * 1.6
    for _ in range(12):
        index, _ = voronoi(points, coarse, reach, pick(angle, points / shrink))
        points = centers(index, points)
    turn = pick(angle, points / shrink) + rng.normal(0, 0.05, len(points))
    base = pick(target, points / shrink)
    index, far = voronoi(points * n / coarse, n, TILE * k * 1.2, turn)
    far = far / k + 0.35 * fbm(rng, n, 30, 5, 1.2)  # chipped edges
    # Where two squares meet, the nearer rim decides: grout runs along every cell border.
    rim = np.zeros_like(far)
    for shift, axis in ((2, 0), (-2, 0), (2, 1), (-2, 1)):
        rim += np.roll(index, int(shift * k / 2 + np.sign(shift) * 0.5), axis) != index
    tile = smoothstep(TILE * 0.50, TILE * 0.43, far) * (rim == 0)

    ink = base + rng.normal(0, 0.055, (len(base), 1)) + rng.normal(0, 0.028, base.shape)
    stray = rng.random(len(ink)) < 0.06
    ink[stray] = ink[rng.integers(0, len(ink), stray.sum())] * 0.5 + ink[stray] * 0.5
    rgb = ink[index]
    vein = fbm(rng, n, 90, 8, 1.6) * np.sin(index * 1.7) + 0.6 * grain(rng, n, 1.2)
    rgb = rgb * (1 + 0.06 * vein)[..., None]
    x, y = axes(n)
    lean = rng.normal(0, 1.0, (len(points), 2))[index]
    home = (points / coarse)[index]
    plane = ((x - home[..., 0]) * lean[..., 0] + (y - home[..., 1]) * lean[..., 1]) * 1024 / TILE
    rgb = rgb * (1 + 0.16 * plane + 0.05 * lean.sum(-1))[..., None]
    glint = smoothstep(1.7, 2.4, lean.sum(-1) + 0.25 * plane)
    rgb = mix(rgb, np.ones(3), glint * 0.35)
    grout = canvas.rgb * (0.62 + 0.10 * grain(rng, n, 1.4) + 0.05 * fbm(rng, n, 400, 60))[..., None]
    rgb = mix(grout, np.clip(rgb, 0, 1), resize(tile, n))
    height = tile * (1.5 + 0.2 * vein) + 0.2 * grain(rng, n, 0.9)
    canvas.rgb = light(np.clip(rgb, 0, 1), height, 1.2, 0.25, 0.8 * k, k)
    return canvas.picture()
