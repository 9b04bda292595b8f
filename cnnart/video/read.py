"""Frames out of a clip, upright and with their times: videos, animated pictures, numbered pictures.

A source knows its own times and pictures; ``ClipReader`` takes the part that is wanted.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from fractions import Fraction
from functools import partial
from pathlib import Path
from typing import Any, Protocol

import numpy as np

from cnnart.errors import ImageError, UsageError, reason
from cnnart.files import is_folder, obstacle, open_file
from cnnart.image.animation import import_av
from cnnart.image.formats import VIDEO, is_text, kind_by_content
from cnnart.image.read import MAX_PIXELS, check_size, read_image, recognized
from cnnart.video.color import ToRgb, bits_of, is_hdr
from cnnart.video.config import ClipConfig
from cnnart.video.formats import is_animated, leads_to_frames, numbered

USUAL_RATE = 25  # frames a second, of numbered pictures
SLOW_START = Fraction(1, 1000)  # seconds that a seek may be off
TRUNCATED = 0.05  # of a clip that may be missing at its end without a word


@dataclass(frozen=True)
class Frame:
    """``HxWx3`` uint8, sRGB; its time and how long it lasts, in the reader's ``time_base``."""

    pixels: np.ndarray
    ticks: int
    duration: int


@dataclass(frozen=True)
class Shot:
    """A frame that has not been converted: ``pixels`` makes it at a size (height, width).

    ``time`` from the beginning of the clip, ``duration``: in seconds.
    """

    time: Fraction
    duration: Fraction
    pixels: Callable[[tuple[int, int]], np.ndarray]


class ClipSource(Protocol):
    """What frames come from.

    size: height and width, upright. time_base: a tick in seconds. rate: frames a second, about.
    length: seconds, about; 0: unknown. aspect: of a pixel, width by height. origin: where it
    begins on its own clock, in seconds. tracks: the file that has sound and the like.
    """

    size: tuple[int, int]
    time_base: Fraction
    rate: Fraction
    length: Fraction
    aspect: Fraction
    origin: Fraction
    tracks: Path | None
    warnings: list[str]

    def shots(self, since: Fraction) -> Iterator[Shot]:
        """The frames from a time on. Raises ImageError."""
        ...


def open_source(
    path: Path,
    fps: float | None = None,
    max_pixels: int = MAX_PIXELS,
    name: str | None = None,
) -> ClipSource:
    """A clip; ``name``: what it is called in messages, where it is not by its path.

    Raises ImageError where there is none or its frames have more than ``max_pixels`` pixels, and
    UsageError without PyAV.
    """
    if leads_to_frames(path) or (is_folder(path) and numbered(path)):
        return NumberedPictures(path, fps, max_pixels)
    name = name or str(path)
    if why := obstacle(path):
        raise ImageError(f"{name}: cannot read the clip: {why}.")
    return (AnimatedPicture if is_animated(path) else VideoFile)(path, max_pixels, name)


