"""How much work goes where, and what a time budget makes of it."""

import itertools

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from cnnart.methods.stylize.config import PRESETS, StylizeConfig
from cnnart.methods.stylize.transfer import schedule
from cnnart.optim import multiscale
from cnnart.optim import steps as module
from cnnart.optim.memory import Limits
from cnnart.optim.multiscale import CoarseToFine, fit_to_time, level_sizes, schedule_of
from cnnart.optim.steps import Clock, Evaluation, MemoryPlan, PyramidLevel
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


@pytest.mark.parametrize(
    ("steps", "split", "expected"),
    [
        (None, True, [(False, 12), (True, 4), (False, 2), (True, 6), (False, 3)]),
        (None, False, [(False, 12), (False, 6), (False, 9)]),
        (6, True, [(False, 12), (True, 4), (False, 2), (True, 4), (False, 2)]),
        (1, True, [(False, 12), (True, 4), (False, 2), (False, 1)]),
    ],
)
def test_at_each_size_shallow_layers_come_first(steps, split, expected):
    sizes = [(32, 40), (64, 80), (128, 160)]
    levels = schedule_of(((0, 12), (4, 2), (6, 3)), sizes, steps, split=split)
    assert [(level.shallow, level.iterations) for level in levels] == expected
    assert list(dict.fromkeys((s.height, s.width) for s in levels)) == sizes
    assert all(s.work < s.height * s.width for s in levels if s.shallow)


def test_presets_say_the_evaluations_and_steps_replace_the_last():
    counts = PRESETS["standard"]
    found = schedule(StylizeConfig(), 512, 512)
    assert [s.iterations for s in found] == [n for pair in counts[:3] for n in pair if n]
    asked = schedule(StylizeConfig(steps=7), 512, 512)
    assert sum(s.iterations for s in asked if s.width == 512) == 7
    very_large = schedule(StylizeConfig(), 128 << 8, 128 << 8)
    beyond = [s.iterations for s in very_large if s.height >= 128 << len(counts)]
    assert beyond == [n for n in counts[-1] * (9 - len(counts)) if n]


@pytest.mark.parametrize("preset", PRESETS)
def test_a_512_picture_takes_the_first_steps_of_a_2048_one(preset):
    """The same look at every size: a small picture is a large one stopped early."""
    config = StylizeConfig(preset=preset)
    small, large = schedule(config, 384, 512), schedule(config, 1536, 2048)
    assert large[: len(small)] == small


def per_pixel(work):
    return 4e-6 * work


SCALES = [PyramidLevel(128, 128, 100), PyramidLevel(256, 256, 100), PyramidLevel(512, 512, 40)]


@given(st.floats(0.5, 1000))
def test_the_time_is_never_exceeded_by_more_than_one_evaluation_a_scale(seconds):
    fitted = fit_to_time(SCALES, seconds, per_pixel)
    spent = sum(s.work * s.iterations for s in fitted) * 4e-6
    assert spent <= max(seconds, per_pixel(SCALES[0].work)) * 1.001
    assert all(s.iterations >= 1 for s in fitted)


def test_plenty_of_time_buys_at_most_three_times_the_preset():
    assert [s.iterations for s in fit_to_time(SCALES, 1e6, per_pixel)] == [300, 300, 120]


def test_too_little_time_leaves_out_the_finest_scale():
    everything = sum(s.work * s.iterations for s in SCALES) * 4e-6
    assert len(fit_to_time(SCALES, everything, per_pixel)) == 3
    assert len(fit_to_time(SCALES, everything / 5, per_pixel)) == 2
    assert len(fit_to_time(SCALES, everything / 1000, per_pixel)) == 1


def test_levels_of_one_size_stay_together():
    """Twelve evaluations at the last size matter, be they one level's or two levels'."""
    levels = [*SCALES[:2], PyramidLevel(512, 512, 30), PyramidLevel(512, 512, 10)]
    everything = sum(s.work * s.iterations for s in levels) * 4e-6
    half = fit_to_time(levels, everything / 2, per_pixel)
    assert [s.iterations for s in half] == [50, 50, 15, 5]
    assert len(fit_to_time(levels, everything / 5, per_pixel)) == 2


def test_tiles_cost_more():
    dear = [PyramidLevel(512, 512, 40, cost=2.0)]
    assert fit_to_time(dear, 10, per_pixel)[0].iterations == 4
    assert fit_to_time([PyramidLevel(512, 512, 40)], 10, per_pixel)[0].iterations == 9


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


class Untrusted:
    """In the place of a network."""

    device, dtype = torch.device("cpu"), torch.float32


