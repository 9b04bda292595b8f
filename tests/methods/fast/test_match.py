"""Any picture's style: a network of its own, from one that was trained for others."""

from __future__ import annotations

from pathlib import Path

import pytest
import torch
from torch import Tensor

from cnnart.image.write import write_image
from cnnart.methods.fast import match
from cnnart.methods.fast.checkpoint import Checkpoint
from cnnart.methods.fast.config import FastConfig
from cnnart.methods.fast.layers import AffinePair
from cnnart.methods.fast.match import match_style, nearest_blend, single_style
from cnnart.methods.fast.network import mean_network
from cnnart.methods.fast.stylize import FastStyle, FastStylization, NetworkRunner
from cnnart.methods.fast.train.data import find_photos
from cnnart.methods.fast.train.trainer import Painting
from cnnart.networks.vgg import FeatureExtractor
from cnnart.optim.color import color_gaussian
from tests.helpers.fast import checkpoint
from tests.helpers.pictures import make_painting, make_photo
from tests.helpers.tiny_vgg import tiny_weights

NAMES = ("candy", "waves", "moss")
EXACT = torch.float32


@pytest.fixture(autouse=True)
def quick(monkeypatch: pytest.MonkeyPatch) -> None:
    for name, value in (("LARGEST_CROP", 64), ("BLEND_STEPS", 8), ("STEPS", 6)):
        monkeypatch.setattr(match, name, value)


@pytest.fixture
def features() -> FeatureExtractor:
    return FeatureExtractor(tiny_weights())


@pytest.fixture
def photos(tmp_path: Path) -> list[Path]:
    paths = [tmp_path / f"{i}.png" for i in range(3)]
    for i, path in enumerate(paths):
        write_image(path, make_photo(70 + i, 90, seed=i))
    return paths


def matched(
    features: FeatureExtractor,
    photos: list[Path],
    picture: Tensor | None = None,
    made: Checkpoint | None = None,
) -> Checkpoint:
    picture = make_painting() if picture is None else picture
    painting = Painting("mine", picture)
    return match_style(made or checkpoint(*NAMES), painting, photos, features, EXACT)


def style_loss(
    made: Checkpoint, pair: AffinePair, photos: list[Path], features: FeatureExtractor
) -> float:
    found = find_photos(photos, 64, hold_out=False)
    search = match._Search(made.network, make_painting(), found, features, EXACT)
    with torch.no_grad():
        return float(search.loss(pair))


def test_the_blend_is_nearer_than_any_style_alone(
    features: FeatureExtractor, photos: list[Path]
) -> None:
    made = checkpoint(*NAMES, span=None)
    found = find_photos(photos, 64, hold_out=False)
    (pair,) = nearest_blend(made, make_painting(), found, features, EXACT)
    alone = [style_loss(made, FastStyle(made, n).pair(0.5), photos, features) for n in NAMES]
    assert style_loss(made, pair, photos, features) < min(alone)


