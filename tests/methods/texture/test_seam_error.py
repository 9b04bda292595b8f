"""The seam where a texture meets itself, in closed form."""

import math

import pytest
import torch

from cnnart.errors import UsageError
from cnnart.methods.texture.seam_error import seam_error, typical_border


def ramp(step, height=6, width=50):
    """Each column brighter than the one before by ``step``."""
    return (torch.arange(width, dtype=torch.float64) * step).expand(1, 3, height, width)


def test_a_ramp_jumps_back_by_all_its_steps():
    assert seam_error(ramp(0.01), "x") == pytest.approx(49 - 1)


def test_the_other_axis_has_its_own_seam():
    assert seam_error(ramp(0.01).transpose(2, 3), "y") == pytest.approx(48)
    assert seam_error(ramp(0.01), "y") == 0.0  # constant along y, and no seam


def test_whole_periods_have_no_seam_and_half_a_period_has():
    x = torch.arange(64, dtype=torch.float64)
    zigzag = ((x % 16) - 8).abs() / 8  # the same gradient everywhere
    image = zigzag.expand(1, 3, 4, 64)
    assert seam_error(image, "x") == pytest.approx(0)
    assert seam_error(image[..., :56], "x") == pytest.approx(6)  # from 1/8 back to 1: seven steps
    assert seam_error(image.roll(5, -1), "x") == pytest.approx(0)


def test_a_soft_seam_is_negative():
    image = ramp(0.1, width=3).clone()
    image[..., 2] = 0  # equal to the first column
    assert seam_error(image, "x") == pytest.approx(-1)


def test_a_few_lines_do_not_decide_what_is_usual():
    image = ramp(0.001, width=200).clone()
    image[..., 100:] += 10.0  # one edge ten thousand times as strong as the rest
    image[..., 150:] -= 10.0
    wrap = 0.001 * 199
    assert seam_error(image, "x") == pytest.approx(wrap / 0.001 - 1, rel=0.01)


def test_any_seam_is_infinitely_worse_than_none():
    image = torch.zeros(1, 3, 8, 8)
    assert seam_error(image, "x") == 0.0
    assert math.isinf(seam_error(torch.ones(1, 3, 2, 400).cumsum(3) // 400, "x"))


@pytest.mark.parametrize(
    ("size", "axis", "sentence"),
    [
        ((8, 8), "z", "A seam runs along x or y, not 'z'."),
        ((8, 2), "x", "A seam needs 3 pixels along x; there are 2."),
    ],
)
def test_what_has_no_seam(size, axis, sentence):
    with pytest.raises(UsageError) as error:
        seam_error(torch.zeros(1, 3, *size), axis)
    assert str(error.value) == sentence


@pytest.mark.parametrize("axis", ["x", "y"])
def test_the_typical_border_is_a_line_like_the_others(axis: str) -> None:
    generator = torch.Generator().manual_seed(0)
    image = torch.rand(1, 3, 60, 80, generator=generator)
    image[..., 7:9, 5:9] = 0  # a conspicuous line in each direction
    dim = -1 if axis == "x" else -2
    border = typical_border(image, axis)
    opened = image.roll(-border, dim)
    assert abs(seam_error(opened, axis)) < 0.01
    assert abs(seam_error(opened, axis)) <= abs(seam_error(image, axis))
    assert torch.equal(opened.roll(border, dim), image)


def test_a_picture_all_alike_is_cut_where_it_is() -> None:
    assert typical_border(torch.full((1, 3, 8, 8), 0.5), "x") == 0
