"""Pictures read as masks."""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor

from cnnart.image.converting import to_picture


def read_mask(source: Any) -> Tensor:
    """A mask 1x1xHxW in [0, 1] of anything to_picture accepts: white (or opaque) counts fully.

    Luminance times alpha; the alpha alone where the visible part has one luminance throughout, as
    in a shape cut out on a transparent ground.
    """
    picture = to_picture(source)
    weights = torch.tensor([0.299, 0.587, 0.114]).view(1, 3, 1, 1)  # luma, ITU-R BT.601
    luminance = (picture.rgb * weights).sum(1, keepdim=True).clamp(0, 1)
    if picture.alpha is None:
        return luminance
    constant = float(luminance.max() - luminance.min()) <= 2 / 255
    return picture.alpha if constant else luminance * picture.alpha
