"""Small clips, made by PyAV."""

from __future__ import annotations

from collections.abc import Sequence
from fractions import Fraction
from pathlib import Path
from typing import Any

import av
import numpy as np
import pytest

SOUND = 44100  # samples a second


def picture(number: int, size: tuple[int, int] = (48, 64)) -> np.ndarray:
    """``HxWx3`` uint8: a bar that moves, a bright corner at the top left."""
    height, width = size
    across, down = np.meshgrid(np.arange(width), np.arange(height))
    pixels = np.stack([across * 2 % 200, down * 3 % 200, (across + down) % 200], -1)
    pixels[:, (6 * number) % width : (6 * number) % width + 6] = (250, 120, 20)
    pixels[: height // 4, : width // 4] = 255
    return pixels.astype(np.uint8)


def save_clip(
    path: Path | str,
    times: Sequence[int] | int = 12,
    *,
    time_base: Fraction = Fraction(1, 25),
    size: tuple[int, int] = (48, 64),
    sound: str | None = None,
    rotation: int = 0,
    codec: str = "libx264",
    pixels: Sequence[np.ndarray] = (),
    frame_format: str = "yuv420p",
    **context: Any,
) -> Path:
    """A clip whose frames have these times (a number: as many frames, one a tick).

    ``sound``: a codec's name. ``context``: attributes of the encoder.
    """
    times = range(times) if isinstance(times, int) else times
    with av.open(str(path), "w") as container:
        stream = container.add_stream(codec, rate=25)
        stream.height, stream.width = size
        stream.pix_fmt = frame_format
        stream.time_base = stream.codec_context.time_base = time_base
        stream.options = {"crf": "12", "preset": "ultrafast"} if codec == "libx264" else {}
        for name, value in context.items():
            setattr(stream.codec_context, name, value)
        if rotation:
            if not hasattr(av.VideoStream, "set_display_rotation"):
                pytest.skip("this PyAV writes no rotation")
            stream.set_display_rotation(rotation)
        track: Any = container.add_stream(sound, rate=SOUND, layout="mono") if sound else None
        for number, ticks in enumerate(times):
            shown = pixels[number] if pixels else picture(number, size)
            frame = av.VideoFrame.from_ndarray(shown, format="rgb24")
            frame.pts, frame.time_base = ticks, time_base
            container.mux(stream.encode(frame))
        container.mux(stream.encode())
        if track:
            samples = np.sin(np.arange(int((times[-1] + 1) * time_base * SOUND)) / 20)
            wave = (samples * 8000).astype(np.int16)[None]
            heard = av.AudioFrame.from_ndarray(wave, format="s16", layout="mono")
            heard.sample_rate, heard.pts = SOUND, 0
            container.mux(track.encode(heard))
            container.mux(track.encode())
    return Path(path)


def save_sound(path: Path | str) -> Path:
    """A file of sound alone."""
    with av.open(str(path), "w") as container:
        track: Any = container.add_stream("aac", rate=SOUND, layout="mono")
        heard = av.AudioFrame.from_ndarray(
            np.zeros((1, SOUND), np.int16), format="s16", layout="mono"
        )
        heard.sample_rate, heard.pts = SOUND, 0
        container.mux(track.encode(heard))
        container.mux(track.encode())
    return Path(path)


def times_of(path: Path | str) -> list[Fraction]:
    """The times of a clip's frames, in seconds."""
    with av.open(str(path)) as container:
        return [f.pts * f.time_base for f in container.decode(video=0)]


def frames_in(path: Path | str) -> list[np.ndarray]:
    """The frames of a clip as any player shows them, but for its rotation."""
    with av.open(str(path)) as container:
        return [frame.to_ndarray(format="rgb24") for frame in container.decode(video=0)]


def sound_of(path: Path | str) -> list[bytes]:
    """The packets of a clip's sound."""
    with av.open(str(path)) as container:
        return [bytes(packet) for packet in container.demux(audio=0) if packet.size]
