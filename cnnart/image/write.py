"""Writing pictures in the formats of ``files.FORMATS``, whole or not at all."""

from __future__ import annotations

import io
import math
import zlib
from pathlib import Path
from typing import Any, BinaryIO

import numpy as np
import torch
from PIL import Image
from torch import Tensor

from cnnart.errors import ImageError, UsageError, reason
from cnnart.files import WRITABLE, write_atomically
from cnnart.image.formats import check_writable_format
from cnnart.image.metadata import add_tags, save_options, tiff_tags

# PNG: run lengths alone, where a sample says that they cost no more than this share of the bytes
# that a search for repetitions saves. For photos and paintings it saves next to nothing and takes
# four times as long.
RUN_LENGTHS = 1.02
BANDS, BAND_ROWS = 4, 8  # the sample

PILLOW_NAMES = {"png": "PNG", "jpg": "JPEG", "webp": "WEBP", "tiff": "TIFF"}
PILLOW_NAMES |= {"avif": "AVIF", "heic": "HEIF", "jxl": "JXL"}
OUR_NAMES = {theirs: ours for ours, theirs in PILLOW_NAMES.items()}
# Pixels. libjpeg stops short of the 65,535 of the format; MP4: what x264 encodes; AVIF: what
# libavif reads again.
MAX_SIDES = {"JPEG": 65500, "WEBP": 16383, "GIF": 65535, "MP4": 16384, "AVIF": 32768}
MAX_SIDES |= {"HEIF": 16384}
# The quality of JPEG, and what the encoder of another format has to be told for the same mean
# squared error: measured on photos and paintings (tests/image/test_qualities.py does so again).
JPEG_QUALITY = (1, 25, 50, 75, 85, 90, 95, 98, 99)
SAME_ERROR = {
    "AVIF": (10, 36, 48, 60, 69, 79, 91, 98, 99),
    "HEIF": (5, 27, 35, 43, 50, 57, 68, 82, 87),
}


def output_format(target: object, format: str | None = None) -> str:
    """Pillow's name: as ``format`` says, else as the file's suffix does, else PNG for a stream.

    Raises UsageError for a format cnnart does not write; call it before long work.
    """
    if format is not None:
        suffix = f".{format.lower().lstrip('.')}"
    else:
        suffix = ".png" if is_stream(target) else Path(str(target)).suffix.lower()
    if suffix not in WRITABLE:
        named = format or f"{target}"
        raise UsageError(f"{named}: cnnart writes {', '.join(WRITABLE)}; name one of these.")
    check_writable_format(WRITABLE[suffix])
    return PILLOW_NAMES[WRITABLE[suffix]]


def to_pil(rgb: Tensor, alpha: Tensor | None = None) -> Image.Image:
    """An 8-bit RGB (or RGBA) image of rgb (1x3xHxW) and alpha (1x1xHxW), clamped and rounded.

    Raises UsageError for other shapes, ImageError for NaN or infinite values.
    """
    values = planes_of(rgb, alpha)  # on its device: a quarter of the bytes come over
    levels = (values.clamp(0, 1) * 255).round_().to(torch.uint8)
    levels = to_host(levels[0].permute(1, 2, 0).contiguous())
    check_finite(values)
    return Image.fromarray(levels.numpy())


def planes_of(rgb: Tensor, alpha: Tensor | None) -> Tensor:
    """All channels as floats. Raises UsageError for shapes that are no picture."""
    check_shapes(rgb, alpha)
    planes = rgb if alpha is None else torch.cat([rgb, alpha.to(rgb)], dim=1)
    return planes.detach().float()


def check_finite(values: Tensor) -> None:
    """Raise ImageError for NaN or infinity."""
    if not math.isfinite(float(values.sum())):  # one pass; NaN and infinity survive it
        raise ImageError(
            "The picture holds NaN or infinite values and is not written; try `precision` fp32."
        )


