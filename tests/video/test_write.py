"""Pieces joined to a clip: every codec, times, sound, what else a clip has; formats by suffix."""

from __future__ import annotations

from fractions import Fraction
from pathlib import Path

import av
import numpy as np
import pytest

from cnnart.errors import UsageError
from cnnart.video.config import ClipConfig
from cnnart.video.formats import CONTAINERS, number_in, output_kind
from cnnart.video.write import ClipFormat, Piece, frames_of, join
from tests.helpers.clips import frames_in, picture, save_clip, sound_of, times_of

VFR = [0, 500, 1500, 1600, 5000, 5100, 9000, 20000, 20400, 20800, 21000, 30000]
TICK = Fraction(1, 10000)
EVERY = [(suffix, codec) for suffix, each in CONTAINERS.items() for codec in each.codecs]


def pieces_in(folder: Path, made: ClipFormat, times: list[int], each: int = 5) -> list[Path]:
    paths = []
    for begin in range(0, len(times), each):
        paths.append(folder / f"piece{begin}.mp4")
        piece = Piece(paths[-1], made)
        for number in range(begin, min(begin + each, len(times))):
            piece.add(picture(number, made.size), times[number], 400)
        piece.close()
    return paths


def made_as(suffix: str, codec: str | None, size: tuple[int, int] = (64, 96)) -> ClipFormat:
    container, codec = output_kind(suffix, codec)
    quality = ClipConfig(crf=10 if codec != "prores" else None).quality(codec) if codec else None
    return ClipFormat(container, codec, quality, size, TICK, Fraction(10))


@pytest.mark.parametrize(("suffix", "codec"), EVERY)
def test_every_codec_keeps_frames_times_and_length(tmp_path: Path, suffix: str, codec: str) -> None:
    made = made_as(suffix, codec)
    out = tmp_path / f"out{suffix}"
    assert join(out, pieces_in(tmp_path, made, VFR), made, VFR[-1] + 400) == []
    tick = 1000 if suffix in (".mkv", ".webm") else 10000  # Matroska knows milliseconds
    assert [round(float(t) * tick) for t in times_of(out)] == [round(t * tick / 1e4) for t in VFR]
    found = frames_in(out)
    assert len(found) == len(VFR)
    for number, frame in enumerate(found):
        assert np.abs(frame.astype(int) - picture(number, (64, 96))).mean() < 6
    with av.open(str(out)) as container:
        assert container.duration / 1e6 == pytest.approx(3.04, abs=0.09)
        context = container.streams.video[0].codec_context
        assert context.colorspace == 1
        assert context.color_range == 1 or codec == "prores"  # PyAV 17 does not tell of that
        if codec == "hevc" and suffix != ".mkv":
            assert context.codec_tag == "hvc1"


def test_the_last_frame_lasts_as_long_as_any(tmp_path: Path) -> None:
    """Also where a container counts in other ticks than the clip."""
    made = ClipFormat("mp4", "h264", 20, (64, 96), Fraction(1, 10), Fraction(10))
    piece = Piece(tmp_path / "piece.mp4", made)
    for number in range(3):
        piece.add(picture(number, made.size), number, 1)
    piece.close()
    join(tmp_path / "out.mp4", [tmp_path / "piece.mp4"], made, 3)
    with av.open(str(tmp_path / "out.mp4")) as container:
        assert container.duration / 1e6 == pytest.approx(0.3)
    assert times_of(tmp_path / "out.mp4") == [0, Fraction(1, 10), Fraction(2, 10)]


def test_odd_sizes_get_their_last_row_and_column_twice(tmp_path: Path) -> None:
    made = made_as(".mp4", "h264", (47, 61))
    join(tmp_path / "out.mp4", pieces_in(tmp_path, made, [0, 400]), made, 800)
    first = frames_in(tmp_path / "out.mp4")[0]
    assert first.shape == (48, 62, 3)
    assert np.abs(first[:47, :61].astype(int) - picture(0, (47, 61))).mean() < 6


def test_pieces_for_pictures_lose_nothing(tmp_path: Path) -> None:
    made = made_as(".gif", None, (47, 61))
    found = list(frames_of(pieces_in(tmp_path, made, VFR)))
    assert len(found) == len(VFR)
    for number, frame in enumerate(found):
        assert (frame == picture(number, (47, 61))).all()


