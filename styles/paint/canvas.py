"""The canvas: paint color, paint height, the light that rakes over it, and paper."""

from __future__ import annotations

import numpy as np
from PIL import Image

from .noise import blur, grain

SUPERSAMPLE = 2  # everything is drawn at twice the size and reduced at the end


class Canvas:
    """Color (HxWx3, sRGB) and height (HxW, 1 is a thick stroke) of a painting."""

    def __init__(self, size: int, ground: np.ndarray):
        self.size = size * SUPERSAMPLE
        self.scale = self.size / 1024  # canvas pixels for one pixel of a 1024-px picture
        self.rgb = np.empty((self.size, self.size, 3), dtype=np.float32)
        self.rgb[:] = ground
        self.height = np.zeros((self.size, self.size), dtype=np.float32)

    def relief(self, strength: float, shine: float = 0.0, radius: float = 0.6) -> None:
        """Light the paint from the upper left: `strength` shades slopes, `shine` gleams."""
        self.rgb = light(self.rgb, self.height, strength, shine, radius * self.scale, self.scale)

    def weave(self, rng: np.random.Generator, depth: float) -> None:
        """Press a linen weave into the height."""
        line = np.arange(self.size, dtype=np.float32) / self.scale
        wobble = grain(rng, self.size, 8) * 0.5
        thread = np.sin(line[None, :] * 2.1 + wobble) * np.sin(line[:, None] * 2.1 - wobble)
        self.height += depth * thread * (1 + 0.4 * grain(rng, self.size, 2))

    def picture(self) -> Image.Image:
        return finish(self.rgb)


def light(rgb, height, strength: float, shine: float, radius: float, scale: float) -> np.ndarray:
    """Shade an HxWx3 picture by the slopes of an HxW height field; see Canvas.relief."""
    smooth = blur(height, radius) if radius > 0.2 else height
    slope_y, slope_x = np.gradient(smooth)
    facing = (slope_x + slope_y) * (scale * strength)  # positive: turned to the light
    facing = np.tanh(facing)
    shaded = rgb * (1 + 0.55 * np.minimum(facing, 0))[..., None]
    shaded += (1 - shaded) * (0.30 * np.maximum(facing, 0))[..., None]
    if shine:
        shaded += (shine * np.maximum(facing - 0.45, 0) ** 2)[..., None]
    return np.clip(shaded, 0, 1)


def paper(
    rng: np.random.Generator, rgb: np.ndarray, depth: float, radius: float = 1.0
) -> np.ndarray:
    """Multiply paper tooth and a few larger stains into a picture (HxWx3)."""
    size = rgb.shape[0]
    tooth = grain(rng, size, radius) * 0.7 + grain(rng, size, radius * 3) * 0.5
    return np.clip(rgb * (1 + depth * tooth)[..., None], 0, 1)


def finish(rgb: np.ndarray) -> Image.Image:
    """Reduce the drawing to its final size and make it an 8-bit RGB picture."""
    size = rgb.shape[0] // SUPERSAMPLE
    small = rgb.reshape(size, SUPERSAMPLE, size, SUPERSAMPLE, 3).mean((1, 3))
    return Image.fromarray((np.clip(small, 0, 1) * 255 + 0.5).astype(np.uint8))