def to_host(levels: Tensor) -> Tensor:
    """``levels`` on the CPU; from a card through pinned memory, waiting for this copy alone and not
    for the work that others have asked the card for since.
    """
    if levels.device.type != "cuda":
        return levels.cpu()
    copy = torch.empty(levels.shape, dtype=levels.dtype, pin_memory=True)
    copy.copy_(levels, non_blocking=True)
    copied = torch.cuda.Event()
    copied.record(torch.cuda.current_stream(levels.device))
    copied.synchronize()
    return copy


def check_shapes(rgb: Tensor, alpha: Tensor | None) -> None:
    if rgb.ndim != 4 or rgb.shape[:2] != (1, 3) or 0 in rgb.shape:
        raise UsageError(f"A picture to write must be 1x3xHxW, not {shape_text(rgb)}.")
    if alpha is not None and alpha.shape != (1, 1, *rgb.shape[2:]):
        size = "x".join(map(str, rgb.shape[2:]))
        raise UsageError(f"The alpha of this picture must be 1x1x{size}, not {shape_text(alpha)}.")


def shape_text(tensor: Tensor) -> str:
    return "x".join(map(str, tensor.shape)) or "a single number"


def write_image(
    target: Path | str | BinaryIO,
    rgb: Tensor,
    *,
    alpha: Tensor | None = None,
    format: str | None = None,
    quality: int = 95,
    bit_depth: int = 8,
    dpi: tuple[float, float] | None = None,
    exif: bytes | None = None,
    record: str | None = None,
) -> None:
    """Write rgb (1x3xHxW in [0, 1], sRGB) and alpha (1x1xHxW in [0, 1]) to a file or binary stream.

    The format follows from ``format`` (one of ``files.FORMATS``), else the file's suffix; a stream
    without one gets PNG. ``quality`` (1..100) is JPEG's; see ``encode`` for other formats.
    ``bit_depth``: of each color, 8 or (PNG and TIFF) 16.
    JPEG has no alpha: the picture is laid over white. ``record`` is text that read_record returns.
    A file appears whole or not at all, and its folder is created. Raises UsageError for an unknown
    format, shape or quality; ImageError for NaN, for a side the format cannot hold, and for any
    trouble of the file system.
    """
    name = stream_name(target) if is_stream(target) else str(target)
    kind = output_format(target, format)
    if not 1 <= quality <= 100:
        raise UsageError(f"The quality must be 1..100, not {quality}.")
    if alpha is not None and kind == "JPEG":
        check_shapes(rgb, alpha)
        alpha = alpha.to(rgb)
        rgb, alpha = rgb * alpha + (1 - alpha), None
    check_writable_format(OUR_NAMES[kind], bit_depth)
    check_shapes(rgb, alpha)
    check_sides(name, kind, (rgb.shape[3], rgb.shape[2]))
    pixels = to_pil(rgb, alpha) if bit_depth == 8 else deep_levels(rgb, alpha)
    for block in (exif, None):
        try:
            data = encode(pixels, kind, quality, save_options(kind, dpi, block, record))
            break
        except MemoryError:
            raise
        except Exception as error:
            if block is None:
                message = f"{name}: cannot encode the picture as {kind} ({reason(error)})."
                raise ImageError(message) from error
            # Else it may be the EXIF, which fails in many ways, and is not worth the picture.
    try:
        if is_stream(target):
            target.write(data)  # type: ignore[union-attr]
        else:
            write_atomically(Path(target), data)  # type: ignore[arg-type]
    except OSError as error:
        raise ImageError(
            f"{name}: cannot write the picture ({error.strerror or error})."
        ) from error


def is_stream(source: object) -> bool:
    return hasattr(source, "read") or hasattr(source, "write")


def stream_name(stream: object) -> str:
    name = getattr(stream, "name", None)
    return name if isinstance(name, str) else "<stream>"


