"""What ``stylize`` shows before it paints: one pass of the network trained in the same styles."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

import cnnart
from cnnart import runtime as engine
from cnnart.__main__ import main
from cnnart.commands import fast_stylize
from cnnart.commands.style_args import memory_mask, parse_style
from cnnart.commands.stylize import TRAINED_AT, Stylize
from cnnart.methods.fast.stylize import STROKE_SIDE
from cnnart.methods.stylize import transfer
from cnnart.networks.blazeface import Face
from cnnart.run.inputs import Source
from cnnart.run.outputs import Task
from cnnart.run.record import RecordedFiles
from cnnart.runtime import Runtime
from tests.helpers.files import save_picture
from tests.helpers.pictures import make_photo
from tests.helpers.tiny_vgg import tiny_weights

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
