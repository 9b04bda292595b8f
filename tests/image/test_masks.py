"""Masks from luminance, alpha or both."""

import numpy as np
import pytest
import torch
from PIL import Image

from cnnart.image.read import read_mask


def test_mask_is_the_luminance():
    array = np.array([[0, 51, 255]], np.uint8)
    assert torch.allclose(read_mask(array), torch.tensor([[[[0, 0.2, 1]]]]))
    colors = np.array([[[255, 0, 0], [0, 255, 0], [0, 0, 255]]], np.uint8)
    assert torch.allclose(read_mask(colors), torch.tensor([[[[0.299, 0.587, 0.114]]]]))


def test_mask_multiplies_luminance_and_alpha():
    array = np.array([[[255, 255, 255, 255], [255, 255, 255, 51], [0, 0, 0, 255]]], np.uint8)
    assert torch.allclose(read_mask(array), torch.tensor([[[[1, 0.2, 0]]]]), atol=1e-6)


@pytest.mark.parametrize("color", [(0, 0, 0), (255, 255, 255), (200, 10, 10)])
def test_mask_of_a_cut_out_shape_is_its_alpha(color, tmp_path):
    image = Image.new("RGBA", (4, 1), (90, 80, 70, 0))
    image.putpixel((1, 0), (*color, 255))
    image.putpixel((2, 0), (*color, 102))
    expected = torch.tensor([[[[0, 1, 0.4, 0]]]])
    assert torch.allclose(read_mask(image), expected)
    path = tmp_path / "a.png"
    image.save(path)
    assert torch.allclose(read_mask(path), expected)


def test_mask_without_alpha_may_be_constant():
    assert (read_mask(np.full((2, 3), 255, np.uint8)) == 1).all()
    assert (read_mask(np.zeros((2, 3), bool)) == 0).all()


def test_mask_of_a_mask():
    mask = torch.rand(1, 1, 5, 6)
    assert torch.allclose(read_mask(mask), mask, atol=1e-6)
