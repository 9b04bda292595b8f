"""Folders as lists of pictures: names, stamps, labels, and what is told of bad ones."""

from __future__ import annotations

import os
from pathlib import Path

import pytest
import torch
from samples import save_picture

from cnnart.errors import ImageError, UsageError
from cnnart.inspect.folder import find_items, label_of, labels_of
from cnnart.inspect.streaming import Failures, Item, shrunk, stream


@pytest.fixture(autouse=True)
def folders(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    for name in ("a/p10.png", "a/p9.png", "a/dogs/x.png", "b/p9.png"):
        save_picture(name)


def names(*given, **more):
    return [item.name for item in find_items(given, **more)]


def test_names_are_those_below_the_folder_in_natural_order():
    assert names("a") == ["dogs/x.png", "p9.png", "p10.png"]
    assert names("a", recursive=False) == ["p9.png", "p10.png"]
    assert names("a/p9.png") == ["a/p9.png"]
    assert names("a", "b") == ["a/dogs/x.png", "a/p9.png", "a/p10.png", "b/p9.png"]


def test_a_stamp_changes_with_the_file_and_a_key_does_not_with_its_name():
    (before,) = find_items(["b"])
    os.utime("b/p9.png", ns=(1, 1))
    (after,) = find_items(["b"])
    assert before.stamp != after.stamp == (Path("b/p9.png").stat().st_size, 1)
    assert after.key == find_items([str(Path("b/p9.png").resolve())])[0].key


def test_items_are_read_when_their_turn_comes():
    (item,) = find_items(["b"])
    assert item.read().shape == (1, 3, 48, 64)
    Path("b/p9.png").write_text("gone")
    with pytest.raises(ImageError, match="text file"):
        item.read()


def test_names_that_lead_to_nothing():
    with pytest.raises(UsageError, match=r"No such file or folder: 'c'"):
        find_items(["c"])
    with pytest.raises(UsageError, match="holds one picture: name a folder"):
        find_items(["-"])


@pytest.mark.parametrize(
    ("name", "label"),
    [
        ("n02084071-dog.jpg", "n02084071"),
        ("n02084071_1.jpg", "n02084071"),
        ("sub/n02084071.jpg", "n02084071"),
        ("n020840711.jpg", None),
        ("dogs/x.jpg", "dogs"),
        ("animals/dogs/x.jpg", "animals/dogs"),
        ("x.jpg", None),
        ("nothing.jpg", None),
    ],
)
def test_labels(name, label):
    assert label_of(name) == label


def test_no_two_pictures_with_a_common_label():
    assert labels_of(["dogs/1.jpg", "dogs/2.jpg", "x.jpg"]) == ["dogs", "dogs", None]
    for pictures in (["x.jpg", "y.jpg"], ["dogs/1.jpg", "cats/1.jpg"], []):
        with pytest.raises(UsageError, match="No two pictures have a label in common: put each"):
            labels_of(pictures)


def test_a_bad_picture_is_told_without_its_name_twice():
    def bad():
        raise ImageError("bad.png: the file is empty; get it again.")

    failures = Failures()
    good = Item("good.png", lambda: torch.zeros(1, 3, 2, 2))
    found = list(stream([Item("bad.png", bad), good], failures))
    assert [(item.name, image is None) for item, image in found] == [
        ("bad.png", True),
        ("good.png", False),
    ]
    assert failures.found == [("bad.png", "the file is empty; get it again.")]


def test_shrunk():
    assert shrunk(torch.rand(1, 3, 100, 50), 40).shape == (1, 3, 40, 20)
    small = torch.rand(1, 3, 30, 20)
    assert shrunk(small, 40) is small
