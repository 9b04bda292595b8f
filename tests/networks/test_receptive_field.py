"""Receptive fields: those computed are those found by touching pixels, and those of the papers."""

import pytest
import torch
import torchvision
from torch import nn

from cnnart.networks.receptive_field import discover_layers
from tests.helpers.networks import ChannelsLast, Gated, Tangled, random_model

SIDE = 160
TANGLED = discover_layers("tangled", random_model(Tangled), SIDE)
MAPS = [name for name, layer in TANGLED.items() if layer.field.local]


def middle(layer):
    """A unit whose field lies inside the picture."""
    field = TANGLED[layer].field
    return (SIDE // 2 + field.offset - field.size // 2) // field.stride


@pytest.fixture(scope="module")
def seen():
    """For each layer the pixel rows and columns that change its middle unit when touched.

    All weights are positive and a touch is a large increase, so that every path carries it.
    """
    model = random_model(Tangled, positive=True).double()
    now = {}
    for name in MAPS:
        unit = middle(name)
        model.get_submodule(name).register_forward_hook(
            lambda m, i, out, name=name, unit=unit: now.update(
                {name: out[:, :, unit, unit].clone()}
            )
        )
    base = torch.rand(1, 3, SIDE, SIDE, generator=torch.Generator().manual_seed(0)).double()
    touched = base.repeat(2 * SIDE, 1, 1, 1)
    for n in range(SIDE):
        touched[n, :, n] += 1000
        touched[SIDE + n, :, :, n] += 1000
    values = {name: [] for name in MAPS}
    with torch.no_grad():
        for batch in [base, *touched.split(40)]:
            model(batch)
            for name in MAPS:
                values[name].append(now[name])
    changed = {
        name: ((torch.cat(found[1:]) - found[0]).abs() > 1e-6).any(1).split(SIDE)
        for name, found in values.items()
    }
    return {name: [torch.nonzero(h).flatten().tolist() for h in c] for name, c in changed.items()}


@pytest.mark.parametrize("layer", MAPS)
def test_the_field_is_what_a_unit_sees(layer, seen):
    field = TANGLED[layer].field
    start = middle(layer) * field.stride - field.offset
    rows, columns = seen[layer]
    if layer == "branches.slits.0":  # a slit: as wide as its map's units, and taller
        assert columns[0] > start
        assert columns[-1] < start + field.size - 1
        columns = rows
    for found in (rows, columns):
        assert (found[0], found[-1]) == (start, start + field.size - 1)


def test_all_the_layers_of_the_sample_are_there_in_the_order_they_finish():
    assert list(TANGLED) == [
        *("first", "pool", "branches.point", "branches.dilated"),
        *("branches.slits.0", "branches.slits.1", "branches.slits", "branches.pool", "branches"),
        *("residual.conv", "residual.norm", "residual", "pad", "last"),
        *("relu", "mean_pool", "logits"),  # relu runs three times; dropout does nothing
    ]
    assert TANGLED["relu"].calls == 3


def test_geometry_follows_from_the_field():
    """No unit depends on pixels further than ``reach`` from its block of stride x stride."""
    for name in MAPS:
        layer = TANGLED[name]
        g, f = layer.geometry, layer.field
        assert g.stride == f.stride
        assert g.reach == max(f.offset, f.size - f.offset - f.stride, 0)


def test_what_all_pixels_reach_is_not_local():
    layers = discover_layers("gated", random_model(Gated), 32)
    assert layers["conv"].field.local
    assert not layers["gate"].field.local
    after = layers["after"].field
    assert (after.size, after.stride, after.offset, after.local) == (5, 1, 2, False)
    assert TANGLED["logits"].field.size == SIDE


def test_channels_last_inside_a_block():
    layers = discover_layers("last", random_model(ChannelsLast), 32)
    linear = layers["linear"]
    assert (linear.field.size, linear.field.stride, linear.field.local) == (4, 4, True)
    assert linear.channels_last
    assert linear.geometry.channels == 8


@pytest.mark.parametrize(
    ("name", "layer", "size", "stride"),
    [
        # Araujo et al., "Computing Receptive Fields of Convolutional Neural Networks", Distill 2019
        ("alexnet", "features", 195, 32),
        ("vgg16", "features", 212, 32),
        # 483 there; torchvision's ResNet has the stride in the 3x3 convolution of a block
        ("resnet50", "layer4", 427, 32),
        ("googlenet", "conv1", 7, 2),
        ("googlenet", "inception3a", 43, 8),  # torchvision has 3x3 in place of the paper's 5x5
        ("shufflenet_v2_x0_5", "conv1.0", 3, 2),
        ("convnext_tiny", "features.0", 4, 4),
    ],
)
def test_published_receptive_fields(name, layer, size, stride):
    more = {"init_weights": False} if name in ("googlenet", "vgg16") else {}
    with torch.device("meta"):
        model = torchvision.models.get_model(name, weights=None, **more).eval()
    field = discover_layers(name, model, 224)[layer].field
    assert (field.size, field.stride, field.local) == (size, stride, True)


def test_a_shuffle_of_channels_moves_no_pixels():
    model = torchvision.models.shufflenet_v2_x0_5()
    layers = discover_layers("shuffle", model.eval(), 64)
    assert layers["stage4"].field.local
    assert layers["fc"].field.local is False


@pytest.mark.parametrize(
    "mix",
    [
        nn.Upsample(size=32),
        nn.Linear(32, 32),  # along the width
        nn.LayerNorm([32, 32]),
        nn.Softmax2d(),  # over channels, but who knows
        nn.ConvTranspose2d(4, 4, 3, padding=1),
        nn.Flatten(2),
    ],
)
def test_what_may_carry_values_across_a_map_is_not_called_local(mix):
    layers = discover_layers("mixed", nn.Sequential(nn.Conv2d(3, 4, 3, padding=1), mix).eval(), 32)
    assert layers["0"].field.local
    assert not layers["1"].field.local


@pytest.mark.parametrize("mix", [nn.ReLU(), nn.Sigmoid(), nn.BatchNorm2d(4), nn.PReLU(4)])
def test_what_works_point_by_point_changes_nothing(mix):
    layers = discover_layers(
        "pointwise", nn.Sequential(nn.Conv2d(3, 4, 3, padding=1), mix).eval(), 32
    )
    assert layers["1"].field == layers["0"].field


def test_attention_sees_everything():
    class Attentive(nn.Module):
        def __init__(self):
            super().__init__()
            self.patches = nn.Conv2d(3, 8, 8, 8)
            self.mix = nn.MultiheadAttention(8, 2, batch_first=True)
            self.norm = nn.LayerNorm(8)

        def forward(self, x):
            x = self.patches(x).flatten(2).transpose(1, 2)
            return self.norm(x + self.mix(x, x, x)[0])

    layers = discover_layers("attentive", Attentive().eval(), 32)
    assert layers["patches"].field.local
    assert not layers["norm"].field.local
    assert layers["norm"].geometry.channels == 8
