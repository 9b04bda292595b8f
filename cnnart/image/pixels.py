"""From Pillow's many pixel modes to one convention: sRGB in [0, 1], alpha apart, grey as RGB."""

from __future__ import annotations

import io

import numpy as np
import torch
import torch.nn.functional as F
from PIL import Image, ImageCms
from torch import Tensor

from cnnart.errors import ImageError

GREY_MODES = ("1", "L", "LA", "La", "I", "F")
PROFILE_SPACES = {"L": "GRAY", "RGB": "RGB", "CMYK": "CMYK", "LAB": "Lab"}
# Two of 255 levels: so little do the many sRGB profiles in circulation differ from each other, and
# converting between them would only add rounding.
SRGB_TOLERANCE = 2


def unpack(image: Image.Image) -> tuple[Tensor, Tensor | None, bool]:
    """(rgb, alpha, grey) of a loaded, upright Pillow image of any mode.

    rgb is 1x3xHxW, float32, sRGB in [0, 1]: an embedded ICC profile is applied, and the colours of
    fully transparent pixels are replaced by their visible neighbours'. alpha is 1x1xHxW in [0, 1],
    or None if the image has none; grey says that the file stores no colour. 16-bit grey keeps its
    16 bits; of 16-bit colour Pillow delivers the upper 8. Raises ImageError for a mode that cannot
    be converted, for NaN or infinity, and for values without a known white.
    """
    grey = image.mode in GREY_MODES or image.mode.startswith("I;16")
    colors, alpha = grey_values(image) if grey else color_values(image)
    rgb = torch.from_numpy(colors).permute(2, 0, 1)[None]
    if grey:
        rgb = rgb.expand(-1, 3, -1, -1)
    rgb = rgb.contiguous()
    if alpha is None:
        return rgb, None, grey
    mask = torch.from_numpy(alpha)[None, None]
    return bleed(rgb, mask), mask, grey


def color_values(image: Image.Image) -> tuple[np.ndarray, np.ndarray | None]:
    """HxWx3 sRGB values and the HxW alpha of a colour image, both in [0, 1]."""
    icc = image.info.get("icc_profile")
    alpha = None
    if image.mode not in ("CMYK", "LAB"):
        transparent = image.has_transparency_data
        image = repair_key_color(image).convert("RGBA" if transparent else "RGB")
        if transparent:
            alpha = scaled(image.getchannel("A"))
            image = image.convert("RGB")
    elif image.mode == "LAB" and not icc:
        icc = ImageCms.ImageCmsProfile(ImageCms.createProfile("LAB")).tobytes()
    if icc and not (image.mode == "RGB" and is_srgb(icc)):
        image = to_srgb(image, icc) or image
    return scaled(image.convert("RGB")), alpha


def grey_values(image: Image.Image) -> tuple[np.ndarray, np.ndarray | None]:
    """HxWx1 sRGB values and the HxW alpha of a grey image, both in [0, 1]."""
    icc, key = image.info.get("icc_profile"), image.info.get("transparency")
    alpha = None
    if image.mode in ("I", "F") or image.mode.startswith("I;16"):
        values = deep_grey(np.asarray(image))
        if isinstance(key, int):
            alpha = (np.asarray(image) != key).astype(np.float32)
    elif image.has_transparency_data:
        image = image.convert("LA")
        values, alpha = scaled(image.getchannel("L")), scaled(image.getchannel("A"))
    else:
        values = scaled(image.convert("L"))
    curve = grey_curve(icc) if icc else None
    if curve is not None:
        values = np.interp(values, np.linspace(0, 1, 256), curve).astype(np.float32)
    return values[..., None], alpha


def scaled(image: Image.Image) -> np.ndarray:
    """The values of an 8-bit image as float32 in [0, 1]."""
    return np.asarray(image, dtype=np.float32) / 255


