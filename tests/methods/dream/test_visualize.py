"""Pictures from nothing: what is aimed at rises, and no picture depends on its neighbors."""

from dataclasses import replace

import pytest
import torch

from cnnart.errors import CnnartError, UsageError
from cnnart.methods.dream.config import VisualizeConfig
from cnnart.methods.dream.visualize import (
    ActivationScore,
    ChannelTarget,
    Visualization,
    activation_of,
    pre_activation_layer,
    target_maps,
)
from cnnart.networks.vgg import FeatureExtractor
from cnnart.optim.capture import WARM_UP
from cnnart.optim.memory import Limits
from cnnart.weights.backbones import VGGWeights
from tests.helpers.replays import recording
from tests.helpers.waits import META, Elsewhere

SMALL = VisualizeConfig(size=32, steps=12, jitter=2)


@pytest.fixture(scope="module")
def network(tiny):
    return FeatureExtractor(tiny)


def last(work):
    """The last step of a run."""
    *_, step = work.steps()
    return step


@pytest.mark.parametrize(
    "target",
    [
        ChannelTarget("relu2_1", 1),
        ChannelTarget("relu3_1", 2, unit=True),
        ChannelTarget("relu3_2"),
    ],
)
def test_what_is_aimed_at_rises(network, target):
    quiet = replace(SMALL, jitter=0, scale=0, rotate=0)
    values = [s.losses["activation"] for s in Visualization(network, [target], quiet).steps()]
    assert len(values) == quiet.steps
    assert values[-1] > 2 * values[0] > 0


def test_it_rises_on_the_embedded_network_however_it_is_moved(features):
    config = VisualizeConfig(size=64, steps=12)
    step = last(work := Visualization(features, [ChannelTarget("relu3_3", 4)], config))
    picture = work.finish(step.image)
    assert picture.shape == (1, 3, 64, 64)
    assert 0 <= float(picture.min()) <= float(picture.max()) <= 1
    objective = ActivationScore(features, [ChannelTarget("relu3_3", 4)])
    gray = torch.full((1, 3, 64, 64), 0.5)
    assert float(objective(picture)) > 10 * float(objective(gray))


def test_a_picture_does_not_depend_on_its_neighbors(network):
    targets = [
        ChannelTarget("relu2_1", 1),
        ChannelTarget("relu3_1", 2),
        ChannelTarget("relu2_2", 0),
    ]
    together = last(Visualization(network, targets, SMALL)).image
    for i, target in enumerate(targets):
        alone = last(Visualization(network, [target], SMALL)).image
        torch.testing.assert_close(together[i : i + 1], alone, atol=1e-3, rtol=0)


def test_the_same_seed_gives_the_same_picture_and_another_does_not(network):
    def picture(**changes):
        config = replace(SMALL, **changes)
        return last(Visualization(network, [ChannelTarget("relu2_1", 1)], config)).image

    assert torch.equal(picture(), picture())
    assert not torch.equal(picture(), picture(seed=1))


def test_seeds_make_several_pictures_of_one_target(network):
    twice = [ChannelTarget("relu2_1", 1)] * 2
    same = last(Visualization(network, twice, SMALL)).image
    torch.testing.assert_close(same[0], same[1])
    other = last(Visualization(network, twice, SMALL, seeds=[0, 1])).image
    assert float((other[0] - other[1]).abs().max()) > 0.01


def test_diversity_makes_them_less_alike(network):
    twice = [ChannelTarget("relu2_2", 1)] * 2

    def similarity(diversity):
        config = replace(SMALL, steps=24, diversity=diversity, jitter=0, scale=0, rotate=0)
        pictures = last(Visualization(network, twice, config, seeds=[0, 1])).image
        maps = network(pictures, ["relu2_2"])["relu2_2"].flatten(2)
        grams = (maps @ maps.mT).flatten(1)
        return float(torch.nn.functional.cosine_similarity(grams[0], grams[1], dim=0))

    assert similarity(2.0) < similarity(0.0)


def test_any_function_of_the_pictures_can_be_the_score(network):
    class LightAndDark:
        count = 2

        def __call__(self, pictures):
            return pictures.mean((1, 2, 3)) * torch.tensor([1.0, -1.0])

    config = replace(SMALL, size=(20, 31), steps=60, jitter=0, scale=0, rotate=0)
    light, dark = last(Visualization(network, LightAndDark(), config)).image
    assert light.shape == (3, 20, 31)
    assert float(light.mean()) > 0.65
    assert float(dark.mean()) < 0.35


def dead_relu(tiny):
    """The tiny network with one channel whose ReLU is zero for everything near gray."""
    convs = dict(tiny.convs)
    weight, bias = convs["conv2_1"]
    bias = bias.clone()
    bias[3] = -5.0
    convs["conv2_1"] = (weight, bias)
    return FeatureExtractor(VGGWeights("tiny", convs, tiny.mean, tiny.std, tiny.sha256))


def test_a_dead_channel_is_reached_through_its_convolution(tiny):
    network = dead_relu(tiny)
    work = Visualization(network, [ChannelTarget("relu2_1", 0), ChannelTarget("relu2_1", 3)], SMALL)
    values = [step.losses["activation"] for step in work.steps()]
    assert work.warnings == [
        "Nothing excites relu2_1 3 at the start: aiming at conv2_1, before its ReLU."
    ]
    assert work.score.targets == [
        ChannelTarget("relu2_1", 0),
        ChannelTarget("conv2_1", 3, leaky=True),
    ]
    assert values[-1] > values[0]


