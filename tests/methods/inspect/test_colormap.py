"""Maps of numbers as pictures."""

import torch

from cnnart.methods.inspect.colormap import apply_colormap, normalized_map, overlay


def test_to_unit_keeps_zero_and_the_order_and_saturates_single_points():
    values = torch.arange(1000.0).view(1, 1, 20, 50)
    values[0, 0, 0, 0] = 1e6  # one wild pixel
    unit = normalized_map(values)
    assert float(unit.min()) >= 0
    assert float(unit.max()) == 1
    assert float(unit[0, 0, 10, 0]) > 0.4  # it does not dim the rest
    assert (unit.flatten()[1:].diff() >= 0).all()


def test_to_unit_of_a_single_point_and_of_nothing():
    point = torch.zeros(1, 1, 100, 100)
    point[0, 0, 3, 4] = 0.2
    assert torch.equal(normalized_map(point), (point > 0).float())
    assert float(normalized_map(-point).max()) == 0


def test_colors_get_lighter_all_the_way():
    ramp = torch.linspace(0, 1, 256).view(1, 1, 1, 256)
    colors = apply_colormap(ramp)
    luma = (colors * torch.tensor([0.299, 0.587, 0.114]).view(1, 3, 1, 1)).sum(1).flatten()
    assert (luma.diff() > 0).all()
    assert colors.min() >= 0
    assert colors.max() <= 1


def test_the_overlay_is_as_large_as_the_photo_and_bright_where_it_is_hot():
    photo = torch.full((1, 3, 40, 60), 0.4)
    unit = torch.zeros(1, 1, 4, 6)
    unit[..., 3:] = 1
    over = overlay(photo, unit)
    assert over.shape == photo.shape
    assert float(over[..., 45:].mean()) > 2 * float(over[..., :15].mean())
