"""What becomes of colours: the style's, the photo's, or a mixture of both.

``style``: the style's palette (the usual picture). ``keep``: the style is recoloured with the
photo's palette first, so that strokes are painted in the photo's colours. ``luma``: only lightness
is stylized, each pixel keeps the photo's own chroma (both from Gatys et al. 2017, "Preserving color
in neural artistic style transfer"). ``histogram``: stylized as usual, then the finished picture's
colours are moved until they are distributed as the photo's.
"""

from __future__ import annotations

import torch
from torch import Tensor

from cnnart.palette import PaletteLoss, colour_gaussian, recolour

# ITU-R BT.601 full-range YCbCr, as in JPEG.
LUMA = (0.299, 0.587, 0.114)


def keeps_photo_colors(mode: str) -> bool:
    """Whether the picture starts from, and aims at, the photo's own colours."""
    return mode in ("keep", "luma")


def color_style(mode: str, style: Tensor, photo: Tensor, mask: Tensor | None = None) -> Tensor:
    """The style picture as the run sees it; ``mask`` (``1x1xHxW``) is its part of the photo."""
    if mode == "keep":
        return recolour(style, colour_gaussian(style), colour_gaussian(photo, mask))
    if mode == "luma":
        grey = luma(style).expand_as(style)
        lightness = luma(photo)
        scale = lightness.std() / grey.std().clamp_min(1e-3)
        return ((grey - grey.mean()) * scale + lightness.mean()).clamp(0, 1)
    return style


def color_content(mode: str, photo: Tensor) -> Tensor:
    """The photo as the run is to see it."""
    return luma(photo).expand_as(photo) if mode == "luma" else photo


def color_result(mode: str, picture: Tensor, photo: Tensor) -> Tensor:
    """The finished picture's colours, at full resolution; both ``1x3xHxW``."""
    if mode == "luma":
        return (photo + (luma(picture) - luma(photo))).clamp(0, 1)
    if mode == "histogram":
        return match_palette(picture, photo)
    return picture


def luma(image: Tensor) -> Tensor:
    """Lightness Y of a ``1x3xHxW`` picture, ``1x1xHxW``."""
    weights = torch.tensor(LUMA, device=image.device, dtype=image.dtype).view(1, 3, 1, 1)
    return (image * weights).sum(1, keepdim=True)


def match_palette(image: Tensor, reference: Tensor, rounds: int = 12) -> Tensor:
    """``image`` with its colours moved until they are distributed as the reference's.

    Starts from the linear map and then descends the sliced Wasserstein distance, which also fits
    what a Gaussian cannot describe (Bonneel et al. 2015).
    """
    result = recolour(image, colour_gaussian(image), colour_gaussian(reference))
    palette = PaletteLoss([(reference, 1.0)])
    for _ in range(rounds):
        result = (result + palette.displacement(result)).clamp(0, 1)
    return result