class ClipReader:
    """The part of a clip that is wanted, at a size (height, width)."""

    def __init__(self, source: ClipSource, config: ClipConfig, size: tuple[int, int]) -> None:
        self.source, self.size, self._config = source, size, config
        self.start = exact(config.start or 0)
        self.end = None if config.end is None else exact(config.end)
        if source.length and self.start >= source.length:
            raise UsageError(
                f"The clip lasts {float(source.length):.6g} s: `start` {config.start:g} is beyond."
            )
        self.rate = exact(config.fps) if config.fps else source.rate
        self.time_base = 1 / self.rate if config.fps else source.time_base
        ends = [end for end in (self.end, source.length or None) if end is not None]
        length = max(min(ends) - self.start, Fraction(0)) if ends else Fraction(0)
        self.expected = max(1, round(length * self.rate))  # frames, about

    def frames(self, after: int | None = None) -> Iterator[Frame]:
        """The frames, or those after a time in ticks. Raises ImageError."""
        chosen = self._evenly(after) if self._config.fps else self._as_they_are(after)
        for shot, ticks, duration in chosen:
            yield Frame(shot.pixels(self.size), ticks, duration)

    def _as_they_are(self, after: int | None) -> Iterator[tuple[Shot, int, int]]:
        since = self.start if after is None else self.start + after * self.time_base
        last = after
        for shot in self.source.shots(since):
            if self.end is not None and shot.time >= self.end:
                return
            ticks = max(0, round((shot.time - self.start) / self.time_base))
            end = round((shot.time + shot.duration - self.start) / self.time_base)
            if last is None or ticks > last:  # no encoder takes two frames at one time
                yield shot, ticks, max(1, end - ticks)
                last = ticks

    def _evenly(self, after: int | None) -> Iterator[tuple[Shot, int, int]]:
        """At every tick the frame that is shown then."""
        tick = 0 if after is None else after + 1

        def at(tick: int) -> Fraction:
            return self.start + tick * self.time_base

        shown: Shot | None = None
        for shot in self.source.shots(self.start if after is None else at(tick)):
            while shown is not None and at(tick) < shot.time:
                if self.end is not None and at(tick) >= self.end:
                    return
                yield shown, tick, 1
                tick += 1
            shown = shot
        if shown is not None:
            end = shown.time + shown.duration if self.end is None else self.end
            while at(tick) < min(end, shown.time + shown.duration):
                yield shown, tick, 1
                tick += 1


def exact(number: float) -> Fraction:
    """23.976 means 24000/1001."""
    return Fraction(number).limit_denominator(1001)


# Videos


class VideoFile:
    """A file that PyAV reads."""

    def __init__(self, path: Path, max_pixels: int, name: str) -> None:
        self.path, self.name = path, name
        self.tracks: Path | None = path
        self.warnings: list[str] = []
        with opened(path, name) as container:
            stream = video_stream(container, name)
            check_size(stream.width * stream.height, name, max_pixels)
            first = self._first(container, stream)
            self.turn = turn_of(first)
            height, width = first.height, first.width
            self.aspect = Fraction(stream.codec_context.sample_aspect_ratio or 1) or Fraction(1)
            if self.turn[0]:
                height, width, self.aspect = width, height, 1 / self.aspect
            self.size = height, width
            self.time_base = Fraction(stream.time_base)
            self.rate = Fraction(stream.average_rate or stream.guessed_rate or USUAL_RATE)
            # Of a transport stream the clock has been running before.
            self.origin = max(Fraction(0), Fraction(container.start_time or 0, 1_000_000))
            if stream.duration:
                self.length = stream.duration * self.time_base
            else:
                self.length = Fraction(container.duration or 0, 1_000_000)
            if not (1 <= self.rate <= 1000):
                self.rate = Fraction(USUAL_RATE)
            if is_hdr(first):
                self.warnings.append(f"{name} is HDR: its light is fitted into 8 bits of SDR.")
            elif bits_of(first) > 8:
                self.warnings.append(f"{name} has {bits_of(first)} bits: it is painted from 8.")

    def _first(self, container: Any, stream: Any) -> Any:
        try:
            for packet in container.demux(stream):
                for frame in _decoded(packet):
                    return frame
        except (OSError, ValueError) as error:
            raise unreadable(self.name, error) from error
        raise ImageError(f"{self.name}: no frame of the clip can be decoded; get it again.")

    def shots(self, since: Fraction) -> Iterator[Shot]:
        found = False
        for shot in self._shots(since, seek=since > 0):
            if not found and since > 0 and shot.time > since + SLOW_START:
                break  # the seek went too far
            found = True
            yield shot
        else:
            return
        yield from self._shots(since, seek=False)

    def _shots(self, since: Fraction, *, seek: bool) -> Iterator[Shot]:
        """From a time on, the frame that is shown then the first.

        Without a seek all is decoded from the beginning.
        """
        convert: ToRgb | None = None

        def pixels(frame: Any, size: tuple[int, int]) -> np.ndarray:
            nonlocal convert
            before = size[::-1] if self.turn[0] else size
            if convert is None or convert.size != before:
                convert = ToRgb(before)
            return turned(convert(frame), self.turn)

        last: Shot | None = None
        for time, frame in self._frames(since if seek else None):
            duration = (frame.duration or 0) * Fraction(frame.time_base) or 1 / self.rate
            shot = Shot(time, duration, partial(pixels, frame))
            if time < since:
                last = shot
                continue
            if last is not None and time > since:
                yield last
            last = None
            yield shot
        if last is not None:
            yield last

    def _frames(self, since: Fraction | None) -> Iterator[tuple[Fraction, Any]]:
        """Frames with their times, from the last one before ``since`` that stands by itself."""
        damaged, end = 0, Fraction(0)
        with opened(self.path, self.name) as container:
            stream = video_stream(container, self.name)
            stream.thread_type = "AUTO"
            try:
                if since is not None:
                    container.seek(int((since + self.origin) / self.time_base), stream=stream)
                for packet in container.demux(stream):
                    try:
                        for frame in packet.decode():
                            time = self._time(frame)
                            if time is not None:
                                end = time
                                yield time, frame
                    except import_av().error.InvalidDataError:
                        damaged += 1
            except (OSError, ValueError) as error:
                self.warnings.append(
                    f"{self.name} is damaged after {float(end):.1f} s ({reason(error)}): what "
                    "follows is missing."
                )
                return
        if damaged:
            self.warnings.append(f"{self.name}: {damaged} frames are damaged and left out.")
        if end + 1 / self.rate < self.length * Fraction(1 - TRUNCATED):
            self.warnings.append(
                f"{self.name} ends after {float(end):.1f} of {float(self.length):.1f} s: the file "
                "is truncated."
            )

    def _time(self, frame: Any) -> Fraction | None:
        """Seconds from the beginning of the clip; None: nobody knows."""
        ticks = frame.dts if frame.pts is None else frame.pts
        return None if ticks is None else ticks * Fraction(frame.time_base) - self.origin