def test_pixels_that_are_not_square(tmp_path: Path) -> None:
    made = ClipFormat("mp4", "h264", 20, (64, 96), TICK, Fraction(10), Fraction(4, 3))
    join(tmp_path / "out.mp4", pieces_in(tmp_path, made, [0, 400]), made, 800)
    with av.open(str(tmp_path / "out.mp4")) as container:
        assert container.streams.video[0].sample_aspect_ratio == Fraction(4, 3)


# Sound, subtitles, chapters


@pytest.fixture
def painted(tmp_path: Path):
    """A function that joins a painted second with what goes with a clip."""

    def join_with(source: Path, suffix: str, codec: str | None = None, **more: object):
        made = made_as(suffix, codec)
        times = [400 * n for n in range(25)]
        out = tmp_path / f"painted{suffix}"
        pieces = pieces_in(tmp_path, made, times, 25)
        notes = join(out, pieces, made, 10000, sound_of=source, **more)  # type: ignore[arg-type]
        return out, notes

    return join_with


@pytest.mark.parametrize(
    ("sound", "suffix"),
    [("aac", ".mp4"), ("aac", ".mkv"), ("libmp3lame", ".mp4"), ("pcm_s16le", ".mov")],
)
def test_sound_is_copied_bit_for_bit(tmp_path: Path, painted, sound: str, suffix: str) -> None:
    source = save_clip(tmp_path / "source.mkv", 25, sound=sound)
    out, notes = painted(source, suffix)
    assert notes == []
    assert b"".join(sound_of(out)) == b"".join(sound_of(source))


def test_sound_stays_with_the_pictures(tmp_path: Path, painted) -> None:
    source = save_clip(tmp_path / "source.mp4", 25, sound="aac")
    for suffix in (".mp4", ".mkv"):
        out, _ = painted(source, suffix)
        lag = []
        for path in (source, out):
            with av.open(str(path)) as container:
                heard = next(p for p in container.demux(audio=0) if p.pts is not None)
                lag.append(float(heard.pts * heard.time_base - times_of(path)[0]))
        assert lag[0] == pytest.approx(lag[1], abs=0.0011)


def test_sound_that_does_not_fit_is_encoded_anew(tmp_path: Path, painted) -> None:
    source = save_clip(tmp_path / "source.mp4", 25, sound="aac")
    out, notes = painted(source, ".webm")
    assert notes == ["the sound (aac) does not go into this kind of file: encoded as libopus."]
    with av.open(str(out)) as container:
        seconds = sum(f.samples for f in container.decode(audio=0)) / 48000
    assert seconds == pytest.approx(1, abs=0.05)
    source = save_clip(tmp_path / "source.mkv", 25, sound="pcm_s16le")
    assert "encoded as aac" in painted(source, ".mp4")[1][0]


def test_the_sound_of_a_part(tmp_path: Path, painted) -> None:
    source = save_clip(tmp_path / "source.mp4", 100, sound="aac")
    out, _ = painted(source, ".mp4", start=Fraction(2))
    heard = sound_of(out)
    assert heard == sound_of(source)[-len(heard) :][: len(heard)] or set(heard) <= set(
        sound_of(source)
    )
    assert 42 <= len(heard) <= 46  # packets of 1,024 samples in a second
    with av.open(str(out)) as container:
        first = next(p for p in container.demux(audio=0) if p.pts is not None)
        assert abs(float(first.pts * first.time_base)) < 0.03


LINES = """1
00:00:01,000 --> 00:00:01,500
before

2
00:00:02,200 --> 00:00:02,700
then
"""


def test_subtitles_go_with_it_where_they_can(tmp_path: Path, painted) -> None:
    (tmp_path / "lines.srt").write_text(LINES)
    seen, told = save_clip(tmp_path / "seen.mkv", 100), tmp_path / "told.mkv"
    with (
        av.open(str(seen)) as given,
        av.open(str(tmp_path / "lines.srt")) as lines,
        av.open(str(told), "w") as out,
    ):
        stream = out.add_stream_from_template(given.streams.video[0])
        read = out.add_stream_from_template(lines.streams.subtitles[0])
        for packet in [*lines.demux(), *given.demux()]:
            if packet.dts is not None:
                packet.stream = read if packet.stream.type == "subtitle" else stream
                out.mux(packet)
    out, notes = painted(told, ".mkv", start=Fraction(2))
    assert notes == []
    with av.open(str(out)) as container:
        found = [packet for packet in container.demux(subtitles=0) if packet.size]
        assert [bytes(packet) for packet in found] == [b"then"]
        assert float(found[0].pts * found[0].time_base) == pytest.approx(0.2)
    _, notes = painted(told, ".mp4")
    assert notes == ["the subtitles (subrip) do not go into this kind of file: take .mkv."]


