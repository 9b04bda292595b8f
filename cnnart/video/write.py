"""A clip out of painted frames: encoded piece by piece, then joined with its sound.

Every piece begins with a frame that stands by itself and is as long as any other, so that a run
that was cut off goes on from the last one that is whole and encodes the same.
"""

from __future__ import annotations

import heapq
import os
from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass
from fractions import Fraction
from pathlib import Path
from typing import Any

import numpy as np

from cnnart.files import new_file
from cnnart.image.animation import import_av
from cnnart.video.color import FromRgb

# Encoders: libavcodec's name, the pixel format, options beside the constant rate factor.
QUIET_X265 = "log-level=error"
# With x264's macroblock tree the same frames are encoded now so, now so (first pieces of 176 x 144:
# 10 of 15 runs differed; without it, or without its assembler, none): a run that goes on would not
# give the frames of an undisturbed one.
NO_TREE = "no-mbtree=1"
ENCODERS: dict[str | None, tuple[str, str, dict[str, str]]] = {
    "h264": ("libx264", "yuv420p", {"preset": "veryfast", "x264-params": NO_TREE}),
    "hevc": ("libx265", "yuv420p", {"preset": "fast", "x265-params": QUIET_X265}),
    "vp9": ("libvpx-vp9", "yuv420p", {"b": "0", "cpu-used": "5", "row-mt": "1"}),
    "av1": ("libsvtav1", "yuv420p", {"preset": "9"}),
    "prores": ("prores_ks", "yuv422p10le", {"profile": "3"}),
    # Without loss, for animated and numbered pictures, which are made of the pieces in the end.
    None: ("libx264rgb", "rgb24", {"preset": "ultrafast", "qp": "0"}),
}
# What a clip says of itself that is fit for others, and what is no longer true of the new one.
PUBLIC_KEYS = ("copyright", "date", "creation_time", "genre", "language")
STALE_KEYS = ("major_brand", "minor_version", "compatible_brands", "encoder", "duration")
SOUND_RATE = 48000


@dataclass(frozen=True)
class ClipFormat:
    """How a clip is written: see ``ENCODERS``; ``container`` is libavformat's name.

    size: height and width of the frames. rate: a second, about. aspect: of a pixel.
    """

    container: str
    codec: str | None
    quality: int | None
    size: tuple[int, int]
    time_base: Fraction
    rate: Fraction
    aspect: Fraction = Fraction(1)


class Piece:
    """A file of some frames, to be closed."""

    def __init__(self, path: Path, made: ClipFormat) -> None:
        av = import_av("A clip")
        encoder, pixels, options = ENCODERS[made.codec]
        if made.codec == "av1":
            os.environ.setdefault("SVT_LOG", "1")  # its encoder talks to standard error
        self._made = made
        self._container = av.open(str(path), "w", format="mov" if made.codec == "prores" else "mp4")
        stream = self._stream = self._container.add_stream(
            encoder, rate=made.rate.limit_denominator(1 << 16)
        )
        height, width = made.size
        if pixels.startswith("yuv"):  # its color is coarser than its light
            height, width = height + height % 2, width + width % 2
        stream.width, stream.height, stream.pix_fmt = width, height, pixels
        stream.time_base = stream.codec_context.time_base = made.time_base
        stream.codec_context.sample_aspect_ratio = made.aspect
        if pixels != "rgb24":
            context = stream.codec_context
            context.colorspace = context.color_primaries = context.color_trc = 1
            context.color_range = 1
        stream.options = options | ({} if made.quality is None else {"crf": str(made.quality)})
        self._packets: list[Any] = []  # of a piece, few
        self._convert = FromRgb((height, width), pixels)

    def add(self, pixels: np.ndarray, ticks: int, duration: int) -> None:
        """``HxWx3`` uint8."""
        height, width = self._made.size
        across, down = self._stream.width - width, self._stream.height - height
        if across or down:
            pixels = np.pad(pixels, ((0, down), (0, across), (0, 0)), mode="edge")
        frame = self._convert(pixels)
        frame.pts, frame.time_base, frame.duration = ticks, self._made.time_base, duration
        self._packets += self._stream.encode(frame)

    def close(self) -> None:
        """Write what was added. Raises OSError."""
        try:
            self._packets += self._stream.encode()
            times = [packet.pts for packet in self._packets]
            # Of a few frames x265 makes up decoding times that no container takes.
            ahead = decoding_times(times, delay_of(times))
            for packet in self._packets:
                packet.dts = ahead.pop(0)
                self._container.mux(packet)
        finally:
            self._packets.clear()
            self._container.close()


