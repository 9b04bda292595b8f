"""Writing pictures as PNG, JPEG, WebP or TIFF, whole or not at all."""

from __future__ import annotations

import io
import math
import zlib
from pathlib import Path
from typing import Any, BinaryIO

import torch
from PIL import Image
from torch import Tensor

from cnnart.errors import ImageError, UsageError, reason
from cnnart.files import WRITABLE, write_atomically
from cnnart.image.metadata import add_tags, save_options, tiff_tags

# PNG: run lengths alone, where a sample says that they cost no more than this share of the bytes
# that a search for repetitions saves. For photos and paintings it saves next to nothing and takes
# four times as long.
RUN_LENGTHS = 1.02
BANDS, BAND_ROWS = 4, 8  # the sample

PILLOW_NAMES = {"png": "PNG", "jpg": "JPEG", "webp": "WEBP", "tiff": "TIFF"}
# Pixels. libjpeg stops short of the 65,535 of the format; MP4: what x264 encodes.
MAX_SIDES = {"JPEG": 65500, "WEBP": 16383, "GIF": 65535, "MP4": 16384}


def output_format(target: object, format: str | None = None) -> str:
    """PNG, JPEG, WEBP or TIFF: as ``format`` says, else the file's suffix, else PNG for a stream.

    Raises UsageError for a format cnnart does not write; call it before long work.
    """
    if format is not None:
        suffix = f".{format.lower().lstrip('.')}"
    else:
        suffix = ".png" if is_stream(target) else Path(str(target)).suffix.lower()
    if suffix not in WRITABLE:
        named = format or f"{target}"
        raise UsageError(f"{named}: cnnart writes {', '.join(WRITABLE)}; name one of these.")
    return PILLOW_NAMES[WRITABLE[suffix]]


def to_pil(rgb: Tensor, alpha: Tensor | None = None) -> Image.Image:
    """An 8-bit RGB (or RGBA) image of rgb (1x3xHxW) and alpha (1x1xHxW), clamped and rounded.

    Raises UsageError for other shapes, ImageError for NaN or infinite values.
    """
    check_shapes(rgb, alpha)
    planes = rgb if alpha is None else torch.cat([rgb, alpha.to(rgb)], dim=1)
    values = planes.detach().float()  # on its device: a quarter of the bytes come over
    levels = (values.clamp(0, 1) * 255).round_().to(torch.uint8)
    levels = to_host(levels[0].permute(1, 2, 0).contiguous())
    if not math.isfinite(float(values.sum())):  # one pass; NaN and infinity survive it
        raise ImageError(
            "The picture holds NaN or infinite values and is not written; try `precision` fp32."
        )
    return Image.fromarray(levels.numpy())


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
    dpi: tuple[float, float] | None = None,
    exif: bytes | None = None,
    record: str | None = None,
) -> None:
    """Write rgb (1x3xHxW in [0, 1], sRGB) and alpha (1x1xHxW in [0, 1]) to a file or binary stream.

    The format follows from ``format`` ("png", "jpeg", "webp", "tiff"), else the file's suffix; a
    stream without one gets PNG. ``quality`` (1..100) is JPEG's and WebP's; WebP is lossless at 100.
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
    image = to_pil(rgb, alpha)
    check_sides(name, kind, image.size)
    for block in (exif, None):
        try:
            data = encode(image, kind, quality, save_options(kind, dpi, block, record))
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


def encode(image: Image.Image, kind: str, quality: int, options: dict[str, Any]) -> bytes:
    """The bytes of the file. In memory, so that a failure leaves nothing half written."""
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
