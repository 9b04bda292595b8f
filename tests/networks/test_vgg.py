"""The extractor: what VGG-19 is known to be, and what its geometry claims, looked up in pixels."""

import dataclasses

import pytest
import torch
import torch.nn.functional as F

from cnnart.errors import UsageError
from cnnart.networks.base import LayerGeometry
from cnnart.networks.convolution import FrozenConvolution
from cnnart.networks.vgg import FeatureExtractor, kept_bytes, trusted

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
    calls, convolve = [], FrozenConvolution.__call__
    monkeypatch.setattr(
        FrozenConvolution, "__call__", lambda *a, **k: calls.append(1) or convolve(*a, **k)
    )
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


def by_autograd(weights, image, layers, wrap, pooling):
    """The network as torch writes it, every activation kept; in the image's precision."""
    down, across = (int(w) for w in wrap)
    found, block = {}, 1
    mean, std = (torch.tensor(c).view(1, 3, 1, 1) for c in (weights.mean, weights.std))
    x = (image - mean) / std
    for name, (weight, bias) in weights.convs.items():
        if int(name[4]) != block:
            x = F.max_pool2d(x, 2) if pooling == "max" else 2 * F.avg_pool2d(x, 2)
            found[f"pool{block}"], block = x, block + 1
        if any(wrap):
            x = F.pad(x, (across, across, down, down), mode="circular")
        mode = "replicate" if name == "conv1_1" else "constant"
        x = F.pad(x, (1 - across, 1 - across, 1 - down, 1 - down), mode=mode)
        x = found[name] = F.conv2d(x, weight.to(image.dtype), bias.to(image.dtype))
        x = found[name.replace("conv", "relu")] = x.relu()
    return {name: found[name] for name in layers}


def sent_back(found, image, retain=False):
    """The gradient of the picture, from one for each of the activations."""
    rng = torch.Generator().manual_seed(5)
    sent = [torch.randn(t.shape, generator=rng, dtype=t.dtype) for t in found.values()]
    copies = [g.clone() for g in sent]
    (result,) = torch.autograd.grad(list(found.values()), image, sent, retain_graph=retain)
    assert all(map(torch.equal, sent, copies))  # what comes in is left alone
    return result


ASKED = [
    ["relu1_1", "relu2_1", "relu3_1", "relu4_1", "relu4_2", "relu5_1"],
    ["conv4_2"],
    ["conv1_1", "conv1_2", "relu1_2", "pool1", "conv2_1"],
    ["relu1_2", "pool2", "relu3_4"],
    ["pool3"],
    ["relu3_3"],
]


@pytest.mark.parametrize("pooling", ["max", "avg"])
@pytest.mark.parametrize("layers", ASKED, ids="-".join)
@pytest.mark.parametrize(
    ("size", "wrap"),
    [
        ((48, 64), (False, False)),
        ((37, 51), (False, False)),
        ((48, 51), (True, False)),
        ((32, 32), (True, True)),
    ],
)
def test_the_gradient_is_autograds(tiny, pooling, layers, size, wrap):
    """In float64, where nothing is left to rounding."""
    image = torch.rand(2, 3, *size, generator=torch.Generator().manual_seed(3)).double()
    image.requires_grad_(True)
    network = FeatureExtractor(tiny, pooling=pooling, dtype=torch.float64)
    found = network(image, layers, wrap=wrap)
    expected = by_autograd(tiny, image, layers, wrap, pooling)
    for name in layers:
        torch.testing.assert_close(found[name], expected[name], rtol=1e-10, atol=1e-12)
    gradient = sent_back({k: found[k] for k in layers}, image)
    torch.testing.assert_close(gradient, sent_back(expected, image), rtol=1e-8, atol=1e-10)


