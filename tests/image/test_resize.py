"""Resizing, and the arithmetic of sizes."""

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from PIL import Image

from cnnart.errors import UsageError
from cnnart.image.picture import fit_long_side, resize


def test_resize_to_the_same_size_changes_nothing():
    image = torch.rand(1, 3, 7, 5)
    assert torch.equal(resize(image, 7, 5), image)


@pytest.mark.parametrize("size", [(3, 2), (14, 10), (1, 1), (7, 40)])
def test_resize_agrees_with_pillow(size):
    image = torch.rand(1, 3, 7, 5, generator=torch.Generator().manual_seed(1))
    for channel, resized in zip(image[0], resize(image, *size)[0], strict=True):
        expected = Image.fromarray(channel.numpy()).resize(size[::-1], Image.Resampling.BICUBIC)
        assert np.allclose(resized.numpy(), np.clip(np.asarray(expected), 0, 1), atol=1e-4)


def test_resize_averages_a_checkerboard_away():
    board = (torch.arange(64)[:, None] + torch.arange(64)).remainder(2).float()[None, None]
    assert torch.allclose(resize(board, 16, 16)[..., 2:-2, 2:-2], torch.tensor(0.5), atol=0.02)


def test_resize_clamps_only_what_was_within():
    step = torch.zeros(1, 3, 4, 8)
    step[..., 4:] = 1
    assert 0 <= float(resize(step, 8, 16).min()) <= float(resize(step, 8, 16).max()) <= 1
    assert float(resize(step * 2, 8, 16).max()) > 2
    with pytest.raises(UsageError, match="0x5"):
        resize(step, 0, 5)


@given(*[st.integers(1, 10_000)] * 3)
@settings(max_examples=200, deadline=None)
def test_fit_long_side(height, width, long_side):
    fitted = fit_long_side(height, width, long_side)
    assert max(fitted) == long_side
    assert min(fitted) >= 1
    assert (fitted[0] >= fitted[1]) if height >= width else (fitted[0] <= fitted[1])
    assert fit_long_side(width, height, long_side) == fitted[::-1]
    short = min(height, width) * long_side / max(height, width)
    assert abs(min(fitted) - max(1, short)) <= 0.5 + 1e-9
    assert fit_long_side(height, width, max(height, width)) == (height, width)


def test_fit_long_side_refuses_nothing_sized():
    with pytest.raises(UsageError, match="1 or more"):
        fit_long_side(10, 10, 0)
