"""What ``stylize`` shows before it paints, or starts from: what a fast network makes of it."""

from __future__ import annotations

import json
import signal
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from PIL import Image

import cnnart
from cnnart import runtime as engine
from cnnart.__main__ import main
from cnnart.commands import fast_stylize, stylize
from cnnart.commands.style_args import memory_mask, parse_style
from cnnart.commands.stylize import TRAINED_AT, Stylize
from cnnart.errors import UsageError
from cnnart.methods.fast import match
from cnnart.methods.fast.stylize import STROKE_SIDE
from cnnart.methods.stylize import transfer
from cnnart.networks.blazeface import Face
from cnnart.run.inputs import Source
from cnnart.run.outputs import Task
from cnnart.run.record import RecordedFiles, read_record_of
from cnnart.run.report import Plain
from cnnart.runtime import Runtime
from tests.helpers.files import save_picture
from tests.helpers.pictures import make_photo
from tests.helpers.tiny_vgg import tiny_weights


def pixels(path: Path | str) -> np.ndarray:
    return np.asarray(Image.open(path)).astype(int)


PHOTO = make_photo(60, 80)
CPU = {"device": "cpu", "precision": "fp32"}


@pytest.fixture(autouse=True)
def network(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(engine, "load_vgg", lambda *_, **__: tiny_weights())


def look(*styles: str, masks: Any = (), **settings: Any) -> torch.Tensor | None:
    """The first look at a photo in these styles."""
    command = Stylize.make([parse_style(style) for style in styles], masks, settings)
    run = command.open(Runtime(**CPU))(Task(Source(None, "photo", picture=PHOTO), None, "png"))
    return run.first_look()


def fast(styles: Any, **settings: Any) -> torch.Tensor:
    """What ``fast-stylize`` makes of the photo, ``1x3xHxW``."""
    image = cnnart.fast_stylize(PHOTO, styles, **CPU, **settings)
    return torch.from_numpy(np.asarray(image).copy()).permute(2, 0, 1)[None] / 255


@pytest.mark.parametrize("settings", [{}, {"strength": 0.8, "color": "keep", "style_scale": 2.0}])
def test_it_is_the_fast_picture_with_strokes_that_fit_the_painting(
    settings: dict[str, Any],
) -> None:
    found = look("night-swirls", size=96, **settings)
    assert found is not None
    asked = {key: value for key, value in settings.items() if key != "style_scale"}
    stroke = min(4.0, settings.get("style_scale", 1.0) * STROKE_SIDE / TRAINED_AT)
    expected = fast("night-swirls", size=96, stroke=stroke, **asked)
    assert found.shape == (1, 3, 72, 96)
    assert torch.allclose(found, expected, atol=1 / 255)


def test_a_blend_with_masks() -> None:
    mask = np.zeros((60, 80), np.uint8)
    mask[:30] = 255
    styles = ["night-swirls:2", "stained-glass"]
    found = look(*styles, masks=[memory_mask(mask)])
    assert found is not None
    pairs = [("night-swirls", 2), ("stained-glass", 1)]
    expected = fast(pairs, stroke=STROKE_SIDE / TRAINED_AT, masks=[mask, None])
    assert torch.allclose(found, expected, atol=1 / 255)


def test_none_where_a_style_has_no_trained_network(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    known = fast_stylize.trained_styles()
    monkeypatch.setattr(
        fast_stylize, "trained_styles", lambda: {"night-swirls": known["night-swirls"]}
    )
    painting = tmp_path / "night-swirls"  # a file of that name is not the built-in style
    save_picture(str(tmp_path / "p.png"))
    (tmp_path / "p.png").rename(painting)
    assert look("ink-wash") is None
    assert look("night-swirls", "ink-wash") is None
    assert look(str(painting)) is None


def test_it_is_not_worth_an_error(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    from cnnart.commands import fast_stylize

    damaged = tmp_path / "trained.safetensors"
    damaged.write_bytes(b"no network")
    monkeypatch.setattr(fast_stylize, "trained_styles", lambda: {"night-swirls": damaged})
    assert look("night-swirls") is None


def test_the_painting_is_the_same_with_and_without(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.chdir(tmp_path)
    save_picture("photo.png")
    command = ["stylize", "photo.png", "-s", "night-swirls", "--steps", "3", "--device", "cpu"]
    assert main([*command, "-o", "plain.png", "-q"]) == 0
    assert main([*command, "-o", "shown.png", "--preview", "--json"]) == 0
    told = [json.loads(line)["event"] for line in capsys.readouterr().out.splitlines()]
    assert told[:3] == ["start", "first_look", "step"]
    assert Path("plain.png").read_bytes() == Path("shown.png").read_bytes()
    assert sorted(path.name for path in tmp_path.iterdir()) == [
        "photo.png",
        "plain.png",
        "shown.png",
    ]


def finished(photo: Any, **settings: Any) -> torch.Tensor:
    command = Stylize.make([parse_style("ink-wash")], (), {"steps": 2, **settings})
    run = command.open(Runtime(**CPU))(Task(Source(None, "photo", picture=photo), None, "png"))
    *_, last = run.work.steps()
    return run.work.finish(last.image)


def test_without_a_face_keeping_faces_changes_no_bit() -> None:
    assert torch.equal(finished(PHOTO, faces="keep"), finished(PHOTO, faces="paint"))


def test_faces_are_looked_for_where_they_can_be_kept(monkeypatch: pytest.MonkeyPatch) -> None:
    asked: list[Any] = []
    face = Face((20, 10, 50, 40), ((28, 20), (42, 20), *[(35.0, 30.0)] * 4), 1.0)
    monkeypatch.setattr(transfer, "find_faces", lambda photo: asked.append(photo) or [face])
    kept, painted = finished(PHOTO), finished(PHOTO, faces="paint")
    finished(PHOTO, strength=0.8)
    assert len(asked) == 1
    assert not torch.equal(kept, painted)


def test_a_record_from_before_faces_were_kept_paints_them() -> None:
    command = Stylize.make([parse_style("ink-wash")], (), {})
    record = command.record()
    assert Stylize.from_record(record, RecordedFiles([])).config.faces == "keep"
    del record["settings"]["faces"]
    assert Stylize.from_record(record, RecordedFiles([])).config.faces == "paint"


def opened(*styles: str, masks: Any = (), **settings: Any) -> Any:
    """The work on the photo, from what a fast network makes of it."""
    chosen = [parse_style(style) for style in styles]
    command = Stylize.make(chosen, masks, {"init": "fast", **settings})
    run = command.open(Runtime(**CPU))(Task(Source(None, "photo", picture=PHOTO), None, "png"))
    return run.work


@pytest.mark.parametrize("color", ["style", "keep", "histogram"])
def test_it_starts_from_the_fast_picture(color: str) -> None:
    """In the style's colors where those of the photo come at the end."""
    work = opened("night-swirls", size=96, strength=0.8, color=color)
    asked = {"strength": 0.8, "color": "style" if color == "histogram" else color}
    expected = fast("night-swirls", size=96, stroke=STROKE_SIDE / TRAINED_AT, **asked)
    assert torch.allclose(work.init, expected, atol=1 / 255)


def test_a_fast_start_is_blended_masked_and_no_larger_than_it_need_be(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(stylize, "START_SIDE", 48)
    mask = np.zeros((60, 80), np.uint8)
    mask[:30] = 255
    styles = ["night-swirls:2", "stained-glass"]
    work = opened(*styles, masks=[memory_mask(mask)])
    pairs = [("night-swirls", 2), ("stained-glass", 1)]
    expected = fast(pairs, size=48, stroke=STROKE_SIDE / TRAINED_AT, masks=[mask, None])
    assert work.init.shape == (1, 3, 36, 48)
    assert torch.allclose(work.init, expected, atol=1 / 255)


@pytest.fixture
def quick_match(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("CNNART_CACHE", "cache")
    save_picture("photo.png")
    save_picture("art.png", seed=3)
    sizes = {"LARGEST_CROP": 64, "PROBES": 1, "BLEND_STEPS": 2, "STEPS": 2}
    for name, value in sizes.items():
        monkeypatch.setattr(match, name, value)


QUICK = ("--init", "fast", "--steps", "4", "--device", "cpu", "--precision", "fp32")


def test_any_picture_is_a_fast_start(
    quick_match: None, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    """It is looked for once, and the same picture is made again from its record."""
    paint = ("stylize", "photo.png", "-s", "art.png", *QUICK)
    assert main([*paint, "-o", "a.png"]) == 0
    assert "art: learning this style once" in capsys.readouterr().err
    assert main(["rerun", "a.png", "-o", "b.png"]) == 0
    assert main(["stylize", "photo.png", "-s", "art.png", *QUICK[2:], "-o", "photo-start.png"]) == 0
    told = capsys.readouterr().err
    assert "learning" not in told
    assert "SHA-256" not in told
    assert Path("a.png").read_bytes() == Path("b.png").read_bytes()
    assert pixels("photo-start.png").tolist() != pixels("a.png").tolist()
    made = cnnart.stylize("photo.png", "art.png", init="fast", steps=4, **CPU)
    assert (np.asarray(made) == pixels("a.png")).all()
    # Another network is there now.
    checkpoint = Path("other.safetensors")
    checkpoint.write_bytes(b"retrained")
    monkeypatch.setattr(fast_stylize, "arbitrary_network", lambda: checkpoint)
    Stylize.from_record(read_record_of(Path("a.png")), files := RecordedFiles(Path()))
    assert files.warnings == [
        "other.safetensors is not the file that was used then (its SHA-256 differs)."
    ]


def test_a_fast_start_of_several_pictures_and_after_an_interruption(
    quick_match: None, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """Cut off, it goes on as if it had not been; a sweep's pictures are the single ones."""
    paint = ("stylize", "photo.png", "-s", "night-swirls", *QUICK)
    assert main([*paint, "-o", "whole.png"]) == 0
    with monkeypatch.context() as undone:
        step = Plain.step

        def interrupt(self: Plain, made: Any) -> None:
            step(self, made)
            if made.index == 2:
                signal.raise_signal(signal.SIGINT)

        undone.setattr(Plain, "step", interrupt)
        assert main([*paint, "-o", "cut.png"]) == 130
    capsys.readouterr()
    assert main([*paint, "-o", "cut.png"]) == 0
    assert "going on from step 2 of 4" in capsys.readouterr().err
    assert (pixels("cut.png") == pixels("whole.png")).all()
    swept = ("sweep", "stylize", "photo.png", "-s", "night-swirls", *QUICK, "--strength", "0.5,0.8")
    assert main([*swept, "--keep", "swept", "-o", "sheet.png"]) == 0
    found = sorted(Path("swept").iterdir())
    assert len(found) == 2
    assert abs(pixels(found[0]) - pixels("whole.png")).max() <= 1


def test_no_fast_start_without_a_network(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(fast_stylize, "styles_folder", lambda: Path("nowhere"))
    with pytest.raises(UsageError) as error:
        opened("night-swirls")
    assert str(error.value) == (
        "No fast network came with cnnart, whose picture `init` fast starts from: leave it out."
    )
