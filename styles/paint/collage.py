"""Gluing torn papers: white torn rims, printed faces, shadows and steps."""

from __future__ import annotations

import numpy as np

from .noise import blur, smoothstep, streaks
from .palette import colors, mix
from .shapes import Sheet, turned


class Collage(Sheet):
    """Papers glued one over the other; `height` remembers the steps for the raking light."""

    def __init__(self, rng: np.random.Generator, n: int, ground: np.ndarray):
        super().__init__(rng, n)
        self.rgb = np.empty((n, n, 3), dtype=np.float32)
        self.rgb[:] = ground
        self.height = np.zeros((n, n), dtype=np.float32)
        self.brushed = streaks(rng, (n, n), 1.6 * self.scale, 60 * self.scale)

    def glue(
        self,
        area,
        inside: np.ndarray,
        ink: np.ndarray,
        print_: str = "",
        second: np.ndarray | float = 0.0,
    ) -> None:
        """Glue a torn paper: `inside` is its signed distance in the window `area`."""
        found = self.crop(area, inside, 26)
        if found is None:
            return
        (area, inside), rng = found, self.rng
        tear = (
            inside
            + 3.0 * self.cut(self.wide, inside.shape)
            + 1.6 * self.cut(self.middle, inside.shape)
        )
        tear = tear + 0.5 * self.cut(self.fine, inside.shape)
        # The print tears away further in than the white core of the paper does.
        core = np.maximum(3.2 + 2.6 * self.cut(self.wide, inside.shape), 0.3)
        core = core + 1.2 * self.cut(self.middle, inside.shape)
        mask = smoothstep(-0.4, 0.4, tear)
        rgb = self.rgb[area] * (1 - 0.55 * self.shadow(mask) * (1 - mask))[..., None]
        face = self.paint(inside.shape, ink, print_, second)
        fibre = 0.96 + 0.05 * self.cut(self.fine, inside.shape)
        white = np.clip(colors("f4eee0")[0] * fibre[..., None], 0, 1)
        face = mix(white, face, smoothstep(core - 0.5, core + 0.5, tear))
        self.rgb[area] = mix(rgb, face, mask)
        curl_up = 1.5 * np.exp(-np.clip(tear, 0, None) / 4)
        step = 1.6 + curl_up + 0.25 * self.cut(self.fine, inside.shape)
        below = self.height[area]
        self.height[area] = below + (0.3 * below + step + rng.normal(0, 0.1) - below) * mask

    def shadow(self, mask: np.ndarray) -> np.ndarray:
        """The soft shadow of a paper, fallen to the lower right."""
        k = self.scale
        pad, down, right = int(22 * k), int(5 * k), int(4 * k)
        soft = blur(np.pad(mask, pad, mode="edge"), 6 * k)
        rows, columns = mask.shape
        return soft[pad - down : pad - down + rows, pad - right : pad - right + columns]

    def paint(self, shape, ink, print_: str, second) -> np.ndarray:
        """The printed or painted face of a paper (HxWx3)."""
        rng = self.rng
        tone = 0.07 * self.cut(self.wide, shape) + 0.03 * self.cut(self.fine, shape)
        brushed = self.cut(self.brushed, shape)
        if rng.random() < 0.5 and shape[0] == shape[1]:
            brushed = brushed.T
        face = (
            np.clip(ink + rng.normal(0, 0.025, 3), 0, 1) * (0.90 + 0.2 * brushed + tone)[..., None]
        )
        line = np.arange(shape[1])[None, :] / self.scale, np.arange(shape[0])[:, None] / self.scale
        along, across = turned(line[0], line[1], rng.uniform(-0.6, 0.6))
        across = across + 1.5 * self.cut(self.wide, shape)
        if print_ == "stripes":
            figure = smoothstep(
                -0.25, 0.25, np.sin(across * 2 * np.pi / 20) + 0.3 * self.cut(self.fine, shape)
            )
        elif print_ == "dots":
            row = np.floor(across / 17)
            u = (along + 8.5 * (row % 2)) % 17 - 8.5
            figure = smoothstep(
                6.0, 4.8, np.hypot(u, across % 17 - 8.5) + self.cut(self.middle, shape) * 0.5
            )
        elif print_ == "text":
            word = np.sin(along * 0.9) + np.sin(along * 0.37 + np.floor(across / 11) * 9) * 1.3
            letters = np.sin(along * 2.7) * np.sin(across * 1.9) + 0.4
            figure = ((across % 11) < 5.5) * (word > -0.6) * (letters > 0) * 0.85
        elif print_ == "brush":
            figure = smoothstep(0.45, 0.7, brushed + 0.1 * self.cut(self.wide, shape))
        elif print_ == "waves":
            figure = smoothstep(0.2, 0.6, np.sin(across * 0.30 + 2.2 * np.sin(along * 0.12)))
        else:
            figure = 0.35 * smoothstep(0.6, 0.95, brushed)
            second = np.clip(np.asarray(ink) * 1.25 + 0.05, 0, 1)
        return mix(face, second * (0.92 + 0.12 * brushed + tone)[..., None], figure * 0.92)
