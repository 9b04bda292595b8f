"""What stands for a picture: pooled features of length 1, and 32 x 32 pixels."""

from __future__ import annotations

import pytest
import torch
from inspect_samples import SmallNetwork

from cnnart.errors import UsageError
from cnnart.inspect.descriptor import Descriptor


def test_features_are_the_layers_means_at_length_one():
    picture = torch.rand(1, 3, 256, 256, generator=torch.Generator().manual_seed(0))
    network = SmallNetwork()
    features, _ = Descriptor(network, "conv1")(picture)
    inner = picture[..., 16:240, 16:240]  # the square in the middle
    means = network(inner, ["conv1"])["conv1"].mean((2, 3))[0]
    torch.testing.assert_close(features, means / means.norm())
    assert float(features.norm()) == pytest.approx(1)


def test_pixels_are_those_of_the_whole_picture():
    picture = torch.zeros(1, 3, 64, 128)
    picture[:, 0, :, 64:] = 1
    _, pixels = Descriptor(SmallNetwork(), "conv1")(picture)
    small = pixels.view(3, 32, 32)
    assert small.dtype == torch.uint8
    assert small[0, :, 20:].float().mean() > 254
    assert small[0, :, :12].float().mean() < 1
    assert int(small[1:].max()) == 0


@pytest.mark.parametrize("shape", [(20, 300), (300, 20), (7, 7), (300, 400)])
def test_any_shape_of_picture(shape):
    features, pixels = Descriptor(SmallNetwork(), "conv2")(torch.rand(1, 3, *shape))
    assert features.shape == (5,)
    assert pixels.shape == (3072,)


def test_a_classifier_prepares_its_pictures_itself():
    class Classifier(SmallNetwork):
        def prepare(self, image):
            return image[..., :8, :8]

    picture = torch.rand(1, 3, 30, 30)
    network = Classifier()
    features, _ = Descriptor(network, "conv1")(picture)
    means = network(picture[..., :8, :8], ["conv1"])["conv1"].mean((2, 3))[0]
    torch.testing.assert_close(features, means / means.norm())


def test_a_layer_of_vectors_is_taken_as_it_is():
    class Linear(SmallNetwork):
        def __call__(self, image, layers):
            return {"conv2": torch.tensor([[3.0, 4.0]])}

    features, _ = Descriptor(Linear(), "conv2")(torch.rand(1, 3, 30, 30))
    torch.testing.assert_close(features, torch.tensor([0.6, 0.8]))


def test_what_it_is_made_with_and_unknown_layers():
    assert Descriptor(SmallNetwork(), "conv1").made_with == {
        "network": "small",
        "weights": "0" * 64,
        "layer": "conv1",
        "precision": "float32",
    }
    with pytest.raises(UsageError, match="no layer 'conv3'"):
        Descriptor(SmallNetwork(), "conv3")
