"""Any painting as a style: what describes it, and what is predicted of that."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import pytest
import torch
import torch.nn.functional as F

from cnnart.errors import WeightsError
from cnnart.methods.fast.checkpoint import load_checkpoint, save_checkpoint
from cnnart.methods.fast.config import FastConfig
from cnnart.methods.fast.header import COLORS, StyleInfo
from cnnart.methods.fast.network import make_noise
from cnnart.methods.fast.predictor import (
    PredictorShape,
    StylePredictor,
    colors_of,
    describe,
    describe_painting,
)
from cnnart.methods.fast.stylize import (
    Colors,
    FastStyle,
    FastStylization,
    NetworkRunner,
    seed_of,
)
from cnnart.methods.fast.train.losses import PerceptualLosses
from cnnart.methods.fast.train.trainer import VARIANTS, split_paintings, variants
from cnnart.networks.vgg import FeatureExtractor
from cnnart.optim.color import color_gaussian
from cnnart.optim.detail import detail_of
from cnnart.optim.steps import MemoryPlan
from tests.helpers.fast import arbitrary_checkpoint, checkpoint, photo_folder, trainer
from tests.helpers.pictures import make_painting, make_photo
from tests.helpers.tiny_vgg import tiny_weights

SHAPE = PredictorShape(("relu1_1", "relu2_1/2"), 12, 5, 80, 16, 8)


@pytest.fixture
def features() -> FeatureExtractor:
    return FeatureExtractor(tiny_weights())


def test_a_new_predictor_strays_little_from_plain_normalization() -> None:
    predictor = StylePredictor(SHAPE)
    pair = predictor(torch.randn(3, 12), torch.tensor([0.0, 0.5, 1.0]))
    assert pair.gamma.shape == pair.beta.shape == (3, 5)
    assert (pair.gamma - 1).abs().max() < 0.2
    assert pair.beta.abs().max() < 0.2


def test_strength_goes_from_the_weak_pair_to_the_strong_one() -> None:
    predictor, seen = StylePredictor(SHAPE), torch.randn(1, 12)
    weak, middle, strong = (predictor(seen, torch.tensor([p])) for p in (0.0, 0.25, 1.0))
    assert not torch.allclose(weak.gamma, strong.gamma)
    assert torch.allclose(middle.beta, 0.75 * weak.beta + 0.25 * strong.beta, atol=1e-6)


def test_what_it_sees_is_brought_to_mean_zero_and_deviation_one() -> None:
    many = 100 + torch.tensor([1.0, 50.0]) * torch.randn(400, 2)
    predictor = StylePredictor(PredictorShape(("relu1_1",), 2, 3, 64))
    predictor.fit_inputs(many)
    seen = (many - predictor.center) / predictor.spread
    assert torch.allclose(seen.mean(0), torch.zeros(2), atol=1e-4)
    assert torch.allclose(seen.std(0), torch.ones(2), atol=1e-4)
    blank = torch.full((1, 2), 1e9)  # however far a picture is from all paintings
    assert predictor(blank, torch.zeros(1)).gamma.isfinite().all()


def test_a_description_is_means_and_deviations(features: FeatureExtractor) -> None:
    painting = make_painting(64, 80)
    found = describe_painting(features, painting, SHAPE)
    fine = features(painting, ["relu1_1"])["relu1_1"]
    half = features(F.avg_pool2d(painting, 2), ["relu2_1"])["relu2_1"]
    parts = [f(x) for x in (fine, half) for f in (_mean, _deviation)]
    colors = color_gaussian(painting)  # on the CPU, in float64
    expected = torch.cat((*parts, *(c.float().reshape(1, -1) for c in colors)), 1)
    assert torch.allclose(found, expected, rtol=1e-4, atol=1e-5)


def _mean(x: torch.Tensor) -> torch.Tensor:
    return x.mean((2, 3))


def _deviation(x: torch.Tensor) -> torch.Tensor:
    return x.std((2, 3), correction=0)


def test_training_describes_a_painting_as_painting_does(features: FeatureExtractor) -> None:
    losses = PerceptualLosses(features, {"relu2_1": 1.0}, ["relu1_1"], ["relu2_1"])
    painting = make_painting(64, 80)
    targets = losses.targets([painting])
    shape = PredictorShape(tuple(losses.style_layers), 0, 1, 80)
    found = describe_painting(features, painting, shape)
    assert torch.allclose(targets.described(), found, rtol=1e-3, atol=1e-4)
    colors = torch.zeros(1, 3), torch.eye(3)[None]
    found = describe([(torch.ones(1, 2), torch.full((1, 2), -1e-9))], colors)
    assert found.tolist() == [[1, 1, 0, 0, *(0, 0, 0), *(1, 0, 0, 0, 1, 0, 0, 0, 1)]]


def test_a_checkpoint_keeps_it(tmp_path: Path) -> None:
    made, path = arbitrary_checkpoint("candy"), tmp_path / "any.safetensors"
    save_checkpoint(path, made, "fp32")
    found = load_checkpoint(path).predictor
    assert found is not None
    assert made.predictor is not None
    assert found.shape == made.predictor.shape
    state = found.state_dict()
    assert all(torch.equal(v, state[k]) for k, v in made.predictor.state_dict().items())


def test_a_predicted_style_is_painted_blended_and_in_strips() -> None:
    made, photo = arbitrary_checkpoint("candy"), make_photo(80, 40)
    assert made.predictor is not None
    size = made.predictor.shape.inputs
    first, second = (
        FastStyle(made, name, described=_described(size, seed))
        for seed, name in enumerate(("a", "b"))
    )
    runner = NetworkRunner(torch.device("cpu"), torch.float32)

    def paint(*styles: FastStyle) -> torch.Tensor:
        return FastStylization(photo, styles, FastConfig(), runner).pictures()

    a, b, both = paint(first), paint(second), paint(first, FastStyle(made, "candy"))
    assert torch.equal(a, paint(first))
    assert not torch.allclose(a, b, atol=0.01)
    assert not torch.allclose(a, both, atol=0.01)
    # With its picture's fine detail, where that is known.
    known = replace(first, painting_detail=0.5 * detail_of(a))
    assert (detail_of(paint(known)) < 0.9 * detail_of(a)).all()
    strips = FastStylization(photo, [first], FastConfig(), runner)
    strips.memory = MemoryPlan(tile=16)
    assert torch.allclose(strips.pictures(), a, atol=1e-4)


def test_a_predicted_styles_pictures_have_its_paintings_colors(tmp_path: Path) -> None:
    made, photo = arbitrary_checkpoint("candy"), make_photo(80, 40)
    assert made.predictor is not None
    described = _described(made.predictor.shape.inputs, 5)
    mean, covariance = colors_of(described)
    runner = NetworkRunner(torch.device("cpu"), torch.float32)

    def far(*styles: FastStyle) -> float:
        found = FastStylization(photo, styles, FastConfig(), runner).pictures()
        return float((color_gaussian(found)[0] - mean[0]).abs().max())

    style = FastStyle(made, "a", described=described)
    assert far(style) < 0.03  # but for what is clipped
    assert far(FastStyle(made, "candy")) > 0.1
    # So has a style whose pairs were trained further from the prediction, and says so.
    numbers = tuple(torch.cat((mean[0], covariance[0].flatten())).tolist())
    kept = replace(made, styles=(StyleInfo("candy", colors=numbers),))
    save_checkpoint(tmp_path / "kept.safetensors", kept)
    found = load_checkpoint(tmp_path / "kept.safetensors")
    assert found.styles[0].colors == pytest.approx(numbers)
    assert far(FastStyle(found, "candy")) < 0.03


@pytest.mark.parametrize("numbers", [(0.5,) * 11, (float("nan"),) * 12, (0.5, 0, 0, -1, *(0,) * 8)])
def test_colors_that_cannot_be_are_damage(numbers: tuple[float, ...], tmp_path: Path) -> None:
    made = replace(checkpoint("candy"), styles=(StyleInfo("candy", colors=numbers),))
    save_checkpoint(tmp_path / "x.safetensors", made)
    with pytest.raises(WeightsError, match="damaged"):
        load_checkpoint(tmp_path / "x.safetensors")


def test_what_the_network_paints_beyond_white_counts_in_the_map_of_colors() -> None:
    made, photo = arbitrary_checkpoint("candy"), make_photo(80, 40)
    assert made.predictor is not None
    with torch.no_grad():  # training holds the map's result to [0, 1], and nothing before it
        made.network.head.weight.mul_(10)
    described = _described(made.predictor.shape.inputs, 5)
    style = FastStyle(made, "a", described=described)
    colors = Colors.of([(style.colors(), 1.0)])
    noise = make_noise(made.network.arch, 80, 40, [seed_of(photo[0])])
    with torch.no_grad():
        painted = made.network(colors(photo), style.pair(1.0), noise=noise)
        assert painted.max() > 1.5
        expected = colors(painted)
        clipped = colors(painted.clamp(0, 1))
    runner = NetworkRunner(torch.device("cpu"), torch.float32)
    config = FastConfig(stroke="pixels=1", strength=1.0)
    found = FastStylization(photo, [style], config, runner).pictures()
    assert torch.allclose(found, expected, atol=1e-4)
    assert not torch.allclose(found, clipped, atol=1e-2)


def _described(size: int, seed: int) -> torch.Tensor:
    """Of no painting, in colors that one could have."""
    rng = torch.Generator().manual_seed(seed)
    mean, root = torch.rand(3, generator=rng), 0.1 * torch.randn(3, 3, generator=rng)
    rest = torch.randn(size - COLORS, generator=rng)
    return torch.cat((rest, 0.3 + 0.4 * mean, (root @ root.T).flatten()))[None]


# Training


def test_a_few_paintings_are_only_judged_by() -> None:
    paintings = [torch.full((1, 3, 4, 4), i / 100) for i in range(61)]
    learnt, unseen = split_paintings(paintings)
    assert len(unseen) == 3
    assert len(learnt) == 58
    assert {float(p.mean()) for p in learnt}.isdisjoint({float(p.mean()) for p in unseen})
    assert split_paintings(paintings[:5]) == (paintings[:5], [])


def test_variants_are_the_painting_and_parts_of_it_the_same_each_time() -> None:
    painting = make_painting(60, 80)
    first, *parts = variants(painting, 0)
    assert first is painting
    assert len(parts) == VARIANTS - 1
    assert all(p.shape[-2] >= 30 and p.shape[-1] >= 40 for p in parts)
    assert all(torch.equal(a, b) for a, b in zip(parts, variants(painting, 0)[1:], strict=True))


def test_a_predictor_learns_with_the_network(tmp_path: Path) -> None:
    paintings = [make_painting(seed=s, color=(s / 6, 0.5, 1 - s / 6)) for s in range(6)]
    run = trainer(photo_folder(tmp_path / "photos"), arbitrary=paintings, steps=40)
    model = run.train_step.model
    assert model.predictor is not None
    before = model.predictor.last.weight.detach().clone()
    untrained, _ = run.validator.judge()
    for _ in run.steps():
        pass
    assert not torch.equal(before, model.predictor.last.weight)
    made = run.checkpoint()
    assert made.predictor is not None
    assert [s.name for s in made.styles] == ["amber", "blue"]
    # Two pictures, and one shared factor for all that are predicted.
    assert len(run.balancer.factors) == 3
    loss, measures = run.validator.judge()
    assert loss < 0.95 * untrained
    assert set(measures) == {"amber", "blue"}  # too few paintings to leave any out
