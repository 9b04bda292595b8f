"""Gradient ascent with momentum: where it goes, and when its values are read."""

import dataclasses

import pytest
import torch

from cnnart.errors import CnnartError
from cnnart.methods.dream.ascent import MOMENTUM, ascend, mean_abs, smooth
from cnnart.methods.dream.config import DreamConfig
from cnnart.methods.dream.dream import DeepDream
from cnnart.networks.vgg import FeatureExtractor
from cnnart.optim import optimize
from cnnart.optim.capture import WARM_UP
from cnnart.optim.memory import Limits
from cnnart.optim.steps import Evaluation
from tests.helpers.replays import recording
from tests.helpers.waits import META, Elsewhere, NoWaits

MOVED = torch.tensor(True)


def slopes(count):
    generator = torch.Generator().manual_seed(0)
    return [torch.randn(1, 3, 6, 7, generator=generator) for _ in range(count)]


def climb(gradients, move, values=(0.0, 1.0, 2.0, 3.0)):
    """Ascent of an objective whose gradients are given, whatever the picture."""
    given = iter(zip(gradients, torch.tensor(values), strict=False))

    def objective(image):
        gradient, value = next(given)
        return Evaluation({"height": value}, gradient)

    return ascend(torch.full((1, 3, 6, 7), 0.5), objective, len(gradients), move)


def test_a_step_follows_this_gradient_and_half_of_the_step_before():
    """Gradients count alike, whatever their size: each is divided by its mean."""
    gradients, headings = slopes(4), []

    def move(heading):
        headings.append(heading.clone())
        return 1e-3 * heading, MOVED

    found = list(climb([g * 10**k for k, g in enumerate(gradients)], move))
    alike = [g / g.abs().mean() for g in gradients]
    for k, heading in enumerate(headings):
        expected = sum(MOMENTUM**j * alike[k - j] for j in range(k + 1))
        torch.testing.assert_close(heading, expected)
    whole = 0.5 + 1e-3 * sum(headings)
    torch.testing.assert_close(found[-1][1], whole)
    assert [values["height"] for values, *_ in found] == [0.0, 1.0, 2.0, 3.0]


@pytest.mark.parametrize("ahead", [0, 1])
def test_where_a_device_runs_ahead_values_are_read_one_step_late(monkeypatch, ahead):
    monkeypatch.setattr(optimize, "evaluations_ahead", lambda device: ahead)
    begun = []

    def move(heading):
        begun.append(len(begun))
        return 1e-3 * heading, MOVED

    seen = [
        (values["height"], len(begun), float(image.mean()))
        for values, image, _ in climb(slopes(3), move)
    ]
    assert [height for height, *_ in seen] == [0.0, 1.0, 2.0]
    assert [count for _, count, _ in seen] == ([1, 2, 3] if ahead == 0 else [2, 3, 3])
    assert len({mean for *_, mean in seen}) == 3


def test_values_that_are_no_numbers_end_it():
    def move(heading):
        return heading, MOVED

    with pytest.raises(CnnartError, match="not finite"):
        list(climb(slopes(2), move, (1.0, float("nan"))))


@pytest.mark.parametrize("settings", [{}, {"color": "luma"}, {"channels": (1, 4)}])
def test_a_step_never_waits_for_its_device(photo, tiny, settings):
    config = DreamConfig(layers={"relu3_2": 1.0, "relu2_1": -0.5}, steps=2, octaves=1)
    config = dataclasses.replace(config, **settings)
    mask = torch.ones(1, 1, 64, 80)
    dream = DeepDream(photo, config, FeatureExtractor(tiny), mask=mask, limits=Limits(tile=0))
    (scale,) = dream.schedule
    objective, move = dream.objective(scale, 0), dream.move(scale)
    image = dream.start(scale.height, scale.width)
    with NoWaits():
        evaluation = objective(image)
        step, moved = move(evaluation.gradient)
        evaluation.values()
    assert bool(moved)
    assert float(step.abs().mean()) == pytest.approx(dream.preset.step_size, rel=1e-5)


def test_the_mean_is_over_the_mask():
    picture = torch.ones(1, 3, 4, 4)
    mask = torch.zeros(1, 1, 4, 4)
    mask[..., :2, :] = 1
    assert float(mean_abs(-2 * picture)) == 2
    assert float(mean_abs(3 * picture * mask, mask)) == 3
    assert float(mean_abs(picture * 0, mask * 0)) == 0


def test_smoothing_nothing_leaves_nothing():
    assert torch.equal(smooth(torch.zeros(1, 3, 8, 8), 1.0), torch.zeros(1, 3, 8, 8))


def test_a_recorded_dream_is_the_dream(photo, tiny, monkeypatch):
    """With another shift at each step, which the recording has not seen."""
    config = DreamConfig(layers={"relu3_2": 1.0, "relu2_1": -0.5}, jitter=9, octaves=2)

    def dreamed():
        dream = DeepDream(photo, config, FeatureExtractor(tiny), limits=Limits(tile=0))
        return [(step.losses, step.image.clone()) for step in dream.steps()]

    expected, recorders = dreamed(), recording(monkeypatch)
    found = dreamed()
    used = [r.replays for r in recorders if r.replays]  # others were only asked for
    assert [replays > 3 for replays in used] == [True, True]  # a recording for each octave
    assert sum(r.replays for r in recorders) == len(found) - 2 * WARM_UP
    for (losses, image), (other_losses, other) in zip(expected, found, strict=True):
        assert losses == pytest.approx(other_losses, rel=1e-4)
        torch.testing.assert_close(image, other, atol=1e-4, rtol=0)


@pytest.mark.parametrize("settings", [{"jitter": 5}, {"neuron": (0.5, 0.5), "color": "luma"}])
def test_a_dream_stays_on_the_device(photo, tiny, settings):
    config = DreamConfig(layers={"relu3_2": 1.0}, channels=(1, 4), octaves=1, **settings)
    with Elsewhere() as elsewhere:
        features = FeatureExtractor(tiny, device=META)
        dream = DeepDream(photo, config, features, guide=photo, limits=Limits(tile=0))
        (scale,) = dream.schedule
        objective, move = dream.objective(scale, 0), dream.move(scale)
        image = dream.start(scale.height, scale.width)
        for count in range(2):
            evaluation = objective(image)
            move(evaluation.gradient)
            evaluation.values()
            elsewhere.strict = count == 0


@pytest.mark.gpu
def test_a_graph_of_a_dream_is_the_dream(photo, vgg, monkeypatch):
    config = DreamConfig(layers={"relu3_2": 1.0}, jitter=9, octaves=2)

    def dreamed():
        features = FeatureExtractor(vgg, device="cuda")
        *_, step = DeepDream(photo, config, features, limits=Limits(tile=0)).steps()
        return step.image

    recorded, again = dreamed(), dreamed()
    assert torch.equal(recorded, again)
    monkeypatch.setattr("cnnart.optim.capture.recorder_of", lambda device: None)
    torch.testing.assert_close(recorded, dreamed(), atol=0.02, rtol=0)
