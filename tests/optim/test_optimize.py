"""The optimizer loop on objectives whose minimum is known."""

import math

import pytest
import torch

from cnnart.errors import CnnartError, UsageError
from cnnart.optim.optimize import LBFGS, optimize_image, optimizer_factory
from cnnart.optim.steps import Evaluation
from cnnart.settings import OPTIMIZERS

START = torch.full((1, 3, 4, 5), 0.9)
GOAL = torch.linspace(0.2, 0.7, 60).view(1, 3, 4, 5)
AXES = torch.linspace(1, 30, 60).view(1, 3, 4, 5)  # a condition number of 30


def quadratic(image):
    """A bowl with its bottom at GOAL, at a loss of 1."""
    difference = image - GOAL
    losses = {"bowl": float((AXES * difference.square()).sum()), "floor": 1.0}
    return Evaluation(losses, 2 * AXES * difference)


class Failing:
    """The quadratic, but not a number at some evaluations (counted from 1)."""

    def __init__(self, *at, gradient_only=False):
        self.at, self.calls, self.gradient_only = at, 0, gradient_only

    def __call__(self, image):
        assert torch.isfinite(image).all()
        self.calls += 1
        sound = quadratic(image)
        if self.calls not in self.at:
            return sound
        broken = torch.full_like(image, math.nan)
        losses = sound.losses if self.gradient_only else {"bowl": math.nan, "floor": 1.0}
        return Evaluation(losses, broken)


def run(objective, steps, optimizer="lbfgs", start=START):
    """The steps, each with a copy of its picture."""
    for losses, image in optimize_image(
        start.clone(), objective, steps, optimizer_factory(optimizer)
    ):
        yield losses, image.clone()


def excess(image):
    return quadratic(image).total - 1


def test_total_is_the_sum_of_the_terms():
    assert Evaluation({"a": 1.5, "b": 0.25}, START).total == 1.75


@pytest.mark.parametrize(("optimizer", "factor"), [("lbfgs", 1e-4), ("adam", 0.05)])
def test_it_goes_down_a_bowl(optimizer, factor):
    results = list(run(quadratic, 50, optimizer))
    assert excess(results[-1][1]) < factor * excess(START)


@pytest.mark.parametrize("optimizer", OPTIMIZERS)
@pytest.mark.parametrize("steps", [1, 2, 17])
def test_as_many_steps_as_asked_one_evaluation_each(optimizer, steps):
    objective = Failing()
    results = list(run(objective, steps, optimizer))
    assert len(results) == steps
    assert objective.calls == steps


def test_the_first_losses_are_those_of_the_start():
    losses, image = next(run(quadratic, 3))
    assert losses == quadratic(START).losses
    assert excess(image) < excess(START)


def test_the_picture_given_is_changed_in_place():
    """A print-size picture is not kept twice."""
    start = START.clone()
    steps = optimize_image(start, quadratic, 3, optimizer_factory("lbfgs"))
    assert all(image is start for _, image in steps)
    assert not torch.equal(start, START)
    assert not start.requires_grad


def test_pictures_come_out_as_plain_float32():
    for _, image in run(quadratic, 2):
        assert image.dtype == torch.float32
        assert image.shape == START.shape
        assert not image.requires_grad


@pytest.mark.parametrize("optimizer", OPTIMIZERS)
@pytest.mark.parametrize("gradient_only", [False, True])
@pytest.mark.parametrize("at", [(2,), (5,), (5, 6), (5, 9, 13)])
def test_nan_in_the_middle_backs_off(optimizer, gradient_only, at):
    objective = Failing(*at, gradient_only=gradient_only)
    best = excess(START)
    for losses, image in run(objective, 60, optimizer):
        assert torch.isfinite(image).all()
        assert math.isfinite(losses["bowl"])
        best = min(best, excess(image))
    assert best < 0.5 * excess(START)  # it went on


@pytest.mark.parametrize(
    "gradient_only",
    [
        False,
        True,
    ],
)
def test_steps_that_were_undone_do_not_count(gradient_only):
    assert len(list(run(Failing(5, gradient_only=gradient_only), 12))) == 12


def test_after_too_many_failures_the_best_picture_stands():
    objective = Failing(*range(6, 1000))
    results = list(run(objective, 60))
    assert objective.calls < 15
    image = results[-1][1]
    assert torch.isfinite(image).all()
    evaluated = [i for _, i in results[:4]]  # the fifth picture is the one that failed
    assert excess(image) == pytest.approx(min(map(excess, evaluated)), rel=1e-6)
    assert excess(image) < excess(START)


def test_the_losses_of_the_best_picture_are_its_own():
    losses, image = list(run(Failing(*range(6, 1000)), 60))[-1]
    assert losses["bowl"] == pytest.approx(quadratic(image).losses["bowl"])


def test_an_exploding_step_is_undone():
    """A cliff beside the bowl: whoever lands there is put back."""

    def cliff(image):
        sound = quadratic(image)
        if float(image.min()) < 0.15:
            return Evaluation({"bowl": 1e6 * sound.total}, 1e6 * sound.gradient)
        return sound

    *_, (_, image) = run(cliff, 40)
    assert excess(image) < 0.05 * excess(START)


@pytest.mark.parametrize("optimizer", OPTIMIZERS)
def test_nan_at_the_start(optimizer):
    with pytest.raises(CnnartError) as error:
        list(run(Failing(1), 5, optimizer))
    assert str(error.value) == (
        "The loss is not a finite number at the very start: the network's activations overflow. "
        "Use `precision` fp32."
    )


def test_lbfgs_does_what_torchs_does():
    near = GOAL + 0.05 * torch.cos(100 * GOAL)  # where no step is so long as to be cut
    ours, theirs = near.clone(), near.clone().requires_grad_(True)
    engine = LBFGS(ours, history=5)
    reference = torch.optim.LBFGS(
        [theirs], lr=1, max_iter=1, history_size=5, tolerance_grad=0, tolerance_change=0
    )

    def closure():
        theirs.grad = quadratic(theirs.detach()).gradient
        return 0.0

    for _ in range(12):
        engine.step(quadratic(ours).gradient)
        reference.step(closure)
        torch.testing.assert_close(ours, theirs.detach(), rtol=1e-3, atol=1e-4)


def test_a_half_precision_history_serves():
    factory = optimizer_factory("lbfgs", torch.bfloat16)
    *_, (_, image) = optimize_image(START.clone(), quadratic, 50, factory)
    assert excess(image) < 1e-3 * excess(START)


def test_unknown_optimizer():
    with pytest.raises(UsageError) as error:
        optimizer_factory("sgd")
    assert str(error.value) == "Unknown optimizer 'sgd': use lbfgs or adam."


def test_a_flat_loss_gets_one_fresh_start_and_then_ends_the_scale():
    """Nothing depends on the picture: there is nothing to gain, and no need to go on for ever."""
    starts = []

    def factory(x, factor):
        starts.append(factor)
        return optimizer_factory("adam")(x, factor)

    def flat(image):
        return Evaluation({"style": 1.0}, torch.zeros_like(image))

    found = list(optimize_image(START.clone(), flat, 1000, factory))
    assert starts == [1.0, 1.0]
    assert 2 * 20 <= len(found) <= 2 * 20 + 2
    assert torch.equal(found[-1][1], START)
