"""Any picture's style, found between those of a network that was trained for others."""

from __future__ import annotations

from dataclasses import replace

import pytest
import torch
from torch import Tensor

from cnnart.methods.fast import match
from cnnart.methods.fast.checkpoint import Checkpoint
from cnnart.methods.fast.config import FastConfig
from cnnart.methods.fast.match import MatchedStyle, dead_leaves, match_style
from cnnart.methods.fast.predictor import colors_of
from cnnart.methods.fast.stylize import FastStyle, FastStylization, NetworkRunner
from cnnart.networks.vgg import FeatureExtractor
from cnnart.optim.color import color_gaussian
from tests.helpers.fast import checkpoint
from tests.helpers.pictures import make_painting, make_photo
from tests.helpers.tiny_vgg import tiny_weights

NAMES = ("candy", "waves", "moss")


@pytest.fixture(autouse=True)
def quick(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(match, "PROBE_SIDE", 64)
    for name, value in (("LEAVES", 100), ("PROBES", 1), ("BLEND_STEPS", 8), ("FREE_STEPS", 4)):
        monkeypatch.setattr(match, name, value)


@pytest.fixture
def features() -> FeatureExtractor:
    return FeatureExtractor(tiny_weights())


def found(
    features: FeatureExtractor, picture: Tensor | None = None, made: Checkpoint | None = None
) -> MatchedStyle:
    made = made or checkpoint(*NAMES)
    picture = make_painting() if picture is None else picture
    return match_style(made, picture, features, torch.float32)


def test_a_blend_is_nearer_than_any_style_alone_and_what_is_beyond_nearer_still(
    features: FeatureExtractor, monkeypatch: pytest.MonkeyPatch
) -> None:
    seen: list[tuple[float, float]] = []
    original = match._Search.losses

    def told(self: match._Search, pair: match.AffinePair) -> tuple[Tensor, Tensor]:
        style, content = original(self, pair)
        seen.append((float(style.detach()), float(content.detach())))
        return style, content

    monkeypatch.setattr(match._Search, "losses", told)
    found(features)
    alone, blends, beyond = (
        seen[: len(NAMES)],
        seen[len(NAMES) : -match.FREE_STEPS],
        seen[-match.FREE_STEPS :],
    )
    assert len(blends) == match.BLEND_STEPS
    assert min(blends)[0] < min(alone)[0]
    both = [style + match.CONTENT * content for style, content in beyond]
    assert both[-1] < both[0]


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


def test_the_same_picture_is_found_the_same_and_survives_a_file(features: FeatureExtractor) -> None:
    first, again = found(features), found(features)
    kept = MatchedStyle.from_tensors(first.tensors())
    for other in (again, kept):
        for name, value in first.tensors().items():
            assert torch.equal(value, other.tensors()[name])
    with pytest.raises(KeyError):
        MatchedStyle.from_tensors({})


def test_the_network_is_left_as_it_was(features: FeatureExtractor) -> None:
    made = checkpoint(*NAMES)
    before = {key: value.clone() for key, value in made.network.state_dict().items()}
    found(features, made=made)
    assert all(torch.equal(v, before[k]) for k, v in made.network.state_dict().items())
    assert all(p.grad is None and p.requires_grad for p in made.network.parameters())


@pytest.mark.parametrize("span", [None, (0.2, 1.0)])
def test_a_network_of_one_style_paints_it_in_the_pictures_colors(
    span: tuple[float, float] | None, features: FeatureExtractor
) -> None:
    made, photo = checkpoint("candy", span=span), make_photo(48, 64)
    style = FastStyle(made, "mine", matched=found(features, made=made))
    own, most = FastStyle(made, "candy").pair(0.5), 1.01 * match.FREE_STEPS * match.FREE_RATE
    for one, other in zip(style.pair(0.5), own, strict=True):
        assert 0 < (one - other).abs().max() < most
    runner = NetworkRunner(torch.device("cpu"), torch.float32)
    picture = FastStylization(photo, [style], FastConfig(), runner).pictures()
    mean, _ = colors_of(style.matched.colors) if style.matched else (None, None)
    assert mean is not None
    assert (color_gaussian(picture)[0] - mean[0]).abs().max() < 0.03


@pytest.mark.parametrize("size", [(1, 1), (3, 200), (60, 60)])
def test_any_picture_will_do(size: tuple[int, int], features: FeatureExtractor) -> None:
    flat = torch.full((1, 3, *size), 0.4)
    matched = found(features, flat)
    assert all(value.isfinite().all() for value in matched.tensors().values())


def test_leaves_are_the_same_for_the_same_seed_and_have_no_favorite_size() -> None:
    picture = dead_leaves(0)
    assert picture.shape == (1, 3, 64, 64)
    assert torch.equal(picture, dead_leaves(0))
    assert not torch.equal(picture, dead_leaves(1))
    assert 0 <= picture.min() < picture.max() <= 1
    assert picture.std() > 0.15


def test_works_of_other_pictures_do_not_join(features: FeatureExtractor) -> None:
    made, photo = checkpoint(*NAMES), make_photo(48, 64)
    runner = NetworkRunner(torch.device("cpu"), torch.float32)
    style = FastStyle(made, "mine", matched=found(features, made=made))
    other = replace(style, matched=found(features, make_painting(seed=5), made))

    def work(each: FastStyle) -> FastStylization:
        return FastStylization(photo, [each], FastConfig(), runner)

    assert work(style).can_join(work(style))
    assert not work(style).can_join(work(other))
