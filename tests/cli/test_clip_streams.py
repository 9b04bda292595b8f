"""Clips through standard input and pipes, and to standard output."""

from __future__ import annotations

import gc
import io
import os
import sys
import tempfile
import threading
from collections.abc import Callable
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
from PIL import Image

import cnnart
from cnnart.__main__ import main
from cnnart.errors import UsageError
from cnnart.run import clip_run
from cnnart.run.inputs import expand
from tests.cli.test_fast_stylize_clips import Killed, paint_only, same
from tests.helpers.clips import frames_in, picture, save_clip, save_sound, sound_of, times_of
from tests.helpers.fast import saved
from tests.helpers.files import save_picture

QUICK = ("--precision", "fp32", "--device", "cpu")
posix = pytest.mark.skipif(sys.platform == "win32", reason="there are no named pipes")


@pytest.fixture(autouse=True)
def temporary(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """The folder for temporary files."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.delenv("CNNART_DEBUG", raising=False)
    saved(Path("one.safetensors"), "candy")
    Path("temporary").mkdir()
    monkeypatch.setattr(tempfile, "tempdir", str(tmp_path / "temporary"))
    return tmp_path / "temporary"


@pytest.fixture
def piped(monkeypatch: pytest.MonkeyPatch) -> Callable[[Path | str | bytes], None]:
    """Puts a file, or bytes, into standard input."""

    def pipe(content: Path | str | bytes) -> None:
        data = content if isinstance(content, bytes) else Path(content).read_bytes()
        stream = SimpleNamespace(buffer=io.BytesIO(data), isatty=lambda: False)
        monkeypatch.setattr("sys.stdin", stream)

    return pipe


def run(*arguments: str, command: str = "fast-stylize") -> int:
    return main([command, *QUICK, "-s", "one.safetensors", *arguments])


def left_over(temporary: Path) -> list[Path]:
    gc.collect()
    return [*temporary.iterdir(), *Path().glob(".cnnart-*")]


def save_gif(path: str, count: int = 3) -> None:
    pictures = [Image.fromarray(picture(number)) for number in range(count)]
    pictures[0].save(path, save_all=True, append_images=pictures[1:], duration=80, loop=0)


@pytest.mark.parametrize("suffix", [".mp4", ".mkv", ".ts", ".avi", ".gif"])
def test_a_clip_comes_through_standard_input(suffix: str, piped: Any, temporary: Path) -> None:
    """That of an MP4 has its index at its end."""
    if suffix == ".gif":
        save_gif("clip.gif")
    else:
        save_clip(f"clip{suffix}", 3, codec="mpeg4" if suffix == ".avi" else "libx264")
    piped(f"clip{suffix}")
    assert run("-", "-o", "out.mp4") == 0
    assert run(f"clip{suffix}", "-o", "other.mp4") == 0
    assert same(frames_in("out.mp4"), frames_in("other.mp4"))
    assert left_over(temporary) == []


@pytest.mark.parametrize("format", ["mp4", "mkv", "webp", None])
def test_a_clip_goes_to_standard_output(
    format: str | None, piped: Any, temporary: Path, capsysbinary: pytest.CaptureFixture[bytes]
) -> None:
    save_clip("clip.mp4", [0, 1, 2, 5], sound="aac")
    piped("clip.mp4")
    as_asked = ("--format", format) if format else ()
    assert run("-", "-o", "-", *as_asked, "--no-metadata") == 0
    out = Path(f"out.{format or 'mp4'}")
    out.write_bytes(capsysbinary.readouterr().out)
    other = f"other.{format or 'mp4'}"
    assert run("clip.mp4", "-o", other, "--no-metadata") == 0
    if format == "mkv":  # which has an identifier of its own
        assert same(frames_in(out), frames_in(other))
        assert sound_of(out) == sound_of(other)
    else:
        assert out.read_bytes() == Path(other).read_bytes()
    assert left_over(temporary) == []


def test_what_is_a_photo_is_told_by_content(
    piped: Any, capsysbinary: pytest.CaptureFixture[bytes]
) -> None:
    save_picture("photo.png", 64, 48)
    save_gif("moving.gif")
    for name in ("photo.png", "moving.gif"):  # of what moves, the first picture, as before
        piped(name)
        assert run("-", "-o", "-") == 0
        with Image.open(io.BytesIO(capsysbinary.readouterr().out)) as image:
            assert (image.format, image.size) == ("PNG", (64, 48))
    piped("moving.gif")
    assert run("-", "-o", "-", "--format", "gif") == 0
    with Image.open(io.BytesIO(capsysbinary.readouterr().out)) as image:
        assert (image.format, image.n_frames) == ("GIF", 3)  # type: ignore[attr-defined]


def test_without_an_output_it_is_called_after_the_stream(
    piped: Any, capsys: pytest.CaptureFixture[str]
) -> None:
    save_clip("clip.mp4", 2)
    piped("clip.mp4")
    assert run("-") == 0
    assert run("clip.mp4", "--format", "mkv") == 0
    assert capsys.readouterr().out.split() == ["stdin-candy.mp4", "clip-candy.mkv"]


@posix
def test_a_clip_comes_through_a_pipe(temporary: Path) -> None:
    save_clip("clip.mp4", 3)
    os.mkfifo("pipe")
    content = Path("clip.mp4").read_bytes()
    writer = threading.Thread(target=Path("pipe").write_bytes, args=[content])
    writer.start()
    assert run("pipe", "-o", "out.mp4") == 0
    writer.join()
    assert times_of("out.mp4") == times_of("clip.mp4")
    assert left_over(temporary) == []


@pytest.mark.parametrize(
    ("content", "why"),
    [
        (b"", "<stream>: the file is empty; get it again."),
        (b"no clip\n" * 40, "<stream>: this is a text file, not a picture."),
        ("clip.mp4", "<stream>: cannot read the clip: it is truncated, damaged or no video;"),
        ("sound.mp4", "<stream>: no video stream in it: it holds sound alone."),
    ],
)
def test_what_is_no_clip_is_one_line(
    content: str | bytes,
    why: str,
    piped: Any,
    temporary: Path,
    capsysbinary: pytest.CaptureFixture[bytes],
) -> None:
    save_clip("clip.mp4", 9)
    save_sound("sound.mp4")
    whole = Path("clip.mp4").read_bytes()
    Path("clip.mp4").write_bytes(whole[: len(whole) // 2])
    piped(content)
    assert run("-", "-o", "-") == 1
    said = capsysbinary.readouterr()
    assert said.out == b""
    assert said.err.decode().startswith(f"cnnart: error: {why}")
    assert said.err.count(b"\n") == 1
    assert left_over(temporary) == []


def test_of_a_truncated_clip_there_is_what_there_is(
    piped: Any, capsys: pytest.CaptureFixture[str]
) -> None:
    whole = save_clip("clip.mkv", 60, gop_size=10).read_bytes()
    piped(whole[: len(whole) // 2])
    assert run("-", "-o", "out.mkv") == 0
    assert "<stream> ends after" in capsys.readouterr().err
    assert 10 < len(frames_in("out.mkv")) < 50


class Gone(io.BytesIO):
    """Nobody reads it any more."""

    name = "<stdout>"

    def write(self, data: Any) -> int:
        raise BrokenPipeError(32, "Broken pipe")


def test_a_reader_that_has_gone_is_one_line(
    temporary: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    save_clip("clip.mp4", 2)
    monkeypatch.setattr("sys.stdout", io.TextIOWrapper(Gone()))
    assert run("clip.mp4", "-o", "-") == 1
    told = capsys.readouterr().err
    assert told == "cnnart: error: <stdout>: cannot write the clip (Broken pipe).\n"
    assert left_over(temporary) == []


def test_a_terminal_is_not_filled_with_a_clip(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    save_clip("clip.mp4", 1)
    monkeypatch.setattr(sys.stdout, "isatty", lambda: True)
    assert run("clip.mp4", "-o", "-") == 2
    assert "-o - writes the result to standard output: redirect it" in capsys.readouterr().err


def test_a_full_folder_for_temporary_files_is_one_line(
    piped: Any, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    save_clip("clip.mp4", 2)

    def full() -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr("cnnart.run.inputs.Scratch", full)
    piped("clip.mp4")
    assert run("-", "-o", "out.mp4") == 1
    why = "cannot be kept among the temporary files (No space left on device): name another"
    assert f"The clip from standard input {why}" in capsys.readouterr().err


def test_a_clip_is_not_held_in_memory(monkeypatch: pytest.MonkeyPatch) -> None:
    """However long it is: only what photos may have at the most is."""
    monkeypatch.setattr("cnnart.run.inputs.MOST_PIPED", 1000)
    monkeypatch.setattr("cnnart.run.inputs.CHUNK", 700)
    monkeypatch.setattr("cnnart.video.formats.HEAD", 512)
    data = save_clip("clip.mkv", 9).read_bytes()
    assert len(data) > 1000
    monkeypatch.setattr("sys.stdin", SimpleNamespace(buffer=io.BytesIO(data)))
    (source,) = expand(["-"], clips=True)
    assert source.data is None
    assert source.path is not None
    assert source.path.read_bytes() == data
    folder = source.path.parent
    del source
    assert not folder.exists()


def test_ctrl_c_leaves_what_is_done(
    piped: Any,
    temporary: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsysbinary: pytest.CaptureFixture[bytes],
) -> None:
    save_clip("clip.mp4", 14, sound="aac")
    piped("clip.mp4")
    with monkeypatch.context() as undone:
        paint_only(undone, 6, None)
        run("-", "-o", "-")
    said = capsysbinary.readouterr()
    Path("out.mp4").write_bytes(said.out)
    assert len(frames_in("out.mp4")) == 6
    assert b"the same command goes on" not in said.err
    assert left_over(temporary) == []


def test_a_killed_run_goes_on_if_the_same_clip_comes_again(
    piped: Any, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    save_clip("clip.mp4", 9)
    monkeypatch.setattr(clip_run, "PIECE", 4)
    with monkeypatch.context() as undone:
        paint_only(undone, 6, Killed())
        piped("clip.mp4")
        with pytest.raises(Killed):
            run("-", "-o", "out.mp4")
    piped("clip.mp4")
    assert run("-", "-o", "out.mp4") == 0
    assert "going on from frame 4" in capsys.readouterr().err
    assert len(frames_in("out.mp4")) == 9


@pytest.mark.parametrize("command", ["stylize", "dream"])
def test_other_commands_take_streams_too(
    command: str, piped: Any, temporary: Path, capsysbinary: pytest.CaptureFixture[bytes]
) -> None:
    save_picture("style.png", 40, 40)
    style = ("-s", "style.png", "--preset", "draft") if command == "stylize" else ()
    save_clip("clip.mp4", 2, size=(32, 40), sound="aac")
    piped("clip.mp4")
    more = ("--steps", "1", "-o", "-", "--format", "mkv")
    assert main([command, *QUICK, *style, "-", *more]) == 0
    Path("out.mkv").write_bytes(capsysbinary.readouterr().out)
    assert len(frames_in("out.mkv")) == 2
    assert sound_of("out.mkv") == sound_of("clip.mp4")
    assert left_over(temporary) == []


def test_a_dry_run_leaves_nothing(
    piped: Any, temporary: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    save_clip("clip.mp4", 2)
    piped("clip.mp4")
    assert run("-", "-o", "-", "--dry-run") == 0
    assert "64 x 48" in capsys.readouterr().err
    assert left_over(temporary) == []


def test_python_names_its_files() -> None:
    save_clip("clip.mp4", 1)
    with pytest.raises(UsageError, match="written to a file, not to standard output"):
        cnnart.fast_stylize_clip("clip.mp4", "one.safetensors", "-")
