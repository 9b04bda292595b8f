"""How much work goes where, and what a time budget makes of it."""

import itertools

import pytest
from hypothesis import given
from hypothesis import strategies as st

from cnnart.methods.stylize.config import PRESETS, StylizeConfig
from cnnart.methods.stylize.transfer import schedule
from cnnart.optim import steps as module
from cnnart.optim.multiscale import fit_to_time, level_sizes
from cnnart.optim.steps import Clock, PyramidLevel
from cnnart.settings import COARSEST, SMALLEST_SIDE

sides = st.integers(SMALLEST_SIDE, 5000)


@given(sides, sides)
def test_sizes_double_up_to_the_output(height, width):
    sizes = level_sizes(height, width)
    assert sizes[-1] == (height, width)
    for (h, w), (next_h, next_w) in itertools.pairwise(sizes):
        assert 0 <= 2 * h - next_h <= 1
        assert 0 <= 2 * w - next_w <= 1
    assert max(sizes[0]) < 2 * COARSEST or min(sizes[0]) < 2 * SMALLEST_SIDE


def test_a_smallest_side_ends_the_halving():
    assert level_sizes(100, 1000, smallest=50) == [(50, 500), (100, 1000)]


def test_presets_say_the_evaluations_and_steps_replace_the_last():
    counts = PRESETS["standard"]
    found = schedule(StylizeConfig(), 512, 512)
    assert [s.iterations for s in found] == list(counts[:3])
    assert schedule(StylizeConfig(steps=7), 512, 512)[-1].iterations == 7
    very_large = schedule(StylizeConfig(), 128 << 8, 128)
    assert all(s.iterations == counts[-1] for s in very_large[len(counts) :])


@pytest.mark.parametrize("preset", PRESETS)
def test_a_512_picture_takes_the_first_steps_of_a_2048_one(preset):
    """The same look at every size: a small picture is a large one stopped early."""
    config = StylizeConfig(preset=preset)
    small, large = schedule(config, 384, 512), schedule(config, 1536, 2048)
    assert large[: len(small)] == small


SCALES = [PyramidLevel(128, 128, 100), PyramidLevel(256, 256, 100), PyramidLevel(512, 512, 40)]


@given(st.floats(0.5, 1000))
def test_the_time_is_never_exceeded_by_more_than_one_evaluation_a_scale(seconds):
    rate = 4e-6
    fitted = fit_to_time(SCALES, seconds, rate)
    spent = sum(s.work * s.iterations for s in fitted) * rate
    assert spent <= max(seconds, SCALES[0].work * rate) * 1.001
    assert all(s.iterations >= 1 for s in fitted)


def test_plenty_of_time_buys_at_most_three_times_the_preset():
    assert [s.iterations for s in fit_to_time(SCALES, 1e6, 4e-6)] == [300, 300, 120]


def test_too_little_time_leaves_out_the_finest_scale():
    everything = sum(s.work * s.iterations for s in SCALES) * 4e-6
    assert len(fit_to_time(SCALES, everything, 4e-6)) == 3
    assert len(fit_to_time(SCALES, everything / 5, 4e-6)) == 2
    assert len(fit_to_time(SCALES, everything / 1000, 4e-6)) == 1


def test_levels_of_one_size_stay_together():
    """Twelve evaluations at the last size matter, be they one level's or two levels'."""
    levels = [*SCALES[:2], PyramidLevel(512, 512, 30), PyramidLevel(512, 512, 10)]
    everything = sum(s.work * s.iterations for s in levels) * 4e-6
    half = fit_to_time(levels, everything / 2, 4e-6)
    assert [s.iterations for s in half] == [50, 50, 15, 5]
    assert len(fit_to_time(levels, everything / 5, 4e-6)) == 2


def test_tiles_cost_more():
    dear = [PyramidLevel(512, 512, 40, cost=2.0)]
    assert fit_to_time(dear, 10, 4e-6)[0].iterations == 4
    assert fit_to_time([PyramidLevel(512, 512, 40)], 10, 4e-6)[0].iterations == 9


def test_the_clock_learns_the_rate_and_stops_in_time(monkeypatch):
    now = [0.0]
    monkeypatch.setattr(module.time, "perf_counter", lambda: now[0])
    clock = Clock(10.0)
    assert clock.rate is None
    now[0] = 2.0
    clock.tick(1000.0)
    assert clock.rate == pytest.approx(0.002)
    assert clock.remaining == pytest.approx(7.5)
    assert not clock.is_over
    now[0] = 8.0
    clock.tick(1000.0)  # took 6 s; another would end at 14
    assert clock.is_over
    assert not Clock().is_over
