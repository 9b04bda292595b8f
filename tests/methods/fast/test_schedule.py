"""The course of a run: by its steps, and by a clock that is made up."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field

import pytest

from cnnart.methods.fast.train.config import TrainConfig
from cnnart.methods.fast.train.schedule import Schedule

SMALL, FULL = 128, 256


@dataclass
class Course:
    """What a simulated run did: seconds in all, of the last step, the crops' side, its rates."""

    spent: float = 0.0
    last: float = 0.0
    sides: list[int] = field(default_factory=list)
    rates: list[float] = field(default_factory=list)
    validations: list[int] = field(default_factory=list)
    totals: list[int] = field(default_factory=list)


def follow(
    schedule: Schedule,
    seconds: Callable[[int, int, float], float],
    *,
    every: int = 1,
    validation: float = 0.0,
    until: int | None = None,
    course: Course | None = None,
) -> Course:
    """As the trainer does it: a step takes ``seconds(index, side, spent)``, and the clock is looked
    at after ``every`` steps.
    """
    found = course or Course()
    while (index := len(found.sides) + 1) <= min(schedule.total, until or schedule.total):
        schedule.begin(index, found.spent)
        side = schedule.side(index)
        found.sides.append(side)
        found.rates.append(schedule.rate_factor(index))
        found.last = seconds(index, side, found.spent)
        found.spent += found.last
        if index % every == 0 or index == 1 or schedule.validates(index):
            schedule.settle(index, found.spent)
        if schedule.validates(index):
            schedule.validated(index)
            found.validations.append(index)
            found.spent += validation
        found.totals.append(schedule.total)
    return found


def by_pixels(index: int, side: int, spent: float) -> float:
    return 1.0 * (side / FULL) ** 2


PACES: dict[str, Callable[[int, int, float], float]] = {
    "by the pixels": by_pixels,
    "the same at any size": lambda index, side, spent: 0.05,
    "crops of full size eight times as slow": lambda i, side, s: 0.1 if side < FULL else 0.8,
    "slow at first": lambda i, side, s: by_pixels(i, side, s) * (20 if i < 3 else 1),
    "faster half-way": lambda i, side, s: by_pixels(i, side, s) / (1 if s < 90 else 3),
    "slower half-way": lambda i, side, s: by_pixels(i, side, s) * (1 if s < 90 else 3),
    "uneven": lambda i, side, s: by_pixels(i, side, s) * (0.5 + (i * 7919 % 11) / 11),
}


@pytest.mark.parametrize("every", [1, 10])
@pytest.mark.parametrize("validation", [0.0, 4.0])
@pytest.mark.parametrize("pace", PACES)
def test_a_time_budget_is_used_and_kept(pace: str, validation: float, every: int) -> None:
    budget = 180.0
    schedule = Schedule(TrainConfig(), budget, warm=2 if every == 1 else 10)
    found = follow(schedule, PACES[pace], every=every, validation=validation)
    assert 0.9 * budget <= found.spent <= budget + found.last
    assert len(found.validations) >= 3
    assert found.validations[-1] == len(found.sides)
    assert found.sides == sorted(found.sides)  # they grow once and never again
    assert found.rates[-1] < 0.1
    # Half of them, as far as it was known what crops of full size would take.
    assert 0.15 < found.sides.count(SMALL) / len(found.sides) < 0.85


def test_of_ninety_seconds_with_steps_of_ten_milliseconds_all_are_used() -> None:
    def quick(index: int, side: int, spent: float) -> float:
        return 3.0 if index == 1 else 0.4 if index < 5 else 0.01

    found = follow(Schedule(TrainConfig(), 90.0, warm=10), quick, every=10, validation=0.5)
    assert 89 < found.spent <= 90.01
    assert len(found.sides) > 6000


def test_what_is_left_is_the_rest_of_the_budget() -> None:
    schedule = Schedule(TrainConfig(), 180.0, warm=2)
    assert schedule.left(0, 0.0) is None
    found = follow(schedule, by_pixels, until=40)
    assert schedule.left(40, found.spent) == pytest.approx(180 - found.spent)
    assert schedule.left(schedule.total, found.spent) == 0
    few = Schedule(TrainConfig(steps=50), 1000.0, warm=2)  # which end before the time does
    follow(few, by_pixels, until=40)
    assert few.left(40, 1.0) is None


def test_a_budget_of_a_few_steps_is_kept_too() -> None:
    for seconds in (4.0, 7.0, 11.0):
        found = follow(Schedule(TrainConfig(), 10.0, warm=2), lambda *_, took=seconds: took)
        assert 0.5 * seconds >= abs(found.spent - 10.0)


def test_no_more_steps_than_were_asked_for() -> None:
    found = follow(Schedule(TrainConfig(steps=50), 1000.0, warm=2), by_pixels)
    assert len(found.sides) == 50
    assert found.spent < 50


def test_without_a_budget_the_clock_changes_nothing() -> None:
    config = TrainConfig(steps=60, validate_every=25)
    slow, quick = (
        follow(Schedule(config, None, warm=2), lambda *_, took=took: took) for took in (9.0, 0.1)
    )
    assert slow.sides == quick.sides == [SMALL] * 30 + [FULL] * 30
    assert slow.rates == quick.rates
    assert slow.validations == quick.validations == [20, 40, 60]


@pytest.mark.parametrize("until", [1, 30, 200])
def test_a_continued_run_settles_as_if_it_had_not_stopped(until: int) -> None:
    whole = follow(Schedule(TrainConfig(), 120.0, warm=2), by_pixels, validation=1.0)
    stopped = Schedule(TrainConfig(), 120.0, warm=2)
    course = follow(stopped, by_pixels, validation=1.0, until=until)
    resumed = Schedule(TrainConfig(), 120.0, warm=2)
    resumed.load_state_dict(stopped.state_dict())
    assert follow(resumed, by_pixels, validation=1.0, course=course) == whole