def test_what_cannot_be_reached_is_told(tiny, monkeypatch):
    monkeypatch.setattr("cnnart.methods.dream.visualize.pre_activation_layer", lambda *_: None)
    target = ChannelTarget("relu2_1", 3)
    work = Visualization(dead_relu(tiny), [target], replace(SMALL, steps=1))
    last(work)
    assert work.warnings == [
        "Nothing excites relu2_1 3 at the start: the picture may stay gray; try another `seed`, or "
        "the layer before."
    ]


def test_the_convolution_before_a_relu(network):
    assert pre_activation_layer(network, "relu4_2") == "conv4_2"
    assert pre_activation_layer(network, "conv4_2") is None
    assert pre_activation_layer(network, "pool3") is None


def test_what_a_target_is_worth():
    maps = torch.arange(24.0).view(2, 3, 4)
    assert float(activation_of(maps, ChannelTarget("x", 1))) == pytest.approx(17.5)
    assert float(activation_of(maps, ChannelTarget("x", 1, unit=True))) == 12 + 4 + 2
    assert float(activation_of(maps, ChannelTarget("x"))) == pytest.approx(float((maps**2).mean()))
    assert float(activation_of(torch.tensor([3.0, 5.0]), ChannelTarget("logits", 1))) == 5
    assert (
        float(activation_of(torch.tensor([3.0, 5.0]), ChannelTarget("logits", 1, unit=True))) == 5
    )


def test_negative_units_count_a_tenth_where_asked():
    maps = torch.tensor([[[-10.0, 4.0]]])
    assert target_maps(maps, ChannelTarget("x", 0, leaky=True)).tolist() == [[[-1.0, 4.0]]]
    assert target_maps(maps, ChannelTarget("x", 0)) is maps


def test_tokens_are_turned_so_that_channels_come_first():
    tokens = torch.arange(6.0).view(3, 2)
    assert (
        float(activation_of(target_maps(tokens, ChannelTarget("x", 1)), ChannelTarget("x", 1))) == 3
    )


def test_selectivity_is_the_channels_share_of_its_layer(network, photo):
    """The layer's size is its root mean square."""
    target = ChannelTarget("relu2_1", 1)
    maps = network(photo, ["relu2_1"])["relu2_1"]
    plain, share = (ActivationScore(network, [target], s)(photo) for s in (0.0, 1.0))
    assert float(plain) == pytest.approx(float(maps[0, 1].mean()))
    share_of_layer = float(maps[0, 1].mean() / maps.square().mean().sqrt())
    assert float(share) == pytest.approx(share_of_layer, rel=0.005)


def test_it_stops_when_the_time_is_up(network):
    work = Visualization(
        network,
        [ChannelTarget("relu2_1", 0)],
        replace(SMALL, steps=10_000),
        limits=Limits(seconds=0.2),
    )
    assert last(work).index < 10_000


def test_overflow_is_named(network):
    class Broken:
        count = 1

        def __call__(self, pictures):
            return pictures.sum((1, 2, 3)) * float("inf")

    with pytest.raises(CnnartError, match=r"they overflow\. Use `precision` fp32"):
        last(Visualization(network, Broken(), SMALL))


WRONG = [
    ([ChannelTarget("relu9_1", 0)], {}, "tiny has no layer 'relu9_1'"),
    ([ChannelTarget("relu2_1", 6)], {}, "relu2_1 has no channel 6: it has 6, 0 to 5"),
    ([], {}, "Nothing to visualize"),
    (
        [ChannelTarget("relu5_1", 0)],
        {"size": 8},
        "8x8 is too small for relu5_1: .* at least 16",
    ),
    ([ChannelTarget("relu2_1", 0)], {"steps": 0}, "Steps must be at least 1, not 0"),
    (
        [ChannelTarget("relu2_1", 0)],
        {"learning_rate": 0},
        "The learning rate must be above zero",
    ),
    ([ChannelTarget("relu2_1", 0)], {"jitter": -1}, "The jitter must not be negative"),
]


@pytest.mark.parametrize(("targets", "changes", "message"), WRONG)
def test_settings_that_make_no_sense(network, targets, changes, message):
    with pytest.raises(UsageError, match=message):
        Visualization(network, targets, replace(SMALL, **changes))


def test_a_seed_for_each_picture(network):
    with pytest.raises(UsageError, match="3 seeds for 1 pictures"):
        Visualization(network, [ChannelTarget("relu2_1", 0)], SMALL, seeds=[0, 1, 2])


@pytest.mark.parametrize("diversity", [0.0, 0.3])
def test_recorded_pictures_are_the_pictures(network, monkeypatch, diversity):
    """Moved at random at each step, as the recording was not."""
    config = VisualizeConfig(size=32, steps=9, diversity=diversity)
    targets = [ChannelTarget("relu3_1", 3), ChannelTarget("relu3_1", 3)]
    expected = last(Visualization(network, targets, config))
    (recorders, found) = recording(monkeypatch), last(Visualization(network, targets, config))
    assert [r.replays for r in recorders] == [config.steps - WARM_UP]
    assert found.losses == pytest.approx(expected.losses, rel=1e-4)
    torch.testing.assert_close(found.image, expected.image, atol=1e-3, rtol=0)


def test_pictures_stay_on_the_device(tiny):
    targets = [ChannelTarget("relu3_1"), ChannelTarget("relu2_1", 2, unit=True)]
    with Elsewhere() as elsewhere:
        work = Visualization(FeatureExtractor(tiny, device=META), targets, SMALL)
        work.score.use_pre_activations = lambda first: []  # which reads values
        steps = work._climb()
        next(steps)
        elsewhere.strict = True
        next(steps)
