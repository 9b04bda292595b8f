"""Lists of pictures: labels, what is told of bad ones, and the same picture in other sizes."""

from __future__ import annotations

import pytest
import torch

from cnnart.errors import ImageError, UsageError
from cnnart.methods.inspect.pictures import (
    Failures,
    Item,
    label_of,
    labels_of,
    quantized,
    shrunk,
    stream,
)


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


def test_quantized_is_what_a_file_gives_back():
    found = quantized(torch.tensor([-0.2, 0.0, 0.4 / 255, 0.6 / 255, 0.5, 1.0, 1.7]))
    assert torch.equal(found * 255, torch.tensor([0.0, 0.0, 0.0, 1.0, 128.0, 255.0, 255.0]))
