"""Frames out of clips: times, rotation, parts of a clip, animated and numbered pictures, errors."""

from __future__ import annotations

import math
import sys
from fractions import Fraction
from pathlib import Path

import av
import numpy as np
import pytest
from PIL import Image

from cnnart.errors import ImageError, UsageError
from cnnart.video import read as read_module
from cnnart.video.config import ClipConfig
from cnnart.video.read import ClipReader, Frame, open_source
from tests.helpers.clips import picture, save_clip, save_sound

VFR = [0, 500, 1500, 1600, 5000, 5100, 9000, 20000]  # ticks of a ten-thousandth of a second


def read(path: Path, **settings: object) -> tuple[ClipReader, list[Frame]]:
    config = ClipConfig(**settings)  # type: ignore[arg-type]
    source = open_source(path, config.fps)
    reader = ClipReader(source, config, source.size)
    return reader, list(reader.frames())


def seconds(reader: ClipReader, frames: list[Frame]) -> list[float]:
    return [float(frame.ticks * reader.time_base) for frame in frames]


def test_every_frame_comes_with_its_time(tmp_path: Path) -> None:
    reader, frames = read(save_clip(tmp_path / "a.mp4", 12))
    assert seconds(reader, frames) == [n / 25 for n in range(12)]
    assert reader.expected == 12
    assert reader.source.size == (48, 64)
    for number, frame in enumerate(frames):
        assert np.abs(frame.pixels.astype(int) - picture(number)).mean() < 4


def test_times_that_are_not_even_are_kept(tmp_path: Path) -> None:
    path = save_clip(tmp_path / "v.mp4", VFR, time_base=Fraction(1, 10000))
    reader, frames = read(path)
    assert [round(1e4 * time) for time in seconds(reader, frames)] == VFR


def test_a_part_of_a_clip(tmp_path: Path) -> None:
    path = save_clip(tmp_path / "a.mp4", 50, gop_size=10)
    reader, frames = read(path, start=1.0, end=1.4)
    assert seconds(reader, frames) == pytest.approx([n / 25 for n in range(10)])
    assert np.abs(frames[0].pixels.astype(int) - picture(25)).mean() < 4
    assert reader.expected == 10
    # Begun between two frames: the one that is shown then.
    reader, frames = read(path, start=1.01, end=1.09)
    assert len(frames) == 3
    assert frames[0].ticks == 0
    assert np.abs(frames[0].pixels.astype(int) - picture(25)).mean() < 4
    with pytest.raises(UsageError, match=r"lasts 2 s: `start` 3 is beyond"):
        read(path, start=3)


@pytest.mark.parametrize("fps", [5, 12.5, 50])
def test_frames_evenly_spaced(tmp_path: Path, fps: float) -> None:
    path = save_clip(tmp_path / "a.mp4", 25)
    reader, frames = read(path, fps=fps)
    assert [frame.ticks for frame in frames] == list(range(math.ceil(fps)))
    assert reader.expected == round(fps)
    for frame in frames:  # what is shown at its time
        shown = picture(int(frame.ticks / fps * 25 + 1e-6))
        assert np.abs(frame.pixels.astype(int) - shown).mean() < 4


@pytest.mark.parametrize("settings", [{}, {"fps": 10}, {"start": 0.4}, {"start": 0.4, "fps": 30}])
def test_going_on_gives_the_frames_that_would_have_come(
    tmp_path: Path, settings: dict[str, float]
) -> None:
    path = save_clip(tmp_path / "a.mp4", 40, gop_size=8)
    reader, frames = read(path, **settings)
    rest = list(reader.frames(after=frames[7].ticks))
    assert [frame.ticks for frame in rest] == [frame.ticks for frame in frames[8:]]
    for one, other in zip(rest, frames[8:], strict=True):
        assert (one.pixels == other.pixels).all()


