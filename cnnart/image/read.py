"""From a file, or anything a program has at hand, to one convention: sRGB in [0, 1], alpha apart.

First files (what they are, whether they may be decoded), then pictures in memory, then masks, then
Pillow's many pixel modes.
"""

from __future__ import annotations

import ctypes
import io
import logging
import math
import os
import re
import threading
import warnings
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from functools import cache
from pathlib import Path
from typing import Any, BinaryIO, Literal

import numpy as np
import torch
import torch.nn.functional as F
from PIL import Image, ImageCms, ImageOps, TiffImagePlugin, UnidentifiedImageError
from torch import Tensor

from cnnart.errors import ImageError, UsageError, reason
from cnnart.files import is_folder, obstacle, open_file
from cnnart.image import png_chunks
from cnnart.image.formats import (
    AVIF,
    FORMATS,
    HEIC,
    JPEG_XL,
    RAW,
    RAW_SUFFIXES,
    jpeg_of_a_kind,
    jpeg_xl_size,
    jpeg_xl_xmp,
    kind_by_content,
    plugin_installed,
    what_it_is,
)
from cnnart.image.metadata import find_record, kept_exif, resolution
from cnnart.image.picture import Picture, luma
from cnnart.image.write import is_stream, shape_text, stream_name

MAX_PIXELS = 200_000_000
# Of files that hold several pictures, by Pillow's name of the format.
SEVERAL = {
    **dict.fromkeys(("GIF", "PNG", "WEBP", "AVIF"), "an animation; its first picture is used."),
    **dict.fromkeys(("TIFF", "HEIF"), "it holds several pictures; the first is used."),
}
# How Pillow calls what it does not know. The file may be whole.
UNKNOWN = re.compile(r"unsupported|not supported|unknown|(cannot|can't) handle", re.I)
# Compressions of TIFF that libtiff knows in some builds only.
RARE_COMPRESSIONS = ("webp", "zstd", "lzma", "jpeg2000", "lerc")
# Tags of TIFF 6.0, of its supplements and of DNG, and values of them.
BITS, PHOTOMETRIC, MAX_SAMPLE, SAMPLES, WHITE_IS_ZERO, BLACK_IS_ZERO = 258, 262, 281, 339, 0, 1
TIFF_STARTS = (b"II*\0", b"MM\0*", b"II+\0", b"MM\0+")
NEGATIVE = "cnnart_negative"  # in an image's info: see ``as_negative``
SENSORS = (32803, 34892)  # photometric interpretations of raw data
SUBFILE_TYPE, SUB_IFDS, DNG_VERSION, REDUCED = 254, 330, 50706, 1
STRIPS, ROWS_PER_STRIP, TILE_WIDTH, TILE_LENGTH, TILES = 273, 278, 322, 323, 324
LENGTH = 257
WIDTH, PLANES, SEPARATE, SIGNED, MOST_BITS = 256, 284, 2, 2, 128
JPEG_HEADER = 1 << 20  # bytes in which the header of a JPEG's frame is looked for
MOST_THUMBNAILS = 16
GRAY_MODES = ("1", "L", "LA", "La", "I", "F")
PROFILE_SPACES = {"L": "GRAY", "RGB": "RGB", "CMYK": "CMYK", "LAB": "Lab"}
# Two of 255 levels: so little do the many sRGB profiles in circulation differ from each other, and
# converting between them would only add rounding.
SRGB_TOLERANCE = 2

# Gray of more than 8 bits: by what share of white values may lie beyond it without a word, and how
# bright the lights in a picture of floats may be.
A_LITTLE = 0.1
MOST_LIGHT = 16
# Linear light of other primaries (H.273: BT.2020, Display P3) to sRGB's.
TO_SRGB = {
    9: np.array(
        [[1.6605, -0.5876, -0.0728], [-0.1246, 1.1329, -0.0083], [-0.0182, -0.1006, 1.1187]]
    ),
    12: np.array([[1.2249, -0.2247, 0], [-0.0420, 1.0419, 0], [-0.0197, -0.0786, 1.0979]]),
}
HDR_TRANSFERS = (16, 18)  # PQ and HLG

