"""Colors: sRGB in [0, 1], written as hex strings."""

from __future__ import annotations

import numpy as np


def colors(text: str) -> np.ndarray:
    """'0b1d3a f2d675' -> Nx3 float32."""
    return np.array(
        [[int(word[i : i + 2], 16) / 255 for i in (0, 2, 4)] for word in text.split()],
        dtype=np.float32,
    )


def lookup(palette: np.ndarray, position: np.ndarray) -> np.ndarray:
    """The color at `position` in [0, 1] along a ramp of palette colors, linear between them."""
    place = np.clip(position, 0, 1) * (len(palette) - 1)
    low = np.minimum(place.astype(np.int64), len(palette) - 2)
    part = (place - low)[..., None].astype(np.float32)
    return palette[low] * (1 - part) + palette[low + 1] * part


def mix(base: np.ndarray, over: np.ndarray, amount: np.ndarray | float) -> np.ndarray:
    """Blend `over` onto `base`; `amount` is a number or an HxW mask in [0, 1]."""
    if isinstance(amount, np.ndarray):
        amount = amount[..., None]
    return base + (over - base) * amount


def nearest(palette: np.ndarray, color: np.ndarray) -> np.ndarray:
    """The palette entry nearest to each of the colors (...x3)."""
    distance = ((color[..., None, :] - palette) ** 2).sum(-1)
    return palette[distance.argmin(-1)]


def jitter(rng: np.random.Generator, color: np.ndarray, light: float, hue: float) -> np.ndarray:
    """Vary colors (Nx3): all channels together by `light`, each by `hue` (deviations)."""
    shared = rng.normal(0, light, (len(color), 1))
    return np.clip(color + shared + rng.normal(0, hue, color.shape), 0, 1).astype(np.float32)
