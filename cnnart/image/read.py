"""From a file, or anything a program has at hand, to one convention: sRGB in [0, 1], alpha apart.

First files (what they are, whether they may be decoded), then pictures in memory, then masks, then
Pillow's many pixel modes.
"""

from __future__ import annotations

import io
import os
import threading
import warnings
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any, BinaryIO

import numpy as np
import torch
import torch.nn.functional as F
from PIL import Image, ImageCms, ImageOps, UnidentifiedImageError
from torch import Tensor

from cnnart.errors import ImageError, UsageError
from cnnart.image.metadata import find_record, kept_exif, resolution
from cnnart.image.picture import Picture, luma
from cnnart.image.write import is_stream, shape_text, stream_name

MAX_PIXELS = 200_000_000
GRAY_MODES = ("1", "L", "LA", "La", "I", "F")
PROFILE_SPACES = {"L": "GRAY", "RGB": "RGB", "CMYK": "CMYK", "LAB": "Lab"}
# Two of 255 levels: so little do the many sRGB profiles in circulation differ from each other, and
# converting between them would only add rounding.
SRGB_TOLERANCE = 2

pillow_lock = threading.Lock()


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
        rgb, alpha, gray = unpack(image)
    except ImageError as error:
        raise ImageError(f"{name}: {error}") from None
    except (OSError, ValueError) as error:
        raise ImageError(
            f"{name}: pixels of mode {image.mode} cannot be converted ({error})."
        ) from error
    return Picture(rgb, alpha, name, resolution(image), kept_exif(image), gray)


@contextmanager
def opened(source: Path | str | BinaryIO) -> Iterator[tuple[BinaryIO, str]]:
    """A seekable binary stream of the source and its name for messages."""
    if is_stream(source):
        data = source.read()  # type: ignore[union-attr]
        if not isinstance(data, bytes):
            raise UsageError(
                "A picture is read from a binary stream, and this one is a text stream."
            )
        stream: Any = io.BytesIO(data)
        name = stream_name(source)
    else:
        path = Path(source)  # type: ignore[arg-type]
        name = str(path)
        if path.is_dir():
            raise ImageError(f"{name}: this is a folder, not a picture; name a file in it.")
        try:
            stream = path.open("rb")
        except FileNotFoundError:
            raise ImageError(f"{name}: there is no such file; check the path.") from None
        except OSError as error:
            raise ImageError(f"{name}: the file cannot be opened ({error.strerror}).") from error
    with stream:
        yield stream, name


@contextmanager
def pillow_limit(limit: int | None) -> Iterator[None]:
    """Pillow's own guard set to limit, its other warnings silenced, and all restored afterwards."""
    with pillow_lock, warnings.catch_warnings():
        warnings.simplefilter("ignore")
        warnings.simplefilter("error", Image.DecompressionBombWarning)
        before, Image.MAX_IMAGE_PIXELS = Image.MAX_IMAGE_PIXELS, limit
        try:
            yield
        finally:
            Image.MAX_IMAGE_PIXELS = before


def recognized(stream: BinaryIO, name: str, max_pixels: int) -> Image.Image:
    """The image of the stream, opened and within max_pixels but not yet decoded."""
    try:
        with pillow_limit(None):  # the check below says it better
            image = Image.open(stream)
    except UnidentifiedImageError:
        stream.seek(0)
        raise ImageError(f"{name}: {what_it_is(stream.read(512))}") from None
    except MemoryError:
        raise
    except Exception as error:  # decoders raise anything on damaged bytes
        raise damaged(name, error) from error
    pixels = image.width * image.height
    if pixels > max_pixels:
        raise ImageError(
            f"{name}: the picture has {pixels:,} pixels, the limit is {max_pixels:,};"
            f" if you trust the file, allow more with `max_pixels` {pixels}."
        )
    return image


