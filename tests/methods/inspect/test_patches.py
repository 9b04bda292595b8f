"""Maximally activating patches: what brute force finds, cut out as exactly what the unit sees."""

from __future__ import annotations

import json
import weakref

import pytest
import torch
from torch import nn

from cnnart.errors import ImageError, UsageError
from cnnart.methods.inspect.config import PatchesConfig
from cnnart.methods.inspect.patches import TopPatchSearch, crop_field, default_layer, peaks
from cnnart.methods.inspect.pictures import Item
from cnnart.networks.base import ReceptiveField
from cnnart.networks.module import ModuleNetwork, Preprocessing
from tests.helpers.inspection import SmallNetwork, noise_items


def searched(items, **settings):
    search = TopPatchSearch(SmallNetwork(), config(**settings))
    list(search.search(items))
    return search


def config(**settings):
    return PatchesConfig(**{"layer": "conv2", "channels": (0, 3), "top": 4} | settings)


def test_the_best_are_what_brute_force_finds():
    items = noise_items(12)
    search = searched(items)
    maps = torch.cat([SmallNetwork()(i.read(), ["conv2"])["conv2"] for i in items])
    for channel in (0, 3):
        strongest = maps[:, channel].flatten(1).max(1)
        values, numbers = strongest.values.topk(4)
        found = search.best[channel]
        assert [p.activation for p in found] == pytest.approx(values.tolist())
        assert [p.picture for p in found] == numbers.tolist()
        for place in found:
            there = maps[place.picture, channel, place.row, place.column]
            assert float(there) == pytest.approx(place.activation)


def test_a_crop_is_the_receptive_field():
    """What is outside the crop has no influence on the unit, and all of the crop has."""
    items = noise_items(3)
    search = searched(items, per_picture=1, top=3)
    network = SmallNetwork()
    crops = search.crops(items)
    inside = 0
    for channel, places in search.best.items():
        for place, crop in zip(places, crops[channel], strict=True):
            assert crop.shape == (1, 3, 7, 7)
            top, left = place.row * 2 - 3, place.column * 2 - 3
            if top < 0 or left < 0 or top + 7 > 20 or left + 7 > 26:
                continue
            inside += 1
            image = items[place.picture].read()
            assert torch.equal(crop, image[..., top : top + 7, left : left + 7])
            alone = torch.rand_like(image)
            alone[..., top : top + 7, left : left + 7] = crop
            found = network(alone, ["conv2"])["conv2"][0, channel, place.row, place.column]
            assert float(found) == pytest.approx(place.activation, rel=1e-4)
    assert inside >= 2


@pytest.mark.parametrize("unit", [(0, 0), (9, 12), (0, 12), (4, 5)])
def test_beyond_the_border_is_gray(unit):
    image = torch.ones(1, 3, 20, 26)
    crop = crop_field(image, ReceptiveField(7, 2, 3), *unit)
    rows = [y for y in range(unit[0] * 2 - 3, unit[0] * 2 + 4) if 0 <= y < 20]
    columns = [x for x in range(unit[1] * 2 - 3, unit[1] * 2 + 4) if 0 <= x < 26]
    assert int((crop[0, 0] == 1).sum()) == len(rows) * len(columns)
    assert int((crop[0, 0] == 0.5).sum()) == 49 - len(rows) * len(columns)


def test_a_field_larger_than_the_picture():
    crop = crop_field(torch.zeros(1, 3, 4, 4), ReceptiveField(11, 4, 5), 0, 0)
    assert crop.shape == (1, 3, 11, 11)
    assert torch.equal(crop[..., 5:9, 5:9], torch.zeros(1, 3, 4, 4))
    assert float(crop.sum()) == pytest.approx(0.5 * 3 * (121 - 16))


def test_the_first_channels_unless_asked():
    assert list(searched([], channels=None).best) == [0, 1, 2, 3, 4]
    assert list(searched([], channels=(3, 1, 3)).best) == [3, 1]


def test_the_deepest_layer_of_maps_unless_asked():
    assert searched([], layer=None, channels=None).layer == "conv2"


def test_one_per_picture_unless_asked():
    items = noise_items(2, 60, 60)
    for channel in searched(items, top=5).best.values():
        assert sorted(p.picture for p in channel) == [0, 1]
    for channel in searched(items, top=5, per_picture=4).best.values():
        assert len(channel) == 5
        places = [(p.picture, p.row, p.column) for p in channel]
        assert len(set(places)) == 5
        for n, row, column in places:  # peaks do not touch each other
            near = [p for p in places if p[0] == n and max(abs(p[1] - row), abs(p[2] - column)) < 2]
            assert near == [(n, row, column)]


