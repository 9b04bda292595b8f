"""Segmentation: labels, shares, colors and a legend."""

import pytest
import torch

from cnnart.methods.inspect.boxes import color_of
from cnnart.methods.inspect.segment import (
    FIRST,
    draw_legend,
    draw_segmentation,
    segment,
    segmentation_finding,
)
from cnnart.networks.segmentation import Segmenter

CLASSES = ["background", "cat", "dog", "sheep"]


def halves():
    """The lower half is dog, the upper right quarter cat, the rest background."""

    def look(photo):
        sure = torch.zeros(1, 4, 20, 20)
        sure[:, 0], sure[:, 2, 10:], sure[:, 1, :10, 10:] = 0.4, 0.9, 0.9
        return sure

    return Segmenter("fake", CLASSES, look)


def test_regions_are_named_largest_first():
    found = segment(halves(), torch.ones(1, 3, 80, 60), (40, 40))
    assert [(region.name, region.share) for region in found.regions] == [
        ("dog", 0.5), ("cat", 0.25)
    ]  # fmt: skip
    assert found.labels[30, 5] == 2
    assert found.labels[5, 5] == 0


def test_colors_lie_over_the_photo_and_in_the_legend():
    shown = torch.ones(1, 3, 40, 40)
    found = segment(halves(), shown, (40, 40))
    picture = draw_segmentation(shown, found)
    for place, (y, x) in enumerate([(30, 5), (5, 30)]):
        ink = torch.tensor(color_of(FIRST + place)) / 255
        assert torch.allclose(picture[0, :, y, x], 0.4 + 0.6 * ink, atol=0.01)
    assert bool((picture[0, :, 5, 5] == 1).all())
    narrow, wide = draw_legend(found, 80), draw_legend(found, 600)
    assert narrow.shape[-1] == 80
    assert narrow.shape[-2] == 4 * 11  # two lines
    assert wide.shape[-2] == 2 * 20
    for place in (0, 1):
        ink = torch.tensor(color_of(FIRST + place)).view(3, 1, 1) / 255
        assert bool(((wide[0] - ink).abs() < 0.01).all(0).any())


def test_the_finding():
    photo = torch.ones(1, 3, 80, 60)
    found = segmentation_finding(halves(), "a.png", photo, photo)
    assert found.line == "a.png: dog 50.0%, cat 25.0%"
    assert found.numbers["regions"][1] == {
        "name": "cat", "class": 1, "share": pytest.approx(0.25, abs=0.01)
    }  # fmt: skip
    assert found.cells[0][1].shape[-2] > 80  # the legend is below
    empty = Segmenter("fake", CLASSES, lambda _: torch.eye(4)[:1].view(1, 4, 1, 1))
    found = segmentation_finding(empty, "a.png", photo, photo)
    assert found.line == "a.png: nothing found"
    assert found.cells[0][1].shape == photo.shape
