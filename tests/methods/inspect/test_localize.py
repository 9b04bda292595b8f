"""Localization: the box is where the class is, in the photo's own pixels."""

import functools
from collections import OrderedDict

import pytest
import torch
from torch import Tensor, nn

from cnnart.methods.inspect.boxes import Box
from cnnart.methods.inspect.config import LocalizeConfig
from cnnart.methods.inspect.localize import (
    LocalizationScore,
    Truth,
    finding,
    localization_line,
    localization_numbers,
    localize,
    look,
)
from cnnart.methods.inspect.pictures import Item, stream
from cnnart.methods.inspect.series import PhotoSeries
from cnnart.networks.module import ModuleNetwork, Preprocessing
from tests.helpers.inspection import probe_network

RED, GREEN = 0, 1


def color_network() -> ModuleNetwork:
    """Classes red and green: how much of the picture is more than half of that color.

    Convolutions, a mean over places and a linear layer, as EfficientNet-Lite0 ends.
    """
    conv, head = nn.Conv2d(3, 2, 4, stride=4), nn.Linear(2, 2)
    with torch.no_grad():
        conv.weight.zero_()
        conv.weight[0, 0], conv.weight[1, 1] = 1 / 16, 1 / 16
        conv.bias.fill_(-0.5)
        head.weight.copy_(20 * torch.eye(2))
        head.bias.zero_()
    model = nn.Sequential(
        OrderedDict(
            conv=conv, relu=nn.ReLU(), pool=nn.AdaptiveAvgPool2d(1), flat=nn.Flatten(), head=head
        )
    )
    spec = Preprocessing((0.0,) * 3, (1.0,) * 3, 64, 64, classes=["red", "green"])
    return ModuleNetwork("colors", model, spec)


def scene(height: int = 120, width: int = 240) -> Tensor:
    """Black, with a large red and a small green patch."""
    photo = torch.zeros(1, 3, height, width)
    photo[:, 0, 40:100, 120:200] = 1
    photo[:, 1, 10:40, 20:60] = 1
    return photo


@pytest.mark.parametrize(("method", "least"), [("cam", 0.6), ("occlusion", 0.4)])
def test_box_is_around_the_class(method, least):
    network, config = color_network(), LocalizeConfig(method=method)
    found = localize(network, scene(), config)
    assert (found.guess.name, found.guess.index) == ("red", RED)
    assert found.box.overlap(Box(120, 40, 200, 100)) > least
    other = localize(network, scene(), config, GREEN)
    assert other.guess.name == "green"
    assert other.guesses[0].name == "red"
    assert other.box.holds(40, 25)
    assert not other.box.holds(160, 70)


def test_a_higher_threshold_makes_a_smaller_box():
    photo = scene() * torch.linspace(0.6, 1, 240)  # red grows to the right
    areas = [
        localize(color_network(), photo, LocalizeConfig(threshold=t), RED).box.area
        for t in (0.2, 0.5, 0.9)
    ]
    assert areas == sorted(areas, reverse=True)
    assert areas[0] > 1.5 * areas[2]


def test_a_photo_that_shows_nothing_is_boxed_as_a_whole():
    found = localize(color_network(), torch.zeros(1, 3, 50, 80), LocalizeConfig())
    assert found.box == Box(0, 0, 80, 50)


@pytest.mark.parametrize("size", [(1, 1), (3, 900), (700, 5)])
def test_any_proportions(size):
    found = localize(color_network(), torch.rand(1, 3, *size), LocalizeConfig())
    assert 0 <= found.box.left < found.box.right <= size[1]
    assert 0 <= found.box.top < found.box.bottom <= size[0]


def test_views_keep_proportions_where_the_network_takes_them():
    sizes = [tuple(view.shape[-2:]) for view in look(color_network(), scene())[0]]
    assert sizes == [(64, 128), (96, 192)]
    fixed = probe_network()  # its linear layer takes 32 x 32 alone
    assert [tuple(view.shape[-2:]) for view in look(fixed, scene())[0]] == [(32, 32)]
    found = localize(fixed, torch.rand(1, 3, 64, 128), LocalizeConfig())
    assert found.box.right <= 128


def test_a_lack_of_memory_is_no_matter_of_size(monkeypatch):
    def fail(*_):
        raise RuntimeError("DefaultCPUAllocator: can't allocate memory")

    monkeypatch.setattr("cnnart.methods.inspect.localize.probabilities_of", fail)
    with pytest.raises(RuntimeError, match="allocate memory"):
        look(color_network(), scene())


def test_numbers_and_line():
    found = localize(color_network(), scene(), LocalizeConfig())
    numbers = localization_numbers(found)
    assert (numbers["width"], numbers["height"], numbers["class"]) == (240, 120, "red")
    assert [guess["name"] for guess in numbers["guesses"]] == ["red", "green"]
    line = localization_line("a.png", found, {"iou": 0.5})
    assert line.startswith("a.png: red ")
    assert line.endswith(", IoU 0.50")


def test_score_takes_the_best_box_of_each_photo():
    found = localize(color_network(), scene(), LocalizeConfig())
    far, near = Truth(Box(0, 0, 10, 10), "green"), Truth(Box(120, 40, 200, 100), "red")
    score = LocalizationScore({"a.png": [far, near], "b.png": [far], "d/c.png": [near]})
    facts = score.add("folder/a.png", found, ["red", "green"])
    assert facts == {"iou": round(found.box.overlap(near.box), 4), "center_inside": True,
                     "correct": True}  # fmt: skip
    assert score.add("b.png", found, ["red", "green"])["correct"] is False
    assert score.add("e/c.png", found, None) == {}
    assert score.add("d/c.png", found, None)["center_inside"]
    numbers = score.numbers()
    assert (numbers["boxes"], numbers["center_inside"]) == (3, round(2 / 3, 4))
    assert numbers["class_right"] == round(1 / 3, 4)
    assert "66.7%, IoU" in score.text()


def test_a_box_beyond_its_photo_is_named_and_the_others_go_on():
    items = [Item("a.png", scene), Item("b.png", scene)]
    score = LocalizationScore({"a.png": [Truth(Box(0, 0, 500, 10))]})
    look = functools.partial(finding, color_network(), LocalizeConfig(), None, score)
    work = PhotoSeries(look, alone=False)
    lines = [found.line for found in work.rows(stream(items, work.failures))]
    assert [line.partition(":")[0] for line in lines] == ["b.png"]
    assert work.failures.found == [("a.png", "its box reaches beyond the photo, 240x120.")]
    assert work.report("title").numbers == {"photos": 1}
