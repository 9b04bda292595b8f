"""Any module as a network: what is captured, what it costs, what it refuses."""

import pytest
import torch
import torch.nn.functional as F
from torch import nn

from cnnart.errors import UsageError
from cnnart.networks.module import ModuleNetwork, Preprocessing, state_sha256
from tests.helpers.networks import ChannelsLast, Gated, Tangled, random_model

PICTURE = torch.rand(2, 3, 160, 160, generator=torch.Generator().manual_seed(1))


@pytest.fixture
def network():
    return ModuleNetwork(
        "tangled", random_model(Tangled), Preprocessing(input_size=160, resize=180)
    )


def normalized(image):
    mean, std = (
        torch.tensor(v).view(1, 3, 1, 1) for v in (Preprocessing().mean, Preprocessing().std)
    )
    return (image - mean) / std


def test_a_captured_convolution_is_not_changed_by_the_relu_in_place_behind_it(network):
    model = random_model(Tangled)
    x = normalized(PICTURE)
    first = F.conv2d(x, model.first.weight, model.first.bias, stride=2, padding=1)
    found = network(PICTURE, ["first", "residual.norm"])
    torch.testing.assert_close(found["first"], first)
    assert first.min() < 0
    assert found["residual.norm"].min() < 0  # `out += x` and relu_ come after it


def test_capturing_changes_no_result(network):
    with torch.no_grad():
        plain = random_model(Tangled)(normalized(PICTURE))
    names = [*network.geometry]
    torch.testing.assert_close(network(PICTURE, names)["logits"], plain)
    torch.testing.assert_close(network.logits(PICTURE), plain)
    assert not any(m._forward_hooks for m in network.model.modules())


def test_activations_have_the_shapes_the_geometry_says(network):
    found = network(PICTURE, network.geometry)
    assert set(found) == set(network.geometry)
    for name, g in network.geometry.items():
        assert found[name].shape[:2] == (2, g.channels), name
        if found[name].ndim == 4:
            assert abs(found[name].shape[2] - 160 / g.stride) <= 1.5, name


def test_a_module_used_again_counts_with_its_last_output(network):
    found = network(PICTURE, ["relu", "last"])
    torch.testing.assert_close(found["relu"], found["last"].relu())


def test_the_pass_ends_with_the_deepest_layer(network, monkeypatch):
    monkeypatch.setattr(network.model.residual, "forward", lambda x: pytest.fail("went on"))
    assert set(network(PICTURE, ["pool", "first"])) == {"pool", "first"}


def test_gradients_reach_the_picture_and_nothing_else(network):
    image = PICTURE.clone().requires_grad_()
    found = network(image, ["branches", "logits"])
    (with_respect_to_map,) = torch.autograd.grad(
        found["logits"][0, 1], found["branches"], retain_graph=True
    )
    assert with_respect_to_map.abs().sum() > 0  # the scores follow from what was captured
    found["logits"][0, 1].backward()
    assert image.grad[0].abs().sum() > 0
    assert image.grad[1].abs().sum() == 0
    assert not any(p.requires_grad for p in network.model.parameters())
    assert not network.model.training


@pytest.mark.parametrize("dtype", [torch.float32, torch.bfloat16])
def test_precision(dtype):
    network = ModuleNetwork(
        "tangled", random_model(Tangled), Preprocessing(input_size=160), dtype=dtype
    )
    found = network(PICTURE, ["last", "logits"])
    assert found["last"].dtype == dtype
    assert network.logits(PICTURE).dtype == found["logits"].dtype == torch.float32
    exact = ModuleNetwork("tangled", random_model(Tangled), Preprocessing(input_size=160))
    torch.testing.assert_close(network.logits(PICTURE), exact.logits(PICTURE), rtol=0.1, atol=0.1)


def test_the_smallest_side_works_and_one_less_does_not(network):
    for layers in (["first"], ["last"], ["mean_pool", "first"]):
        side = network.smallest_side(layers)
        found = network(torch.zeros(1, 3, side, side), layers)
        assert all(0 not in tensor.shape for tensor in found.values())
        with pytest.raises(RuntimeError, match=r"[Kk]ernel size|too small"):
            network(torch.zeros(1, 3, side - 1, side - 1), layers)


def test_channels_come_second_even_where_a_module_puts_them_last():
    network = ModuleNetwork("last", random_model(ChannelsLast), Preprocessing(input_size=32))
    found = network(PICTURE[:, :, :32, :32], ["linear", "stem"])
    assert found["linear"].shape == (2, 8, 8, 8)
    assert not network.is_classifier
    with pytest.raises(UsageError, match="last has no classes"):
        network.logits(PICTURE)


def test_a_wrong_layer_is_wrong_usage(network):
    with pytest.raises(UsageError, match=r"no layer 'branches.slit'. Did you mean branches.slits"):
        network(PICTURE, ["branches.slit"])
    with pytest.raises(UsageError, match="`cnnart inspect layers tangled` lists them"):
        network.receptive_field("conv")
    assert network.kind("first") == "conv"
    assert network.kind("logits") == "output"
    assert network.halo(["first", "last"]) == network.geometry["last"].reach


def test_an_answer_without_scores_is_told(network, monkeypatch):
    monkeypatch.setattr(network, "_forward", lambda x: {"boxes": [1, 2]})
    with pytest.raises(UsageError, match="tangled returned a dict without scores: let it return"):
        network.logits(PICTURE)


def test_a_model_that_cannot_take_a_picture_says_so_in_one_line():
    with pytest.raises(UsageError) as caught:
        ModuleNetwork("narrow", nn.Linear(5, 5), Preprocessing())
    assert str(caught.value).startswith("narrow cannot take a picture of 1x3x224x224 (")
    assert "input_size" in str(caught.value)
    assert "\n" not in str(caught.value)


def test_a_model_that_looks_at_values_is_run_for_real():
    class Fickle(Gated):
        def forward(self, x):
            return super().forward(x) if x.sum().item() == 0 else x

    network = ModuleNetwork("fickle", random_model(Fickle), Preprocessing(input_size=32))
    assert list(network.geometry) == ["conv", "gate", "after"]


def test_the_checksum_is_that_of_the_numbers_and_names():
    first, same, other = (random_model(Tangled, seed) for seed in (0, 0, 1))
    assert state_sha256(first) == state_sha256(same) != state_sha256(other)


def test_prepare_crops_the_middle_of_the_resized_picture(network):
    image = torch.zeros(1, 3, 90, 360)
    image[..., 180 - 42 : 180 + 42] = 1  # the middle square is white
    prepared = network.prepare(image)
    assert prepared.shape == (1, 3, 160, 160)
    assert prepared.min() > 0.99