pillow_lock = threading.Lock()
logging.getLogger("PIL").addHandler(logging.NullHandler())  # else it writes to standard error


def read_image(source: Path | str | BinaryIO, *, max_pixels: int = MAX_PIXELS) -> Picture:
    """Read a file or binary stream of one of ``FORMATS``; the first picture in it.

    Turned upright by its EXIF, converted to sRGB by its ICC profile. What had to be guessed or left
    out is told in ``Picture.warnings``. Raises ImageError, in one line that begins with the path,
    if there is no picture to read or it has more than max_pixels pixels (which is found out before
    it is decoded).
    """
    with opened(source) as (stream, name), recognized(stream, name, max_pixels) as image:
        with pillow_limit(max_pixels):
            notes = one_of_many(image) + of_doubt(image, stream)
            decode(image, name, stream)
        return unpacked(image, name, notes)


def read_record(source: Path | str | BinaryIO, *, max_pixels: int = MAX_PIXELS) -> str | None:
    """The record that write_image put into the file, or None. Raises as read_image does."""
    with opened(source) as (stream, name), recognized(stream, name, max_pixels) as image:
        try:
            with pillow_limit(max_pixels):
                return find_record(image)
        except MemoryError:
            raise
        except Exception as error:  # decoders raise anything on damaged bytes
            raise damaged(name, error) from error


def unpacked(image: Image.Image, name: str, notes: Sequence[str] = ()) -> Picture:
    """The Picture of a decoded, upright image; ``notes``: what there is to tell of it, unnamed."""
    told = list(notes)
    try:
        rgb, alpha, gray = unpack(image, told)
    except ImageError as error:
        raise ImageError(f"{name}: {error}") from None
    except MemoryError:
        raise
    except Exception as error:  # Pillow's converters raise much
        raise ImageError(
            f"{name}: pixels of mode {image.mode} cannot be converted ({reason(error)})."
        ) from error
    if alpha is not None and not bool(alpha.any()):
        told.append("it is transparent everywhere, and taken as if it were not.")
    with pillow_limit(None):
        dpi, exif = resolution(image), kept_exif(image)
    return Picture(rgb, alpha, name, dpi, exif, gray, tuple(f"{name}: {note}" for note in told))


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
        if is_folder(path):
            if not os.access(path, os.R_OK | os.X_OK):
                raise ImageError(f"{name}: no permission to look into this folder.")
            raise ImageError(f"{name}: this is a folder, not a picture; name a file in it.")
        try:
            stream = open_file(path, pipes=True)
        except (OSError, ValueError) as error:
            if isinstance(error, FileNotFoundError) and not path.is_symlink():
                raise ImageError(f"{name}: there is no such file; check the path.") from None
            why = obstacle(path) or reason(error)
            raise ImageError(f"{name}: the file cannot be opened ({why}).") from error
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
    """The image of the stream, opened and within max_pixels but not yet decoded.

    Raises ImageError: for what is no picture, for a format that is not read, for a camera's raw
    file, and for more pixels.
    """
    try:
        head = stream.read(512)
    except OSError as error:
        raise damaged(name, error) from error
    kind = kind_by_content(head)
    if kind in (HEIC, JPEG_XL, AVIF):
        kind = None  # perhaps there is a plugin
    if kind:
        raise ImageError(f"{name}: {kind}")
    try:
        with pillow_limit(max_pixels):  # a GIF's canvas is made as it is opened
            image = identified(stream, head, name, max_pixels)
            check_size(image.width * image.height, name, max_pixels)
            if isinstance(image, TiffImagePlugin.TiffImageFile):
                quiet_libtiff()
                skip_thumbnails(image, head, name)
                refuse_misread(image, name)
                refuse_gaps(image, name)
                check_size(image.width * image.height, name, max_pixels)
    except UnidentifiedImageError:
        raise ImageError(f"{name}: {of_a_kind(stream, head, name)}") from None
    except (Image.DecompressionBombError, Image.DecompressionBombWarning) as error:
        found = re.search(r"(\d+) pixels", str(error))
        check_size(int(found[1]) if found else max_pixels + 1, name, max_pixels)
        raise damaged(name, error) from error
    except (MemoryError, ImageError):
        raise
    except Exception as error:  # decoders raise anything on damaged bytes
        raise damaged(name, error) from error
    return image