@pytest.mark.parametrize("dtype", [torch.float32, torch.bfloat16])
@pytest.mark.parametrize("pooling", ["max", "avg"])
def test_equal_values_share_no_gradient(tiny, pooling, dtype):
    """In a flat picture all of a pool's four values are the same: the first gets the gradient."""
    image = torch.full((1, 3, 32, 48), 0.5, requires_grad=True)
    network = FeatureExtractor(tiny, pooling=pooling, dtype=dtype)
    gradient = sent_back(network(image, ["relu2_1"]), image)
    expected = sent_back(by_autograd(tiny, image, ["relu2_1"], (False, False), pooling), image)
    if dtype == torch.float32:
        torch.testing.assert_close(gradient, expected, rtol=1e-4, atol=1e-6)
    assert (gradient - expected).norm() < 0.1 * expected.norm()  # shared, it would be half of it


def test_one_can_go_back_again_but_not_twice_in_a_row(small, photo):
    image = photo.clone().requires_grad_(True)
    found = small(image, ["relu1_1", "relu3_1"])
    assert torch.equal(sent_back(found, image, retain=True), sent_back(found, image))
    (slope,) = torch.autograd.grad(
        small(image, ["relu3_1"])["relu3_1"].square().sum(), image, create_graph=True
    )
    with pytest.raises(RuntimeError, match="once_differentiable"):
        slope.sum().backward()


def test_activations_asked_for_have_gradients_of_their_own(small, photo):
    """Of a deeper layer with respect to one before it: what class activation maps need."""
    image = photo.clone().requires_grad_(True)
    found = small(image, ["conv2_1", "relu2_2", "relu3_2"])
    middle = torch.autograd.grad(found["relu3_2"].sum(), found["relu2_2"], retain_graph=True)[0]
    rest = torch.autograd.grad(found["relu2_2"], image, middle, retain_graph=True)[0]
    whole = torch.autograd.grad(found["relu3_2"].sum(), image)[0]
    torch.testing.assert_close(rest, whole)


def test_without_gradient_nothing_is_kept(small, photo):
    with torch.no_grad():
        silent = small(photo.clone().requires_grad_(True), ["relu3_1"])["relu3_1"]
    plain = small(photo, ["relu3_1"])["relu3_1"]
    assert silent.grad_fn is plain.grad_fn is None
    assert torch.equal(silent, plain)


@pytest.mark.parametrize("dtype", [torch.float32, torch.bfloat16])
def test_what_is_kept_is_what_the_prediction_says(vgg, dtype):
    """Beside the activations asked for: signs of a byte (two in half precision), and maxima."""
    features = FeatureExtractor(vgg, dtype=dtype)
    layers = ["relu1_1", "relu2_1", "relu3_1", "relu4_1", "relu4_2", "relu5_1"]
    saved = {}
    image = torch.rand(1, 3, 64, 96, requires_grad=True)
    with torch.autograd.graph.saved_tensors_hooks(
        lambda t: saved.setdefault(t.data_ptr(), t.nbytes) and t, lambda t: t
    ):
        found = features(image, layers)
    asked = sum(t.nbytes for t in found.values())
    pixels = 64 * 96
    # And at most the normalized picture, before and after it got a pixel more on two sides.
    most = 3 * 4 * (64 * 96 + 64 * 98) + 3 * 4
    expected = asked + pixels * sum(kept_bytes(features, layers).values())
    assert expected <= sum(saved.values()) <= expected + most


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


@pytest.mark.parametrize(("capability", "asked"), [((8, 0), False), ((7, 5), True)])
def test_bfloat16_is_tried_where_a_card_does_not_have_it(monkeypatch, capability, asked):
    class OnACard:
        device, dtype = torch.device("cuda"), torch.bfloat16

        def with_dtype(self, dtype):
            raise Asked

    class Asked(Exception):
        pass

    features = OnACard()
    monkeypatch.setattr(torch.cuda, "get_device_capability", lambda device: capability)
    if asked:
        with pytest.raises(Asked):
            trusted(features, None, ["relu1_1"])
    else:
        assert trusted(features, None, ["relu1_1"]) == (features, None)


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
