"""Saliency: where the important pixels are known, against captum, and each method's own law.

Then the sheet of maps, masks and scores; and that real maps beat random ones on a real photo.
"""

from pathlib import Path

import pytest
import torch
from torch import nn

from cnnart.errors import UsageError
from cnnart.image.read import read_image
from cnnart.methods.inspect.attribution_scores import random_saliency, ranking_scores
from cnnart.methods.inspect.config import SaliencyConfig
from cnnart.methods.inspect.crop import crop_for
from cnnart.methods.inspect.saliency import (
    RANDOM_MAPS,
    SaliencyMaps,
    SaliencyReport,
    cut_out,
    gradient,
    guided_backprop,
    integrated_attribution,
    smooth_grad,
    vanilla_gradient,
)
from cnnart.methods.inspect.target import TargetQuery, choose_target
from cnnart.networks.module import ModuleNetwork, Preprocessing
from cnnart.networks.zoo import open_network
from tests.helpers.inspection import (
    PIXELS,
    inside_share,
    noise_picture,
    probe_model,
    probe_network,
)


@pytest.fixture
def network():
    return probe_network()


@pytest.fixture
def image():
    return noise_picture()


def maps_of(network, image, query=None, **settings):
    target = choose_target(network, image, query or TargetQuery("patch"))
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


def test_integrated_gradients_sum_to_the_difference_from_gray(network, image):
    pytest.importorskip("captum")
    target = choose_target(network, image, TargetQuery("patch"))
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
    maps = maps_of(network, image, TargetQuery(layer="relu", channel=2))
    assert maps.cam_layer == "relu"
    activations = network(image, ["relu"])["relu"][:, 2:3]
    expected = nn.functional.interpolate(activations, size=(32, 32), mode="bilinear")
    found = maps("grad-cam")
    torch.testing.assert_close(found / found.max(), expected / expected.max())


def test_the_vgg_gives_maps_of_a_unit(features, photo):
    from cnnart.methods.inspect.config import SALIENCY_METHODS

    maps = maps_of(features, photo, TargetQuery(layer="relu3_1", channel=7), samples=2)
    for method in SALIENCY_METHODS:
        if method == "integrated-gradients":
            pytest.importorskip("captum")
        found = maps(method)
        assert found.shape == (1, 1, *photo.shape[-2:])
        assert float(found.max()) > 0


def test_without_relus_guided_backprop_is_refused(image):
    model = nn.Sequential(nn.Conv2d(3, 4, 3), nn.SiLU(), nn.Flatten(), nn.Linear(3600, 2))
    network = ModuleNetwork("smooth", model, Preprocessing(input_size=32, resize=32))
    target = choose_target(network, image, TargetQuery("1"))
    with pytest.raises(UsageError, match="needs ReLUs, and this network has none"):
        guided_backprop(target.score, image, SaliencyConfig())


def test_a_cam_layer_must_be_a_map_before_the_target(network, image):
    target = choose_target(network, image, TargetQuery("patch"))
    with pytest.raises(UsageError, match="out is none: name a convolution"):
        SaliencyMaps(network, target, image, SaliencyConfig(), "out")("grad-cam")
    unit = choose_target(network, image, TargetQuery(layer="conv", channel=0))
    with pytest.raises(UsageError, match="conv channel 0 does not depend on relu"):
        SaliencyMaps(network, unit, image, SaliencyConfig(), "relu")("grad-cam")
    with pytest.raises(UsageError, match=r"no layer 'rleu'. Did you mean relu\?"):
        SaliencyMaps(network, target, image, SaliencyConfig(), "rleu")


def test_settings_out_of_range_are_refused(network, image):
    with pytest.raises(UsageError, match="Samples must be at least 1"):
        maps_of(network, image, samples=0)
    with pytest.raises(UsageError, match="Noise 2 is out of range"):
        maps_of(network, image, noise=2.0)


# The sheet


def report_of(methods, **wanted):
    network = probe_network()
    crop = crop_for(network, noise_picture())
    target = choose_target(network, crop.input, TargetQuery("patch"))
    maps = SaliencyMaps(network, target, crop.input, SaliencyConfig(samples=2))
    report = SaliencyReport(maps, crop, target, **wanted)
    assert list(report.parts(methods)) == list(dict.fromkeys(methods))
    return report.result(), target, crop


def test_a_cell_for_the_photo_and_one_for_each_method_once():
    report, target, crop = report_of(["gradient", "grad-cam", "gradient"])
    labels = [label for label, _ in report.cells]
    assert labels[1:] == ["gradient", "grad-cam"]
    assert labels[0].startswith("patch: ")
    assert report.columns == 3
    assert report.numbers["value"] == pytest.approx(float(target.value(crop.input)))


def test_masks_are_a_row_below_and_scores_a_column_beside():
    pytest.importorskip("sklearn")
    report, target, crop = report_of(["gradient"], mask=True, score=True)
    assert report.columns == 3  # photo, map, random map
    labels = [label for label, _ in report.cells]
    assert labels[1].startswith("gradient\ndeletion 0.")
    assert labels[2].startswith("random\ndeletion 0.")
    assert labels[3] == labels[5] == ""
    assert labels[4].startswith("mask: ")
    guesses = [
        ranking_scores(target.value, crop.input, random_saliency(32, 32, seed=seed)).insertion
        for seed in range(RANDOM_MAPS)
    ]
    random = report.numbers["methods"][-1]
    assert random["insertion"] == pytest.approx(sum(guesses) / len(guesses))


def test_a_cut_out_is_the_photo_inside_and_nearly_white_outside():
    photo = torch.full((1, 3, 40, 40), 0.3)
    mask = torch.zeros(1, 1, 20, 20)
    mask[..., 10:] = 1
    picture = cut_out(photo, mask)
    torch.testing.assert_close(picture[..., 22:], photo[..., 22:])
    assert float(picture[..., :18].min()) > 0.9


def test_grad_cam_of_the_embedded_classifier_beats_random_maps_by_a_margin():
    """Measured: 0.47 for insertion less deletion, and 0.03 for random maps."""
    cup = Path(__file__).parents[3] / "examples" / "coffee.jpg"
    network = open_network("efficientnet-lite0", classifier=True)
    seen = network.prepare(read_image(cup).rgb)
    target = choose_target(network, seen, TargetQuery())
    assert target.name == "espresso"

    def score(saliency):
        found = ranking_scores(target.value, seen, saliency, steps=6)
        return found.insertion - found.deletion

    true = score(SaliencyMaps(network, target, seen, SaliencyConfig())("grad-cam"))
    guesses = [score(random_saliency(224, 224, seed=seed)) for seed in range(2)]
    assert true > max(guesses) + 0.25
