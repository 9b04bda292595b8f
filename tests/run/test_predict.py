"""How long a run will take is measured before it: rightly, and without a trace in the picture."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from types import SimpleNamespace
from typing import Any

import pytest
import torch

from cnnart.methods.dream.config import DreamConfig
from cnnart.methods.dream.dream import DeepDream
from cnnart.methods.stylize.config import PRESETS, StylizeConfig
from cnnart.methods.stylize.transfer import StyleTransfer
from cnnart.methods.texture.config import TEXTURE_PRESETS, TextureConfig
from cnnart.methods.texture.neural import NeuralTexture
from cnnart.networks.vgg import FeatureExtractor
from cnnart.optim import multiscale
from cnnart.optim.memory import Limits
from cnnart.optim.multiscale import CoarseToFine, MultiscaleSynthesis
from cnnart.optim.regions import StyleImage
from cnnart.optim.steps import MemoryPlan, PyramidLevel, Step
from cnnart.run import predict as module
from cnnart.run.predict import predict
from tests.helpers.pictures import make_painting, make_photo
from tests.helpers.tiny_vgg import tiny_weights

NETWORK = FeatureExtractor(tiny_weights())


def stylization(**limits: Any) -> StyleTransfer:
    config = StylizeConfig(init="noise", size=80, preset="draft")
    style = StyleImage(make_painting())
    return StyleTransfer(make_photo(75, 100), [style], config, NETWORK, limits=Limits(**limits))


def dream() -> DeepDream:
    config = DreamConfig(layers={"relu2_1": 1.0}, size=80, octaves=3, steps=2)
    return DeepDream(make_photo(75, 100), config, NETWORK)


def texture() -> NeuralTexture:
    config = TextureConfig(preset="draft")
    return NeuralTexture([make_painting(96, 96)], [1.0], config, NETWORK, size=(112, 112))


@pytest.fixture(autouse=True)
def short(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(multiscale, "COARSEST", 32)
    monkeypatch.setitem(PRESETS, "draft", ((0, 3), (0, 2)))
    monkeypatch.setitem(TEXTURE_PRESETS, "draft", ((1, 2), (1, 2)))


@pytest.mark.parametrize("make", [stylization, dream, texture])
def test_a_prediction_leaves_no_trace_in_the_picture(
    make: Callable[[], MultiscaleSynthesis[Any]],
) -> None:
    plain, predicted = make(), make()
    assert len(plain.schedule) > 1
    found = predict(predicted)
    assert found is not None
    assert found.seconds > 0
    assert predicted.warnings == plain.warnings
    assert predicted.schedule == plain.schedule
    assert [n for _, n in found.levels] == [level.iterations for level in plain.schedule]
    for one, other in zip(plain.steps(), predicted.steps(), strict=True):
        assert (one.losses, one.scale) == (other.losses, other.scale)
        assert torch.equal(one.image, other.image)


def test_a_time_budget_is_no_prediction() -> None:
    assert predict(stylization(seconds=5.0)) is None


class Costs(CoarseToFine[Any]):
    """A run whose evaluations take a constant and so much for each pixel, by a clock of its own."""

    def __init__(self, clock: list[float], schedule: list[PyramidLevel]) -> None:
        device = torch.device("cpu")
        self.features, self.layers = SimpleNamespace(device=device, geometry={}), []
        self.schedule, self.limits, self.warnings = schedule, Limits(), []
        self.memory, self.clock = MemoryPlan(), clock

    def steps(self, problem: object) -> Iterator[Step]:
        (level,) = self.schedule
        for index in range(1, level.iterations + 1):
            late = 0.5 * (index == 1) + 0.1 * (index == 2)
            self.clock[0] += 0.02 + 1e-6 * level.height * level.width + late
            yield Step(index, level.iterations, {}, torch.zeros(1), (1, 1), self.clock[0])


def test_a_constant_and_the_pixels_are_told_apart(monkeypatch: pytest.MonkeyPatch) -> None:
    """At the coarsest size alone the constant would be taken for the cost of its pixels."""
    clock = [0.0]
    monkeypatch.setattr(module.time, "perf_counter", lambda: clock[0])
    schedule = [PyramidLevel(96, 128, 100), PyramidLevel(192, 256, 60), PyramidLevel(768, 1024, 9)]
    work = MultiscaleSynthesis.__new__(StyleTransfer)
    work.run = Costs(clock, schedule)
    found = predict(work)
    assert found is not None
    each = [0.02 + 1e-6 * level.height * level.width for level in schedule]
    assert [seconds for seconds, _ in found.levels] == pytest.approx(each)
    least = sum(s * level.iterations for s, level in zip(each, schedule, strict=True))
    assert least < found.seconds < 1.15 * least
    assert clock[0] < 2 * 0.6 + 8 * each[1], "no more is measured than a few evaluations"


def test_on_a_card_the_last_step_was_asked_for_before(monkeypatch: pytest.MonkeyPatch) -> None:
    """Its losses alone are waited for: no evaluation takes so little."""
    clock = [0.0]
    monkeypatch.setattr(module.time, "perf_counter", lambda: clock[0])
    monkeypatch.setattr(module, "evaluations_ahead", lambda device: 1)

    class Ahead(Costs):
        def steps(self, problem: object) -> Iterator[Step]:
            *steps, last = super().steps(problem)
            began = 0.0
            for step in steps:
                clock[0], began = began + step.seconds, began
                yield step
            yield last

    work = MultiscaleSynthesis.__new__(StyleTransfer)
    work.run = Ahead(clock, [PyramidLevel(96, 128, 100)])
    found = predict(work)
    assert found is not None
    assert found.levels[0][0] == pytest.approx(0.02 + 1e-6 * 96 * 128)