def test_training_brings_the_network_nearer_than_the_blend(
    features: FeatureExtractor, photos: list[Path], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(match, "STEPS", 30)
    made = checkpoint(*NAMES, span=None)
    found = find_photos(photos, 64, hold_out=False)
    (blend,) = nearest_blend(made, make_painting(), found, features, EXACT)
    own = matched(features, photos, made=made)
    after = style_loss(own, FastStyle(own, "mine").pair(0.5), photos, features)
    assert after < style_loss(made, blend, photos, features)


def test_blends_lie_between_the_trained_pairs(features: FeatureExtractor) -> None:
    made = checkpoint(*NAMES)
    blends = match._Blends(made, features.device)
    shares = torch.rand(len(blends.channels), 3, generator=torch.Generator().manual_seed(0))
    shares /= shares.sum(1, keepdim=True)
    mine = blends.mixed(shares, blends.pairs(0.7))
    pairs = [FastStyle(made, name).pair(0.7) for name in NAMES]
    for layer, share in zip(range(len(shares)), shares, strict=True):
        parts = [pair.split(blends.channels)[layer] for pair in pairs]
        for part in ("gamma", "beta"):
            wanted = sum(w * getattr(p, part) for w, p in zip(share, parts, strict=True))
            assert torch.allclose(getattr(mine.split(blends.channels)[layer], part), wanted)


def test_the_same_picture_is_learnt_the_same(
    features: FeatureExtractor, photos: list[Path]
) -> None:
    first, again = (matched(features, photos).network.state_dict() for _ in range(2))
    assert all(torch.equal(value, again[name]) for name, value in first.items())
    other = matched(features, photos, make_painting(seed=5)).network.state_dict()
    assert any(not torch.equal(value, other[name]) for name, value in first.items())


def test_the_network_is_left_as_it_was(features: FeatureExtractor, photos: list[Path]) -> None:
    made = checkpoint(*NAMES)
    before = {key: value.clone() for key, value in made.network.state_dict().items()}
    matched(features, photos, made=made)
    assert all(torch.equal(v, before[k]) for k, v in made.network.state_dict().items())
    assert all(p.grad is None and p.requires_grad for p in made.network.parameters())


@pytest.mark.parametrize("span", [None, (0.2, 1.0)])
def test_pictures_come_in_the_paintings_colors(
    span: tuple[float, float] | None, features: FeatureExtractor, photos: list[Path]
) -> None:
    own = matched(features, photos, made=checkpoint("candy", span=span))
    assert own.strength_range == span
    runner = NetworkRunner(torch.device("cpu"), EXACT)
    work = FastStylization(make_photo(48, 64), [FastStyle(own, "mine")], FastConfig(), runner)
    mean, _ = color_gaussian(work.pictures())
    painted = make_painting()
    assert (mean - color_gaussian(painted)[0]).abs().max() < 0.05


@pytest.mark.parametrize("size", [(1, 1), (3, 200), (60, 60)])
def test_any_picture_will_do(
    size: tuple[int, int], features: FeatureExtractor, photos: list[Path]
) -> None:
    own = matched(features, photos, torch.full((1, 3, *size), 0.4))
    assert all(value.isfinite().all() for value in own.network.state_dict().values())


def test_relatives_are_blended_as_one_network_and_others_as_pictures() -> None:
    """Of equal networks the blend within is exact; and a share of 0 leaves the other alone."""
    base = checkpoint("candy")
    base.sha256 = "one"
    painting = Painting("mine", make_painting())
    own = single_style(base, [FastStyle(base, "candy").pair(s) for s in (0.2, 1)], painting)
    own.sha256 = "one"
    with torch.no_grad():
        own.network.head.bias.add_(0.2)
    runner, photo = NetworkRunner(torch.device("cpu"), EXACT), make_photo(48, 64)

    def paint(*styles: FastStyle) -> Tensor:
        config = FastConfig(stroke="pixels=1")
        return FastStylization(photo, styles, config, runner).pictures()

    mean = runner.mean([(base, 0.25), (own, 0.75)])
    assert mean is runner.mean([(base, 0.25), (own, 0.75)])
    expected = 0.25 * base.network.head.bias + 0.75 * own.network.head.bias
    assert torch.allclose(mean.network.head.bias, expected)
    assert runner.mean([(own, 0.5), (own, 0.5)]) is own
    within = paint(FastStyle(base, "candy"), FastStyle(own, "mine"))
    own.sha256 = "another"
    apart = paint(FastStyle(base, "candy"), FastStyle(own, "mine"))
    halves = [paint(FastStyle(base, "candy")), paint(FastStyle(own, "mine"))]
    assert torch.allclose(apart, sum(halves) / 2, atol=1e-6)
    assert not torch.allclose(within, apart, atol=1e-3)


def test_a_mean_of_networks_is_the_mean_of_their_convolutions() -> None:
    one, other = checkpoint("a", seed=0).network, checkpoint("a", seed=1).network
    mean = mean_network([one, other], [0.25, 0.75])
    for key, value in mean.state_dict().items():
        if key.endswith((".gamma", ".beta")):
            assert torch.equal(value, one.state_dict()[key])
        else:
            wanted = 0.25 * one.state_dict()[key] + 0.75 * other.state_dict()[key]
            assert torch.allclose(value, wanted, atol=1e-6)


def test_works_of_other_pictures_do_not_join(
    features: FeatureExtractor, photos: list[Path]
) -> None:
    photo, runner = make_photo(48, 64), NetworkRunner(torch.device("cpu"), EXACT)
    style = FastStyle(matched(features, photos), "mine")
    other = FastStyle(matched(features, photos, make_painting(seed=5)), "mine")

    def work(each: FastStyle) -> FastStylization:
        return FastStylization(photo, [each], FastConfig(), runner)

    assert work(style).can_join(work(style))
    assert not work(style).can_join(work(other))