@pytest.mark.parametrize("degrees", [90, -90, 180])
def test_a_rotated_clip_comes_upright(tmp_path: Path, degrees: int) -> None:
    path = save_clip(tmp_path / "r.mp4", 2, rotation=degrees)
    reader, frames = read(path)
    upright = np.rot90(picture(0), degrees // 90)
    assert reader.source.size == upright.shape[:2]
    assert np.abs(frames[0].pixels.astype(int) - upright).mean() < 4


def test_odd_sizes_and_a_single_frame(tmp_path: Path) -> None:
    path = save_clip(tmp_path / "odd.mkv", 1, size=(47, 61), codec="ffv1")
    reader, frames = read(path)
    assert reader.source.size == (47, 61)
    assert [frame.pixels.shape for frame in frames] == [(47, 61, 3)]


def test_a_transport_stream_begins_at_zero(tmp_path: Path) -> None:
    reader, frames = read(save_clip(tmp_path / "a.ts", range(50, 60)))
    assert reader.source.origin == pytest.approx(2, abs=0.1)
    assert seconds(reader, frames) == pytest.approx([n / 25 for n in range(10)], abs=1e-4)


def test_another_size_is_read_at_once(tmp_path: Path) -> None:
    source = open_source(save_clip(tmp_path / "a.mp4", 2, rotation=90))
    frames = list(ClipReader(source, ClipConfig(), (32, 24)).frames())
    assert frames[0].pixels.shape == (32, 24, 3)


@pytest.mark.parametrize("name", ["a.gif", "a.webp", "a.png"])
def test_animated_pictures(tmp_path: Path, name: str) -> None:
    pictures = [Image.fromarray(picture(number)) for number in range(4)]
    options = {"lossless": True} if name.endswith("webp") else {}
    times = [40, 120, 200, 80]
    pictures[0].save(
        tmp_path / name,
        save_all=True,
        append_images=pictures[1:],
        duration=times,
        loop=0,
        **options,
    )
    reader, frames = read(tmp_path / name)
    assert [frame.ticks for frame in frames] == [0, 40, 160, 360]
    assert frames[-1].duration == 80
    worst = 12 if name.endswith("gif") else 0
    for number, frame in enumerate(frames):
        assert np.abs(frame.pixels.astype(int) - picture(number)).mean() <= worst
    rest = list(reader.frames(after=40))
    assert [frame.ticks for frame in rest] == [160, 360]


def test_numbered_pictures(tmp_path: Path) -> None:
    for number in (9, 10, 11):
        Image.fromarray(picture(number)).save(tmp_path / f"shot-{number:03d}.png")
    Image.fromarray(picture(0)).save(tmp_path / "other.png")
    reader, frames = read(tmp_path / "shot-%03d.png", fps=10)
    assert seconds(reader, frames) == pytest.approx([0, 0.1, 0.2])
    assert (frames[1].pixels == picture(10)).all()
    with pytest.raises(ImageError, match="No pictures are called"):
        open_source(tmp_path / "none-%d.png")


def test_deep_color_is_told(tmp_path: Path) -> None:
    path = save_clip(tmp_path / "ten.mkv", 1, codec="ffv1", frame_format="yuv420p10le")
    assert "has 10 bits: it is painted from 8" in read(path)[0].source.warnings[0]
    if int(av.__version__.split(".")[0]) < 18:
        pytest.skip("this PyAV cannot encode HDR from RGB")
    path = save_clip(
        *(tmp_path / "hdr.mkv", 1),
        codec="ffv1",
        frame_format="yuv420p10le",
        color_trc=16,
        color_primaries=9,
        colorspace=9,
    )
    assert "is HDR: its light is fitted" in read(path)[0].source.warnings[0]


# What is no clip


@pytest.mark.parametrize(
    ("content", "why"),
    [
        (b"", "the file is empty; get it again"),
        (b"This is not a clip.\n" * 40, "this is a text file, not a clip"),
        (b"%PDF-1.4\n" + bytes(900), "this is a PDF document"),
        (bytes(range(256)) * 40, "it is truncated, damaged or no video; get it again"),
    ],
)
def test_what_is_no_clip_is_told_in_one_line(tmp_path: Path, content: bytes, why: str) -> None:
    path = tmp_path / "clip.mp4"
    path.write_bytes(content)
    with pytest.raises(ImageError, match=why) as raised:
        open_source(path)
    assert str(raised.value).count(str(path)) == 1
    assert "\n" not in str(raised.value)


def test_no_file_a_folder_and_sound_alone(tmp_path: Path) -> None:
    with pytest.raises(ImageError, match=r"cannot read the clip: there is no such file"):
        open_source(tmp_path / "none.mp4")
    with pytest.raises(ImageError, match="it is a folder"):
        open_source(tmp_path)
    with pytest.raises(ImageError, match="no video stream in it: it holds sound alone"):
        open_source(save_sound(tmp_path / "sound.mp4"))


def test_a_truncated_clip(tmp_path: Path) -> None:
    whole = save_clip(tmp_path / "whole.mp4", 30).read_bytes()
    cut = tmp_path / "cut.mp4"  # the index is at its end
    cut.write_bytes(whole[: len(whole) // 2])
    with pytest.raises(ImageError, match="it is truncated, damaged or no video"):
        open_source(cut)
    whole = save_clip(tmp_path / "whole.mkv", 60, gop_size=10).read_bytes()
    cut = tmp_path / "cut.mkv"
    cut.write_bytes(whole[: len(whole) // 2])
    reader, frames = read(cut)
    assert 10 < len(frames) < 50
    assert reader.expected == 60
    assert "the file is truncated" in reader.source.warnings[-1]


def test_without_pyav_one_line_says_so(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = save_clip(tmp_path / "a.mp4", 1)
    monkeypatch.setitem(sys.modules, "av", None)
    with pytest.raises(UsageError, match=r"A clip needs PyAV: pip install 'cnnart\[video\]'"):
        open_source(path)


def test_a_clip_without_a_frame_that_can_be_decoded(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = save_clip(tmp_path / "a.mp4", 2)
    monkeypatch.setattr(read_module, "_decoded", lambda packet: [])
    with pytest.raises(ImageError, match="no frame of the clip can be decoded; get it again"):
        open_source(path)
