"""The losses of training against those of stylize, and against what they must be."""

from __future__ import annotations

import pytest
import torch
import torch.nn.functional as F

from cnnart.errors import UsageError
from cnnart.methods.fast.train.losses import (
    PALETTE_PATCH,
    PerceptualLosses,
    StyleTargets,
    Terms,
    spread,
    statistics,
    total_variation,
)
from cnnart.networks.vgg import FeatureExtractor
from cnnart.optim.color import PaletteLoss
from cnnart.optim.losses import moments, style_loss, tv_loss
from tests.helpers.pictures import make_painting, make_photo
from tests.helpers.tiny_vgg import tiny_weights

STYLE = ["relu1_1", "relu2_1", "relu3_1"]


def judged(
    losses: PerceptualLosses, output: torch.Tensor, photo: torch.Tensor, targets: StyleTargets
) -> Terms:
    """Each picture by the target of its own number."""
    return losses(output, photo, targets, torch.arange(len(output)))


@pytest.fixture(scope="module")
def losses() -> PerceptualLosses:
    return PerceptualLosses(FeatureExtractor(tiny_weights()), {"relu3_1": 2.0}, STYLE)


def test_a_photo_left_alone_loses_no_content(losses: PerceptualLosses) -> None:
    photo = make_photo(64, 64)
    terms = judged(losses, photo, photo, losses.targets([make_painting()]))
    assert float(terms.content) == float(terms.pixel) == float(terms.excess) == 0
    assert float(terms.style.min()) > 0.01


def test_the_painting_itself_has_no_style_or_palette_to_gain(losses: PerceptualLosses) -> None:
    painting = make_painting(64, 64)
    terms = judged(losses, painting, make_photo(64, 64), losses.targets([painting]))
    assert float(terms.style.abs().max()) < 1e-6
    assert float(terms.palette) < 1e-6
    assert float(terms.content) > 0.05


def test_terms_are_those_of_stylize(losses: PerceptualLosses) -> None:
    photo, painting = make_photo(64, 64), make_painting(64, 64)
    output = (0.5 * photo + 0.5 * make_photo(64, 64, seed=3)).clamp(0, 1)
    target = losses.targets([painting])
    terms = judged(losses, output, photo, target)
    found = losses.features(output, STYLE)
    for column, name in enumerate(STYLE):
        wanted = moments(losses.features(painting, [name])[name])
        expected = style_loss(moments(found[name]), wanted, "covariance")
        assert float(terms.style[0, column]) == pytest.approx(float(expected), rel=1e-5)
    assert float(terms.tv) == pytest.approx(float(tv_loss(output)), rel=1e-5)
    patches = [F.avg_pool2d(p, PALETTE_PATCH) for p in (painting, output)]
    expected = float(PaletteLoss([(patches[0], 1.0)])(patches[1]))
    assert float(terms.palette) == pytest.approx(expected, rel=0.1)


@pytest.mark.parametrize("dtype", [torch.float32, torch.bfloat16])
@pytest.mark.parametrize("side", [20, 70])  # below and above a piece of bfloat16 sums
def test_statistics_of_a_batch_are_those_of_each_picture(dtype: torch.dtype, side: int) -> None:
    rng = torch.Generator().manual_seed(0)
    batch = torch.rand(3, 5, side, side, generator=rng).to(dtype)
    batch = batch.contiguous(memory_format=torch.channels_last).requires_grad_()
    mean, covariance = statistics(batch)
    toll = torch.rand(3, 5, 5, generator=rng)
    (covariance * toll).sum().backward()
    alone = batch.detach().clone().requires_grad_()
    for i in range(3):
        one = moments(alone[i : i + 1])
        assert torch.allclose(mean[i], one.mean(), rtol=1e-4)
        assert torch.allclose(covariance[i], one.covariance(), rtol=1e-4, atol=1e-5)
        (one.covariance() * toll[i]).sum().backward()
    assert batch.grad is not None
    assert alone.grad is not None
    assert torch.allclose(batch.grad, alone.grad, rtol=1e-2, atol=1e-6)