def check_sides(name: str, kind: str, size: tuple[int, int]) -> None:
    """Raise ImageError for a (width, height) that a format cannot hold.

    Args:
        kind: Pillow's name of it or ours.
    """
    kind = PILLOW_NAMES.get(kind, kind.upper())
    limit = MAX_SIDES.get(kind, max(size))
    if max(size) > limit:
        remedy = "choose a smaller `size`" if kind in ("GIF", "MP4") else "write PNG or TIFF"
        raise ImageError(
            f"{name}: {kind} holds at most {limit:,} pixels a side, the picture is"
            f" {size[0]:,} x {size[1]:,}; {remedy}."
        )


def deep_levels(rgb: Tensor, alpha: Tensor | None) -> np.ndarray:
    """HxWx3 (or x4) of 16 bits. Raises as ``to_pil`` does."""
    from cnnart.image.deep import levels_of

    values = planes_of(rgb, alpha)
    check_finite(values)
    return levels_of(values)


def encode(
    image: Image.Image | np.ndarray, kind: str, quality: int, options: dict[str, Any]
) -> bytes:
    """The bytes of the file. In memory, so that a failure leaves nothing half written.

    ``quality`` is JPEG's. AVIF and HEIC are told what gives the same error; WebP and JPEG XL have
    scales of their own after JPEG's. At 100 WebP, HEIC and JPEG XL are lossless. Colors always
    have the full resolution, but in WebP, which cannot.
    """
    if isinstance(image, np.ndarray):
        from cnnart.image.deep import encode_deep

        return encode_deep(image, kind, options)
    buffer = io.BytesIO()
    if kind == "TIFF":
        tags = tiff_tags(options.pop("exif", None), options.pop("xmp", None))
        image.save(buffer, kind, compression="tiff_adobe_deflate", **options)
        return add_tags(buffer.getvalue(), tags) if tags else buffer.getvalue()
    if kind == "JPEG":
        # Not optimize=True: it saves 3 % of the file, and fails where Pillow's guess of its buffer
        # is too small for a noisy picture.
        options.update(quality=quality, subsampling="4:4:4")
    elif kind == "WEBP":
        options.update(quality=quality, lossless=quality == 100, method=4, exact=True)
    elif kind == "AVIF":
        told = round(float(np.interp(quality, JPEG_QUALITY, SAME_ERROR[kind])))
        options.update(quality=told if quality < 100 else 100, subsampling="4:4:4")
    elif kind == "HEIF":
        from pillow_heif import register_heif_opener

        register_heif_opener()
        told = round(float(np.interp(quality, JPEG_QUALITY, SAME_ERROR[kind])))
        # -1 is lossless, as far as the colors are not turned into others before.
        lossless = {"quality": -1, "matrix_coefficients": 0}
        options.update(lossless if quality == 100 else {"quality": told}, chroma=444)
    elif kind == "JXL":
        import pillow_jxl  # noqa: F401  # it registers itself

        options.pop("icc_profile")  # the codestream says sRGB by itself
        options.update(quality=quality, lossless=quality == 100)
    elif kind == "PNG" and run_lengths_do(image):
        options.update(compress_type=zlib.Z_RLE)
    image.save(buffer, kind, **options)
    return buffer.getvalue()


def run_lengths_do(image: Image.Image) -> bool:
    """Whether a PNG of this picture compressed by run lengths is about as small: by a few bands of
    it. Text, diagrams and pixels in blocks repeat themselves, and are left to the search.
    """
    width, height = image.size
    if height < 2 * BANDS * BAND_ROWS:
        return False
    sample = Image.new(image.mode, (width, BANDS * BAND_ROWS))
    for band in range(BANDS):
        top = (2 * band + 1) * height // (2 * BANDS) - BAND_ROWS // 2
        sample.paste(image.crop((0, top, width, top + BAND_ROWS)), (0, band * BAND_ROWS))
    sizes = []
    for options in ({}, {"compress_type": zlib.Z_RLE}):
        buffer = io.BytesIO()
        sample.save(buffer, "PNG", **options)
        sizes.append(buffer.tell())
    return sizes[1] <= RUN_LENGTHS * sizes[0]
