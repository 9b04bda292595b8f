"""Masks by name: found in each photo, kept, shown, recorded."""

from pathlib import Path

import pytest
import torch

from cnnart.commands import named_masks
from cnnart.commands.named_masks import MOST_KEPT, named_mask, show_mask
from cnnart.commands.style_args import (
    MaskInput,
    check_shown,
    memory_mask,
    parse_mask,
    parse_masks,
    recorded_mask,
    shown_path,
)
from cnnart.commands.texture import Texture
from cnnart.errors import ImageError, UsageError
from cnnart.image.picture import Picture
from cnnart.image.read import read_mask
from cnnart.methods.texture.config import TextureConfig
from cnnart.run.inputs import Source
from cnnart.run.outputs import Task
from cnnart.run.record import RecordedFiles
from tests.helpers.pictures import make_photo

PHOTO = make_photo(24, 30)


@pytest.fixture
def finder(monkeypatch):
    """The left third is the subject, nobody is there; how often was it looked for?"""
    asked = []

    def subject(photo):
        asked.append(photo.shape)
        mask = torch.zeros(1, 1, *photo.shape[-2:])
        mask[..., : photo.shape[-1] // 3] = 1
        return mask

    monkeypatch.setattr(named_masks, "_kept", {})
    monkeypatch.setitem(named_masks.FINDERS, "subject", subject)
    monkeypatch.setitem(named_masks.FINDERS, "person", lambda photo: None)
    return asked


def task(path, target=None):
    return Task(Source(Path(path), path), target and Path(target), "png")


@pytest.mark.usefixtures("finder")
def test_the_background_is_what_the_subject_leaves():
    photo = Picture(PHOTO)
    subject, background, inverse, again = (
        parse_mask(text).over(photo, None, "p.jpg")
        for text in ("subject", "background", "inverse:subject", "inverse:background")
    )
    assert float(subject.mean()) == pytest.approx(1 / 3)
    assert torch.equal(background, 1 - subject)
    assert torch.equal(background, inverse)
    assert torch.equal(again, subject)


def test_a_photo_is_looked_at_once(finder):
    for named in ("subject", "background", "subject"):
        named_mask(PHOTO, named, "p.jpg")
    named_mask(PHOTO.clone(), "subject", "p.jpg")
    assert len(finder) == 1
    for seed in range(2 * MOST_KEPT):
        named_mask(make_photo(24, 30, seed=seed + 5), "subject", "p.jpg")
    assert len(named_masks._kept) == MOST_KEPT
    named_mask(PHOTO, "subject", "p.jpg")
    assert len(finder) == 2 + 2 * MOST_KEPT


@pytest.mark.usefixtures("finder")
def test_nothing_found_is_one_line():
    with pytest.raises(ImageError, match=r"^p\.jpg: no person found in it for `mask`\.$"):
        named_mask(PHOTO, "person", "p.jpg")


def test_a_name_wins_over_a_file_of_that_name(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    for name in ("subject", "mask.png"):
        (tmp_path / name).touch()
    assert parse_mask("subject").named == "subject"
    assert parse_mask("./subject").path == Path("subject")
    assert parse_mask("mask.png").named is None
    assert parse_mask("class:tabby").named == "class:tabby"


def test_unknown_names():
    with pytest.raises(UsageError, match=r"Unknown class 'tabbi'\. Did you mean tabby"):
        parse_mask("class:tabbi")
    with pytest.raises(UsageError, match=r"No such mask: 'persn' \(subject, .*Did you mean person"):
        parse_mask("persn")


def test_python_takes_names_paths_and_pictures():
    assert memory_mask("inverse:face") == MaskInput("inverse:face", None, True, "face")
    assert memory_mask("sky.png").path == Path("sky.png")
    assert memory_mask(PHOTO).picture is PHOTO


@pytest.mark.parametrize("text", ["subject", "inverse:person", "class:tabby", "inverse:alpha"])
def test_a_record_brings_the_mask_back(text):
    mask = parse_mask(text)
    back = recorded_mask(mask.record(), RecordedFiles([]))
    assert (back.named, back.inverse, back.picture) == (mask.named, mask.inverse, None)


def test_a_record_from_before_there_were_names():
    assert recorded_mask({"alpha": True, "inverse": False}, RecordedFiles([])).named is None


def test_inpainting_by_name_is_recorded():
    command = Texture(TextureConfig(), inpaint=parse_mask("subject"))
    assert Texture.from_record(command.record(), RecordedFiles([])).inpaint.named == "subject"
    assert command.inputs() == []


@pytest.mark.usefixtures("finder")
def test_the_mask_is_shown_as_a_picture_that_is_a_mask(tmp_path):
    (mask,) = parse_masks(["subject"], str(tmp_path / "mask-{stem}.png"))
    found = mask.over(Picture(PHOTO), None, "photos/p.jpg")
    assert torch.allclose(read_mask(tmp_path / "mask-p.png"), found, atol=1 / 255)
    show_mask(1 - found, tmp_path / "other.png")
    assert torch.allclose(read_mask(tmp_path / "other.png"), 1 - found, atol=1 / 255)


def test_several_masks_are_shown_side_by_side():
    masks = parse_masks(["subject", "background"], "m/{stem}.png")
    assert [mask.show for mask in masks] == [
        str(Path("m/{stem}-1.png")),
        str(Path("m/{stem}-2.png")),
    ]
    assert shown_path(masks[0].show, "a/photo.jpg") == Path("m/photo-1.png")


@pytest.mark.parametrize(
    ("show", "problem"),
    [
        ("mask.png", "2 photos do not fit into one file: write {stem}"),
        ("{stem}.jpg", "would overwrite"),
        ("out-{stem}.png", "would overwrite"),
        ("mask-{stem}.txt", "cnnart writes"),
    ],
)
def test_showing_masks_overwrites_nothing(show, problem):
    tasks = [task("a.jpg", "out-a.png"), task("b.jpg", "out-b.png")]
    with pytest.raises(UsageError, match=f"`show_mask`|{problem}") as error:
        check_shown(parse_masks(["subject"], show), tasks)
    assert problem in str(error.value)
    check_shown(parse_masks(["subject"], "mask-{stem}.png"), tasks)


def test_there_is_nothing_to_show_without_a_mask():
    with pytest.raises(UsageError, match="`show_mask` shows what `mask` chooses"):
        parse_masks([], "mask.png")
