"""16 bits for each color: PNG and TIFF, which Pillow writes with 8 alone.

Everything but the pixels is Pillow's in a PNG: it writes a picture of one pixel with all its
chunks, which gets the header and pixels of the real one.
"""

from __future__ import annotations

import io
import zlib
from typing import Any

import numpy as np
from PIL import Image, TiffImagePlugin
from torch import Tensor

from cnnart.image.metadata import add_tags, tiff_tags

WHITE = 65535
SIGNATURE_LENGTH = 8
PAETH = 4  # PNG, 3rd edition, 9.2
BAND_ROWS = 64  # of pixels at a time, which bounds what it takes beside the picture
SRGB_PROFILE, DEFLATE, RGB, HORIZONTAL, UNASSOCIATED, INCH = 34675, 8, 2, 2, 2, 2


def levels_of(planes: Tensor) -> np.ndarray:
    """HxWxC of 0..65535 for planes (1xCxHxW in [0, 1]), clamped and rounded."""
    levels = (planes.detach().float().clamp(0, 1) * WHITE).round()
    return levels[0].permute(1, 2, 0).cpu().numpy().astype(np.uint16)


def encode_deep(levels: np.ndarray, kind: str, options: dict[str, Any]) -> bytes:
    """The bytes of a PNG or TIFF file of such levels; ``options``: as ``save_options`` says."""
    return (_png if kind == "PNG" else _tiff)(levels, options)


def _png(levels: np.ndarray, options: dict[str, Any]) -> bytes:
    """As PNG: Paeth's filter in each row, packed by run lengths.

    Choosing among filters row by row saves nothing: the lower bytes of a computed picture are
    noise. On a painting of 1152 x 864 px it comes out half a percent smaller than FFmpeg's, in
    two thirds of its time.
    """
    height, width, channels = levels.shape
    buffer = io.BytesIO()
    Image.new("RGBA" if channels == 4 else "RGB", (1, 1)).save(buffer, "PNG", **options)
    pixel, at = buffer.getvalue(), SIGNATURE_LENGTH
    parts = [pixel[:at]]
    while at < len(pixel):
        length, kind = int.from_bytes(pixel[at : at + 4], "big"), pixel[at + 4 : at + 8]
        end = at + 12 + length
        if kind == b"IHDR":
            size = width.to_bytes(4, "big") + height.to_bytes(4, "big")
            rest = pixel[at + 17 : end - 4]  # color type, compression, filter, interlace
            parts.append(_chunk(b"IHDR", size + b"\x10" + rest))
        elif kind == b"IDAT":
            parts.append(_chunk(b"IDAT", _packed(_rows(levels.astype(">u2")))))
        else:
            parts.append(pixel[at:end])
        at = end
    return b"".join(parts)


def _chunk(kind: bytes, body: bytes) -> bytes:
    check = zlib.crc32(kind + body)
    return len(body).to_bytes(4, "big") + kind + body + check.to_bytes(4, "big")


def _packed(rows: np.ndarray) -> bytes:
    packer = zlib.compressobj(6, strategy=zlib.Z_RLE)
    return packer.compress(rows.data) + packer.flush()


def _rows(levels: np.ndarray) -> np.ndarray:
    """The filtered bytes of big-endian levels, each row after the filter's number: PNG, 9.4."""
    height, width, channels = levels.shape
    unit = 2 * channels
    raw = np.ascontiguousarray(levels).view(np.uint8).reshape(height, width * unit)
    rows = np.empty((height, 1 + raw.shape[1]), np.uint8)
    rows[:, 0] = PAETH
    framed = np.zeros((height + 1, unit + raw.shape[1]), np.uint8)  # zeros above and to the left
    framed[1:, unit:] = raw
    for top in range(0, height, BAND_ROWS):
        band = framed[top : top + BAND_ROWS + 1]
        above, left, corner = band[:-1, unit:], band[1:, :-unit], band[:-1, :-unit]
        a, b, c = (values.astype(np.int16) for values in (left, above, corner))
        to_left, to_above, to_corner = abs(b - c), abs(a - c), abs(a + b - 2 * c)
        nearest = np.where(to_above <= to_corner, above, corner)
        guess = np.where((to_left <= to_above) & (to_left <= to_corner), left, nearest)
        rows[top : top + BAND_ROWS, 1:] = band[1:, unit:] - guess
    return rows


def _tiff(levels: np.ndarray, options: dict[str, Any]) -> bytes:
    """As TIFF 6.0 with the differences to the pixel on the left, deflated."""
    height, width, channels = levels.shape
    differences = np.array(levels, order="C")
    differences[:, 1:] -= levels[:, :-1]
    pixels = _packed(differences.astype("<u2").view(np.uint8).reshape(height, -1))
    directory = TiffImagePlugin.ImageFileDirectory_v2(b"II*\0\x08\0\0\0")
    facts: dict[int, Any] = {
        TiffImagePlugin.IMAGEWIDTH: width,
        TiffImagePlugin.IMAGELENGTH: height,
        TiffImagePlugin.BITSPERSAMPLE: (16,) * channels,
        TiffImagePlugin.COMPRESSION: DEFLATE,
        TiffImagePlugin.PHOTOMETRIC_INTERPRETATION: RGB,
        TiffImagePlugin.STRIPOFFSETS: 0,  # behind the directory, as Pillow counts
        TiffImagePlugin.SAMPLESPERPIXEL: channels,
        TiffImagePlugin.ROWSPERSTRIP: height,
        TiffImagePlugin.STRIPBYTECOUNTS: len(pixels),
        TiffImagePlugin.PREDICTOR: HORIZONTAL,
        SRGB_PROFILE: options["icc_profile"],
    }
    if channels == 4:
        facts[TiffImagePlugin.EXTRASAMPLES] = UNASSOCIATED
    if dpi := options.get("dpi"):
        facts[TiffImagePlugin.X_RESOLUTION], facts[TiffImagePlugin.Y_RESOLUTION] = dpi
        facts[TiffImagePlugin.RESOLUTION_UNIT] = INCH
    for tag, value in facts.items():
        directory[tag] = value
    tiff = b"II*\0\x08\0\0\0" + directory.tobytes(8) + pixels
    tags = tiff_tags(options.get("exif"), options.get("xmp"))
    return add_tags(tiff, tags) if tags else tiff
