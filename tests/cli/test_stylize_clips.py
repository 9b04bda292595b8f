"""``cnnart stylize clip.mp4``: what differs from ``fast-stylize``, whose tests are about clips."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest

from cnnart.__main__ import main
from cnnart.methods.stylize import frames
from cnnart.run import clip_run
from cnnart.run.record import read_record_of
from tests.helpers.clips import frames_in, save_clip, sound_of, times_of
from tests.helpers.files import save_picture

QUICK = ("--precision", "fp32", "--device", "cpu", "--preset", "draft", "--steps", "3")
STYLE = ("-s", "style.png")


class Killed(BaseException):
    """As far as a run can be killed in a test."""


@pytest.fixture(autouse=True)
def files(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    monkeypatch.delenv("CNNART_DEBUG", raising=False)
    save_picture("style.png", 80, 70)


def run(*arguments: str) -> int:
    return main(["stylize", *QUICK, *STYLE, *arguments])


def test_a_clip_keeps_its_sound_and_times_and_tells_how_steady_it_is(
    capsys: pytest.CaptureFixture[str],
) -> None:
    save_clip("clip.mp4", [0, 1, 2, 5], sound="aac")
    assert run("clip.mp4", "--json") == 0
    told = [json.loads(line) for line in capsys.readouterr().out.splitlines()]
    errors = [event["warping_error"] for event in told if "warping_error" in event]
    assert len(errors) == 1
    assert 0 < errors[0] < 1
    assert times_of("clip-style.mp4") == times_of("clip.mp4")
    assert sound_of("clip-style.mp4") == sound_of("clip.mp4")
    record = read_record_of(Path("clip-style.mp4"))
    assert record["command"] == "stylize"
    assert record["run"]["backbone"] == "vgg19"
    assert record["clip"]["stability"] == 0.9
    assert main(["rerun", "clip-style.mp4", "-o", "again.mp4", "--device", "cpu"]) == 0
    again, before = frames_in("again.mp4"), frames_in("clip-style.mp4")
    assert all((a == b).all() for a, b in zip(again, before, strict=True))


def test_frames_after_the_first_are_held_and_at_stability_0_none_is(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    held = []
    work = frames.FramePainter.work

    def seen(self, frame, guide=None):  # type: ignore[no-untyped-def]
        held.append(guide is not None)
        return work(self, frame, guide)

    monkeypatch.setattr(frames.FramePainter, "work", seen)
    save_clip("clip.mp4", 3)
    assert run("clip.mp4", "-o", "held.mp4") == 0
    assert held == [False, False, True, True]  # the first of them only looks whether it can be
    held.clear()
    assert run("clip.mp4", "-o", "alone.mp4", "--stability", "0") == 0
    assert not any(held)
    assert np.abs(frames_in("held.mp4")[2].astype(int) - frames_in("alone.mp4")[2]).mean() > 1


def test_a_killed_run_goes_on_and_gives_the_same_frames(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(clip_run, "PIECE", 2)
    save_clip("clip.mp4", 5)
    assert run("clip.mp4", "-o", "whole.mp4") == 0
    with monkeypatch.context() as undone:
        to_tensor, count = clip_run.ClipPainting._tensor, []

        def counted(self, pixels):  # type: ignore[no-untyped-def]
            count.append(1)
            if len(count) > 3:
                raise Killed
            return to_tensor(self, pixels)

        undone.setattr(clip_run.ClipPainting, "_tensor", counted)
        with pytest.raises(Killed):
            run("clip.mp4", "-o", "out.mp4")
    assert not Path("out.mp4").exists()
    capsys.readouterr()
    assert run("clip.mp4", "-o", "out.mp4") == 0
    assert "going on from frame 2 " in capsys.readouterr().err
    pairs = zip(frames_in("out.mp4"), frames_in("whole.mp4"), strict=True)
    assert all((a == b).all() for a, b in pairs)


@pytest.mark.parametrize(
    ("arguments", "why"),
    [
        (("photo.png", "--stability", "1"), "--stability is for clips, and none is among the"),
        (("clip.mp4", "--time-budget", "60s"), "--time-budget is for photos: a clip's frames"),
        (("clip.mp4", "--save-every", "5"), "--save-every is for photos: a clip is kept in pieces"),
        (("clip.mp4", "--init", "fast"), "--init fast is for photos: start a clip from content"),
        (("clip.mp4", "--mask", "alpha"), "frames of clips have no transparency"),
        (("photo.png", "--mask", "clip.mp4"), "--mask clip.mp4 is a clip, and photos are to be"),
    ],
)
def test_what_makes_no_sense_is_said_at_once(
    arguments: tuple[str, ...], why: str, capsys: pytest.CaptureFixture[str]
) -> None:
    save_picture("photo.png")
    save_clip("clip.mp4", 1)
    assert run(*arguments) == 2
    assert why in capsys.readouterr().err