SAID = {
    "title": "A walk",
    "artist": "Anna B",
    "location": "+48.1+011.5/",
    "com.apple.quicktime.make": "Telefon",
    "copyright": "2020 Anna",
}


def test_chapters_go_with_it_and_what_metadata_lets(tmp_path: Path, painted) -> None:
    source = save_clip(tmp_path / "source.mkv", 100, sound="aac")
    told = tmp_path / "told.mkv"
    with av.open(str(source)) as given, av.open(str(told), "w") as out:
        out.metadata.update(SAID)
        stream = out.add_stream_from_template(given.streams.video[0])
        heard = out.add_stream_from_template(given.streams.audio[0])
        heard.metadata.update({"title": "Anna's microphone", "language": "deu"})
        chapter = {"time_base": Fraction(1, 1000), "metadata": {"title": "one"}}
        out.set_chapters(
            [
                {"id": 1, "start": 0, "end": 2500, **chapter},
                {"id": 2, "start": 2500, "end": 4000, **chapter},
            ]
        )
        for packet in given.demux(given.streams.video[0], given.streams.audio[0]):
            if packet.dts is not None:
                packet.stream = heard if packet.stream.type == "audio" else stream
                out.mux(packet)
    out, _ = painted(told, ".mp4", start=Fraction(2), record="{}")
    with av.open(str(out)) as container:
        assert container.metadata["copyright"] == "2020 Anna"
        assert container.metadata["comment"] == "{}"
        assert container.streams.audio[0].metadata["language"] == "deu"
        kept = [
            (c["start"] * c["time_base"], c["end"] * c["time_base"]) for c in container.chapters()
        ]
    assert kept == [(0, 0.5), (0.5, 1)]
    private = (b"A walk", b"Anna B", b"+48.1", b"Telefon", b"Anna's microphone")
    for suffix in (".mp4", ".mov", ".mkv"):
        out, _ = painted(told, suffix)
        said = out.read_bytes()
        assert b"2020 Anna" in said
        assert b"one" in said
        assert not [each for each in private if each in said]
        out, _ = painted(told, suffix, metadata="none")
        said = out.read_bytes()
        assert not [each for each in (*private, b"2020 Anna") if each in said]
        with av.open(str(out)) as container:
            assert [chapter["metadata"].get("title", "") for chapter in container.chapters()] == [
                ""
            ]
    out, _ = painted(told, ".mkv", metadata="all")
    assert all(each in out.read_bytes() for each in private)


# Names


def test_formats_by_suffix() -> None:
    assert output_kind(".MP4", None) == ("mp4", "h264")
    assert output_kind(".webm", None) == ("webm", "vp9")
    assert output_kind(".gif", None) == ("gif", None)
    with pytest.raises(UsageError, match=r"prores does not go into .mp4: choose .mov, .mkv"):
        output_kind(".mp4", "prores")
    with pytest.raises(UsageError, match=r"written as .mp4, .*, not .png"):
        output_kind(".png", None)
    with pytest.raises(UsageError, match=r"`codec` is for videos, and .gif has none"):
        output_kind(".gif", "h264")


def test_numbers_in_names() -> None:
    assert number_in("a-0012.png", "a-%04d.png") == 12
    assert number_in("a-12.png", "a-%d.png") == 12
    assert number_in("b-12.png", "a-%d.png") is None


def test_settings_that_make_no_sense() -> None:
    with pytest.raises(UsageError, match=r"end at 5 s, before it begins \(7 s\)"):
        ClipConfig(start=7, end=5)
    with pytest.raises(UsageError, match="`crf` 60 is out of range for h264: use 0 to 51"):
        ClipConfig(crf=60).quality("h264")
    with pytest.raises(UsageError, match="prores has no constant rate factor"):
        ClipConfig(crf=20).quality("prores")
