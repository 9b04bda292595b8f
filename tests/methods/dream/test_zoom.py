"""One step of a flight: exact where nothing moves, and its inverse undoes it."""

import pytest
import torch

from cnnart.errors import UsageError
from cnnart.methods.dream.transforms import zoom_picture


def smooth_picture(height=40, width=56):
    y = torch.linspace(0, 3, height)[:, None]
    x = torch.linspace(0, 4, width)[None]
    planes = [torch.sin(x + y), torch.cos(2 * x - y), torch.sin(3 * y) * torch.cos(x)]
    return 0.5 + 0.4 * torch.stack([plane.expand(height, width) for plane in planes])[None]


@pytest.mark.parametrize("rotate", [0.0, 360.0, -720.0])
def test_nothing_to_do_returns_the_picture_itself(rotate):
    picture = smooth_picture()
    assert zoom_picture(picture, 1.0, rotate) is picture


@pytest.mark.parametrize(("zoom", "rotate"), [(1.03, 0), (0.97, 0), (1, 5), (1.05, -3), (1.2, 20)])
def test_there_and_back_is_the_picture(zoom, rotate):
    picture = smooth_picture()
    back = zoom_picture(zoom_picture(picture, zoom, rotate), 1 / zoom, -rotate)
    inner = (back - picture)[..., 13:-13, 13:-13]
    assert float(inner.abs().max()) < 0.005


def test_a_half_turn_is_a_flip_both_ways():
    picture = smooth_picture(15, 22)
    turned = zoom_picture(picture, rotate=180)
    torch.testing.assert_close(turned, picture.flip(-1, -2), atol=1e-4, rtol=0)


def test_a_quarter_turn_is_counter_clockwise():
    picture = smooth_picture(21, 21)
    turned = zoom_picture(picture, rotate=90)
    torch.testing.assert_close(turned, torch.rot90(picture, 1, (-2, -1)), atol=1e-4, rtol=0)


def test_a_zoom_of_two_shows_the_middle_half():
    columns = torch.linspace(0, 1, 64).expand(1, 3, 48, 64)
    nearer = zoom_picture(columns, 2.0)[0, 0, 24]
    assert float(nearer[0]) == pytest.approx(0.25, abs=0.01)
    assert float(nearer[-1]) == pytest.approx(0.75, abs=0.01)
    torch.testing.assert_close(nearer, torch.linspace(0.25, 0.75, 64), atol=0.005, rtol=0)


def test_what_comes_in_from_outside_is_the_mirror_image():
    columns = torch.linspace(0, 1, 64).expand(1, 3, 48, 64)
    farther = zoom_picture(columns, 0.5)[0, 0, 24]
    torch.testing.assert_close(farther, farther.flip(0) * -1 + 1, atol=1e-3, rtol=0)
    assert float(farther[0]) == pytest.approx(0.5, abs=0.03)  # mirrored back to the middle
    assert float(farther[16]) == pytest.approx(0.0, abs=0.03)


def test_it_stays_in_range():
    checks = torch.rand(1, 3, 32, 32, generator=torch.Generator().manual_seed(0)).round()
    moved = zoom_picture(checks, 1.1, 7)
    assert float(moved.min()) >= 0
    assert float(moved.max()) <= 1


@pytest.mark.parametrize("zoom", [0, -1, float("nan"), float("inf")])
def test_an_impossible_zoom_is_refused(zoom):
    with pytest.raises(UsageError, match=r"is not possible: 1\.03 comes nearer"):
        zoom_picture(smooth_picture(), zoom)
