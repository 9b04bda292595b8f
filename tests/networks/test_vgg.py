"""The extractor: what VGG-19 is known to be, and what its geometry claims, looked up in pixels."""

import dataclasses

import pytest
import torch
import torch.nn.functional as F

from cnnart.errors import UsageError
from cnnart.networks.base import LayerGeometry
from cnnart.networks.vgg import FeatureExtractor, trusted

LAYERS = ["conv1_1", "relu1_1", "conv3_4", "relu3_1", "pool4", "conv4_2", "relu4_2", "relu5_1"]


@pytest.fixture
def small(tiny):
    return FeatureExtractor(tiny)


def test_geometry_of_vgg19(features):
    """Strides double at each pool; channels and receptive fields as in the literature."""
    g = features.geometry
    assert g["relu1_1"] == LayerGeometry(1, 1, 64)
    assert g["conv1_2"] == LayerGeometry(1, 2, 64)
    assert g["pool1"] == LayerGeometry(2, 2, 64)
    assert g["relu2_1"] == LayerGeometry(2, 4, 128)
    assert g["relu3_1"] == LayerGeometry(4, 10, 256)
    assert g["relu4_2"] == LayerGeometry(8, 38, 512)
    assert g["relu5_1"] == LayerGeometry(16, 70, 512)
    assert g["pool5"].stride == 32
    assert len(g) == 16 + 16 + 5
    assert [n for n in g if n.startswith("pool")] == [f"pool{i}" for i in range(1, 6)]


