"""Reading picture files: what they are, whether they may be decoded, and what is in them."""

from __future__ import annotations

import io
import threading
import warnings
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any, BinaryIO

from PIL import Image, ImageOps, UnidentifiedImageError

from cnnart.errors import ImageError, UsageError
from cnnart.image.metadata import find_record, kept_exif, resolution
from cnnart.image.picture import Picture
from cnnart.image.pixels import unpack
from cnnart.image.writing import is_stream, stream_name

MAX_PIXELS = 200_000_000

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
        rgb, alpha, grey = unpack(image)
    except ImageError as error:
        raise ImageError(f"{name}: {error}") from None
    except (OSError, ValueError) as error:
        raise ImageError(
            f"{name}: pixels of mode {image.mode} cannot be converted ({error})."
        ) from error
    return Picture(rgb, alpha, name, resolution(image), kept_exif(image), grey)


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
            f" if you trust the file, allow more with --max-pixels {pixels}."
        )
    return image


def decode(image: Image.Image, name: str) -> None:
    """Load the pixels and turn them upright, in place."""
    try:
        image.load()
    except (Image.DecompressionBombError, Image.DecompressionBombWarning) as error:
        raise ImageError(
            f"{name}: a picture inside the file is larger than it declares and over the pixel"
            " limit; if you trust the file, allow more with --max-pixels."
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
