"""Inpainting by a network: the mask, and the window of the picture that has to be looked at."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import torch
import torch.nn.functional as F
from torch import Tensor

from cnnart.errors import UsageError
from cnnart.image.picture import resize
from cnnart.methods.texture.wrap import Wrap, resize_wrapped

CONTEXT = 96  # pixels around the masked ones that the network sees
MARGIN = 6  # pixels around whose statistics count with the masked ones': they make these blend in
MIN_MASK = 1 / 512  # half a level of 8 bits: below it a mask is black
MAX_MASKED = 0.9  # of the picture: what is left is the exemplar


@dataclass(frozen=True)
class InpaintMask:
    """What is to be made anew, within a window of the picture.

    ``picture``: ``1x3xHxW``; ``mask``: ``1x1xHxW`` in [0, 1], 1 where to inpaint; ``rows`` and
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

    @property
    def counted(self) -> Tensor:
        """What is masked and a margin around it, within the window: ``1x1xhxw`` of 0 and 1."""
        window = self._window(self.mask)
        sides = [MARGIN * (not w) for w in self.wrap]
        padded = F.pad(
            window,
            (MARGIN - sides[1], MARGIN - sides[1], MARGIN - sides[0], MARGIN - sides[0]),
            mode="circular",
        )
        return (F.max_pool2d(padded, 2 * MARGIN + 1, stride=1, padding=sides) > 0).float()

    def filled_with_mean(self) -> Tensor:
        """The picture with the mean of its outside where masked: what was there must not count."""
        outside = self.outside
        mean = (self.picture * outside).sum((2, 3), keepdim=True) / outside.sum()
        return torch.where(outside > 0, self.picture, mean)

    def inside(self, size: Sequence[int]) -> Tensor:
        """The window's pixels, at another size, that may change: ``1x1xhxw`` of 0 and 1."""
        window = self._window(self.mask).gt(0).float()
        return F.adaptive_max_pool2d(window, tuple(size))

    def restored_around(self, image: Tensor) -> Tensor:
        """``image``, the window at any size, with the picture itself where nothing may change."""
        size = (image.shape[-2], image.shape[-1])
        inside = self.inside(size)
        return image * inside + resize_wrapped(self._window(self.picture), size, self.wrap) * (
            1 - inside
        )

    def composite(self, image: Tensor) -> Tensor:
        """The whole picture with ``image``, the window at its own size, blended in by the mask.

        Where the mask is 0 every pixel keeps its value exactly.
        """
        result, mask = self.picture.clone(), self._window(self.mask)
        window = self._window(result)
        window.copy_(torch.where(mask > 0, window + (image - window) * mask, window))
        return result

    def _window(self, image: Tensor) -> Tensor:
        return image[..., self.rows, self.columns]


def inpaint_mask(picture: Tensor, mask: Tensor, wrap: Wrap) -> InpaintMask:
    """What a mask (``1x1xhxw`` of any size, white: to be made anew) leaves of a picture.

    Raises UsageError if it is black, or if nothing is left outside to take after.
    """
    height, width = picture.shape[-2:]
    mask = resize(mask.to(picture), height, width).clamp(0, 1)
    mask = torch.where(mask < MIN_MASK, 0.0, mask)
    masked = mask[0, 0] > 0
    if not bool(masked.any()):
        raise UsageError("The mask to inpaint is black: white is what is to be made anew.")
    if bool(masked.float().mean() > MAX_MASKED):
        raise UsageError(
            "The mask to inpaint leaves less than a tenth of the picture: too little to take after."
        )
    rows, columns = (
        slice(0, length)
        if wraps
        else slice(max(0, int(found[0]) - CONTEXT), min(length, int(found[-1]) + 1 + CONTEXT))
        for wraps, length, found in zip(
            wrap,
            (height, width),
            (masked.any(1).nonzero().flatten(), masked.any(0).nonzero().flatten()),
            strict=True,
        )
    )
    return InpaintMask(picture, mask, rows, columns, wrap)
