"""A picture in memory."""

from __future__ import annotations

from dataclasses import dataclass

from torch import Tensor


@dataclass(frozen=True)
class Picture:
    """A picture in memory.

    rgb: 1x3xHxW, float32, sRGB in [0, 1], upright. alpha: 1x1xHxW in [0, 1], None if there is none.
    source: the path or stream it came from. dpi: horizontal and vertical. exif: the EXIF block
    to carry over (without orientation and thumbnail). grey: the source stores no colour.
    """

    rgb: Tensor
    alpha: Tensor | None = None
    source: str = "<memory>"
    dpi: tuple[float, float] | None = None
    exif: bytes | None = None
    grey: bool = False