class Evaluations:
    """A method whose evaluations take what ``pace`` says of their pixels and number at a level."""

    most, unit = 3.0, "evaluations"

    def __init__(self, pace, now):
        self.pace, self.now, self.sizes = pace, now, []

    def plan(self, run):
        return MemoryPlan()

    def start(self, height, width):
        return torch.zeros(1, 3, height, width)

    def enlarged(self, image, size):
        return torch.zeros(1, 3, *size)

    def objective(self, level, tile):
        calls = itertools.count(1)

        def objective(image):
            self.now[0] += self.pace(level.height * level.width, next(calls))
            return Evaluation({"loss": 1.0}, torch.zeros(()))

        return objective

    def optimize(self, run, image, objective, level, state=None):
        for _ in range(level.iterations):
            self.sizes.append(level.width)
            yield objective(image).losses, image


def on_a_card(pixels, call):
    """Launches are the limit, until they are recorded."""
    return 16e-3 if call < 3 else 0.1 if call == 3 else max(3e-3, 27e-9 * pixels)


BUDGETS = [
    (lambda pixels, call: 4e-6 * pixels * (1 + (call == 1)), 0, 40.0),
    (lambda pixels, call: 4e-6 * pixels * (1 + (call == 1)), 0, 4.0),
    (lambda pixels, call: 2e-2, 0, 10.0),
    (on_a_card, 3, 2.0),
    (on_a_card, 3, 1e9),
]


@pytest.mark.parametrize(("pace", "recording", "budget"), BUDGETS)
def test_a_time_budget_is_used_and_kept_at_any_pace(monkeypatch, pace, recording, budget):
    """And what is told to be left is left."""
    now = [0.0]
    monkeypatch.setattr(module.time, "perf_counter", lambda: now[0])
    monkeypatch.setattr(multiscale, "evaluation_cost", lambda *_: 1.0)
    monkeypatch.setattr(multiscale, "recording_calls", lambda device: recording)
    work = Evaluations(pace, now)
    run = CoarseToFine(Untrusted(), [], SCALES, update=work, limits=Limits(seconds=budget))
    told = [(step.left, now[0]) for step in run.steps(work)]
    counts = [work.sizes.count(level.width) for level in SCALES]
    assert now[0] <= budget
    if counts != [3 * level.iterations for level in SCALES]:  # more would not be better
        assert now[0] >= 0.88 * budget
    assert told[-1][0] < 0.08 * now[0]  # an evaluation for which there was no time
    assert all(0.3 < left / (now[0] - at) < 3 for left, at in told[:-20])


def test_a_card_does_not_give_up_the_finest_size(monkeypatch):
    """An evaluation takes as long at the coarsest size as at the next, whatever their pixels."""
    now, pace = [0.0], lambda pixels, call: 2e-3
    monkeypatch.setattr(module.time, "perf_counter", lambda: now[0])
    monkeypatch.setattr(multiscale, "evaluation_cost", lambda *_: 1.0)
    monkeypatch.setattr(multiscale, "recording_calls", lambda device: 3)
    work = Evaluations(pace, now)
    run = CoarseToFine(Untrusted(), [], SCALES, update=work, limits=Limits(seconds=3.0))
    assert len(list(run.steps(work))) == len(work.sizes) == 3 * (100 + 100 + 40)
    assert "120 at 512x512" in run.warnings[0]


def test_two_thirds_of_the_time_are_enough_for_the_finest_size():
    """Of a preset whose finest sizes take few evaluations, and not of one that has a third."""
    levels = schedule(StylizeConfig(), 512, 512)
    needed = sum(s.work * s.iterations for s in levels)
    for share, finest in ((0.7, 512), (0.3, 256)):
        fitted = fit_to_time(levels, share * needed, lambda work: work)
        assert max(s.width for s in fitted) == finest
        assert sum(s.work * s.iterations for s in fitted) <= share * needed


def test_an_evaluation_takes_a_constant_and_the_pixels(monkeypatch):
    now = [0.0]
    monkeypatch.setattr(module.time, "perf_counter", lambda: now[0])

    def tick(seconds, work):
        clock.start()
        now[0] += seconds
        clock.tick(work)

    clock = Clock()
    assert clock.takes(100.0) is None
    clock.prepare(1)
    tick(9.0, 100.0)  # it also made the targets, but nothing else is known
    assert clock.takes(100.0) == 9.0
    tick(1.0, 100.0)
    assert clock.takes(400.0) == 4.0
    clock.prepare(1)
    tick(30.0, 400.0)
    assert clock.takes(400.0) == 4.0
    tick(1.3, 400.0)
    assert clock.takes(100.0) == pytest.approx(1.0)
    assert clock.takes(1000.0) == pytest.approx(0.9 + 1.0)
    tick(2.3, 400.0)  # the latest one counts most, but not alone
    assert clock.takes(400.0) == pytest.approx(1.6)