def delay_of(times: Sequence[int]) -> int:
    """By how many frames decoding must be ahead, for frames with these times in its order."""
    ranks = {ticks: rank for rank, ticks in enumerate(sorted(times))}
    return max((place - ranks[ticks] for place, ticks in enumerate(times)), default=0)


def decoding_times(times: Sequence[int], delay: int) -> list[int]:
    """Times of decoding for frames with these times, which is so many frames ahead; the last ones
    are those of frames to come.
    """
    ordered = sorted(times)
    step = ordered[1] - ordered[0] if len(ordered) > 1 else 1
    before = [ordered[0] - step * left for left in range(delay, 0, -1)]
    return [*before, *ordered]


def packets_of(pieces: Sequence[Path], end: Fraction, *, mov: bool) -> Iterator[Any]:
    """The packets of pieces in order, as one stream's: their decoding times follow each other,
    whatever the encoder thought of what came before. The last frame lasts until ``end`` (seconds).

    ``mov``: for a container that adds up durations in the order of decoding.
    """
    delay, last = 0, 0
    for path in pieces:
        times = [packet.pts for packet in _demuxed(path)]
        delay, last = max(delay, delay_of(times)), max(last, *times)
    before: list[int] = []
    begin: tuple[int, int] | None = None
    for path in pieces:
        packets = list(_demuxed(path))
        times = [packet.pts for packet in packets]
        before += sorted(times) if begin else decoding_times(times, delay)
        for packet in packets:
            packet.dts = before.pop(0)
            begin = begin or (packet.pts, packet.dts)
            ends = round(end / packet.time_base)
            left = max(1, ends - packet.pts)
            packet.duration = left if packet.pts == last else min(packet.duration or 1, left)
            if mov and path == pieces[-1] and packet is packets[-1]:
                packet.duration = max(1, ends - begin[0] - (packet.dts - begin[1]))
            yield packet


def _demuxed(path: Path) -> Iterator[Any]:
    with import_av().open(str(path)) as container:
        for packet in container.demux(container.streams.video[0]):
            if packet.pts is not None:
                yield packet


def join(
    target: Path,
    pieces: Sequence[Path],
    made: ClipFormat,
    end: int,
    *,
    sound_of: Path | None = None,
    start: Fraction = Fraction(0),
    record: str | None = None,
    metadata: str = "public",
) -> list[str]:
    """Write pieces as one clip, whole or not at all; returns what went otherwise, a line each.

    Args:
        end: of the last frame, in ticks.
        sound_of: the clip whose sound, subtitles and chapters go with it.
        start: where the part of that clip begins, on its own clock, in seconds.
        record: text for ``read_mp4_record``.
        metadata: what is kept of what the clip says of itself, as in ``OutputOptions``: ``public``
            (time, copyright, genre; chapters with their titles), ``all``, or ``none``.

    Raises OSError.
    """
    av = import_av()
    notes: list[str] = []
    mov = made.container in ("mp4", "mov")
    options = {"movflags": "+faststart"} if mov else {}
    with (
        new_file(target) as part,
        av.open(str(part), "w", format=made.container, options=options) as out,
    ):
        with av.open(str(pieces[0])) as first:
            stream = out.add_stream_from_template(first.streams.video[0], opaque=True)
            stream.time_base = made.time_base
            if made.codec == "hevc" and mov:
                stream.codec_context.codec_tag = "hvc1"  # without which Apple shows nothing
        tracks: list[Iterable[Any]] = [
            _for(stream, packets_of(pieces, end * made.time_base, mov=mov))
        ]
        source = av.open(str(sound_of), metadata_errors="replace") if sound_of else None
        try:
            if source:
                window = Window(start, end * made.time_base)
                tracks += [
                    track
                    for given in (*source.streams.audio, *source.streams.subtitles)
                    if (
                        track := _track(
                            out, given, sound_of, window, made.container, notes, metadata
                        )
                    )
                ]
                _chapters(out, source, window, titled=metadata != "none")
                if metadata != "none":
                    out.metadata.update(_told(source.metadata, metadata, PUBLIC_KEYS))
            if record:
                out.metadata["comment"] = record
            # In the order of their times, or a muxer would keep one whole track in memory.
            for packet in heapq.merge(*tracks, key=_when):
                out.mux(packet)
        finally:
            if source:
                source.close()
    return notes


def _told(said: Mapping[str, str], metadata: str, public: Sequence[str]) -> dict[str, str]:
    """What is kept of what a clip or a track says of itself; Matroska's keys are in capitals."""
    by_key = {key.lower(): text for key, text in said.items()}
    if metadata == "all":
        return {key: text for key, text in by_key.items() if key not in STALE_KEYS}
    return {key: text for key, text in by_key.items() if key in public}