def decode(image: Image.Image, name: str) -> None:
    """Load the pixels and turn them upright, in place."""
    try:
        image.load()
    except (Image.DecompressionBombError, Image.DecompressionBombWarning) as error:
        raise ImageError(
            f"{name}: a picture inside the file is larger than it declares and over the pixel"
            " limit; if you trust the file, allow more with `max_pixels`."
        ) from error
    except MemoryError:
        raise
    except Exception as error:  # decoders raise anything on damaged bytes
        raise damaged(name, error) from error
    try:
        ImageOps.exif_transpose(image, in_place=True)
    except Exception:  # a broken EXIF block fails in many ways, and none is worth the picture
        image.info.pop("exif", None)


def damaged(name: str, error: Exception) -> ImageError:
    reason = " ".join(str(error).split())
    return ImageError(f"{name}: the file is truncated or damaged ({reason}); get it again.")


def what_it_is(head: bytes) -> str:
    """One clause about a file that is no picture, from its first bytes."""
    start = head.lstrip(b"\xef\xbb\xbf \t\r\n").lower()
    if not head:
        return "the file is empty; get it again."
    if start.startswith(b"version https://git-lfs"):
        return "this is a git-lfs pointer, not the picture itself; run `git lfs pull`."
    if b"<svg" in start:
        return "this is an SVG drawing; export it as PNG first."
    if start.startswith((b"<!doctype html", b"<html", b"<head", b"<?xml")):
        return "this is a web page (HTML), not a picture; download the picture itself."
    if head[4:12] in (b"ftypheic", b"ftypheix", b"ftypmif1", b"ftypmsf1"):
        return "this is a HEIC picture, which Pillow cannot read; export it as JPEG or PNG first."
    if not any(byte < 9 or 13 < byte < 32 for byte in head):
        return "this is a text file, not a picture."
    return "this is not a picture in a format that can be read; convert it to PNG or JPEG."


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
    gray = array.ndim == 2
    if 0 in array.shape or not (gray or (array.ndim == 3 and array.shape[2] in (3, 4))):
        shape = "x".join(map(str, array.shape))
        raise UsageError(f"A picture array must be HxW, HxWx3 or HxWx4, not {shape}.")
    scales = {"bool": 1, "uint8": 255, "uint16": 65535, "float16": 1, "float32": 1, "float64": 1}
    if array.dtype.name not in scales:
        raise UsageError(
            f"A picture array must be uint8, uint16 or float in [0, 1], not {array.dtype.name}."
        )
    values = np.ascontiguousarray(array, dtype=np.float32) / scales[array.dtype.name]
    planes = torch.from_numpy(values[None] if gray else values.transpose(2, 0, 1))[None]
    planes = in_range(planes)
    if planes.shape[1] < 4:
        return Picture(planes.expand(-1, 3, -1, -1).contiguous(), source="<array>", gray=gray)
    alpha = planes[:, 3:].contiguous()
    return Picture(bleed(planes[:, :3].contiguous(), alpha), alpha, source="<array>")


def tensor_picture(tensor: Tensor) -> Picture:
    batch = tensor[None] if tensor.ndim == 3 else tensor
    if batch.ndim != 4 or batch.shape[0] != 1 or batch.shape[1] not in (1, 3) or 0 in batch.shape:
        raise UsageError(f"A picture tensor must be 3xHxW or 1x3xHxW, not {shape_text(tensor)}.")
    if tensor.dtype != torch.uint8 and not tensor.dtype.is_floating_point:
        raise UsageError(f"A picture tensor must be uint8 or float in [0, 1], not {tensor.dtype}.")
    values = batch.detach().float().cpu() / (255 if tensor.dtype == torch.uint8 else 1)
    gray = batch.shape[1] == 1
    rgb = in_range(values).expand(-1, 3, -1, -1).contiguous()
    return Picture(rgb, source="<tensor>", gray=gray)


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
    luminance = luma(picture.rgb).clamp(0, 1)
    if picture.alpha is None:
        return luminance
    constant = float(luminance.max() - luminance.min()) <= 2 / 255
    return picture.alpha if constant else luminance * picture.alpha


