"""Inversion: the features come back, the pixels the less the deeper the layer."""

from __future__ import annotations

import pytest
import torch

from cnnart.errors import UsageError
from cnnart.methods.inspect.config import InvertConfig
from cnnart.methods.inspect.inversion import Inversion
from cnnart.networks.vgg import FeatureExtractor
from cnnart.optim.capture import WARM_UP
from cnnart.optim.losses import moments, relative_square
from tests.helpers.inspection import noise_picture, probe_network
from tests.helpers.replays import recording
from tests.helpers.waits import NoWaits


def inverted(photo, features, **settings):
    work = Inversion(photo, InvertConfig(**settings), features)
    return work, list(work.steps())


def test_the_deeper_the_layer_the_less_is_left_of_the_pixels(features, photo_of):
    photo = photo_of(48, 48)
    layers = ("relu1_1", "relu2_1", "relu4_1")
    work, steps = inverted(photo, features, layers=layers, size=48, steps=40)
    assert [found.layer for found in work.found] == list(layers)
    pixels = [found.pixel_error for found in work.found]
    assert pixels[0] < pixels[1] < pixels[2]
    assert pixels[0] < 0.05
    start = (0.5 + torch.zeros_like(photo) - photo).square().mean().sqrt()
    assert pixels[2] > pixels[0] * 2
    for found in work.found:
        assert found.feature_error < 0.45
        assert found.image.shape == (1, 3, 48, 48)
        assert found.pixel_error < float(start)
    assert steps[-1].steps == 120


def test_the_feature_error_falls(tiny, photo):
    network = FeatureExtractor(tiny)
    few, many = (
        inverted(photo, network, layers=("relu2_1",), size=64, steps=n, tv_weight=0)[0].found[0]
        for n in (2, 40)
    )
    assert many.feature_error < few.feature_error / 2


@pytest.mark.parametrize("gram", [False, True])
def test_an_evaluation_never_waits_for_its_device(tiny, photo, gram):
    work = Inversion(
        photo, InvertConfig(layers=("relu2_1",), size=64, gram=gram), FeatureExtractor(tiny)
    )
    objective = work._objective(work.layers)
    with NoWaits():
        evaluation = objective(work.photo)
        evaluation.values()
    assert evaluation.losses[work.kind] == pytest.approx(0, abs=1e-9)


@pytest.mark.parametrize("gram", [False, True])
def test_a_recorded_inversion_is_the_inversion(tiny, photo, monkeypatch, gram):
    settings = {"layers": ("relu1_1", "relu2_1"), "size": 64, "steps": 6, "gram": gram}
    network = FeatureExtractor(tiny)
    _, expected = inverted(photo, network, **settings)
    recorders = recording(monkeypatch)
    _, found = inverted(photo, network, **settings)
    # For each layer its evaluations, and L-BFGS's steps but the first.
    assert [r.replays for r in recorders] == 2 * [6 - WARM_UP, 5 - WARM_UP]
    for step, other in zip(expected, found, strict=True):
        assert step.losses == pytest.approx(other.losses, rel=1e-3)


def test_the_errors_are_those_of_the_picture_as_a_file_holds_it(tiny, photo):
    network = FeatureExtractor(tiny)
    work, _ = inverted(photo, network, layers=("relu2_1",), size=64, steps=5)
    found = work.found[0]
    levels = found.image * 255
    torch.testing.assert_close(levels, levels.round(), atol=1e-3, rtol=0)
    expected = (found.image - work.photo).square().mean().sqrt()
    assert found.pixel_error == pytest.approx(float(expected))
    pair = [network(x, ["relu2_1"])["relu2_1"] for x in (found.image, work.photo)]
    assert found.feature_error == pytest.approx(float(relative_square(*pair).sqrt()))


def test_gram_matrices_come_back_and_places_do_not(tiny, photo):
    network = FeatureExtractor(tiny)
    settings = {"layers": ("relu1_1", "relu2_1"), "size": 64, "steps": 60, "tv_weight": 0.0}
    work, _ = inverted(photo, network, gram=True, **settings)
    plain, _ = inverted(photo, network, **settings)
    for found, other in zip(work.found, plain.found, strict=True):
        assert found.feature_error < 0.3
        assert found.pixel_error > other.pixel_error
    layers = ("relu1_1", "relu2_1")  # the second reconstruction matches both
    maps = [network(x, layers) for x in (work.found[1].image, work.photo)]
    errors = [relative_square(*(moments(m[k]).gram() for m in maps)) for k in layers]
    assert work.found[1].feature_error == pytest.approx(float(torch.stack(errors).mean().sqrt()))


def test_the_same_seed_the_same_picture(tiny, photo):
    network = FeatureExtractor(tiny)
    settings = {"layers": ("relu1_1",), "size": 32, "steps": 3}
    one, two, other = (
        inverted(photo, network, seed=seed, **settings)[0].found[0].image for seed in (1, 1, 2)
    )
    assert torch.equal(one, two)
    assert not torch.equal(one, other)


def test_a_step_says_where_the_whole_run_stands(tiny, photo):
    _, steps = inverted(
        photo, FeatureExtractor(tiny), layers=("relu1_1", "relu2_1"), size=32, steps=4
    )
    assert [step.index for step in steps] == list(range(1, 9))
    assert {step.steps for step in steps} == {8}
    assert steps[0].scale == (26, 32)
    assert set(steps[0].losses) == {"content", "tv"}


def test_a_layer_without_maps_has_no_gram_matrix():
    with pytest.raises(UsageError, match="flat is no layer of maps: it has no Gram matrix"):
        inverted(noise_picture(), probe_network(), layers=("flat",), size=32, gram=True)


@pytest.mark.parametrize(
    ("settings", "sentence"),
    [
        ({"layers": ()}, "No layer: name at least one, like `layers` relu3_1."),
        ({"layers": ("relu9_1",)}, "tiny has no layer 'relu9_1'"),
        ({"steps": 0}, "Steps must be at least 1, not 0."),
        ({"size": 4}, "Size 4 is too small: 16 pixels at least."),
        ({"tv_weight": -1}, "The tv weight must not be negative."),
        ({"layers": ("pool5",), "size": 32}, "32x26 is too small for these layers: .* at least 32"),
    ],
)
def test_errors(tiny, photo, settings, sentence):
    with pytest.raises(UsageError, match=sentence):
        Inversion(photo, InvertConfig(**settings), FeatureExtractor(tiny))