def identified(stream: BinaryIO, head: bytes, name: str, max_pixels: int) -> Image.Image:
    """The image opened by Pillow as one of ``FORMATS``, or by a plugin of ``PLUGINS``.

    Raises UnidentifiedImageError, and whatever decoders do.
    """
    if head.startswith(png_chunks.SIGNATURE):
        file = png_chunks.without_long_chunks(stream)
        image = Image.open(file.stream, formats=["PNG"])
        image.info |= {"cicp": file.cicp} if file.cicp else {}
        image.info |= {"icc_profile": file.profile} if file.profile else {}
        return image
    for load_plugins in (Image.preinit, Image.init):  # the common ones first: the others take long
        load_plugins()
        try:
            # Those that this Pillow was built with: it fails for the names of others.
            return Image.open(stream, formats=[name for name in FORMATS if name in Image.OPEN])
        except UnidentifiedImageError:
            pass
    if head[:4] in TIFF_STARTS and (negative := as_negative(stream)):
        image = Image.open(negative, formats=["TIFF"])
        image.info[NEGATIVE] = True
        return image
    kind = kind_by_content(head)
    if kind is HEIC and plugin_installed("HEIF"):
        import pillow_heif

        pillow_heif.register_heif_opener()
        return Image.open(stream, formats=["HEIF"])
    if kind is JPEG_XL and plugin_installed("JXL"):
        import pillow_jxl  # noqa: F401  # it registers itself

        stream.seek(0)
        data = stream.read()
        width, height = jpeg_xl_size(data)  # the plugin decodes as it opens
        check_size(width * height, name, max_pixels)
        try:
            image = Image.open(stream, formats=["JXL"])
        except RuntimeError as error:  # which says how to build libjxl
            raise OSError("libjxl cannot decode it") from error
        image.info |= {"xmp": xmp} if (xmp := jpeg_xl_xmp(data)) else {}
        return image
    raise UnidentifiedImageError


def as_negative(stream: BinaryIO) -> BinaryIO | None:
    """A TIFF whose white is zero as one whose black is, which Pillow knows at more depths.

    None where its white is not zero.
    """
    stream.seek(0)
    data = bytearray(stream.read())
    order: Literal["little", "big"] = "little" if data[:2] == b"II" else "big"
    start = int.from_bytes(data[4:8], order)
    for at in range(start + 2, start + 2 + 12 * int.from_bytes(data[start : start + 2], order), 12):
        if int.from_bytes(data[at : at + 2], order) == PHOTOMETRIC and not any(
            data[at + 8 : at + 12]
        ):
            data[at + 8 : at + 10] = BLACK_IS_ZERO.to_bytes(2, order)
            return io.BytesIO(data)
    return None


def check_size(pixels: int, name: str, max_pixels: int) -> None:
    """Raise ImageError for more than ``max_pixels``."""
    if pixels > max_pixels:
        raise ImageError(
            f"{name}: the picture has {pixels:,} pixels, the limit is {max_pixels:,};"
            f" if you trust the file, allow more with `max_pixels` {pixels}."
        )


