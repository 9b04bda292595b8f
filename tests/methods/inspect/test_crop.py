"""The part of a photo that a network is given."""

import pytest
import torch

from cnnart.methods.inspect.crop import crop_for
from tests.helpers.inspection import probe_network


@pytest.fixture(scope="module")
def network():
    return probe_network()


def test_a_classifier_sees_the_square_it_was_trained_on(network, photo_of):
    photo = photo_of(72, 144, 1)
    crop = crop_for(network, photo)
    torch.testing.assert_close(crop.input, network.prepare(photo))
    assert crop.display.shape == (1, 3, 64, 64)
    # The same part of the photo, in more pixels.
    small = torch.nn.functional.avg_pool2d(crop.display, 2)
    assert float((small - crop.input).abs().mean()) < 0.01
    assert crop.in_photo(0, 0) == (4, 40)


def test_the_vgg_sees_all_of_a_photo(features, photo):
    crop = crop_for(features, photo)
    assert crop.input.shape == (1, 3, 205, 256)
    assert crop.in_photo(205, 256) == (64, 80)
