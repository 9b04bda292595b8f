"""Many pictures as one animation: WebP and GIF by Pillow, MP4 by PyAV."""

from __future__ import annotations

import html
import io
from collections.abc import Iterable, Iterator
from fractions import Fraction
from itertools import chain
from pathlib import Path
from typing import Any, BinaryIO

import numpy as np
from PIL import Image

from cnnart.errors import ImageError, UsageError
from cnnart.files import ANIMATIONS, write_atomically
from cnnart.image.metadata import XMP_PACKET, srgb_profile
from cnnart.image.write import check_sides, is_stream, stream_name

MP4_LOSS = 18  # x264's constant rate factor: little enough loss that nobody sees it


def check_animation(suffix: str) -> str:
    """WEBP, GIF or MP4 for a file's suffix.

    Raises UsageError for another suffix, and for .mp4 when PyAV is not installed; call it before
    long work.
    """
    if suffix.lower() not in ANIMATIONS:
        known = ", ".join(ANIMATIONS)
        raise UsageError(
            f"cnnart writes animations as {known}, not {suffix or 'a file without a suffix'}; "
            "end the output with a slash for a folder of frames."
        )
    if suffix.lower() == ".mp4":
        import_av()
    return suffix[1:].upper()


def import_av(what: str = "MP4") -> Any:
    """PyAV. Raises UsageError when it is not installed; ``what`` needs it."""
    try:
        import av
    except ImportError:
        raise UsageError(
            f"{what} needs PyAV: pip install 'cnnart[video]'. WebP and GIF need nothing more."
        ) from None
    return av


def write_animation(
    target: Path | BinaryIO,
    frames: Iterable[Image.Image],
    *,
    fps: float,
    format: str | None = None,
    quality: int | None = None,
    record: str | None = None,
) -> None:
    """Write RGB images of one size as an animation that repeats for ever, whole or not at all.

    Args:
        target: a file, or a binary stream (then ``format`` is needed).
        frames: at least one; taken one at a time.
        fps: frames a second. GIF rounds a frame's time to hundredths, WebP to thousandths of a
            second.
        format: ``webp``, ``gif`` or ``mp4``; None: as the target's suffix says.
        quality: 1..100, of WebP; lossless at 100.
        record: text for ``cnnart.image.read.read_record`` (WebP, GIF) and ``read_mp4_record``.

    MP4 is H.264 in yuv420p, which players want; a picture of odd size gets its last row or column
    twice. Raises UsageError for what it does not write, ImageError for trouble with the file.
    """
    name = stream_name(target) if is_stream(target) else str(target)
    suffix = f".{format}" if format else Path(name).suffix
    kind = check_animation(suffix)
    if not fps > 0:
        raise UsageError(f"Frames per second must be above zero, not {fps:g}.")
    try:
        data = encode_animation(iter(frames), name, kind, fps, (quality or 90, record))
        if is_stream(target):
            target.write(data)  # type: ignore[union-attr]
        else:
            write_atomically(Path(target), data)  # type: ignore[arg-type]
    except (OSError, ValueError, RuntimeError) as error:
        reason = getattr(error, "strerror", None) or error
        raise ImageError(f"{name}: cannot write the animation ({reason}).") from error


def encode_animation(
    frames: Iterator[Image.Image], name: str, kind: str, fps: float, extra: tuple[int, str | None]
) -> bytes:
    """The bytes of the file; ``extra`` is quality and record."""
    first = next(frames)
    check_sides(name, kind, first.size)
    quality, record = extra
    buffer = io.BytesIO()
    if kind == "MP4":
        encode_mp4(buffer, chain([first], frames), fps, record)
    elif kind == "GIF":
        comment = {"comment": record.encode()} if record else {}
        rest = (with_palette(frame) for frame in frames)
        # Times are whole hundredths; shown slower than asked by most viewers below two.
        time = max(20, round(100 / fps) * 10)
        with_palette(first).save(
            buffer, "GIF", save_all=True, append_images=rest, duration=time, loop=0, **comment
        )
    else:
        xmp = {"xmp": xmp_packet(record)} if record else {}
        first.save(
            buffer,
            "WEBP",
            save_all=True,
            append_images=frames,
            duration=round(1000 / fps),
            loop=0,
            quality=quality,
            lossless=quality == 100,
            method=4,
            icc_profile=srgb_profile(),
            **xmp,
        )
    return buffer.getvalue()


def xmp_packet(record: str) -> bytes:
    return XMP_PACKET.format(html.escape(record, quote=False)).encode()


def with_palette(frame: Image.Image) -> Image.Image:
    """256 colors of the frame's own, dithered: gradients would turn into bands."""
    palette = frame.quantize(256, method=Image.Quantize.MEDIANCUT)
    return frame.quantize(palette=palette, dither=Image.Dither.FLOYDSTEINBERG)


def encode_mp4(
    buffer: io.BytesIO, frames: Iterator[Image.Image], fps: float, record: str | None
) -> None:
    """H.264 by PyAV; the sides are made even, which yuv420p demands."""
    av = import_av()
    with av.open(buffer, "w", format="mp4") as container:
        if record:
            container.metadata["comment"] = record
        stream = container.add_stream("libx264", rate=Fraction(fps).limit_denominator(1001))
        stream.pix_fmt = "yuv420p"
        stream.options = {"crf": str(MP4_LOSS)}
        for index, frame in enumerate(map(evened, frames)):
            if index == 0:
                stream.height, stream.width = frame.shape[:2]
            container.mux(stream.encode(av.VideoFrame.from_ndarray(frame, format="rgb24")))
        container.mux(stream.encode())


def read_mp4_record(path: Path) -> str | None:
    """The record that write_animation put into an MP4, or None.

    Raises UsageError without PyAV, ImageError for a file that is no video.
    """
    av = import_av()
    try:
        with av.open(str(path)) as container:
            comment = container.metadata.get("comment", "")
    except (OSError, ValueError) as error:  # of both kinds are PyAV's own
        reason = getattr(error, "strerror", None) or error
        raise ImageError(f"{path}: cannot read the video ({reason}).") from error
    return comment if comment.startswith("{") else None


def evened(image: Image.Image) -> np.ndarray:
    """The pixels with even sides, the last row and column repeated where they are odd."""
    pixels = np.asarray(image.convert("RGB"))
    height, width = pixels.shape[:2]
    return np.pad(pixels, ((0, height % 2), (0, width % 2), (0, 0)), mode="edge")