def _decoded(packet: Any) -> list[Any]:
    try:
        return list(packet.decode())
    except import_av().error.InvalidDataError:
        return []


def opened(path: Path, name: str) -> Any:
    """A file as PyAV's container, to be closed. Raises ImageError in one line."""
    av = import_av("A clip")
    with open_file(path) as file:
        head = file.read(512)
    if not head:
        raise ImageError(f"{name}: cannot read the clip: the file is empty; get it again.")
    try:
        return av.open(str(path), metadata_errors="replace")
    except (OSError, ValueError) as error:
        raise unreadable(name, error, head) from error


def unreadable(name: str, error: Exception, head: bytes = b"") -> ImageError:
    """The error for a file that is no clip, or a damaged one."""
    kind = kind_by_content(head)
    if kind is not None and kind is not VIDEO:
        return ImageError(f"{name}: {kind}")
    if head and is_text(head):
        return ImageError(f"{name}: this is a text file, not a clip.")
    why = reason(error)
    # FFmpeg calls much of what it cannot make sense of an input/output error.
    if any(sign in str(error) for sign in ("Invalid data", "End of file", "Input/output error")):
        why = "it is truncated, damaged or no video; get it again"
    return ImageError(f"{name}: cannot read the clip: {why}.")


def video_stream(container: Any, name: str) -> Any:
    """The stream of pictures. Raises ImageError where there is none."""
    moving = [s for s in container.streams.video if not is_cover(s)]
    if moving:
        return max(moving, key=lambda s: s.codec_context.width * s.codec_context.height)
    what = "sound alone" if container.streams.audio else "no pictures"
    raise ImageError(f"{name}: no video stream in it: it holds {what}.")


def is_cover(stream: Any) -> bool:
    """Whether a stream is the picture of an album."""
    return bool(stream.disposition.value & 0x400)  # AV_DISPOSITION_ATTACHED_PIC


Turn = tuple[bool, bool, bool]  # transpose, then flip left and right, then up and down


def turn_of(frame: Any) -> Turn:
    """What makes a frame upright, by its display matrix."""
    for side in frame.side_data:
        if side.type.name == "DISPLAYMATRIX":
            a, b, _, c, d = np.frombuffer(bytes(side), np.int32)[:5]
            return (False, a < 0, d < 0) if abs(a) >= abs(c) else (True, c < 0, b < 0)
    return False, False, False