def skip_thumbnails(image: TiffImagePlugin.TiffImageFile, head: bytes, name: str) -> None:
    """Go to a TIFF's first page that is no reduced copy of another.

    Cameras put their raw data into a TIFF behind such a copy, as an image of a kind that Pillow
    cannot read. Raises ImageError for these.
    """
    tags = image.tag_v2
    if (
        Path(name).suffix.lower() in RAW_SUFFIXES
        or DNG_VERSION in tags
        or head[8:10] == b"CR"  # Canon
        or (tags.get(SUBFILE_TYPE) == REDUCED and SUB_IFDS in tags)
    ):
        raise ImageError(f"{name}: {RAW}")
    for page in range(1, MOST_THUMBNAILS):
        if image.tag_v2.get(SUBFILE_TYPE) != REDUCED or not image.is_animated:
            return
        try:
            image.seek(page)
        except EOFError:  # reduced, all of them
            image.seek(0)
            return
        except Exception as error:
            raise ImageError(f"{name}: {RAW}") from error


def refuse_misread(image: TiffImagePlugin.TiffImageFile, name: str) -> None:
    """Raise ImageError for the kinds of TIFF that Pillow opens and takes for others.

    Color of more than 8 bits in separate planes, which it reads as if it had 8, and signed bytes,
    which it reads as unsigned ones.
    """
    tags = image.tag_v2
    bits = tags.get(BITS, (1,))
    in_planes = tags.get(PLANES) == SEPARATE and len(bits) > 1
    if max(bits) > 8 if in_planes else max(bits) == 8 and SIGNED in tags.get(SAMPLES, ()):
        raise ImageError(f"{name}: {_cannot_read(tags)}")


