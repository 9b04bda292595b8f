"""The optimizer loop on objectives whose minimum is known."""

import gc
import math
import weakref

import pytest
import torch

from cnnart.errors import CnnartError, UsageError
from cnnart.optim import optimize
from cnnart.optim.optimize import ADAM_STEP, LBFGS, optimize_image, optimizer_factory
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


class TwoLoops:
    """The two-loop recursion as Nocedal wrote it (1980), which forgets no pair before its time."""

    def __init__(self, x, history, dtype=torch.float32):
        self.x, self.history, self.dtype = x, history, dtype
        self.pairs, self.scale, self.last, self.events = [], 1.0, None, set()

    def step(self, g):
        if self.last is None:
            direction = -g * min(1.0, 1 / float(g.abs().sum()))
        else:
            step, change = self.last[0], g - self.last[1]
            curvature = float(step @ change)
            if curvature > 1e-10:
                self.scale = curvature / float(change @ change)
                self.pairs.append((step.to(self.dtype), change.to(self.dtype), 1 / curvature))
                self.events |= {"full"} if len(self.pairs) > self.history else set()
                self.pairs = self.pairs[-self.history :]
            else:
                self.events.add("not taken")
            direction = self.direction(g)
            if float(g @ direction) > 0:
                self.pairs, direction = [], -g * self.scale
        size = float(direction.square().mean().sqrt())
        step = direction * min(1.0, 0.25 / size)
        self.x += step
        self.last = step, g.clone()

    def direction(self, g):
        q, weights = -g, []
        for step, change, inverse in reversed(self.pairs):
            weights.append(inverse * float(step.float() @ q))
            q = q - weights[-1] * change.float()
        q = q * self.scale
        for (step, change, inverse), weight in zip(self.pairs, reversed(weights), strict=True):
            q = q + (weight - inverse * float(change.float() @ q)) * step.float()
        return q


def rosenbrock(x):
    """The gradient of Rosenbrock's curved valley in any number of dimensions."""
    bend = x[1:] - x[:-1].square()
    gradient = torch.zeros_like(x)
    gradient[1:] += 200 * bend
    gradient[:-1] -= 400 * x[:-1] * bend + 2 * (1 - x[:-1])
    return gradient


@pytest.mark.parametrize(("size", "history"), [(50, 5), (50, 20), (20_000, 20)])
def test_lbfgs_is_the_two_loop_recursion(size, history):
    """Beyond a full history, and for more values than a block of it holds."""
    start = 1 + 0.05 * torch.randn(size, generator=torch.Generator().manual_seed(0))
    ours, theirs = start.clone(), start.clone()
    engine, reference = LBFGS(ours, history=history), TwoLoops(theirs, history)
    for _ in range(30):
        moved = engine.step(rosenbrock(ours))
        reference.step(rosenbrock(theirs))
        assert bool(moved)
        assert (ours - theirs).norm() < 1e-2 * (start - theirs).norm()
    assert "full" in reference.events
    assert rosenbrock(ours).norm() < 0.1 * rosenbrock(start).norm()


@pytest.mark.parametrize("dtype", [torch.float32, torch.bfloat16])
def test_lbfgs_is_the_two_loop_recursion_for_any_gradients(dtype):
    """A gradient that grows along a step shows no curvature: that pair is not taken."""
    rng = torch.Generator().manual_seed(0)
    ours, theirs = torch.zeros(2, 300)
    engine, reference = LBFGS(ours, dtype=dtype), TwoLoops(theirs, 20, dtype)
    gradient = torch.zeros(300)
    for index in range(18):
        gradient = (1.5 * gradient if index % 3 else 0) + torch.randn(300, generator=rng)
        before = theirs.clone()
        engine.step(gradient)
        reference.step(gradient)
        step = theirs - before
        assert (ours - before - step).norm() < (
            2e-2 if dtype == torch.bfloat16 else 1e-3
        ) * step.norm()
        ours.copy_(theirs)
    assert "not taken" in reference.events
    assert 2 < len(reference.pairs) < 17


def test_lbfgs_leaves_nothing_behind():
    """Its history is the largest thing there is: it must go with the last name for it."""
    x = START.clone()
    engine = LBFGS(x)
    for _ in range(4):
        engine.step(quadratic(x).gradient)
    gone = weakref.ref(engine)
    gc.disable()
    try:
        del engine
        assert gone() is None
    finally:
        gc.enable()


def test_adam_does_what_torchs_does():
    ours, theirs = START.clone(), START.clone().requires_grad_(True)
    engine = optimizer_factory("adam")(ours, 0.5)
    reference = torch.optim.Adam([theirs], lr=0.5 * ADAM_STEP, betas=(0.9, 0.99))
    for _ in range(20):
        gradient = quadratic(ours).gradient
        engine.step(gradient)
        theirs.grad = gradient
        reference.step()
        torch.testing.assert_close(ours, theirs.detach(), rtol=1e-5, atol=1e-6)