def deep_grey(values: np.ndarray) -> np.ndarray:
    """Grey values of more than 8 bits as float32 in [0, 1].

    White is 65535 for integers (2^31 - 1 if larger ones occur). Floats are taken as they are in
    [0, 1], as 8 or 16 bits up to 255 or 65535.
    """
    if not np.isfinite(values).all():
        raise ImageError("it holds NaN or infinite values; repair it where it was made.")
    top = float(values.max())
    whites = (65535, 2**31 - 1) if values.dtype.kind in "iu" else (1, 255, 65535)
    white = next((white for white in whites if top <= white), None)
    if white is None:
        raise ImageError(f"its values reach {top:g} and its white is unknown; scale it to 0..1.")
    return (values.astype(np.float64) / white).clip(0, 1).astype(np.float32)


def repair_key_color(image: Image.Image) -> Image.Image:
    """The image with a 16-bit transparent colour (PNG tRNS) reduced to 8 bits like its pixels."""
    key = image.info.get("transparency")
    if image.mode == "RGB" and isinstance(key, tuple) and max(key) > 255:
        image = image.copy()
        image.info["transparency"] = tuple(value >> 8 for value in key)
    return image


def to_srgb(image: Image.Image, icc: bytes) -> Image.Image | None:
    """The L, RGB, CMYK or LAB image converted from its ICC profile to sRGB (mode RGB).

    None if the profile is broken or belongs to another kind of picture: a bad profile is a reason
    to ignore it, not to refuse the picture.
    """
    try:
        profile = ImageCms.ImageCmsProfile(io.BytesIO(icc))
        space = profile.profile.xcolor_space.strip()
        if image.mode == "L" and space == "RGB":
            image = image.convert("RGB")
        if PROFILE_SPACES.get(image.mode) != space:
            return None
        return ImageCms.profileToProfile(
            image,
            profile,
            ImageCms.createProfile("sRGB"),
            renderingIntent=ImageCms.Intent.RELATIVE_COLORIMETRIC,
            outputMode="RGB",
            flags=ImageCms.Flags.BLACKPOINTCOMPENSATION,
        )
    except (ImageCms.PyCMSError, OSError, ValueError, TypeError):
        return None


def is_srgb(icc: bytes) -> bool:
    """Whether an RGB profile means sRGB, judged by what it does to a grid of colours."""
    levels = np.linspace(0, 255, 6).astype(np.uint8)
    grid = np.stack(np.meshgrid(levels, levels, levels), axis=-1).reshape(1, -1, 3)
    converted = to_srgb(Image.fromarray(grid), icc)
    if converted is None:
        return True
    return int(np.abs(np.asarray(converted).astype(int) - grid).max()) <= SRGB_TOLERANCE


def grey_curve(icc: bytes) -> np.ndarray | None:
    """The sRGB value in [0, 1] of each of 256 grey levels; None where the profile changes nothing.

    A curve rather than ImageCms on the pixels, because ImageCms knows no 16-bit grey.
    """
    levels = np.arange(256, dtype=np.uint8)
    converted = to_srgb(Image.fromarray(levels[None]), icc)
    if converted is None:
        return None
    curve = np.asarray(converted)[0, :, 1]
    if np.abs(curve.astype(int) - levels).max() <= SRGB_TOLERANCE:
        return None
    return curve.astype(np.float64) / 255


def bleed(rgb: Tensor, alpha: Tensor) -> Tensor:
    """rgb (1x3xHxW) with the colour of pixels of zero alpha (1x1xHxW) filled from their neighbours.

    Push-pull over a pyramid (Gortler et al., "The Lumigraph", 1996): average the visible colours
    into ever smaller pictures, then fill each hole from the next smaller one. What lay under full
    transparency has no influence. A picture without any visible pixel is returned as it is.
    """
    height, width = alpha.shape[-2:]
    if bool((alpha > 0).all()) or height == width == 1:
        return rgb
    if not bool((alpha > 0).any()):
        return rgb
    small_alpha = F.avg_pool2d(alpha, 2, ceil_mode=True)
    small = F.avg_pool2d(rgb * alpha, 2, ceil_mode=True) / small_alpha.clamp_min(1e-30)
    small = bleed(small, small_alpha)
    filled = F.interpolate(small, size=(height, width), mode="bilinear", align_corners=False)
    return torch.where(alpha > 0, rgb, filled)
