"""What is asked about, and the part of the photo that is looked at."""

import pytest
import torch
from inspect_probes import noise_picture, probe_network

from cnnart.errors import UsageError
from cnnart.inspect.asked import Asked
from cnnart.inspect.target import choose_target, last_map, likeliest, percent
from cnnart.inspect.view import view_of


@pytest.fixture(scope="module")
def network():
    return probe_network()


@pytest.mark.parametrize("text", ["tree frog", "Tree_Frog", "2", "frog"])
def test_a_class_by_name_or_index(network, text):
    image = noise_picture()
    target = choose_target(network, image, Asked(text))
    assert target.facts() == {"class": "tree frog", "index": 2}
    torch.testing.assert_close(target.score(image), network.logits(image)[:, 2])
    torch.testing.assert_close(target.value(image), network.logits(image).softmax(1)[:, 2])


def test_nothing_asked_is_the_likeliest_class(network):
    image = noise_picture()
    order = network.logits(image)[0].argsort(descending=True).tolist()
    assert choose_target(network, image, Asked()).channel == order[0]
    found = likeliest(network, image, 4)
    assert [index for index, _ in found] == order
    assert sum(probability for _, probability in found) == pytest.approx(1)


def test_a_channel_is_its_mean_activation(network):
    image = noise_picture()
    means = network(image, ["relu"])["relu"][0].mean((1, 2))
    target = choose_target(network, image, Asked(layer="relu", channel=3))
    assert float(target.value(image)) == pytest.approx(float(means[3]))
    assert target.facts() == {"layer": "relu", "channel": 3}
    assert choose_target(network, image, Asked(layer="relu")).channel == int(means.argmax())


def test_what_makes_no_sense_is_refused(network):
    image = noise_picture()
    with pytest.raises(UsageError, match="give one of them"):
        Asked("patch", layer="relu")
    with pytest.raises(UsageError, match="--channel needs --layer"):
        Asked(channel=3)
    with pytest.raises(UsageError, match=r"Unknown class 'tree fog'. Did you mean tree frog"):
        choose_target(network, image, Asked("tree fog"))
    with pytest.raises(UsageError, match="relu has 6 channels, 0 to 5: there is no 6"):
        choose_target(network, image, Asked(layer="relu", channel=6))


def test_the_last_map_still_tells_places_apart(network):
    assert last_map(network) == "relu"


def test_a_classifier_sees_the_square_it_was_trained_on(network, photo_of):
    photo = photo_of(72, 144, 1)
    view = view_of(network, photo)
    torch.testing.assert_close(view.seen, network.prepare(photo))
    assert view.shown.shape == (1, 3, 64, 64)
    # The same part of the photo, in more pixels.
    small = torch.nn.functional.avg_pool2d(view.shown, 2)
    assert float((small - view.seen).abs().mean()) < 0.01
    assert view.in_photo(0, 0) == (4, 40)


def test_the_vgg_sees_all_of_a_photo(features, photo):
    view = view_of(features, photo)
    assert view.seen.shape == (1, 3, 205, 256)
    assert view.in_photo(205, 256) == (64, 80)


@pytest.mark.parametrize(
    ("probability", "text"),
    [(1.0, "100%"), (0.9559, "95.6%"), (0.0244, "2.4%"), (0.00041, "0.041%"), (1e-9, "< 0.0001%")],
)
def test_percentages_for_people(probability, text):
    assert percent(probability) == text
