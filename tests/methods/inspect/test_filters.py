"""Kernels as pictures: a pixel for each weight, zero in the middle; and the maps beside them."""

from __future__ import annotations

import pytest
import torch
from torch import nn

from cnnart.errors import UsageError
from cnnart.methods.inspect.config import FiltersConfig
from cnnart.methods.inspect.filters import (
    activation_picture,
    beside,
    convolutions,
    enlarged,
    find_kernels,
    kernel_picture,
    show_filters,
    slices_side_by_side,
)
from cnnart.networks.vgg import FeatureExtractor


@pytest.fixture
def small(tiny):
    return FeatureExtractor(tiny)


def test_a_color_kernel_is_a_pixel_for_each_weight():
    kernel = torch.tensor([[[2.0, 0.0]], [[-4.0, 1.0]], [[4.0, -2.0]]])
    expected = torch.tensor([[[[0.75, 0.5]], [[0.0, 0.625]], [[1.0, 0.25]]]])
    torch.testing.assert_close(kernel_picture(kernel), expected)
    torch.testing.assert_close(kernel_picture(kernel * 100), expected)


def test_a_kernel_of_zeros_is_gray():
    assert torch.equal(kernel_picture(torch.zeros(3, 5, 5)), torch.full((1, 3, 5, 5), 0.5))


def test_a_deeper_kernel_is_its_slices_side_by_side():
    kernel = torch.randn(7, 3, 3, generator=torch.Generator().manual_seed(0))
    picture = kernel_picture(kernel, slices=5)
    assert picture.shape == (1, 3, 7, 11)  # 2 rows of 3, a pixel between
    scaled = 0.5 + 0.5 * kernel / kernel.abs().max()
    torch.testing.assert_close(picture[0, 0, :3, 4:7], scaled[1])
    torch.testing.assert_close(picture[0, 2, 4:7, :3], scaled[3])
    assert float(picture[0, :, :, 3].min()) == 1  # the gap
    assert float(picture[0, :, 4:, 8:].min()) == 1  # where no sixth slice is


def test_one_slice_is_itself():
    plane = torch.rand(1, 3, 3)
    assert torch.equal(slices_side_by_side(plane), plane.expand(1, 3, 3, 3))


def test_a_map_is_black_at_zero_and_white_at_its_top():
    values = torch.arange(-200.0, 801).view(7, 143)  # white are the highest 5 of 1001
    picture = activation_picture(values)
    torch.testing.assert_close(picture[0, 1], (values / 795).clamp(0, 1))
    rare = torch.zeros(30, 30)
    rare[3, 4] = 7
    assert torch.equal(activation_picture(rare)[0, 0], rare / 7)
    assert float(activation_picture(torch.full((2, 2), -1.0)).max()) == 0


def test_enlarged_keeps_pixels_square():
    picture = torch.rand(1, 3, 2, 3)
    large = enlarged(picture, 10)
    assert large.shape == (1, 3, 8, 12)
    assert torch.equal(large[..., ::4, ::4], picture)
    assert torch.equal(large[..., 3::4, 3::4], picture)
    assert torch.equal(enlarged(large, 10), large)


@pytest.mark.parametrize("shape", [(5, 10), (200, 400), (50, 100)])
def test_beside_has_the_height_of_the_first(shape):
    found = beside(torch.zeros(1, 3, 50, 40), torch.full((1, 3, *shape), 0.25))
    assert found.shape == (1, 3, 50, 40 + 4 + 100)
    assert float(found[..., :40].max()) == 0
    assert float(found[..., 40:44].min()) == 1
    torch.testing.assert_close(found[..., 44:], torch.full((1, 3, 50, 100), 0.25))


def test_all_kernels_of_the_first_layer_some_of_a_deeper_one(small, tiny):
    layer, filters = show_filters(small, FiltersConfig())
    assert layer == "conv1_1"
    assert [f.channel for f in filters] == list(range(6))
    weight = tiny.convs["conv1_1"][0]
    for f in filters:
        assert f.norm == pytest.approx(float(weight[f.channel].norm()))
        assert torch.equal(f.picture[..., ::30, ::30], kernel_picture(weight[f.channel]))
    layer, filters = show_filters(small, FiltersConfig(layer="conv3_2", channels=(4, 1), slices=4))
    assert layer == "conv3_2"
    assert [f.channel for f in filters] == [4, 1]
    assert filters[0].picture.shape == (1, 3, 182, 182)  # 2 x 2 slices of 3, 26 times as large
    assert filters[0].highest is None


def test_what_a_kernel_finds_is_beside_it(small, photo):
    _, alone = show_filters(small, FiltersConfig())
    layer, filters = show_filters(small, FiltersConfig(), photo)
    with torch.no_grad():
        maps = small(photo, [layer])[layer][0]
    for a, f in zip(alone, filters, strict=True):
        assert torch.equal(f.picture[..., :90], a.picture)
        assert f.picture.shape[-1] == 90 + 4 + round(80 * 90 / 64)
        assert f.highest == pytest.approx(float(maps[f.channel].max()))
        assert f.active == pytest.approx(float((maps[f.channel] > 0).float().mean()))


def test_convolutions_of_a_module():
    class Wrapped:
        name = "mine"
        geometry = {"a": None, "b": None, "c": None}  # noqa: RUF012
        model = nn.Sequential()

    Wrapped.model = nn.Sequential()
    for name, module in (("a", nn.Conv2d(3, 2, 5)), ("b", nn.ReLU()), ("c", nn.Conv2d(2, 4, 3))):
        Wrapped.model.add_module(name, module)
    assert {k: tuple(w.shape) for k, w in convolutions(Wrapped()).items()} == {
        "a": (2, 3, 5, 5),
        "c": (4, 2, 3, 3),
    }
    Wrapped.model = nn.Linear(3, 3)
    with pytest.raises(UsageError, match="mine has no convolutions to show"):
        find_kernels(Wrapped(), None)


@pytest.mark.parametrize(
    ("config", "sentence"),
    [
        (
            FiltersConfig(layer="relu2_1"),
            "'relu2_1' has no kernels: name a convolution. Did you mean conv2_1?",
        ),
        (FiltersConfig(layer="conv9_1"), "tiny has no layer 'conv9_1'. Did you mean conv"),
        (FiltersConfig(channels=(0, 6)), "conv1_1 has no channel 6: it has 0 to 5."),
    ],
)
def test_errors(small, config, sentence):
    with pytest.raises(UsageError, match=sentence):
        show_filters(small, config)
