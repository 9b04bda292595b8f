"""``cnnart dream clip.mp4``: what differs from ``fast-stylize``, whose tests are about clips."""

from __future__ import annotations

from pathlib import Path

import pytest

from cnnart.__main__ import main
from cnnart.methods.dream import frames
from cnnart.run import clip_run
from cnnart.run.record import read_record_of
from tests.helpers.clips import frames_in, save_clip, sound_of, times_of
from tests.helpers.files import save_picture

QUICK = ("--precision", "fp32", "--device", "cpu", "--layer", "relu2_1", "--octaves", "1")


class Killed(BaseException):
    """As far as a run can be killed in a test."""


@pytest.fixture(autouse=True)
def files(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    monkeypatch.delenv("CNNART_DEBUG", raising=False)


def run(*arguments: str) -> int:
    return main(["dream", *QUICK, *arguments])


def test_a_clip_keeps_its_sound_and_times_and_can_be_made_again() -> None:
    save_clip("clip.mp4", [0, 1, 2, 5], sound="aac")
    assert run("clip.mp4", "--fps", "25") == 0
    (made,) = Path().glob("clip-*.mp4")
    assert sound_of(made) == sound_of("clip.mp4")
    assert len(times_of(made)) == 6
    record = read_record_of(made)
    assert record["command"] == "dream"
    assert record["clip"]["fps"] == 25
    assert main(["rerun", str(made), "-o", "again.mp4", "--device", "cpu"]) == 0
    pairs = zip(frames_in("again.mp4"), frames_in(made), strict=True)
    assert all((a == b).all() for a, b in pairs)


def test_frames_after_the_first_are_held_and_a_killed_run_goes_on(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    held, work = [], frames.FramePainter.work

    def seen(self, frame, guide=None):  # type: ignore[no-untyped-def]
        if guide is not None and len(held) == killed_at:
            raise Killed
        held.append(guide is not None)
        return work(self, frame, guide)

    monkeypatch.setattr(frames.FramePainter, "work", seen)
    monkeypatch.setattr(clip_run, "PIECE", 2)
    save_clip("clip.mp4", 5)
    killed_at = -1
    assert run("clip.mp4", "-o", "whole.mp4") == 0
    assert held == [False, False, *[True] * 4]  # the first only looks whether it can be
    held.clear()
    killed_at = 4
    with pytest.raises(Killed):
        run("clip.mp4", "-o", "out.mp4")
    assert not Path("out.mp4").exists()
    killed_at = -1
    capsys.readouterr()
    assert run("clip.mp4", "-o", "out.mp4") == 0
    assert "going on from frame 2 " in capsys.readouterr().err
    pairs = zip(frames_in("out.mp4"), frames_in("whole.mp4"), strict=True)
    assert all((a == b).all() for a, b in pairs)


@pytest.mark.parametrize(
    ("arguments", "why"),
    [
        (("photo.png", "--stability", "1"), "--stability is for clips, and none is among the"),
        (("photo.png", "--frames", "3", "--crf", "9"), "--crf is for clips, and none is among the"),
        (("--from", "noise", "--start", "1"), "--start is for clips, and none is among the"),
        (("photo.png", "--fps", "9"), "--fps is for clips, and none is among the inputs"),
        (("clip.mp4", "--time-budget", "60s"), "--time-budget is for photos: a clip's frames"),
        (("clip.mp4", "--mask", "alpha"), "frames of clips have no transparency"),
        (("photo.png", "--mask", "clip.mp4"), "--mask clip.mp4 is a clip, and photos are to be"),
    ],
)
def test_what_makes_no_sense_is_said_at_once(
    arguments: tuple[str, ...], why: str, capsys: pytest.CaptureFixture[str]
) -> None:
    save_picture("photo.png")
    save_clip("clip.mp4", 2)
    assert run(*arguments) == 2
    assert why in capsys.readouterr().err
