"""The sizes of a dream and the steps at each."""

import dataclasses

import pytest

from cnnart.errors import UsageError
from cnnart.methods.dream.config import DreamConfig, resolve_preset
from cnnart.methods.dream.dream import (
    SMALLEST_OCTAVE,
    dream_schedule,
    octave_sizes,
    octave_steps,
)
from cnnart.methods.dream.presets import DREAMS, DreamPreset, find_preset

PRESET = DreamPreset("", {"relu4_3": 1.0}, base=200, steps=5)


@pytest.mark.parametrize("size", [(1024, 768), (20, 33), (333, 1000), (64, 4000), (8, 8)])
def test_octaves_end_at_the_picture_and_never_shrink_below_what_helps(size):
    sizes = octave_sizes(*size, PRESET, 8)
    assert sizes[-1] == size
    assert sizes == sorted(set(sizes))
    for height, width in sizes[:-1]:
        assert min(height, width) >= SMALLEST_OCTAVE
        assert max(height, width) >= PRESET.base
        assert width / height == pytest.approx(size[1] / size[0], rel=0.1)


def test_octaves_are_as_many_as_asked_for_where_these_fit():
    preset = dataclasses.replace(PRESET, octaves=4, octave_scale=2.0)
    assert octave_sizes(512, 1024, preset, 16) == [(64, 128), (128, 256), (256, 512), (512, 1024)]
    assert len(octave_sizes(100, 100, preset, 16)) == 2
    assert octave_sizes(100, 100, preset, 64) == [(100, 100)]


def test_a_larger_picture_passes_through_the_same_sizes_with_fewer_steps_at_the_end():
    preset = dataclasses.replace(PRESET, octave_scale=2.0)
    small, large = (dream_schedule(side, side, preset, 16) for side in (1024, 4096))
    assert large[: len(small)] == small
    steps = [scale.iterations for scale in large]
    assert steps == [14, 7, 4, 2, 1]


@pytest.mark.parametrize("long_side", [128, 256, 500, 1024, 3000, 8192])
@pytest.mark.parametrize("stride", [1.0, 1.5, 2.0])
def test_longer_steps_go_as_far(long_side, stride):
    """As many and as long as all of a preset's would be."""
    each, one = octave_steps(long_side, dataclasses.replace(PRESET, stride=1.0))
    count, length = octave_steps(long_side, dataclasses.replace(PRESET, stride=stride))
    assert one == 1.0
    assert count * length == pytest.approx(each)
    assert 1 <= length <= stride


def test_steps_asked_for_are_those_of_every_octave():
    config = DreamConfig(preset=next(iter(DREAMS)), steps=7)
    preset = resolve_preset(config)
    assert {s.iterations for s in dream_schedule(512, 512, preset, 16)} == {7}
    assert octave_steps(512, preset) == (7, 1.0)


def test_a_step_size_asked_for_is_that_of_every_step():
    preset = resolve_preset(DreamConfig(step_size=0.02))
    assert octave_steps(512, preset) == (8, 1.0)
    assert preset.step_size == 0.02


def test_own_layers_come_with_all_their_channels():
    name = next(name for name, preset in DREAMS.items() if preset.channels)
    assert resolve_preset(DreamConfig(preset=name)).channels == DREAMS[name].channels
    own = resolve_preset(DreamConfig(preset=name, layers={"relu4_1": 1.0}))
    assert (own.layers, own.channels) == ({"relu4_1": 1.0}, ())
    chosen = resolve_preset(DreamConfig(preset=name, layers={"relu4_1": 1.0}, channels=(3,)))
    assert chosen.channels == (3,)


@pytest.mark.parametrize("name", DREAMS)
def test_every_preset_is_of_the_embedded_network(name, features):
    preset = find_preset(name)
    features.check_layers(preset.layers)
    assert all(c < features.geometry[k].channels for k in preset.layers for c in preset.channels)
    assert preset.description
    assert resolve_preset(DreamConfig(preset=name)) == preset


def test_the_default_exists():
    assert DreamConfig().preset in DREAMS


def test_an_unknown_preset_is_told_with_the_nearest():
    with pytest.raises(UsageError, match="Did you mean"):
        find_preset(next(iter(DREAMS))[:-1] + "x")