def style_mask(source: Any, *, inverse: bool = False) -> Tensor:
    """A style's mask, ``1x1xHxW``. Raises ImageError if it selects nothing."""
    mask = read_mask(source)
    mask = 1 - mask if inverse else mask
    if float(mask.max()) <= 0:
        name = source if isinstance(source, str | os.PathLike) else "given"
        raise ImageError(f"The mask {name} selects nothing: its style would apply nowhere.")
    return mask


def unpack(image: Image.Image) -> tuple[Tensor, Tensor | None, bool]:
    """(rgb, alpha, gray) of a loaded, upright Pillow image of any mode.

    rgb is 1x3xHxW, float32, sRGB in [0, 1]: an embedded ICC profile is applied, and the colors of
    fully transparent pixels are replaced by their visible neighbors'. alpha is 1x1xHxW in [0, 1],
    or None if the image has none; gray says that the file stores no color. 16-bit gray keeps its
    16 bits; of 16-bit color Pillow delivers the upper 8. Raises ImageError for a mode that cannot
    be converted, for NaN or infinity, and for values without a known white.
    """
    gray = image.mode in GRAY_MODES or image.mode.startswith("I;16")
    colors, alpha = gray_values(image) if gray else color_values(image)
    rgb = torch.from_numpy(colors).permute(2, 0, 1)[None]
    if gray:
        rgb = rgb.expand(-1, 3, -1, -1)
    rgb = rgb.contiguous()
    if alpha is None:
        return rgb, None, gray
    mask = torch.from_numpy(alpha)[None, None]
    return bleed(rgb, mask), mask, gray


def color_values(image: Image.Image) -> tuple[np.ndarray, np.ndarray | None]:
    """HxWx3 sRGB values and the HxW alpha of a color image, both in [0, 1]."""
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


def gray_values(image: Image.Image) -> tuple[np.ndarray, np.ndarray | None]:
    """HxWx1 sRGB values and the HxW alpha of a gray image, both in [0, 1]."""
    icc, key = image.info.get("icc_profile"), image.info.get("transparency")
    alpha = None
    if image.mode in ("I", "F") or image.mode.startswith("I;16"):
        values = deep_gray(np.asarray(image))
        if isinstance(key, int):
            alpha = (np.asarray(image) != key).astype(np.float32)
    elif image.has_transparency_data:
        image = image.convert("LA")
        values, alpha = scaled(image.getchannel("L")), scaled(image.getchannel("A"))
    else:
        values = scaled(image.convert("L"))
    curve = gray_curve(icc) if icc else None
    if curve is not None:
        values = np.interp(values, np.linspace(0, 1, 256), curve).astype(np.float32)
    return values[..., None], alpha


def scaled(image: Image.Image) -> np.ndarray:
    """The values of an 8-bit image as float32 in [0, 1]."""
    return np.asarray(image, dtype=np.float32) / 255


def deep_gray(values: np.ndarray) -> np.ndarray:
    """Gray values of more than 8 bits as float32 in [0, 1].

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
    """The image with a 16-bit transparent color (PNG tRNS) reduced to 8 bits like its pixels."""
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
    """Whether an RGB profile means sRGB, judged by what it does to a grid of colors."""
    levels = np.linspace(0, 255, 6).astype(np.uint8)
    grid = np.stack(np.meshgrid(levels, levels, levels), axis=-1).reshape(1, -1, 3)
    converted = to_srgb(Image.fromarray(grid), icc)
    if converted is None:
        return True
    return int(np.abs(np.asarray(converted).astype(int) - grid).max()) <= SRGB_TOLERANCE


def gray_curve(icc: bytes) -> np.ndarray | None:
    """The sRGB value in [0, 1] of each of 256 gray levels; None where the profile changes nothing.

    A curve rather than ImageCms on the pixels, because ImageCms knows no 16-bit gray.
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
    """rgb (1x3xHxW) with the color of pixels of zero alpha (1x1xHxW) filled from their neighbors.

    Push-pull over a pyramid (Gortler et al., "The Lumigraph", 1996): average the visible colors
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