@pytest.mark.parametrize("optimizer", OPTIMIZERS)
@pytest.mark.parametrize("value", [math.nan, math.inf])
def test_a_gradient_that_is_not_finite_moves_nothing(optimizer, value):
    x = START.clone()
    engine = optimizer_factory(optimizer)(x, 1.0)
    assert bool(engine.step(quadratic(x).gradient))
    before, gradient = x.clone(), quadratic(x).gradient
    gradient[0, 1, 2, 3] = value
    assert not bool(engine.step(gradient))
    assert torch.equal(x, before)


@pytest.fixture
def ahead(monkeypatch):
    """As on a device that computes while the host goes on: losses are read one evaluation late."""
    monkeypatch.setattr("cnnart.optim.optimize.evaluations_ahead", lambda device: 1)


@pytest.mark.parametrize("optimizer", OPTIMIZERS)
@pytest.mark.parametrize("steps", [1, 2, 17])
def test_reading_late_changes_neither_losses_nor_picture(ahead, monkeypatch, optimizer, steps):
    objective = Failing()
    late = list(run(objective, steps, optimizer))
    assert objective.calls == steps
    monkeypatch.setattr("cnnart.optim.optimize.evaluations_ahead", lambda device: 0)
    soon = list(run(quadratic, steps, optimizer))
    assert [losses for losses, _ in late] == [losses for losses, _ in soon]
    assert torch.equal(late[-1][1], soon[-1][1])


@pytest.mark.parametrize("optimizer", OPTIMIZERS)
@pytest.mark.parametrize("gradient_only", [False, True])
@pytest.mark.parametrize("at", [(2,), (5,), (5, 6), (12,)])
def test_read_late_what_was_undone_does_not_count(ahead, optimizer, gradient_only, at):
    objective = Failing(*at, gradient_only=gradient_only)
    results = list(run(objective, 12, optimizer))
    assert len(results) == 12
    for losses, image in results:
        assert torch.isfinite(image).all()
        assert math.isfinite(losses["bowl"])
    assert excess(results[-1][1]) < excess(START)


def test_read_late_the_best_picture_stands_after_too_many_failures(ahead):
    objective = Failing(*range(6, 1000))
    losses, image = list(run(objective, 60))[-1]
    assert objective.calls < 20
    assert losses["bowl"] == pytest.approx(quadratic(image).losses["bowl"])
    assert excess(image) < excess(START)


def test_read_late_the_start_must_be_finite_too(ahead):
    with pytest.raises(CnnartError, match="not a finite number at the very start"):
        list(run(Failing(*range(1, 10)), 5))


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


# Where it stands


def bumpy(image):
    """Falls to its flat end; a few evaluations on the way are not finite, or far too high."""
    bumpy.calls += 1
    difference = image - 0.5
    total = difference.square().sum() + 1
    if bumpy.calls in (4, 9):
        total = total * math.nan if bumpy.calls == 4 else total + 1e6
    return Evaluation({"loss": total}, 2 * difference)


def copied(state):
    if isinstance(state, dict):
        return {key: copied(value) for key, value in state.items()}
    if isinstance(state, list):
        return [copied(value) for value in state]
    return state.clone() if isinstance(state, torch.Tensor) else state


@pytest.mark.parametrize("ahead", [0, 1])
@pytest.mark.parametrize("optimizer", ["lbfgs", "adam"])
def test_it_goes_on_from_any_step_to_the_same_picture(monkeypatch, ahead, optimizer):
    monkeypatch.setattr(optimize, "evaluations_ahead", lambda device: ahead)
    start = torch.rand(1, 3, 4, 5, generator=torch.Generator().manual_seed(1))
    make, kept = optimizer_factory(optimizer), []

    def run(state=None):
        at, x = optimize.Standing(), start.clone()
        for losses, image in optimize_image(x, bumpy, 100, make, at, state):
            kept.append((copied(at.state()), bumpy.calls))
            told.append((losses, image.clone()))
        return x

    bumpy.calls, told = 0, []
    expected, whole = run(), list(told)
    if optimizer == "lbfgs":
        assert len(whole) < 100  # it has been flat
        assert any(state["fresh_starts"] for state, _ in kept)
    for index, (state, calls) in [*enumerate(kept)][:: 1 + len(kept) // 40]:
        bumpy.calls, told = calls, []
        assert torch.equal(run(state), expected)
        assert [losses for losses, _ in told] == [losses for losses, _ in whole[index:]]
        assert all(torch.equal(a, b) for (_, a), (_, b) in zip(told, whole[index:], strict=True))


def test_the_state_of_another_picture_is_refused():
    bumpy.calls, at, make = 0, optimize.Standing(), optimizer_factory("lbfgs")
    next(optimize_image(torch.rand(1, 3, 4, 4), bumpy, 9, make, at))
    for image, steps in ((torch.rand(1, 3, 8, 9), 9), (torch.rand(1, 3, 4, 4), 5)):
        other = optimizer_factory("lbfgs", history=steps)
        with pytest.raises((ValueError, RuntimeError)):
            next(optimize_image(image, bumpy, steps, other, None, at.state()))
