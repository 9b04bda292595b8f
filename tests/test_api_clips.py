"""Clips in the Python API: the same command as the command line's."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

import cnnart
from cnnart.__main__ import main
from cnnart.run import clip_run
from tests.helpers.clips import frames_in, save_clip, sound_of
from tests.helpers.fast import saved
from tests.helpers.files import save_picture

QUICK = {"device": "cpu", "precision": "fp32"}


@pytest.fixture(autouse=True)
def files(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    saved(Path("one.safetensors"), "candy")
    save_clip("clip.mp4", 6, sound="aac")


def test_a_clip_comes_out_as_from_the_command_line() -> None:
    steps: list[int] = []
    found = cnnart.fast_stylize_clip(
        "clip.mp4",
        "one.safetensors",
        "out.mp4",
        callback=lambda step: steps.append(step.index),
        strength=0.8,
        stability=0.5,
        end=0.2,
        **QUICK,
    )
    assert found == Path("out.mp4")
    assert steps == [1, 2, 3, 4, 5]
    line = "fast-stylize clip.mp4 -s one.safetensors -o other.mp4 --strength 0.8 --stability 0.5"
    assert main([*line.split(), "--end", "0.2", "--device", "cpu", "--precision", "fp32"]) == 0
    for one, other in zip(frames_in("out.mp4"), frames_in("other.mp4"), strict=True):
        assert (one == other).all()
    assert sound_of("out.mp4") == sound_of("other.mp4")


def test_without_an_output_it_lies_beside_the_clip() -> None:
    found = cnnart.fast_stylize_clip(Path("clip.mp4"), "one.safetensors", **QUICK)
    assert found == Path("clip-candy.mp4")
    assert len(frames_in(found)) == 6


def test_a_callback_stops_and_the_same_call_goes_on(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(clip_run, "PIECE", 2)
    whole = cnnart.fast_stylize_clip("clip.mp4", "one.safetensors", "whole.mp4", **QUICK)
    call = ("clip.mp4", "one.safetensors", "out.mp4")
    cnnart.fast_stylize_clip(*call, callback=lambda step: step.index < 3, **QUICK)
    assert len(frames_in("out.mp4")) == 3
    steps: list[int] = []
    cnnart.fast_stylize_clip(*call, callback=lambda step: steps.append(step.index), **QUICK)
    assert steps == [3, 4, 5, 6]
    for one, other in zip(frames_in("out.mp4"), frames_in(whole), strict=True):
        assert (one == other).all()


def test_with_a_mask_in_memory_a_call_begins_anew(monkeypatch: pytest.MonkeyPatch) -> None:
    """It could be another mask than that of the call that was cut off."""
    monkeypatch.setattr(clip_run, "PIECE", 2)
    half = np.zeros((48, 64, 3), np.uint8)
    half[:, 32:] = 255
    call = ("clip.mp4", "one.safetensors", "out.mp4")
    masked = {"masks": [half], **QUICK}
    cnnart.fast_stylize_clip(*call, callback=lambda step: step.index < 3, **masked)
    steps: list[int] = []
    cnnart.fast_stylize_clip(*call, callback=lambda step: steps.append(step.index), **masked)
    assert steps[0] == 1


def test_by_optimization() -> None:
    save_picture("art.png")
    quick = {"preset": "draft", "steps": 1, "size": 32, **QUICK}
    found = cnnart.stylize_clip("clip.mp4", "art.png", "out.mp4", end=0.08, **quick)
    frames = frames_in(found)
    assert [frame.shape for frame in frames] == [(24, 32, 3)] * 2
    assert np.ptp(frames[1]) > 20


def test_dreaming() -> None:
    quick = {"layers": {"relu2_1": 1.0}, "octaves": 1, "steps": 1, "size": 32, **QUICK}
    found = cnnart.dream_clip("clip.mp4", "out.mp4", end=0.08, **quick)
    frames = frames_in(found)
    assert [frame.shape for frame in frames] == [(24, 32, 3)] * 2


def test_what_makes_no_sense_is_one_line() -> None:
    save_picture("photo.png")
    with pytest.raises(cnnart.CnnartError, match="is no clip: name one video"):
        cnnart.fast_stylize_clip("photo.png", "one.safetensors", **QUICK)
    with pytest.raises(cnnart.CnnartError, match="Stability 2 is out of range"):
        cnnart.fast_stylize_clip("clip.mp4", "one.safetensors", stability=2, **QUICK)
    with pytest.raises(cnnart.CnnartError, match=r"none\.png"):
        cnnart.fast_stylize_clip("clip.mp4", "one.safetensors", masks=["none.png"], **QUICK)
    with pytest.raises(cnnart.CnnartError, match="overwrite the input"):
        cnnart.fast_stylize_clip("clip.mp4", "one.safetensors", "clip.mp4", **QUICK)