def test_peaks_of_a_map():
    maps = torch.zeros(1, 5, 7)
    maps[0, 1, 1], maps[0, 1, 2], maps[0, 4, 6] = 3.0, 2.0, 2.5
    assert list(peaks(maps, 1)) == [(0, 1, 1, 3.0)]
    assert list(peaks(maps, 2)) == [(0, 1, 1, 3.0), (0, 4, 6, 2.5)]


def test_equal_activations_keep_the_order_of_the_pictures():
    items = [Item(str(n), lambda: torch.full((1, 3, 8, 8), 0.7)) for n in range(6)]
    for places in searched(items, top=3).best.values():
        assert [p.picture for p in places] == [0, 1, 2]


def test_resumed_is_the_same_as_run_through():
    items = noise_items(9)
    whole = searched(items)
    first = TopPatchSearch(SmallNetwork(), config())
    progress = first.search(items)
    assert [next(progress).done for _ in range(4)] == [1, 2, 3, 4]
    state = json.loads(json.dumps(first.state(items)))
    second = TopPatchSearch(SmallNetwork(), config())
    assert second.restore(state, items)
    assert [p.done for p in second.search(items)] == [5, 6, 7, 8, 9]
    assert second.best == whole.best


def test_a_state_of_other_pictures_is_not_gone_on_with():
    items = noise_items(5)
    state = searched(items[:3]).state(items)
    search = TopPatchSearch(SmallNetwork(), config())
    changed = [items[0], Item(items[1].name, items[1].read, (1, 99)), *items[2:]]
    assert not search.restore(state, changed)
    assert not search.restore(state, items[:2])
    assert search.done == 0
    assert search.restore(state, items)


def test_a_state_of_other_settings_is_refused():
    items = noise_items(2)
    state = searched(items).state(items)
    other = TopPatchSearch(SmallNetwork(), config(top=7))
    with pytest.raises(UsageError, match=r"other settings \(top 4, now 7\): finish it with those"):
        other.restore(state, items)


def test_bad_and_small_pictures_are_told_and_passed_over():
    def bad():
        raise ImageError("bad.jpg: the file is empty; get it again.")

    items = [
        Item("bad.jpg", bad),
        Item("tiny.png", lambda: torch.rand(1, 3, 9, 1)),
        *noise_items(2),
    ]
    search = searched(items)
    assert search.failures.found == [
        ("bad.jpg", "the file is empty; get it again."),
        ("tiny.png", "1x9 is too small, conv2 needs 2."),
    ]
    assert {p.picture for p in search.best[0]} == {2, 3}
    assert len(search.crops(items)[0]) == 2


def test_only_one_picture_is_alive_at_a_time():
    alive: list[weakref.ref] = []
    most = 0

    def read():
        nonlocal most
        image = torch.rand(1, 3, 16, 16)
        alive.append(weakref.ref(image))
        most = max(most, sum(ref() is not None for ref in alive))
        return image

    items = [Item(str(n), read) for n in range(40)]
    search = searched(items)
    assert len(alive) == 40
    assert most == 1
    search.crops(items)
    assert most == 1


def test_pictures_are_shrunk_never_enlarged():
    search = searched([], size=32)
    assert search.prepared(torch.rand(1, 3, 64, 48)).shape == (1, 3, 32, 24)
    assert search.prepared(torch.rand(1, 3, 10, 20)).shape == (1, 3, 10, 20)


def test_a_network_without_maps():
    model = nn.Sequential(nn.Flatten(), nn.Linear(3 * 16 * 16, 4))
    network = ModuleNetwork("flat", model, Preprocessing(input_size=16))
    with pytest.raises(UsageError, match=r"flat has no ReLU or convolution .* another `layer`"):
        default_layer(network)


@pytest.mark.parametrize(
    ("settings", "sentence"),
    [
        ({"channels": (0, 5)}, "conv2 has no channel 5: it has 0 to 4."),
        ({"layer": "conv9"}, "small has no layer 'conv9'."),
        ({"top": 0}, r"The number of patches \(top\) must be at least 1, not 0."),
        ({"per_picture": 0}, "per picture"),
        ({"channels": ()}, "No channel: name at least one"),
        ({"size": 3}, "Size 3 is too small"),
    ],
)
def test_errors(settings, sentence):
    with pytest.raises(UsageError, match=sentence):
        TopPatchSearch(SmallNetwork(), config(**settings))
