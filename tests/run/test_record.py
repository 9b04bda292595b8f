"""The record in a picture: written, read, and turned back into what the picture is made of."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
import torch

from cnnart.commands.rerun import Rerun
from cnnart.commands.style_args import MaskInput, parse_mask, parse_style
from cnnart.commands.stylize import Stylize
from cnnart.errors import CnnartError, ImageError
from cnnart.files import sha256_of
from cnnart.image.write import write_image
from cnnart.run.inputs import Source, expand
from cnnart.run.record import (
    build_record,
    describe_source,
    is_unfinished,
    public_path,
    read_record_of,
)
from cnnart.version import __version__
from tests.helpers.files import only_builtin_style, save_picture

RUN = {"backbone": "vgg19", "precision": "fp32", "size": [48, 64]}


@pytest.fixture(autouse=True)
def here(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.chdir(tmp_path)
    save_picture("in/photo.png")
    save_picture("art.png", seed=2)
    save_picture("mask.png", seed=3)
    only_builtin_style(monkeypatch, tmp_path / "builtin")
    return tmp_path


def a_command() -> Stylize:
    return Stylize.make(
        [parse_style("art.png:2"), parse_style("mosaic")],
        [parse_mask("inverse:mask.png"), parse_mask("alpha")],
        {"size": (48, 64), "style_layers": "relu1_1,relu2_1:0.5", "seed": 9},
    )


def picture(name: str = "out.png", command: Stylize | None = None, **more) -> Path:
    """A picture with a record, as a run would leave it."""
    (source,) = expand(["in/photo.png"])
    facts = (command or a_command()).record()
    record = build_record("stylize", describe_source(source), facts, RUN, **more)
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
    again = Rerun(read_record_of(picture()), Path("out.png"))
    command = a_command()
    assert again.warnings == []
    assert again.photo == str(Path("in/photo.png"))
    assert again.command.config == command.config
    for style, before in zip(again.command.styles, command.styles, strict=True):
        assert (style.path, style.weight, style.builtin) == (
            before.path,
            before.weight,
            before.builtin,
        )
        assert style.mask
        assert before.mask
        assert (style.mask.path, style.mask.inverse) == (before.mask.path, before.mask.inverse)
    assert again.command.label == command.label


def test_the_picture_to_start_from_is_recorded_too() -> None:
    command = Stylize.make([parse_style("mosaic")], [], {}, Path("art.png"))
    again = Rerun(read_record_of(picture(command=command)), Path("out.png"))
    assert (again.command.init, again.command.config.init) == (Path("art.png"), "picture")


def test_files_that_moved_beside_the_picture_are_found(here: Path) -> None:
    picture("moved/out.png")
    for name in ("in/photo.png", "art.png", "mask.png"):
        Path(name).rename(here / "moved" / Path(name).name)
    again = Rerun(read_record_of(Path("moved/out.png")), Path("moved/out.png"))
    assert again.photo == str(Path("moved/photo.png"))
    assert again.warnings == []


def test_the_file_with_the_right_content_wins(here: Path) -> None:
    path = picture("moved/out.png")
    Path("in/photo.png").rename(here / "moved" / "photo.png")
    save_picture("in/photo.png", seed=5)
    assert Rerun(read_record_of(path), path).photo == str(Path("moved/photo.png"))


def test_changed_files_are_used_with_a_warning() -> None:
    path = picture()
    save_picture("art.png", seed=8)
    save_picture("builtin/mosaic.png", seed=8)
    warnings = Rerun(read_record_of(path), Path("out.png")).warnings
    assert len(warnings) == 2
    assert warnings[0] == "art.png is not the file that was used then (its SHA-256 differs)."


@pytest.mark.parametrize(
    ("given", "shown"),
    [
        ("in/photo.png", "in/photo.png"),
        ("/home/alice.secretname/in/photo.png", "photo.png"),
        ("~/secretname/photo.png", "photo.png"),
        ("../../secretname/photo.png", "photo.png"),
        ("in/../../secretname/photo.png", "photo.png"),
    ],
)
def test_no_folder_of_this_machine_is_told(given: str, shown: str) -> None:
    assert public_path(given) == shown
    file = {"name": "photo.png", "path": given, "sha256": "0"}
    made_of = {"styles": [{**file, "mask": file}], "guides": (file,), "init": None}
    run = {**RUN, "backbone": given}
    record = build_record("stylize", file, made_of, run)
    assert ("secretname" in record) is False
    again = json.loads(record)
    assert again["photo"]["path"] == again["styles"][0]["mask"]["path"] == shown
    assert again["guides"][0]["path"] == again["run"]["backbone"] == shown
    kept = json.loads(build_record("stylize", file, made_of, run, paths=True))
    assert kept["photo"]["path"] == kept["run"]["backbone"] == given


def test_files_are_found_in_folders_given(here: Path) -> None:
    whole = str(here / "in" / "photo.png")
    (source,) = expand([whole])
    record = build_record("stylize", describe_source(source), a_command().record(), RUN)
    write_image(Path("out.png"), torch.rand(1, 3, 48, 64), record=record)
    with pytest.raises(CnnartError, match=r"'photo.png', .* or its folder as `inputs`\."):
        Rerun(read_record_of(Path("out.png")), Path("out.png"))
    again = Rerun(read_record_of(Path("out.png")), Path("out.png"), inputs=[Path("in")])
    assert again.photo == str(Path("in/photo.png"))
    assert again.warnings == []


def test_another_file_of_that_name_beside_the_picture_is_not_taken() -> None:
    """A folder of results is full of files that are called as the photos are."""
    path = picture("painted/photo.png")
    Path("in/photo.png").unlink()
    with pytest.raises(CnnartError, match=r"is not there \(.*photo.png is another of its name\)"):
        Rerun(read_record_of(path), path)


@pytest.mark.parametrize(
    "change",
    [
        {"photo": 3},
        {"photo": {"path": [], "name": "x", "sha256": 0}},
        {"photo": {"path": "a\0b", "name": "a\0b", "sha256": ""}},
        {"styles": None},
        {"styles": [{}]},
        {"settings": {"size": "large"}},
        {"settings": {"strength": 1e999}},
        {"settings": []},
    ],
)
def test_a_record_that_somebody_else_has_written(change: dict[str, object]) -> None:
    record = {**read_record_of(picture()), **change}
    with pytest.raises(CnnartError):
        Rerun(record, Path("out.png"))


def test_a_recorded_setting_that_is_none() -> None:
    record = {**read_record_of(picture()), "settings": {"size": {"wide": 9}}}
    with pytest.raises(CnnartError, match=r"The record is damaged: size cannot be {'wide': 9}\."):
        Rerun(record, Path("out.png"))
    record["settings"] = {"size": "large"}  # as a print's is: text
    with pytest.raises(CnnartError, match=r"'large' is no size: write 1024"):
        Rerun(record, Path("out.png"))


def test_missing_files_are_named_with_the_remedy() -> None:
    path = picture()
    Path("in/photo.png").unlink()
    with pytest.raises(CnnartError, match=r"'in/photo.png', .* is not there: give --photo FILE"):
        Rerun(read_record_of(path), Path("out.png"))
    save_picture("new.png", seed=4)
    again = Rerun(read_record_of(path), Path("out.png"), photo="new.png")
    assert again.photo == "new.png"
    assert again.warnings == ["new.png is not the file that was used then (its SHA-256 differs)."]
    Path("art.png").unlink()
    with pytest.raises(CnnartError, match="give --style FILE"):
        Rerun(read_record_of(path), Path("out.png"), photo="new.png")


def test_styles_given_anew_keep_the_masks() -> None:
    again = Rerun(read_record_of(picture()), Path("out.png"), styles=[parse_style("mask.png:3")])
    (style,) = again.command.styles
    assert (style.path, style.weight) == (Path("mask.png"), 3.0)
    assert style.mask == MaskInput("mask.png", Path("mask.png"), True)


def test_a_record_of_another_version_warns_and_still_works() -> None:
    record = read_record_of(picture())
    record["cnnart"] = "9.9"
    record["settings"]["sparkle"] = 3
    again = Rerun(record, Path("out.png"))
    assert again.warnings == [
        f"made by cnnart 9.9, this is {__version__}: it may differ.",
        "settings this version does not know: sparkle.",
    ]


@pytest.mark.parametrize(
    ("text", "sentence"),
    [
        (None, "no cnnart record in it"),
        ("not json", "its cnnart record is damaged"),
        ("[1]", "its cnnart record is damaged"),
        ("[" * 100_000, "its cnnart record is damaged"),
        ('{"format": 2, "command": "stylize", "cnnart": "2.0"}', "cannot be run by cnnart"),
        ('{"format": 1, "command": "dance", "cnnart": "0.9"}', "0.9, command 'dance'"),
    ],
)
def test_records_that_are_of_no_use(text: str | None, sentence: str) -> None:
    write_image(Path("x.png"), torch.rand(1, 3, 4, 4), record=text)
    with pytest.raises(CnnartError, match=sentence):
        Rerun(read_record_of(Path("x.png")), Path("x.png"))
    assert not is_unfinished(Path("x.png"))


def test_a_record_with_parts_missing_is_damaged() -> None:
    for part in ("photo", "styles", "settings"):
        record = read_record_of(picture())
        del record[part]
        with pytest.raises(CnnartError, match=r"is damaged and cannot be run again \("):
            Rerun(record, Path("out.png"))


def test_no_picture_no_record() -> None:
    Path("x.png").write_text("hello")
    with pytest.raises(ImageError):
        read_record_of(Path("x.png"))


def test_an_interrupted_picture_says_so() -> None:
    assert is_unfinished(picture(interrupted_at=12))
    assert not is_unfinished(picture())


def test_standard_input_is_recorded_by_its_content() -> None:
    about = describe_source(Source(None, "-", data=b"abc"))
    assert about == {"name": "stdin", "path": "-", "sha256": sha256_of(b"abc")}
    assert about["sha256"].startswith("ba7816bf")  # FIPS 180-2, appendix B.1


def test_the_record_tells_nothing_about_the_machine(here: Path) -> None:
    text = json.dumps(read_record_of(picture()))
    assert "mosaic" in text
    assert here.name not in text
