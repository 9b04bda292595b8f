"""The record in a picture: written, read, and turned back into what the picture is made of."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
import torch
from samples import only_builtin_style, save_picture

from cnnart import __version__
from cnnart.errors import CnnartError, ImageError
from cnnart.image import write_image
from cnnart.jobs.files import Source, expand
from cnnart.jobs.recipe import MaskChoice, StylizeRecipe, make_recipe, parse_mask, parse_style
from cnnart.jobs.record import (
    build_record,
    describe_photo,
    is_unfinished,
    read_record_of,
    sha256_of,
)
from cnnart.jobs.replay import Replay
from cnnart.jobs.stylizing import describe

RUN = {"backbone": "vgg19", "precision": "fp32", "size": [48, 64]}


@pytest.fixture(autouse=True)
def here(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.chdir(tmp_path)
    save_picture("in/photo.png")
    save_picture("art.png", seed=2)
    save_picture("mask.png", seed=3)
    only_builtin_style(monkeypatch, tmp_path / "builtin")
    return tmp_path


def a_recipe() -> StylizeRecipe:
    return make_recipe(
        [parse_style("art.png:2"), parse_style("mosaic")],
        [parse_mask("inverse:mask.png"), parse_mask("alpha")],
        {"size": (48, 64), "style_layers": "relu1_1,relu2_1:0.5", "seed": 9},
    )


def picture(name: str = "out.png", recipe: StylizeRecipe | None = None, **more) -> Path:
    """A picture with a record, as a run would leave it."""
    (source,) = expand(["in/photo.png"])
    facts = describe(recipe or a_recipe())
    record = build_record("stylize", describe_photo(source), facts, RUN, **more)
    write_image(Path(name), torch.rand(1, 3, 48, 64), record=record)
    return Path(name)


@pytest.mark.parametrize("suffix", ["png", "jpg", "webp", "tiff"])
def test_a_record_comes_back_from_every_format(suffix: str) -> None:
    record = read_record_of(picture(f"out.{suffix}"))
    assert record["cnnart"] == __version__
    assert record["photo"] == {
        "name": "photo.png",
        "path": "in/photo.png",
        "sha256": sha256_of(Path("in/photo.png")),
    }
    assert [style["path"] for style in record["styles"]] == ["art.png", "mosaic"]
    assert record["settings"]["seed"] == 9
    assert record["run"] == RUN


def test_a_replay_is_the_recipe_it_was_made_with() -> None:
    replay = Replay(read_record_of(picture()), Path())
    recipe = a_recipe()
    assert replay.warnings == []
    assert replay.photo == str(Path("in/photo.png"))
    assert replay.recipe.config == recipe.config
    for again, before in zip(replay.recipe.styles, recipe.styles, strict=True):
        assert (again.path, again.weight, again.builtin) == (
            before.path,
            before.weight,
            before.builtin,
        )
        assert again.mask
        assert before.mask
        assert (again.mask.path, again.mask.inverse) == (before.mask.path, before.mask.inverse)
    assert replay.recipe.label == recipe.label


def test_the_picture_to_start_from_is_recorded_too() -> None:
    recipe = make_recipe([parse_style("mosaic")], [], {}, Path("art.png"))
    replay = Replay(read_record_of(picture(recipe=recipe)), Path())
    assert (replay.recipe.init, replay.recipe.config.init) == (Path("art.png"), "picture")


def test_files_that_moved_beside_the_picture_are_found(here: Path) -> None:
    picture("moved/out.png")
    for name in ("in/photo.png", "art.png", "mask.png"):
        Path(name).rename(here / "moved" / Path(name).name)
    replay = Replay(read_record_of(Path("moved/out.png")), Path("moved"))
    assert replay.photo == str(Path("moved/photo.png"))
    assert replay.warnings == []


def test_the_file_with_the_right_content_wins(here: Path) -> None:
    path = picture("moved/out.png")
    Path("in/photo.png").rename(here / "moved" / "photo.png")
    save_picture("in/photo.png", seed=5)
    assert Replay(read_record_of(path), Path("moved")).photo == str(Path("moved/photo.png"))


def test_changed_files_are_used_with_a_warning() -> None:
    path = picture()
    save_picture("art.png", seed=8)
    save_picture("builtin/mosaic.png", seed=8)
    warnings = Replay(read_record_of(path), Path()).warnings
    assert len(warnings) == 2
    assert warnings[0] == "art.png is not the file that was used then (its SHA-256 differs)."


def test_missing_files_are_named_with_the_remedy() -> None:
    path = picture()
    Path("in/photo.png").unlink()
    with pytest.raises(CnnartError, match=r"'in/photo.png', .* is not there: give --photo FILE"):
        Replay(read_record_of(path), Path())
    save_picture("new.png", seed=4)
    replay = Replay(read_record_of(path), Path(), photo="new.png")
    assert replay.photo == "new.png"
    assert replay.warnings == ["new.png is not the file that was used then (its SHA-256 differs)."]
    Path("art.png").unlink()
    with pytest.raises(CnnartError, match="give --style FILE"):
        Replay(read_record_of(path), Path(), photo="new.png")


def test_styles_given_anew_keep_the_masks() -> None:
    replay = Replay(read_record_of(picture()), Path(), styles=[parse_style("mask.png:3")])
    (style,) = replay.recipe.styles
    assert (style.path, style.weight) == (Path("mask.png"), 3.0)
    assert style.mask == MaskChoice("mask.png", Path("mask.png"), True)


def test_a_record_of_another_version_warns_and_still_works() -> None:
    record = read_record_of(picture())
    record["cnnart"] = "9.9"
    record["settings"]["sparkle"] = 3
    replay = Replay(record, Path())
    assert replay.warnings == [
        f"made by cnnart 9.9, this is {__version__}: it may differ.",
        "settings this version does not know: sparkle.",
    ]


@pytest.mark.parametrize(
    ("text", "sentence"),
    [
        (None, "no cnnart record in it"),
        ("not json", "its cnnart record is damaged"),
        ("[1]", "its cnnart record is damaged"),
        ('{"format": 2, "command": "stylize", "cnnart": "2.0"}', "cannot be run by cnnart"),
        ('{"format": 1, "command": "dance", "cnnart": "0.9"}', "0.9, command 'dance'"),
    ],
)
def test_records_that_are_of_no_use(text: str | None, sentence: str) -> None:
    write_image(Path("x.png"), torch.rand(1, 3, 4, 4), record=text)
    with pytest.raises(CnnartError, match=sentence):
        read_record_of(Path("x.png"))
    assert not is_unfinished(Path("x.png"))


def test_a_record_with_parts_missing_is_damaged() -> None:
    for part in ("photo", "styles", "settings"):
        record = read_record_of(picture())
        del record[part]
        with pytest.raises(CnnartError, match=r"The record is damaged"):
            Replay(record, Path())


def test_no_picture_no_record() -> None:
    Path("x.png").write_text("hello")
    with pytest.raises(ImageError):
        read_record_of(Path("x.png"))


def test_an_interrupted_picture_says_so() -> None:
    assert is_unfinished(picture(interrupted_at=12))
    assert not is_unfinished(picture())


def test_standard_input_is_recorded_by_its_content() -> None:
    about = describe_photo(Source(None, "-", data=b"abc"))
    assert about == {"name": "stdin", "path": "-", "sha256": sha256_of(b"abc")}
    assert about["sha256"].startswith("ba7816bf")  # FIPS 180-2, appendix B.1


def test_the_record_tells_nothing_about_the_machine(here: Path) -> None:
    text = json.dumps(read_record_of(picture()))
    assert "mosaic" in text
    assert here.name not in text
