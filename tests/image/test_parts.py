"""Finished parts beside a result: found again, and only with the settings they were made with."""

import os

import pytest
import torch

from cnnart.errors import ImageError
from cnnart.image.parts import Parts, parts_folder


def picture(value):
    return torch.full((1, 3, 4, 5), value)


def test_a_part_comes_back_rounded_to_what_png_holds(tmp_path):
    parts = Parts(tmp_path / "a.frames", {"seed": 1})
    assert not parts.has(7)
    parts.write(7, picture(0.5))
    assert parts.has(7)
    assert parts.path(7).name == "0007.png"
    torch.testing.assert_close(parts.read(7), picture(128 / 255))


def test_they_are_found_again_with_the_same_settings(tmp_path):
    Parts(tmp_path / "a.frames", {"seed": 1, "zoom": 1.5}).write(0, picture(0.2))
    again = Parts(tmp_path / "a.frames", {"zoom": 1.5, "seed": 1})
    assert again.has(0)
    assert again.warnings == [
        f"{tmp_path / 'a.frames'} holds 1 finished parts: going on from there."
    ]


def test_other_settings_start_anew_and_say_so(tmp_path):
    folder = tmp_path / "a.frames"
    Parts(folder, {"seed": 1}).write(0, picture(0.2))
    (folder / "mine.txt").write_text("keep me", encoding="utf-8")
    (folder / ".cnnart-0123.part").touch()  # a kill has left it
    parts = Parts(folder, {"seed": 2})
    assert parts.warnings == [f"{folder} is from a run with other settings: starting anew."]
    assert [path.name for path in folder.iterdir()] == ["mine.txt"]
    parts.write(0, picture(0.3))
    assert Parts(folder, {"seed": 2}).has(0)


@pytest.mark.parametrize("seed", [1, 2])
def test_afresh_nothing_that_lies_there_counts(seed, tmp_path):
    folder = tmp_path / "a.frames"
    Parts(folder, {"seed": 1}).write(0, picture(0.2))
    assert Parts(folder, {"seed": seed}, fresh=True, read_only=True).warnings == []
    assert [path.name for path in sorted(folder.iterdir())] == ["0000.png", "settings.json"]
    parts = Parts(folder, {"seed": seed}, fresh=True)
    assert not parts.has(0)
    assert parts.warnings == []


@pytest.mark.skipif(not hasattr(os, "mkfifo"), reason="needs named pipes")
def test_settings_that_are_a_pipe_are_not_waited_for(tmp_path):
    folder = tmp_path / "a.frames"
    Parts(folder, {"seed": 1}).write(0, picture(0.2))
    (folder / "settings.json").unlink()
    os.mkfifo(folder / "settings.json")
    with pytest.raises(ImageError, match="holds pictures that cnnart has not made there"):
        Parts(folder, {"seed": 1})


def test_pictures_of_the_users_own_are_not_touched(tmp_path):
    """A folder without settings was not made by cnnart, whatever its files are called."""
    folder = tmp_path / "a.frames"
    folder.mkdir()
    (folder / "0000.png").write_bytes(b"mine")
    with pytest.raises(ImageError, match="holds pictures that cnnart has not made"):
        Parts(folder, {"seed": 1})
    assert (folder / "0000.png").read_bytes() == b"mine"


def test_nothing_is_made_before_the_first_part(tmp_path):
    parts = Parts(tmp_path / "a.frames", {})
    assert not parts.folder.exists()
    parts.remove()


def test_removing_takes_the_folder_along(tmp_path):
    parts = Parts(tmp_path / "deep" / "a.frames", {})
    parts.write(12, picture(0.1))
    parts.remove()
    assert not parts.folder.exists()


def test_a_damaged_part_is_named(tmp_path):
    parts = Parts(tmp_path / "a.frames", {})
    parts.write(0, picture(0.1))
    parts.path(0).write_bytes(b"no picture")
    with pytest.raises(ImageError, match=r"0000\.png"):
        parts.read(0)


def test_a_folder_that_cannot_be_made(tmp_path):
    (tmp_path / "file").write_bytes(b"")
    with pytest.raises(ImageError, match="cannot keep finished parts"):
        Parts(tmp_path / "file" / "a.frames", {}).write(0, picture(0.1))


@pytest.mark.parametrize(
    ("target", "folder"),
    [("out/fly.webp", "out/fly.frames"), ("fly", "fly.frames"), (".x/a.b.mp4", ".x/a.b.frames")],
)
def test_where_they_are_kept(tmp_path, target, folder):
    assert parts_folder(tmp_path / target, "frames") == tmp_path / folder
