"""Pictures as tensors, and the one door to them: read, write, convert, resize.

How files are opened and refused is in image_input.py, how they are written in image_output.py, what
they say beside the pixels in metadata.py, and Pillow's pixel modes are in pixels.py.
"""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Any, BinaryIO

import numpy as np
import torch
import torch.nn.functional as F
from PIL import Image
from torch import Tensor

from cnnart.errors import ImageError, UsageError
from cnnart.image_input import damaged, decode, opened, pillow_limit, recognized
from cnnart.image_output import is_stream, output_format, shape_text, to_pil, write_image
from cnnart.metadata import find_record, kept_exif, resolution
from cnnart.pixels import bleed, unpack

__all__ = [
    "MAX_PIXELS",
    "Picture",
    "fit_long_side",
    "output_format",
    "read_image",
    "read_mask",
    "read_record",
    "resize",
    "to_picture",
    "to_pil",
    "write_image",
]

MAX_PIXELS = 200_000_000


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


def read_image(source: Path | str | BinaryIO, *, max_pixels: int = MAX_PIXELS) -> Picture:
    """Read a file or binary stream in any format and mode that Pillow knows; the first frame.

    Turned upright by its EXIF, converted to sRGB by its ICC profile. Raises ImageError, in one line
    that begins with the path, if there is no picture to read or it has more than max_pixels pixels
    (which is found out before it is decoded).
    """
    with opened(source) as (stream, name), recognized(stream, name, max_pixels) as image:
        with pillow_limit(max_pixels):
            decode(image, name)
        return unpacked(image, name)


def read_record(source: Path | str | BinaryIO, *, max_pixels: int = MAX_PIXELS) -> str | None:
    """The record that write_image put into the file, or None. Raises as read_image does."""
    with opened(source) as (stream, name), recognized(stream, name, max_pixels) as image:
        try:
            return find_record(image)
        except (OSError, SyntaxError, ValueError) as error:
            raise damaged(name, error) from error


def unpacked(image: Image.Image, name: str) -> Picture:
    """The Picture of a decoded, upright image."""
    try:
        rgb, alpha, grey = unpack(image)
    except ImageError as error:
        raise ImageError(f"{name}: {error}") from None
    except (OSError, ValueError) as error:
        raise ImageError(
            f"{name}: pixels of mode {image.mode} cannot be converted ({error})."
        ) from error
    return Picture(rgb, alpha, name, resolution(image), kept_exif(image), grey)


def to_picture(obj: Any) -> Picture:
    """A Picture of whatever a Python program has at hand.

    A path or binary stream (see read_image); a PIL image; a numpy array HxW, HxWx3 or HxWx4 (the
    fourth channel is alpha) of bool, uint8, uint16 or float in [0, 1]; a tensor 3xHxW or 1x3xHxW
    (or with one channel) of uint8 or float in [0, 1]; a Picture, returned as it is. HxWx3 tensors
    are not accepted. Raises UsageError for anything else and for values out of range.
    """
    if isinstance(obj, Picture):
        return obj
    if isinstance(obj, Image.Image):
        name = str(getattr(obj, "filename", "") or "<image>")
        if 0 in obj.size:
            raise UsageError(f"{name}: the picture is empty.")
        try:
            image = obj.copy()  # which decodes it
        except (OSError, SyntaxError, ValueError) as error:
            raise damaged(name, error) from error
        decode(image, name)
        return unpacked(image, name)
    if isinstance(obj, np.ndarray):
        return array_picture(obj)
    if isinstance(obj, Tensor):
        return tensor_picture(obj)
    if isinstance(obj, str | Path) or is_stream(obj):
        return read_image(obj)
    raise UsageError(
        f"A picture is a path, a PIL image, an array or a tensor, not {type(obj).__name__}."
    )


def array_picture(array: np.ndarray) -> Picture:
    grey = array.ndim == 2
    if 0 in array.shape or not (grey or (array.ndim == 3 and array.shape[2] in (3, 4))):
        shape = "x".join(map(str, array.shape))
        raise UsageError(f"A picture array must be HxW, HxWx3 or HxWx4, not {shape}.")
    scales = {"bool": 1, "uint8": 255, "uint16": 65535, "float16": 1, "float32": 1, "float64": 1}
    if array.dtype.name not in scales:
        raise UsageError(
            f"A picture array must be uint8, uint16 or float in [0, 1], not {array.dtype.name}."
        )
    values = np.ascontiguousarray(array, dtype=np.float32) / scales[array.dtype.name]
    planes = torch.from_numpy(values[None] if grey else values.transpose(2, 0, 1))[None]
    planes = in_range(planes)
    if planes.shape[1] < 4:
        return Picture(planes.expand(-1, 3, -1, -1).contiguous(), source="<array>", grey=grey)
    alpha = planes[:, 3:].contiguous()
    return Picture(bleed(planes[:, :3].contiguous(), alpha), alpha, source="<array>")


def tensor_picture(tensor: Tensor) -> Picture:
    batch = tensor[None] if tensor.ndim == 3 else tensor
    if batch.ndim != 4 or batch.shape[0] != 1 or batch.shape[1] not in (1, 3) or 0 in batch.shape:
        raise UsageError(f"A picture tensor must be 3xHxW or 1x3xHxW, not {shape_text(tensor)}.")
    if tensor.dtype != torch.uint8 and not tensor.dtype.is_floating_point:
        raise UsageError(f"A picture tensor must be uint8 or float in [0, 1], not {tensor.dtype}.")
    values = batch.detach().float().cpu() / (255 if tensor.dtype == torch.uint8 else 1)
    grey = batch.shape[1] == 1
    rgb = in_range(values).expand(-1, 3, -1, -1).contiguous()
    return Picture(rgb, source="<tensor>", grey=grey)


def in_range(values: Tensor) -> Tensor:
    """values clamped to [0, 1]; UsageError if they miss it by more than rounding explains."""
    low, high = float(values.min()), float(values.max())
    if not (low >= -1e-3 and high <= 1 + 1e-3):  # written so that NaN fails too
        raise UsageError(
            f"Float pictures must lie in [0, 1], and this one spans {low:g}..{high:g}."
        )
    return values.clamp(0, 1)


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


def resize(image: Tensor, height: int, width: int) -> Tensor:
    """image (NxCxHxW) at another size: bicubic, antialiased where it shrinks.

    Clamped to [0, 1] if the input lay within, because bicubic overshoots at edges.
    """
    if height < 1 or width < 1:
        raise UsageError(f"A picture cannot be {height}x{width} pixels; both must be 1 or more.")
    if image.shape[-2:] == (height, width):
        return image
    within = float(image.min()) >= 0 and float(image.max()) <= 1
    result = F.interpolate(
        image, size=(height, width), mode="bicubic", align_corners=False, antialias=True
    )
    return result.clamp(0, 1) if within else result


def fit_long_side(height: int, width: int, long_side: int) -> tuple[int, int]:
    """(height, width) scaled so that the longer is long_side pixels and the proportions stay."""
    if min(height, width, long_side) < 1:
        raise UsageError(f"Sizes must be 1 or more: {height}x{width}, long side {long_side}.")
    longest = max(height, width)
    return (
        max(1, round(height * long_side / longest)),
        max(1, round(width * long_side / longest)),
    )