def turned(pixels: np.ndarray, turn: Turn) -> np.ndarray:
    """``HxWx3`` turned upright."""
    transpose, across, down = turn
    if transpose:
        pixels = pixels.transpose(1, 0, 2)
    if across:
        pixels = pixels[:, ::-1]
    return np.ascontiguousarray(pixels[::-1] if down else pixels)


# Animated pictures


class AnimatedPicture:
    """A GIF, WebP or PNG of several pictures, read by Pillow; what is transparent is white."""

    time_base, aspect, origin = Fraction(1, 1000), Fraction(1), Fraction(0)
    tracks: Path | None = None

    def __init__(self, path: Path, max_pixels: int, name: str) -> None:
        self.path, self.name = path, name
        self.warnings: list[str] = []
        try:
            with (
                open_file(path) as stream,
                recognized(stream, name, max_pixels) as image,
            ):
                self.size = image.height, image.width
                times = list(self._durations(image))
        except (OSError, ValueError, EOFError) as error:
            raise ImageError(f"{name}: cannot read the animation: {reason(error)}.") from error
        self.length = Fraction(sum(times), 1000)
        self.rate = Fraction(1000 * len(times), max(1, sum(times)))

    @staticmethod
    def _durations(image: Any) -> Iterator[int]:
        """Milliseconds of each picture; what has none or next to none is shown for a tenth of a
        second by browsers.
        """
        for number in range(image.n_frames):
            image.seek(number)
            image.load()  # WebP tells it then
            duration = round(image.info.get("duration") or 0)
            yield duration if duration > 10 else 100

    def shots(self, since: Fraction) -> Iterator[Shot]:
        from PIL import Image

        time = Fraction(0)
        with Image.open(self.path, formats=("GIF", "WEBP", "PNG", "AVIF")) as image:
            for number in range(image.n_frames):
                try:
                    image.seek(number)
                    image.load()
                except (OSError, ValueError, EOFError) as error:
                    self.warnings.append(
                        f"{self.name} is damaged after {float(time):.1f} s ({reason(error)}): "
                        "what follows is missing."
                    )
                    return
                duration = round(image.info.get("duration") or 0)
                lasts = Fraction(duration if duration > 10 else 100, 1000)
                if time + lasts > since:
                    picture = image.convert("RGBA")
                    yield Shot(time, lasts, partial(_on_white, picture))
                time += lasts


def _on_white(picture: Any, size: tuple[int, int]) -> np.ndarray:
    from PIL import Image

    whole = Image.new("RGBA", picture.size, "white")
    whole.alpha_composite(picture)
    rgb = whole.convert("RGB")
    if rgb.size != size[::-1]:
        rgb = rgb.resize(size[::-1], Image.Resampling.LANCZOS)
    return np.asarray(rgb)


# Numbered pictures


class NumberedPictures:
    """``frames/%04d.png``: pictures whose numbers follow each other, read as photos are; or those
    of a folder, in the order of their names.
    """

    aspect, origin = Fraction(1), Fraction(0)
    tracks: Path | None = None

    def __init__(self, path: Path, fps: float | None, max_pixels: int = MAX_PIXELS) -> None:
        self._read = partial(read_image, max_pixels=max_pixels)
        self.warnings: list[str] = []
        self._paths = numbered(path)
        if not self._paths:
            raise ImageError(f"No pictures are called {str(path)!r}: name them frames/%04d.png.")
        self.rate = exact(fps or USUAL_RATE)
        self.time_base = 1 / self.rate
        self.length = len(self._paths) * self.time_base
        shape = self._read(self._paths[0]).rgb.shape
        self.size = shape[-2], shape[-1]

    def shots(self, since: Fraction) -> Iterator[Shot]:
        from cnnart.image.picture import resize

        def pixels(path: Path, size: tuple[int, int]) -> np.ndarray:
            rgb = resize(self._read(path).rgb, *size)[0].permute(1, 2, 0)
            return np.asarray((rgb * 255).round().byte().numpy())

        for number, path in enumerate(self._paths):
            time = number * self.time_base
            if time + self.time_base > since:
                yield Shot(time, self.time_base, partial(pixels, path))
