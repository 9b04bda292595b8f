"""Saliency: where the important pixels are known, against captum, and each method's own law."""

import pytest
import torch
from inspect_probes import PIXELS, inside_share, noise_picture, probe_model, probe_network
from torch import nn

from cnnart.config import SaliencyConfig
from cnnart.errors import UsageError
from cnnart.inspect.asked import Asked
from cnnart.inspect.saliency import (
    SaliencyMaps,
    gradient,
    guided_backprop,
    integrated_attribution,
    smooth_grad,
    vanilla_gradient,
)
from cnnart.inspect.target import choose_target
from cnnart.networks.module import Intake, ModuleNetwork


@pytest.fixture
def network():
    return probe_network()


@pytest.fixture
def image():
    return noise_picture()


def maps_of(network, image, asked=None, **settings):
    target = choose_target(network, image, asked or Asked("patch"))
    return SaliencyMaps(network, target, image, SaliencyConfig(**settings))


@pytest.mark.parametrize("method", ["gradient", "guided-backprop", "smoothgrad"])
def test_the_patch_lights_up_and_nothing_else(network, image, method):
    found = maps_of(network, image)(method)
    assert found.shape == (1, 1, 32, 32)
    assert float(found.min()) >= 0
    assert inside_share(found) == pytest.approx(1)


def test_grad_cam_is_brightest_on_the_patch(network, image):
    picture = torch.zeros_like(image)
    patch = (slice(None), slice(None), *PIXELS)
    picture[patch] = image[patch]
    found = maps_of(network, picture)("grad-cam")
    assert found.shape == (1, 1, 32, 32)
    y, x = divmod(int(found.argmax()), 32)
    assert y in range(32)[PIXELS[0]]
    assert x in range(32)[PIXELS[1]]


def test_integrated_gradients_sum_to_the_difference_from_grey(network, image):
    pytest.importorskip("captum")
    target = choose_target(network, image, Asked("patch"))
    bright = 0.6 + 0.4 * image
    found = integrated_attribution(target.score, bright, SaliencyConfig(steps=64))
    difference = float(target.score(bright) - target.score(torch.full_like(image, 0.5)))
    assert abs(difference) > 0.1
    assert float(found.sum()) == pytest.approx(difference, abs=0.01 * abs(difference))
    assert inside_share(found.abs().amax(1, keepdim=True)) > 0.99


def test_smoothgrad_without_noise_is_the_gradient(network, image):
    maps = maps_of(network, image, noise=0.0, samples=11)
    torch.testing.assert_close(maps("smoothgrad"), maps("gradient"))


def test_smoothgrad_follows_its_seed(network, image):
    first, again, other = (maps_of(network, image, seed=s)("smoothgrad") for s in (1, 1, 2))
    assert torch.equal(first, again)
    assert not torch.equal(first, other)


def test_the_gradient_of_a_linear_score_is_its_weights(image):
    weights = torch.randn(1, 3, 32, 32, generator=torch.Generator().manual_seed(3))

    def score(pictures):
        return (pictures * weights).sum((1, 2, 3))

    torch.testing.assert_close(gradient(score, image), weights)
    expected = weights.abs().amax(1, keepdim=True)
    torch.testing.assert_close(vanilla_gradient(score, image, SaliencyConfig()), expected)
    found = smooth_grad(score, image, SaliencyConfig(noise=0.4))  # noise changes no slope
    torch.testing.assert_close(found, expected)


def test_captum_finds_the_same(network, image):
    attr = pytest.importorskip("captum.attr")
    model = probe_model()
    maps = maps_of(network, image)
    saliency = attr.Saliency(model).attribute(image.requires_grad_(), target=1)
    torch.testing.assert_close(maps("gradient"), saliency.amax(1, keepdim=True))
    cam = attr.LayerGradCam(model, model.relu).attribute(image, target=1, relu_attributions=True)
    large = nn.functional.interpolate(cam, size=(32, 32), mode="bilinear").detach()
    torch.testing.assert_close(maps("grad-cam"), large)


def test_a_units_map_is_where_the_unit_is_active(network, image):
    maps = maps_of(network, image, Asked(layer="relu", channel=2))
    assert maps.cam_layer == "relu"
    activations = network(image, ["relu"])["relu"][:, 2:3]
    expected = nn.functional.interpolate(activations, size=(32, 32), mode="bilinear")
    found = maps("grad-cam")
    torch.testing.assert_close(found / found.max(), expected / expected.max())


def test_the_vgg_gives_maps_of_a_unit(features, photo):
    from cnnart.config import SALIENCY_METHODS

    maps = maps_of(features, photo, Asked(layer="relu3_1", channel=7), samples=2)
    for method in SALIENCY_METHODS:
        if method == "integrated-gradients":
            pytest.importorskip("captum")
        found = maps(method)
        assert found.shape == (1, 1, *photo.shape[-2:])
        assert float(found.max()) > 0


def test_without_relus_guided_backprop_is_refused(image):
    model = nn.Sequential(nn.Conv2d(3, 4, 3), nn.SiLU(), nn.Flatten(), nn.Linear(3600, 2))
    network = ModuleNetwork("smooth", model, Intake(input_size=32, resize=32))
    target = choose_target(network, image, Asked("1"))
    with pytest.raises(UsageError, match="needs ReLUs, and this network has none"):
        guided_backprop(target.score, image, SaliencyConfig())


def test_a_cam_layer_must_be_a_map_before_the_target(network, image):
    target = choose_target(network, image, Asked("patch"))
    with pytest.raises(UsageError, match="out is none: name a convolution"):
        SaliencyMaps(network, target, image, SaliencyConfig(), "out")("grad-cam")
    unit = choose_target(network, image, Asked(layer="conv", channel=0))
    with pytest.raises(UsageError, match="conv channel 0 does not depend on relu"):
        SaliencyMaps(network, unit, image, SaliencyConfig(), "relu")("grad-cam")
    with pytest.raises(UsageError, match=r"no layer 'rleu'. Did you mean relu\?"):
        SaliencyMaps(network, target, image, SaliencyConfig(), "rleu")


def test_settings_out_of_range_are_refused(network, image):
    with pytest.raises(UsageError, match="Samples must be at least 1"):
        maps_of(network, image, samples=0)
    with pytest.raises(UsageError, match="Noise 2 is out of range"):
        maps_of(network, image, noise=2.0)
