"""Resizing what repeats."""

import math

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from cnnart.image.picture import resize
from cnnart.methods.texture.wrap import continuation, resample, resize_wrapped, wrap_axes


@pytest.mark.parametrize(
    ("tileable", "axes"),
    [("none", (False, False)), ("x", (False, True)), ("y", (True, False)), ("both", (True, True))],
)
def test_axes(tileable, axes):
    assert wrap_axes(tileable) == axes


def waves(height, width, down=2, across=3):
    """A picture that repeats, sampled at the middle of each pixel."""
    y = (torch.arange(height) + 0.5) / height
    x = (torch.arange(width) + 0.5) / width
    plane = torch.sin(2 * math.pi * (down * y[:, None] + across * x))
    return (0.5 + 0.4 * plane).expand(1, 3, height, width).contiguous()


@pytest.mark.parametrize("size", [(97, 101), (90, 112), (96, 96), (112, 75)])
def test_little_changes_are_exact_for_waves(size):
    """By its Fourier series: the same waves, at every pixel, also at the border."""
    found = resize_wrapped(waves(96, 96), size, (True, True))
    expected = waves(*size)
    inner = 1e-5 if min(size) > 80 else 2e-3  # the last size needs bicubic along one axis
    assert (found - expected).abs().max() < inner


@pytest.mark.parametrize("size", [(192, 160), (48, 40), (50, 61), (64, 250)])
def test_a_resized_picture_still_repeats(size):
    """Resizing the picture beside itself and cutting out the middle gives the same."""
    picture = torch.rand(1, 3, 64, 80, generator=torch.Generator().manual_seed(0))
    found = resize_wrapped(picture, size, (True, True))
    across = resize(picture.repeat(1, 1, 3, 3), 3 * size[0], 3 * size[1])
    middle = across[..., size[0] : 2 * size[0], size[1] : 2 * size[1]]
    assert found.shape[-2:] == size
    if all(not 1 / 1.2 < b / a < 1.2 for a, b in zip((64, 80), size, strict=True)):
        torch.testing.assert_close(found, middle, atol=1e-5, rtol=0)


def test_an_axis_that_does_not_repeat_is_resized_as_usual():
    picture = torch.rand(1, 3, 60, 80, generator=torch.Generator().manual_seed(0))
    assert torch.equal(resize_wrapped(picture, (60, 80), (True, True)), picture)
    usual = resize(picture, 30, 160)
    assert torch.equal(resize_wrapped(picture, (30, 160), (False, False)), usual)
    mixed = resize_wrapped(picture, (30, 160), (False, True))
    torch.testing.assert_close(mixed[..., 8:-8], usual[..., 8:-8], atol=1e-5, rtol=0)
    assert (mixed - usual)[..., :3].abs().max() > 0.01


@settings(max_examples=200, deadline=None)
@given(length=st.integers(16, 600), new=st.integers(16, 600))
def test_continuations_are_whole_and_no_longer_than_the_axis(length, new):
    before, after = continuation(length, new)
    assert before * new == after * length
    assert 0 < before <= length
    assert before >= 3 or before == length


@pytest.mark.parametrize(("length", "new"), [(16, 17), (17, 16), (15, 17), (20, 18)])
@pytest.mark.parametrize("axis", [-1, -2])
def test_resampling_keeps_the_mean(length, new, axis):
    shape = [1, 2, 5, 5]
    shape[axis] = length
    picture = torch.rand(shape, generator=torch.Generator().manual_seed(0))
    found = resample(picture, new, axis)
    torch.testing.assert_close(found.mean(axis), picture.mean(axis))
