"""Boxes: where something is on a photo, how far two of them agree, and how they are drawn."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import torch
from PIL import Image, ImageDraw, ImageFont
from torch import Tensor

from cnnart.image.write import to_pil

# Okabe and Ito's colors (without black), which color-blind people tell apart, and the four of
# ColorBrewer's "Dark2" that differ most from them.
PALETTE = (
    (230, 159, 0),
    (86, 180, 233),
    (0, 158, 115),
    (213, 94, 0),
    (204, 121, 167),
    (240, 228, 66),
    (0, 114, 178),
    (117, 112, 179),
    (231, 41, 138),
    (102, 166, 30),
    (166, 118, 29),
)
LINE = 160  # the box's line is this part of the picture's long side wide


@dataclass(frozen=True)
class Box:
    """From (left, top) to (right, bottom), which lie outside, in pixels of the upright photo."""

    left: float
    top: float
    right: float
    bottom: float

    @property
    def area(self) -> float:
        return max(0.0, self.right - self.left) * max(0.0, self.bottom - self.top)

    @property
    def center(self) -> tuple[float, float]:
        """(x, y)."""
        return (self.left + self.right) / 2, (self.top + self.bottom) / 2

    def holds(self, x: float, y: float) -> bool:
        return self.left <= x <= self.right and self.top <= y <= self.bottom

    def overlap(self, other: Box) -> float:
        """Intersection over union (IoU), 0 to 1."""
        common = Box(
            max(self.left, other.left),
            max(self.top, other.top),
            min(self.right, other.right),
            min(self.bottom, other.bottom),
        ).area
        return common / max(self.area + other.area - common, 1e-9)

    def scaled(self, down: float, across: float) -> Box:
        """On a picture that is so many times as high and as wide."""
        return Box(self.left * across, self.top * down, self.right * across, self.bottom * down)

    def numbers(self) -> dict[str, float]:
        """Rounded to a tenth of a pixel."""
        return {name: round(value, 1) for name, value in vars(self).items()}


@dataclass(frozen=True)
class Mark:
    """A box on a picture, its name, and the place of its color in the palette."""

    box: Box
    label: str
    color: int = 0


def color_of(place: int) -> tuple[int, int, int]:
    """A color of the palette, which begins anew after its last."""
    return PALETTE[place % len(PALETTE)]


def largest_region(inside: Tensor) -> Tensor:
    """``HxW`` of truth values -> the largest of its connected regions (eight neighbors), ``HxW``.

    Where nothing is true, nothing is.
    """
    names = torch.arange(1.0, inside.numel() + 1).view(1, 1, *inside.shape) * inside
    while True:  # each place takes the largest name around it, until a region has one name
        spread = torch.nn.functional.max_pool2d(names, 3, stride=1, padding=1) * inside
        if torch.equal(spread, names):
            break
        names = spread
    found, counts = names[names > 0].unique(return_counts=True)
    if not len(found):
        return torch.zeros_like(inside)
    return names[0, 0] == found[counts.argmax()]


def box_of(inside: Tensor) -> Box:
    """The smallest box around what is true in ``HxW``, which holds something; in its pixels."""
    rows, columns = inside.any(1).nonzero().flatten(), inside.any(0).nonzero().flatten()
    return Box(float(columns[0]), float(rows[0]), float(columns[-1]) + 1, float(rows[-1]) + 1)


def draw_marks(photo: Tensor, marks: Sequence[Mark]) -> Tensor:
    """The photo (``1x3xHxW``) with boxes (in its own pixels) and their names on it.

    A name lies on its box's upper edge, or below it where there is no room above.
    """
    picture = to_pil(photo)
    draw = ImageDraw.Draw(picture)
    line = max(2, round(max(picture.size) / LINE))
    font = ImageFont.load_default(size=max(11, 5 * line))
    for mark in marks:
        color, box = color_of(mark.color), mark.box
        corners = (
            min(max(0, round(box.left)), picture.width - 1),
            min(max(0, round(box.top)), picture.height - 1),
            max(0, min(picture.width - 1, round(box.right) - 1)),
            max(0, min(picture.height - 1, round(box.bottom) - 1)),
        )
        left, top = corners[:2]
        draw.rectangle((left, top, max(left, corners[2]), max(top, corners[3])), None, color, line)
        if mark.label:
            _draw_name(draw, picture, mark.label, (left, top), color, font)
    return as_tensor(picture)


def _draw_name(
    draw: ImageDraw.ImageDraw,
    picture: Image.Image,
    text: str,
    corner: tuple[int, int],
    color: tuple[int, int, int],
    font: ImageFont.ImageFont | ImageFont.FreeTypeFont,
) -> None:
    _, _, width, height = (round(side) for side in font.getbbox(text))
    pad = max(2, height // 5)
    left = max(0, min(corner[0], picture.width - width - 2 * pad))
    top = corner[1] - height - 2 * pad
    top = corner[1] if top < 0 else top
    draw.rectangle((left, top, left + width + 2 * pad, top + height + 2 * pad), fill=color)
    draw.text((left + pad, top + pad), text, ink_on(color), font)


def ink_on(color: tuple[int, int, int]) -> tuple[int, int, int]:
    """Black or white, whichever stands out more from a color (WCAG's contrast)."""
    linear = [(c / 255 / 12.92) if c <= 10 else ((c / 255 + 0.055) / 1.055) ** 2.4 for c in color]
    luminance = 0.2126 * linear[0] + 0.7152 * linear[1] + 0.0722 * linear[2]
    return (0, 0, 0) if luminance > 0.179 else (255, 255, 255)


def as_tensor(picture: Image.Image) -> Tensor:
    """A Pillow picture in RGB as ``1x3xHxW`` in [0, 1]."""
    pixels = torch.from_numpy(np.array(picture))
    return pixels.permute(2, 0, 1)[None].float() / 255
