"""A hole in a picture, and the part of the picture around it that has to be looked at."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import torch
import torch.nn.functional as F
from torch import Tensor

from cnnart.errors import UsageError
from cnnart.image import resize
from cnnart.textures.wrapping import Wrap, resize_wrapped

CONTEXT = 96  # pixels around the hole that the network sees
MARGIN = 6  # pixels around the hole whose statistics count with the hole's: they make it blend in


@dataclass(frozen=True)
class Hole:
    """What is to be made anew, within a window of the picture.

    ``picture``: ``1x3xHxW``; ``mask``: ``1x1xHxW`` in [0, 1], 1 inside the hole; ``rows`` and
    ``columns``: the window, all of an axis that repeats.
    """

    picture: Tensor
    mask: Tensor
    rows: slice
    columns: slice
    wrap: Wrap

    @property
    def size(self) -> tuple[int, int]:
        """(height, width) of the window."""
        return self.rows.stop - self.rows.start, self.columns.stop - self.columns.start

    @property
    def outside(self) -> Tensor:
        """What of the picture may serve as an exemplar: ``1x1xHxW``, 1 where untouched."""
        return (self.mask == 0).float()

    def emptied(self) -> Tensor:
        """The picture with the mean of its outside in the hole: what was there must not be seen."""
        outside = self.outside
        mean = (self.picture * outside).sum((2, 3), keepdim=True) / outside.sum()
        return torch.where(outside > 0, self.picture, mean)

    @property
    def counted(self) -> Tensor:
        """The hole and its margin, within the window: ``1x1xhxw``."""
        window = self._window(self.mask)
        sides = [MARGIN * (not w) for w in self.wrap]
        around = F.pad(
            window,
            (MARGIN - sides[1], MARGIN - sides[1], MARGIN - sides[0], MARGIN - sides[0]),
            mode="circular",
        )
        return (F.max_pool2d(around, 2 * MARGIN + 1, stride=1, padding=sides) > 0).float()

    def _window(self, image: Tensor) -> Tensor:
        return image[..., self.rows, self.columns]

    def inside(self, size: Sequence[int]) -> Tensor:
        """The window's pixels, at another size, that may change: ``1x1xhxw`` of 0 and 1."""
        window = self._window(self.mask).gt(0).float()
        return F.adaptive_max_pool2d(window, tuple(size))

    def around(self, image: Tensor) -> Tensor:
        """``image``, the window at any size, with the picture itself outside the hole."""
        size = (image.shape[-2], image.shape[-1])
        inside = self.inside(size)
        return image * inside + resize_wrapped(self._window(self.picture), size, self.wrap) * (
            1 - inside
        )

    def paste(self, image: Tensor) -> Tensor:
        """The whole picture with the hole filled from ``image``, the window at its own size.

        Where the mask is 0 every pixel keeps its value exactly.
        """
        result, mask = self.picture.clone(), self._window(self.mask)
        window = self._window(result)
        window.copy_(torch.where(mask > 0, window + (image - window) * mask, window))
        return result


def find_hole(picture: Tensor, mask: Tensor, wrap: Wrap) -> Hole:
    """The hole that a mask (``1x1xhxw`` of any size, white: to be made anew) cuts into a picture.

    Raises UsageError if it is empty, or if nothing is left outside to take after.
    """
    height, width = picture.shape[-2:]
    mask = resize(mask.to(picture), height, width).clamp(0, 1)
    mask = torch.where(mask < 1 / 512, 0.0, mask)  # half a level of 8 bits: nothing
    where = mask[0, 0] > 0
    if not bool(where.any()):
        raise UsageError("The mask to inpaint is black: white is what is to be made anew.")
    if bool((mask[0, 0] > 0).float().mean() > 0.9):
        raise UsageError(
            "The mask to inpaint leaves less than a tenth of the picture: too little to take after."
        )
    spans = [
        slice(0, length)
        if wraps
        else slice(max(0, int(found[0]) - CONTEXT), min(length, int(found[-1]) + 1 + CONTEXT))
        for wraps, length, found in zip(
            wrap,
            (height, width),
            (where.any(1).nonzero().flatten(), where.any(0).nonzero().flatten()),
            strict=True,
        )
    ]
    return Hole(picture, mask, spans[0], spans[1], wrap)