@pytest.mark.parametrize("pooling", ["max", "avg"])
def test_activations_have_the_shapes_the_geometry_says(tiny, pooling):
    small = FeatureExtractor(tiny, pooling=pooling)
    found = small(torch.rand(1, 3, 75, 50), small.geometry)
    for name, g in small.geometry.items():
        assert found[name].shape == (1, g.channels, 75 // g.stride, 50 // g.stride), name


def test_embedded_activations_have_the_channels_the_geometry_says(features, photo):
    found = features(photo, LAYERS)
    assert set(found) == set(LAYERS)
    for name in LAYERS:
        assert found[name].shape[1] == features.geometry[name].channels


@pytest.mark.parametrize("layer", ["conv1_2", "pool1", "conv2_2", "pool3", "relu3_1", "conv5_1"])
def test_nothing_beyond_the_reach_matters(tiny, layer):
    """One pixel changes: units further than the reach stay as they were, bit for bit."""
    small = FeatureExtractor(tiny, pooling="avg")
    g = small.geometry[layer]
    side, pixel = 320, 161
    image = torch.rand(1, 3, side, 16, generator=torch.Generator().manual_seed(0))
    changed = image.clone()
    changed[..., pixel, :] += 5
    with torch.no_grad():
        before, after = small(image, [layer])[layer], small(changed, [layer])[layer]
    differs = (before != after).any(3).any(1)[0].nonzero().flatten() * g.stride
    assert len(differs) > 0
    assert pixel - g.reach <= int(differs.min()) + g.stride - 1
    assert int(differs.max()) <= pixel + g.reach
    # Not padded for safety either: it reaches that far upwards, give or take a unit.
    assert int(differs.min()) < pixel - g.reach + g.stride


@pytest.mark.parametrize(
    ("layers", "expected"),
    [
        (["relu1_1"], 1),
        (["conv2_1", "relu1_1"], 3),
        (["relu4_2"], 10),
        (["relu5_1", "relu4_2"], 13),
        (["pool5"], 16),
        ([], 0),
        (["pool1"], 2),
    ],
)
def test_it_stops_at_the_deepest_layer(small, monkeypatch, layers, expected):
    calls, conv2d = [], F.conv2d
    monkeypatch.setattr(F, "conv2d", lambda *a, **k: calls.append(1) or conv2d(*a, **k))
    assert set(small(torch.rand(1, 3, 32, 32), layers)) == set(layers)
    assert len(calls) == expected


@pytest.mark.parametrize("name", ["1_1", "2_2", "4_2"])
def test_a_captured_convolution_is_not_its_relu(features, photo, name):
    conv, relu = f"conv{name}", f"relu{name}"
    found = features(photo, [conv, relu])
    assert found[conv].min() < 0
    torch.testing.assert_close(found[relu], found[conv].relu(), rtol=0, atol=0)
    # What else is asked for changes nothing.
    for alone in (conv, relu):
        torch.testing.assert_close(features(photo, [alone])[alone], found[alone], rtol=0, atol=0)
    deeper = features(photo, [conv, relu, "relu5_1"])
    torch.testing.assert_close(deeper[conv], found[conv], rtol=0, atol=0)
    torch.testing.assert_close(deeper[relu], found[relu], rtol=0, atol=0)


def test_pools_are_pools_of_the_relu(small):
    found = small(torch.rand(1, 3, 33, 40), ["relu1_2", "pool1", "relu5_4", "pool5"])
    torch.testing.assert_close(found["pool1"], F.max_pool2d(found["relu1_2"], 2))
    torch.testing.assert_close(found["pool5"], F.max_pool2d(found["relu5_4"], 2))


def test_average_pooling_is_doubled(tiny, photo):
    found = FeatureExtractor(tiny, pooling="avg")(photo, ["relu1_2", "pool1"])
    torch.testing.assert_close(found["pool1"], 2 * F.avg_pool2d(found["relu1_2"], 2))


def test_the_normalization_is_the_networks_own(tiny):
    """conv1_1 of a flat picture, by hand: replication makes every position the same."""
    small = FeatureExtractor(dataclasses.replace(tiny, mean=(0.1, 0.2, 0.3), std=(0.5, 1.0, 2.0)))
    color = torch.tensor([0.6, 0.2, 0.7])
    found = small(color.view(1, 3, 1, 1).expand(1, 3, 9, 7), ["conv1_1"])["conv1_1"]
    weight, bias = tiny.convs["conv1_1"]
    normal = (color - torch.tensor([0.1, 0.2, 0.3])) / torch.tensor([0.5, 1.0, 2.0])
    expected = (weight.sum((2, 3)) @ normal + bias).view(1, -1, 1, 1).expand_as(found)
    torch.testing.assert_close(found, expected)


def test_the_gradient_reaches_the_pixels_and_only_them(small, photo):
    image = photo.clone().requires_grad_(True)
    small(image, ["relu3_1"])["relu3_1"].square().sum().backward()
    assert image.grad.norm() > 0
    assert not any(t.requires_grad for pair in small.weights.convs.values() for t in pair)


def test_bfloat16_is_close_and_pictures_stay_float32(features, photo):
    half = features.with_dtype(torch.bfloat16)
    assert half.pooling == features.pooling
    with torch.no_grad():
        a, b = half(photo, ["relu4_2"])["relu4_2"], features(photo, ["relu4_2"])["relu4_2"]
    assert a.dtype == torch.bfloat16
    assert (a.float() - b).norm() < 0.05 * b.norm()
    image = photo.clone().requires_grad_(True)
    half(image, ["relu2_1"])["relu2_1"].float().sum().backward()
    assert image.grad.dtype == torch.float32


def test_halo_and_smallest_side_are_those_of_the_deepest(features):
    assert features.halo(["relu1_1", "relu5_1", "relu3_1"]) == 70
    assert features.smallest_side(["relu1_1", "relu4_2"]) == 8


@pytest.mark.parametrize(
    ("name", "hint"),
    [
        ("rleu4_2", " Did you mean relu4_2?"),
        ("relu_4_2", " Did you mean relu4_2?"),
        ("28", " Names look like relu4_2."),
    ],
)
def test_unknown_layer(features, name, hint):
    with pytest.raises(UsageError) as error:
        features.check_layers(["relu1_1", name])
    assert str(error.value) == f"vgg19 has no layer {name!r}.{hint}"


def test_known_layers_pass_and_are_all_there(features, photo):
    features.check_layers(features.geometry)
    assert set(features(photo, list(features.geometry))) == set(features.geometry)


def test_unknown_pooling(tiny):
    with pytest.raises(UsageError, match=r"^Unknown pooling 'median': use max or avg\.$"):
        FeatureExtractor(tiny, pooling="median")


class Broken(FeatureExtractor):
    """An extractor whose half precision does ``spoil`` to one layer, as some devices do."""

    def spoil(self, activations):
        raise NotImplementedError

    def with_dtype(self, dtype):
        return FeatureExtractor(self.weights, dtype=dtype)

    def __call__(self, image, layers):
        found = super().__call__(image, layers)
        return {k: self.spoil(v) if k == "relu2_1" else v for k, v in found.items()}


def broken(weights, spoil):
    result = Broken(weights, dtype=torch.bfloat16)
    result.spoil = spoil
    return result


def test_sound_half_precision_is_trusted(vgg, photo):
    half = FeatureExtractor(vgg, dtype=torch.bfloat16)
    assert trusted(half, photo, ["relu1_1", "relu4_2"]) == (half, None)


def test_float32_is_not_compared_with_itself(features, photo, monkeypatch):
    monkeypatch.setattr(FeatureExtractor, "__call__", None)
    assert trusted(features, photo, ["relu1_1"]) == (features, None)


@pytest.mark.parametrize("layers", [["relu2_1"], ["relu2_1", "relu1_1"]])
@pytest.mark.parametrize("value", [0.0, 3e4, float("inf"), float("nan")])
def test_broken_half_precision_falls_back(tiny, photo, value, layers):
    found, note = trusted(broken(tiny, lambda x: torch.full_like(x, value)), photo, layers)
    assert found.dtype == torch.float32
    assert note.startswith("bfloat16 does not agree with float32 on this device (off by ")
    assert note.endswith("): using fp32.")


def test_noisy_half_precision_falls_back(tiny, photo):
    found, note = trusted(broken(tiny, lambda x: x.flip(1)), photo, ["relu1_1", "relu2_1"])
    assert found.dtype == torch.float32
    assert note is not None


def test_overflow_in_a_later_layer_falls_back(tiny, photo):
    spoiled = broken(tiny, lambda x: x * float("nan"))
    found, note = trusted(spoiled, photo, ["relu1_1", "relu2_1"])
    assert found.dtype == torch.float32
    assert note is not None
