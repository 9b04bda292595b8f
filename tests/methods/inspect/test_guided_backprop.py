"""Guided backpropagation: which gradients pass a ReLU, whoever calls it."""

import pytest
import torch
import torch.nn.functional as F
from torch import nn

from cnnart.methods.inspect.guided_backprop import GuidedReLUs, activations_at
from cnnart.networks.vgg import FeatureExtractor

X = [-1.0, 0.5, 2.0, 7.0]
SIGNS = [1.0, 1.0, -1.0, 1.0]  # the gradient that comes from above


def guided_gradient(relu):
    x = torch.tensor(X, requires_grad=True)
    with GuidedReLUs() as guided:
        value = (relu(x * 1) * torch.tensor(SIGNS)).sum()
    value.backward()
    return x.grad.tolist(), guided.count


@pytest.mark.parametrize(
    "relu",
    [
        F.relu,
        F.relu_,
        torch.relu,
        torch.relu_,
        torch.Tensor.relu,
        nn.ReLU(),
        nn.ReLU(inplace=True),
        lambda x: F.relu(input=x),
    ],
)
def test_only_positive_gradients_at_positive_inputs_pass(relu):
    assert guided_gradient(relu) == ([0.0, 1.0, 0.0, 1.0], 1)


@pytest.mark.parametrize("relu", [F.relu6, nn.ReLU6(), nn.ReLU6(inplace=True)])
def test_relu6_also_stops_what_is_beyond_its_ceiling(relu):
    assert guided_gradient(relu) == ([0.0, 1.0, 0.0, 0.0], 1)


def test_other_functions_and_later_passes_are_left_alone():
    gradient, count = guided_gradient(lambda x: F.hardtanh(x, -10, 10))
    assert (gradient, count) == (SIGNS, 0)
    x = torch.tensor(X, requires_grad=True)
    (F.relu(x) * torch.tensor(SIGNS)).sum().backward()
    assert x.grad.tolist() == [0.0, 1.0, -1.0, 1.0]


def test_values_are_the_networks_own():
    net = nn.Sequential(nn.Conv2d(3, 4, 3), nn.ReLU6(), nn.Conv2d(4, 2, 3), nn.ReLU())
    image = torch.rand(2, 3, 9, 9, generator=torch.Generator().manual_seed(0)) * 20
    with GuidedReLUs():
        guided = net(image)
    assert torch.equal(guided, net(image))


def test_it_agrees_with_captum_where_captum_can():
    attr = pytest.importorskip("captum.attr")
    torch.manual_seed(0)
    net = nn.Sequential(
        nn.Conv2d(3, 6, 3), nn.ReLU(), nn.Conv2d(6, 6, 3), nn.ReLU(), nn.Flatten(), nn.Linear(96, 3)
    )
    image = torch.rand(1, 3, 8, 8, requires_grad=True)
    expected = attr.GuidedBackprop(net).attribute(image, target=1)
    with GuidedReLUs():
        value = net(image)[0, 1]
    (found,) = torch.autograd.grad(value, image)
    torch.testing.assert_close(found, expected)


def test_it_guides_a_vgg_that_computes_layers_in_a_row(tiny, photo):
    """As if each layer were called by itself."""
    network, layer = FeatureExtractor(tiny), "relu3_1"

    def plain(image):
        x = F.pad((image - network._mean) / network._std, (1, 1, 1, 1), mode="replicate")
        for name in network.geometry:
            if name.startswith("conv"):
                weight, bias = tiny.convs[name]
                x = F.conv2d(x, weight, bias, padding=int(name != "conv1_1"))
            else:
                x = F.relu(x) if name.startswith("relu") else F.max_pool2d(x, 2)
            if name == layer:
                return x
        raise AssertionError

    gradients = []
    for compute in (plain, lambda image: activations_at(network, image, layer)):
        image = photo.clone().requires_grad_(True)
        with GuidedReLUs() as guided:
            (compute(image) * torch.arange(-3.0, 3.0).view(1, 6, 1, 1)).sum().backward()
        gradients.append(image.grad)
        assert guided.count >= 5  # relu1_1, 1_2, 2_1, 2_2, 3_1
    torch.testing.assert_close(gradients[1], gradients[0], rtol=1e-4, atol=1e-6)
    assert GuidedReLUs.active == []