def refuse_gaps(image: TiffImagePlugin.TiffImageFile, name: str) -> None:
    """Raise ImageError for a TIFF that lacks strips or tiles, which Pillow leaves black.

    A place of 0, where the file's header is, means that they were never written.
    """
    tags = image.tag_v2
    width, height = tags[WIDTH], tags[LENGTH]  # the image's are those it has when it is upright
    for places, sides in (
        (STRIPS, (width, tags.get(ROWS_PER_STRIP, height))),
        (TILES, (tags.get(TILE_WIDTH, 0), tags.get(TILE_LENGTH, 0))),
    ):
        if (found := tags.get(places)) is None or min(sides) <= 0:
            continue
        wide, tall = (-(-n // side) for n, side in zip((width, height), sides, strict=True))
        planes = len(tags.get(BITS, (1,))) if tags.get(PLANES) == SEPARATE else 1
        there = sum(bool(place) for place in found)
        if there < (count := wide * tall * planes):
            raise damaged(name, OSError(f"{count - there} of its {count} pieces are missing"))


@cache
def quiet_libtiff() -> None:
    """Keep libtiff from writing to standard error; what it says there names no file."""
    with suppress(AttributeError, OSError):  # linked into Pillow's own library (Windows)
        ctypes.CDLL(Image.core.__file__).TIFFSetErrorHandler(None)


def of_a_kind(stream: BinaryIO, head: bytes, name: str) -> str:
    """One clause about what Pillow does not know."""
    if head[:4] in TIFF_STARTS:
        return tiff_of_a_kind(stream, name)
    stream.seek(0)
    if head.startswith(b"\xff\xd8") and (kind := jpeg_of_a_kind(stream.read(JPEG_HEADER))):
        return f"this kind of JPEG cannot be read ({kind}); save it as PNG first."
    return what_it_is(head)


def tiff_of_a_kind(stream: BinaryIO, name: str) -> str:
    """One clause about a TIFF that Pillow does not know."""
    try:
        stream.seek(0)
        head = stream.read(16)
        if head.startswith(b"MM\0+"):
            return (
                "this kind of TIFF cannot be read (BigTIFF, big-endian); save it as PNG, or as "
                "TIFF with 8 or 16 bits."
            )
        tags = TiffImagePlugin.ImageFileDirectory_v2(head if head[2] == 43 else head[:8])
        stream.seek(tags.next)
        with pillow_limit(None):
            tags.load(stream)
            bits, photometric = tags.get(BITS, (1,)), tags.get(PHOTOMETRIC)
            line = _cannot_read(tags)
    except Exception as error:  # broken in any way
        return f"the file is truncated or damaged ({reason(error)}); get it again."
    if not {WIDTH, PHOTOMETRIC} <= tags.keys() or not 0 < max(bits) <= MOST_BITS:
        return "the file is truncated or damaged (it begins as a TIFF); get it again."
    if photometric in SENSORS or Path(name).suffix.lower() in RAW_SUFFIXES:
        return str(RAW)
    return line


def _cannot_read(tags: Mapping[int, Any]) -> str:
    """One clause about a TIFF with such tags."""
    bits = tags.get(BITS, (1,))
    kind = {2: "signed integers", 3: "floats"}.get(tags.get(SAMPLES, (1,))[0], "integers")
    white = ", white as zero" if tags.get(PHOTOMETRIC) == WHITE_IS_ZERO else ""
    planes = ", in separate planes" if tags.get(PLANES) == SEPARATE and len(bits) > 1 else ""
    return (
        f"this kind of TIFF cannot be read ({len(bits)} x {bits[0]} bits, {kind}{white}{planes}); "
        "save it as PNG, or as TIFF with 8 or 16 bits."
    )


def one_of_many(image: Image.Image) -> list[str]:
    """What there is to tell of a file that holds several pictures, of which the first is used."""
    kind = SEVERAL.get(image.format or "")
    try:
        return [kind] if kind and image.is_animated else []  # type: ignore[attr-defined]
    except Exception:  # what lies behind the first picture is broken
        return []


def of_doubt(image: Image.Image, stream: BinaryIO) -> list[str]:
    """What there is to tell of a file that may be damaged, and decodes all the same."""
    if image.format != "PNG" or not png_chunks.is_altered(stream):
        return []
    return ["a checksum in it does not match: it may be damaged; look at the result."]


def refuse_short(image: Image.Image, stream: BinaryIO, name: str) -> None:
    """Raise ImageError for a loaded PNG of which rows are missing.

    Its data can end early and properly; Pillow leaves the rest at 0. Few pictures have a last row
    of zeros, and only there the data is unpacked again.
    """
    last = image.crop((0, image.height - 1, *image.size))
    if not np.asarray(last).any() and (rows := png_chunks.missing_rows(stream)):
        raise damaged(name, OSError(f"{rows} of its {image.height} rows of pixels are missing"))


def decode(image: Image.Image, name: str, stream: BinaryIO | None = None) -> None:
    """Load the pixels and turn them upright, in place; ``stream``: what it was opened from."""
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
        if (packed := image.info.get("compression")) in RARE_COMPRESSIONS:
            raise ImageError(
                f"{name}: this TIFF is packed by {packed}, which cannot be unpacked here, or it is"
                f" damaged ({reason(error)}); save it without compression, or as PNG."
            ) from error
        raise damaged(name, error) from error
    if stream and image.format == "PNG":
        refuse_short(image, stream, name)
    try:
        ImageOps.exif_transpose(image, in_place=True)
    except Exception:  # a broken EXIF block fails in many ways, and none is worth the picture
        image.info.pop("exif", None)


def damaged(name: str, error: Exception) -> ImageError:
    """The error for a file that fails to be decoded: for its content, or for a kind unknown."""
    why = reason(error)
    if isinstance(error, OSError) and error.errno:  # the system's, not the decoder's
        return ImageError(f"{name}: the file cannot be read ({why}).")
    if isinstance(error, NotImplementedError) or UNKNOWN.search(why):
        return ImageError(
            f"{name}: this kind of picture cannot be read ({why}); save it as PNG first."
        )
    return ImageError(f"{name}: the file is truncated or damaged ({why}); get it again.")


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
        if isinstance(obj, TiffImagePlugin.TiffImageFile):
            image.tag_v2 = obj.tag_v2  # type: ignore[attr-defined]  # for gray_values
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


def unpack(
    image: Image.Image, notes: list[str] | None = None
) -> tuple[Tensor, Tensor | None, bool]:
    """(rgb, alpha, gray) of a loaded, upright Pillow image of any mode.

    rgb is 1x3xHxW, float32, sRGB in [0, 1]: what the file says of its colors is applied (an ICC
    profile, else cICP, else a PNG's gamma), and the colors of fully transparent pixels are replaced
    by their visible neighbors'. alpha is 1x1xHxW in [0, 1], or None if the image has none; gray
    says that the file stores no color. 16-bit gray keeps its 16 bits; of 16-bit color Pillow
    delivers the upper 8. A white that had to be guessed is added to ``notes``. Raises ImageError
    for a mode that cannot be converted, for NaN or infinity, and for values without a known white.
    """
    notes = [] if notes is None else notes
    gray = image.mode in GRAY_MODES or image.mode.startswith("I;16")
    colors, alpha = gray_values(image, notes) if gray else color_values(image)
    if not image.info.get("icc_profile"):
        colors = as_srgb(colors, image.info, notes)
    rgb = torch.from_numpy(colors).permute(2, 0, 1)[None]
    if gray:
        rgb = rgb.expand(-1, 3, -1, -1)
    rgb = rgb.contiguous()
    if alpha is None:
        return rgb, None, gray
    mask = torch.from_numpy(alpha)[None, None]
    return bleed(rgb, mask), mask, gray


def color_values(image: Image.Image) -> tuple[np.ndarray, np.ndarray | None]:
    """HxWx3 values and the HxW alpha of a color image, both in [0, 1]; sRGB by its ICC profile."""
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


def gray_values(image: Image.Image, notes: list[str]) -> tuple[np.ndarray, np.ndarray | None]:
    """HxWx1 values and the HxW alpha of a gray image, both in [0, 1]; sRGB by its ICC profile."""
    icc, key = image.info.get("icc_profile"), image.info.get("transparency")
    alpha, negative = None, False
    if image.mode in ("I", "F") or image.mode.startswith("I;16"):
        tags = getattr(image, "tag_v2", {})  # of a TIFF
        values = deep_gray(np.asarray(image), tags, notes)
        negative = tags.get(PHOTOMETRIC) == WHITE_IS_ZERO  # Pillow turns 8 bits and fewer round
        if isinstance(key, int):
            alpha = (np.asarray(image) != key).astype(np.float32)
    elif image.has_transparency_data:
        image = image.convert("LA")
        values, alpha = scaled(image.getchannel("L")), scaled(image.getchannel("A"))
    else:
        values = scaled(image.convert("L"))
    if negative or NEGATIVE in image.info:
        values = 1 - values
    curve = gray_curve(icc) if icc else None
    if curve is not None:
        values = np.interp(values, np.linspace(0, 1, 256), curve).astype(np.float32)
    return values[..., None], alpha


def scaled(image: Image.Image) -> np.ndarray:
    """The values of an 8-bit image as float32 in [0, 1]."""
    return np.asarray(image, dtype=np.float32) / 255


def deep_gray(values: np.ndarray, tags: Mapping[int, Any], notes: list[str]) -> np.ndarray:
    """Gray values of more than 8 bits as float32 in [0, 1]; ``tags``: a TIFF's.

    What lies outside black and white is cut. Where white is not clear, or little of what lies below
    it is used, what was taken for it is added to ``notes``: nobody is to wonder at a black picture.
    Raises ImageError for NaN and infinity, and where nothing lies above black or no white is known.
    """
    if not np.isfinite(values).all():
        raise ImageError("it holds NaN or infinite values; repair it where it was made.")
    if values.dtype == np.int32 and tags.get(BITS) == (32,) and tags.get(SAMPLES, (1,)) == (1,):
        values = values.view(np.uint32)  # Pillow has no unsigned ones
    low, top = float(values.min()) + 0.0, float(values.max()) + 0.0  # no -0
    if top <= 0 and low < 0:
        raise ImageError(f"its values span {low:g}..{top:g}, all of it black; scale it to 0..1.")
    if values.dtype.kind in "iu":
        white, guessed = integer_white(values, top, tags)
    else:
        white, guessed = float_white(values), False
    if white is None:
        raise ImageError(f"its values reach {top:g} and its white is unknown; scale it to 0..1.")
    cut = low < -A_LITTLE * white or top > (1 + A_LITTLE) * white
    if cut or guessed or 0 < top < white / 4:
        beyond = "; what lies beyond black and white is cut" if cut else ""
        notes.append(f"its values span {low:g}..{top:g}, and {white:g} is taken for white{beyond}.")
    return (values.astype(np.float64) / white).clip(0, 1).astype(np.float32)


def integer_white(
    values: np.ndarray, top: float, tags: Mapping[int, Any]
) -> tuple[float | None, bool]:
    """The white of integers of more than 8 bits, and whether it is guessed.

    All that their bits can hold, or as many bits as the file says (BitsPerSample, or MaxSampleValue
    if it is 1023, 4095 or the like). But where not even a sixteenth of that is used they come from
    a device of fewer bits: then the least even number of bits that holds them.
    """
    stated = tags.get(MAX_SAMPLE) or 0
    stated = stated[0] if isinstance(stated, tuple) else stated
    bits = (tags.get(BITS) or (0,))[0]
    if isinstance(stated, int) and stated >= top and stated > 255 and stated & (stated + 1) == 0:
        return stated, False
    white = 32767 if bits == 16 and tags.get(SAMPLES) == (SIGNED,) else 65535
    if 8 < bits < 16:
        white = 2**bits - 1
    if top > white:
        white = 2**32 - 1 if values.dtype.kind == "u" and values.itemsize == 4 else 2**31 - 1
    if not 0 < 16 * top < white:
        return white, False
    return min(white, 4 ** max(4, math.ceil(math.log2(top + 1) / 2)) - 1), True


def float_white(values: np.ndarray) -> float | None:
    """The white of floats: 1, or 255 or 65535 if most exceed 1 and some 16; None beyond."""
    top = float(values.max())
    if top <= MOST_LIGHT or np.count_nonzero(values > 1) <= values.size / 2:
        return 1 if top <= 65535 else None
    return next((white for white in (255, 65535) if top <= white), None)


def as_srgb(values: np.ndarray, info: Mapping[Any, Any], notes: list[str]) -> np.ndarray:
    """Values (HxWxC in [0, 1]) of a picture without an ICC profile as sRGB.

    By its cICP chunk (H.273: primaries, transfer, ...) as far as that names other primaries with
    sRGB's curve; else by a PNG's gAMA chunk, unless there is an sRGB chunk or it says about 1/2.2.
    """
    if cicp := info.get("cicp"):
        matrix = TO_SRGB.get(cicp[0])
        if cicp[1] in HDR_TRANSFERS:
            notes.append("it is an HDR picture, taken as an ordinary one: its colors will be off.")
        elif matrix is not None and values.shape[2] == 3:
            return encode_srgb(decode_srgb(values) @ matrix.T)
        return values
    gamma = info.get("gamma")
    if not gamma or "srgb" in info or not 0.05 < gamma < 20 or abs(2.2 * gamma - 1) < 0.05:
        return values
    return encode_srgb(values ** np.float32(1 / gamma))


def decode_srgb(values: np.ndarray) -> np.ndarray:
    """Linear light of sRGB values (IEC 61966-2-1), all in [0, 1]."""
    return np.where(values <= 0.04045, values / 12.92, ((values + 0.055) / 1.055) ** 2.4)


def encode_srgb(light: np.ndarray) -> np.ndarray:
    """sRGB values in [0, 1] of linear light, as float32."""
    light = light.clip(0, 1)
    values = np.where(light <= 0.0031308, 12.92 * light, 1.055 * light ** (1 / 2.4) - 0.055)
    return values.astype(np.float32)


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
