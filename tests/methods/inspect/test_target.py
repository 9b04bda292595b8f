"""What is asked about: a class or a channel."""

import pytest
import torch

from cnnart.errors import UsageError
from cnnart.methods.inspect.target import TargetQuery, choose_target, last_map, likeliest, percent
from tests.helpers.inspection import noise_picture, probe_network


@pytest.fixture(scope="module")
def network():
    return probe_network()


@pytest.mark.parametrize("text", ["tree frog", "Tree_Frog", "2", "frog"])
def test_a_class_by_name_or_index(network, text):
    image = noise_picture()
    target = choose_target(network, image, TargetQuery(text))
    assert target.facts() == {"class": "tree frog", "index": 2}
    torch.testing.assert_close(target.score(image), network.logits(image)[:, 2])
    torch.testing.assert_close(target.value(image), network.logits(image).softmax(1)[:, 2])


def test_nothing_asked_is_the_likeliest_class(network):
    image = noise_picture()
    order = network.logits(image)[0].argsort(descending=True).tolist()
    assert choose_target(network, image, TargetQuery()).channel == order[0]
    found = likeliest(network, image, 4)
    assert [index for index, _ in found] == order
    assert sum(probability for _, probability in found) == pytest.approx(1)


def test_a_channel_is_its_mean_activation(network):
    image = noise_picture()
    means = network(image, ["relu"])["relu"][0].mean((1, 2))
    target = choose_target(network, image, TargetQuery(layer="relu", channel=3))
    assert float(target.value(image)) == pytest.approx(float(means[3]))
    assert target.facts() == {"layer": "relu", "channel": 3}
    assert choose_target(network, image, TargetQuery(layer="relu")).channel == int(means.argmax())


def test_what_makes_no_sense_is_refused(network):
    image = noise_picture()
    with pytest.raises(UsageError, match="give one of them"):
        TargetQuery("patch", layer="relu")
    with pytest.raises(UsageError, match="`channel` needs `layer`"):
        TargetQuery(channel=3)
    with pytest.raises(UsageError, match=r"Unknown class 'tree fog'. Did you mean tree frog"):
        choose_target(network, image, TargetQuery("tree fog"))
    with pytest.raises(UsageError, match="relu has 6 channels, 0 to 5: there is no 6"):
        choose_target(network, image, TargetQuery(layer="relu", channel=6))


def test_the_last_map_still_tells_places_apart(network):
    assert last_map(network) == "relu"


@pytest.mark.parametrize(
    ("probability", "text"),
    [(1.0, "100%"), (0.9559, "95.6%"), (0.0244, "2.4%"), (0.00041, "0.041%"), (1e-9, "< 0.0001%")],
)
def test_percentages_for_people(probability, text):
    assert percent(probability) == text