def test_dithering_does_not_make_a_palette(losses: PerceptualLosses) -> None:
    halves = torch.zeros(1, 3, 64, 64)
    halves[..., 32:] = 1
    y, x = torch.arange(64)[:, None], torch.arange(64)[None]
    dithered = ((x + y) % 2).float().expand(1, 3, 64, 64)
    terms = judged(losses, dithered, halves, losses.targets([halves]))
    assert float(terms.palette) > 0.05


def test_each_picture_of_a_batch_is_judged_alone(losses: PerceptualLosses) -> None:
    photos = torch.cat([make_photo(64, 64, seed) for seed in (0, 1)])
    outputs = photos.flip(-1)
    targets = losses.targets([make_painting(), make_painting(seed=4)])
    both = judged(losses, outputs, photos, targets)
    for i in range(2):
        alone = losses(outputs[i : i + 1], photos[i : i + 1], targets, torch.tensor([i]))
        for name in ("content", "style", "palette", "tv", "pixel"):
            assert torch.allclose(getattr(both, name)[i], getattr(alone, name)[0], rtol=1e-4)


def test_the_photo_goes_no_deeper_than_its_own_layer(monkeypatch: pytest.MonkeyPatch) -> None:
    features = FeatureExtractor(tiny_weights())
    asked: list[set[str]] = []
    original = FeatureExtractor.__call__

    def noting(self: FeatureExtractor, image: torch.Tensor, layers: object, **more: object):
        asked.append(set(layers))  # type: ignore[call-overload]
        return original(self, image, layers, **more)  # type: ignore[arg-type]

    losses = PerceptualLosses(features, {"relu2_1": 1.0}, ["relu4_1"])
    target = losses.targets([make_painting()])
    monkeypatch.setattr(FeatureExtractor, "__call__", noting)
    judged(losses, make_photo(64, 64), make_photo(64, 64), target)
    assert asked == [{"relu2_1"}, {"relu2_1", "relu4_1"}]


def test_coarse_layers_are_those_of_the_picture_at_half_its_size() -> None:
    features = FeatureExtractor(tiny_weights())
    losses = PerceptualLosses(features, {"relu2_1": 1.0}, ["relu1_1"], ["relu3_1"])
    assert losses.style_layers == ["relu1_1", "relu3_1/2"]
    photo, painting = make_photo(64, 64), make_painting()
    half = PerceptualLosses(features, {"relu2_1": 1.0}, ["relu3_1"])
    found = judged(losses, photo, photo, losses.targets([painting])).style
    halved = [F.avg_pool2d(p, 2) for p in (photo, painting)]
    expected = judged(half, halved[0], halved[0], half.targets([halved[1]])).style
    assert float(found[0, 1]) == pytest.approx(float(expected), rel=1e-5)


def test_gradients_lead_to_the_painting(losses: PerceptualLosses) -> None:
    output, painting = make_photo(64, 64).requires_grad_(), make_painting(64, 64)
    target = losses.targets([painting])
    before = judged(losses, output, output.detach(), target)
    (before.style.sum() + before.palette.sum()).backward()
    with torch.no_grad():
        after = judged(losses, output - 0.02 * output.grad.sign(), output, target)
        assert float(after.style.sum()) < float(before.style.sum())
        assert float(after.palette) < float(before.palette)


def test_quantiles_are_resampled_in_order() -> None:
    values = torch.linspace(0, 1, 100)[None, None]
    found = spread(values, 10)
    assert torch.allclose(found, torch.linspace(0.045, 0.955, 10)[None, None], atol=0.01)
    assert spread(values, 100) is values


def test_total_variation_is_zero_for_a_flat_picture() -> None:
    flat = torch.full((2, 3, 8, 8), 0.3)
    flat[1, :, :, 4:] = 0.8
    assert total_variation(flat)[0] == 0
    assert float(total_variation(flat)[1]) == pytest.approx(0.25 / 7)


def test_an_unknown_layer_is_named() -> None:
    with pytest.raises(UsageError, match="no layer 'relu9_9'"):
        PerceptualLosses(FeatureExtractor(tiny_weights()), {"relu9_9": 1.0}, STYLE)