def _for(stream: Any, packets: Iterable[Any]) -> Iterator[Any]:
    for packet in packets:
        packet.stream = stream
        yield packet


def _when(packet: Any) -> Fraction:
    return Fraction(packet.pts if packet.dts is None else packet.dts) * packet.time_base


# What goes with the pictures


@dataclass(frozen=True)
class Window:
    """Part of a clip: ``start`` on the clip's own clock, and ``length``, in seconds."""

    start: Fraction
    length: Fraction


def _track(
    out: Any,
    given: Any,
    path: Path | None,
    window: Window,
    container: str,
    notes: list[str],
    metadata: str,
) -> Iterator[Any] | None:
    """A track of the source in the result: its packets as they are, or encoded anew; None, and a
    note, where it cannot go there.
    """
    assert path is not None
    if not given.codec_context:
        notes.append(f"a track of {given.type} is in a codec that is not known, and left out.")
        return None
    name = given.codec_context.codec.canonical_name
    played = PLAYED.get((container, given.type))
    if played is None or name in played:
        with suppress(ValueError):  # of a codec that is not for this container
            stream = out.add_stream_from_template(given, opaque=True)
            # A player picks a track by its language.
            stream.metadata.update(_told(given.metadata, metadata, ("language",)))
            return _copied(stream, given, path, window)
    if given.type == "subtitle":
        notes.append(f"the subtitles ({name}) do not go into this kind of file: take .mkv.")
        return None
    codec = "libopus" if container == "webm" else "aac"
    notes.append(f"the sound ({name}) does not go into this kind of file: encoded as {codec}.")
    stream = out.add_stream(codec, rate=SOUND_RATE, layout=_layout(given))
    return _encoded(stream, given, path, window)


# Where libavformat would take what few players play.
PLAYED = {
    ("mp4", "audio"): ("aac", "mp3", "ac3", "eac3", "alac", "opus", "flac"),
    ("webm", "audio"): ("opus", "vorbis"),
    ("mp4", "subtitle"): ("mov_text",),
    ("mov", "subtitle"): ("mov_text",),
    ("webm", "subtitle"): ("webvtt",),
}


def _layout(given: Any) -> str:
    return "mono" if given.codec_context.channels == 1 else "stereo"


def _packets(given: Any, path: Path, window: Window) -> Iterator[tuple[Fraction, Any]]:
    """The packets of a track that begin in a part of a clip, with their times, by a reader of its
    own: tracks are read side by side.
    """
    with import_av().open(str(path), metadata_errors="replace") as container:
        stream = container.streams[given.index]
        if window.start > 0:
            container.seek(max(0, int(window.start * 1_000_000) - 1_000_000))
        for packet in container.demux(stream):
            ticks = packet.pts if packet.pts is not None else packet.dts
            if ticks is None:
                continue
            time = ticks * Fraction(packet.time_base) - window.start
            if time >= window.length:
                return
            lasts = (packet.duration or 0) * Fraction(packet.time_base)
            # What is primed before the first sound is part of it.
            if time + lasts > 0 or window.start == 0:
                yield time, packet


def _copied(stream: Any, given: Any, path: Path, window: Window) -> Iterator[Any]:
    shift: int | None = None
    for _, packet in _packets(given, path, window):
        if shift is None:
            shift = round(window.start / Fraction(packet.time_base))
        packet.pts = None if packet.pts is None else packet.pts - shift
        packet.dts = None if packet.dts is None else packet.dts - shift
        packet.stream = stream
        yield packet


def _encoded(stream: Any, given: Any, path: Path, window: Window) -> Iterator[Any]:
    for _, packet in _packets(given, path, window):
        for frame in packet.decode():
            if frame.pts is not None:
                frame.pts -= round(window.start / Fraction(frame.time_base))
            yield from stream.encode(frame)
    yield from stream.encode(None)


def _chapters(out: Any, source: Any, window: Window, *, titled: bool) -> None:
    kept = []
    for chapter in source.chapters():
        base = Fraction(chapter["time_base"])
        start = chapter["start"] * base - window.start
        end = min(chapter["end"] * base - window.start, window.length)
        if end > 0 and start < window.length:
            start = max(start, Fraction(0))
            untitled: dict[str, Any] = {} if titled else {"metadata": {}}
            kept.append(chapter | {"start": int(start / base), "end": int(end / base)} | untitled)
    if kept:
        out.set_chapters(kept)


def frames_of(pieces: Sequence[Path]) -> Iterator[np.ndarray]:
    """The frames of pieces without loss, ``HxWx3`` uint8."""
    for path in pieces:
        with import_av().open(str(path)) as container:
            for frame in container.decode(video=0):
                yield frame.to_ndarray(format="rgb24")
