"""Sizes for print: ``60x40cm@300dpi``, ``8x10in``, ``A4`` and ``24MP`` as pixels."""

from __future__ import annotations

import math
import re
from dataclasses import dataclass

from cnnart.errors import UsageError, did_you_mean

DPI = 300.0  # where none is given: what printers ask for
LEAST_DPI, MOST_DPI = 10, 9600
INCHES = {"mm": 1 / 25.4, "cm": 1 / 2.54, "m": 100 / 2.54, "in": 1.0, "inch": 1.0, '"': 1.0}

# Short and long side in inches. ISO 216 halves each size and rounds down to whole millimeters.
PAPERS = {"letter": (8.5, 11.0), "legal": (8.5, 14.0), "tabloid": (11.0, 17.0)}
_short, _long = 841, 1189
for _number in range(11):
    PAPERS[f"a{_number}"] = (_short / 25.4, _long / 25.4)
    _short, _long = _long // 2, _short

_NUMBER = r"(\d{1,7}(?:\.\d{1,4})?)"
_UNIT = rf"({'|'.join(sorted(INCHES, key=len, reverse=True))})"


@dataclass(frozen=True)
class PrintSize:
    """What a size for print asks for: one of ``frame``, ``long_side`` and ``pixels``.

    ``frame``: (height, width) in pixels; one that ``turns`` lies or stands as the picture does.
    ``long_side``: in pixels. ``pixels``: how many in all. ``dpi``: dots per inch; None: not said.
    """

    frame: tuple[int, int] | None = None
    turns: bool = False
    long_side: int | None = None
    pixels: float | None = None
    dpi: float | None = None

    def fitted(self, height: int, width: int) -> tuple[int, int]:
        """(height, width) of the largest that it has room for, in a picture's proportions."""
        if self.frame:
            tall, wide = self.filled(height, width)
            scale = min(tall / height, wide / width)
        elif self.long_side:
            scale = self.long_side / max(height, width)
        else:
            scale = math.sqrt((self.pixels or 1) / (height * width))
        return max(1, round(height * scale)), max(1, round(width * scale))

    def filled(self, height: int, width: int) -> tuple[int, int]:
        """(height, width) of the whole frame, as a picture of this size is to lie in it."""
        if self.frame is None:
            return self.fitted(height, width)
        tall, wide = self.frame
        return (wide, tall) if self.turns and width > height else (tall, wide)

    @property
    def largest_side(self) -> float:
        """In pixels, of what is to come of a square picture at the least."""
        return max(*(self.frame or (0, 0)), self.long_side or 0, math.sqrt(self.pixels or 0))


def parse_print_size(text: str) -> PrintSize:
    """A size for print. Raises UsageError for what is none.

    Lengths are ``60x40cm``, ``8x10in``, or ``60cm`` alone, for the long side; papers A0 to A10,
    letter, legal and tabloid stand upright; ``24MP`` is so many million pixels. ``@240dpi`` may
    follow.
    """
    body, at, resolution = text.strip().lower().replace("\u00d7", "x").partition("@")
    body, dpi = body.strip(), None
    if at:
        found = re.fullmatch(rf"{_NUMBER}\s*(?:dpi|ppi)", resolution.strip())
        if not found:
            raise UsageError(f"{text!r}: {resolution!r} is no resolution: write @300dpi.")
        if not LEAST_DPI <= (dpi := float(found[1])) <= MOST_DPI:
            raise UsageError(
                f"{dpi:g} dots per inch are out of range: use {LEAST_DPI} to {MOST_DPI}."
            )
    per_inch = dpi or DPI
    if found := re.fullmatch(rf"{_NUMBER}\s*(?:mp|megapixels?)", body):
        size = PrintSize(pixels=float(found[1]) * 1e6, dpi=dpi)
    elif body in PAPERS:
        short, long = (round(side * per_inch) for side in PAPERS[body])
        size = PrintSize((long, short), turns=True, dpi=per_inch)
    elif found := re.fullmatch(rf"{_NUMBER}\s*{_UNIT}?\s*x\s*{_NUMBER}\s*{_UNIT}", body):
        width = round(float(found[1]) * INCHES[found[2] or found[4]] * per_inch)
        size = PrintSize(
            (round(float(found[3]) * INCHES[found[4]] * per_inch), width), dpi=per_inch
        )
    elif found := re.fullmatch(rf"{_NUMBER}\s*{_UNIT}", body):
        size = PrintSize(
            long_side=round(float(found[1]) * INCHES[found[2]] * per_inch), dpi=per_inch
        )
    else:
        size = PrintSize()
    if not (size.long_side or size.pixels or (size.frame and min(size.frame))):
        hint = did_you_mean(body, list(PAPERS)) if body.isalpha() else ""
        raise UsageError(
            f"{text!r} is no size: write 1024 (the long side), 1024x768, 60x40cm@300dpi, 8x10in, "
            f"A4 or 24MP.{hint}"
        )
    return size


def too_few_pixels(asked: str, photo: tuple[int, int], result: tuple[int, int]) -> str | None:
    """What to say where a photo has less than half the pixels of its print; None: nothing.

    Args:
        asked: the size as it was given.
        photo: its (height, width).
        result: (height, width) of the print.
    """
    has, needs = math.prod(photo), math.prod(result)
    if 2 * has >= needs:
        return None
    return (
        f"the photo has {has / 1e6:.2g} of the {needs / 1e6:.2g} megapixels of {asked}: details "
        "finer than its own are painted, not seen."
    )
