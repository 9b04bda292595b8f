"""The objective: exact in tiles, and its gradient the slope of its losses."""

import dataclasses

import pytest
import torch

from cnnart.networks.vgg import FeatureExtractor
from cnnart.optim.color import PaletteLoss
from cnnart.optim.losses import blend, moments
from cnnart.optim.objective import (
    PIECE,
    Held,
    PerceptualObjective,
    Region,
    Weights,
    energy,
    layer_masks,
)
from cnnart.optim.tiles import gather_features, gather_moments, picture_tiles

STYLE = {"relu1_1": 1.0, "relu3_1": 0.5, "relu5_1": 2.0}
CONTENT = {"relu4_2": 1.0, "conv2_2": 0.5}
WEIGHTS = Weights(
    content=1.0,
    style=3.0,
    palette=2.0,
    tv=0.1,
    pixel=0.5,
    content_layers=CONTENT,
    style_layers=STYLE,
)
SIZE = (150, 203)


def region(features, painting, mask=None, share=1.0):
    targets = gather_moments(features, painting, list(STYLE), 0)
    return Region(targets, PaletteLoss([(painting, 1.0)], mask), mask, share)


def two_regions(features, painting_of, height, width):
    """The upper left in one style and a soft rest in another."""
    mask = torch.zeros(1, 1, height, width)
    mask[..., : height // 2, : width // 3] = 1
    rest = (1 - mask) * torch.linspace(0.2, 1, width)
    return [
        region(features, painting_of(), mask, 0.3),
        region(features, painting_of(90, 70, 4, (0.2, 0.3, 0.8)), rest, 0.7),
    ]


def noisy(photo):
    noise = torch.randn(photo.shape, generator=torch.Generator().manual_seed(9))
    return photo + 0.1 * noise  # partly outside [0, 1]


def assert_same(found, expected):
    assert found.losses.keys() == expected.losses.keys()
    for name, loss in expected.losses.items():
        assert found.losses[name] == pytest.approx(loss, rel=1e-5), name
    error = (found.gradient - expected.gradient).norm() / expected.gradient.norm()
    assert float(error) < 1e-4


@pytest.mark.parametrize("tile", [64, 96])
@pytest.mark.parametrize("pooling", ["max", "avg"])
@pytest.mark.parametrize("statistic", ["gram", "covariance"])
@pytest.mark.parametrize("masked", [False, True])
def test_tiles_change_nothing(tiny, photo_of, painting_of, tile, pooling, statistic, masked):
    features, photo = FeatureExtractor(tiny, pooling=pooling), photo_of(*SIZE)
    if masked:
        regions = two_regions(features, painting_of, *SIZE)
    else:
        regions = [region(features, painting_of())]
    whole = PerceptualObjective(features, photo, regions, WEIGHTS, statistic=statistic)
    tiled = PerceptualObjective(features, photo, regions, WEIGHTS, statistic=statistic, tile=tile)
    assert len(whole.tiles) == 1
    assert len(tiled.tiles) >= 4
    assert_same(tiled(noisy(photo)), whole(noisy(photo)))


@pytest.mark.parametrize("size", [(310, 167), (96, 420), (65, 64), (128, 256)])
def test_tiles_change_nothing_at_other_sizes(tiny, photo_of, painting_of, size):
    """Larger than the halo, so that tiles do not see all of the picture; and just above a tile."""
    features, photo = FeatureExtractor(tiny), photo_of(*size)
    regions = two_regions(features, painting_of, *size)
    whole = PerceptualObjective(features, photo, regions, WEIGHTS)
    tiled = PerceptualObjective(features, photo, regions, WEIGHTS, tile=64)
    assert_same(tiled(noisy(photo)), whole(noisy(photo)))


def test_tiles_change_nothing_with_wasserstein(tiny, photo_of, painting_of):
    features, photo = FeatureExtractor(tiny, pooling="avg"), photo_of(*SIZE)
    regions = [region(features, painting_of())]
    iterations = [
        PerceptualObjective(features, photo, regions, WEIGHTS, statistic="wasserstein", tile=t)(
            noisy(photo)
        )
        for t in (0, 64)
    ]
    error = (iterations[1].gradient - iterations[0].gradient).norm()
    assert error < 1e-2 * iterations[0].gradient.norm()
    assert iterations[1].losses == pytest.approx(iterations[0].losses, rel=1e-3)


def test_tiles_change_nothing_with_the_real_network(features, photo_of, painting):
    photo = photo_of(101, 150)
    weights = dataclasses.replace(
        WEIGHTS, content_layers={"relu3_2": 1.0}, style_layers={"relu1_1": 1.0, "relu3_1": 1.0}
    )
    target = Region(
        gather_moments(features, painting, ["relu1_1", "relu3_1"], 0),
        PaletteLoss([(painting, 1.0)]),
    )
    whole = PerceptualObjective(features, photo, [target], weights)
    tiled = PerceptualObjective(features, photo, [target], weights, tile=64)
    assert_same(tiled(noisy(photo)), whole(noisy(photo)))


def test_a_tile_without_its_halo_would_show(tiny, photo_of, painting, monkeypatch):
    """That the comparison above can fail: the same with the halo left away."""
    features, photo = FeatureExtractor(tiny), photo_of(310, 167)
    regions = [region(features, painting)]
    whole = PerceptualObjective(features, photo, regions, WEIGHTS)(noisy(photo))
    monkeypatch.setattr(FeatureExtractor, "halo", lambda self, layers: 0)
    cut = PerceptualObjective(features, photo, regions, WEIGHTS, tile=64)(noisy(photo))
    assert (cut.gradient - whole.gradient).norm() > 1e-2 * whole.gradient.norm()


@pytest.mark.parametrize("tile", [0, 64])
def test_the_gradient_by_finite_differences(tiny, photo_of, painting_of, tile):
    features, photo = FeatureExtractor(tiny, pooling="avg"), photo_of(90, 70)
    regions = two_regions(features, painting_of, 90, 70)
    objective = PerceptualObjective(features, photo, regions, WEIGHTS, tile=tile)
    image = noisy(photo)
    gradient = objective(image).gradient
    steepest = gradient.abs().flatten().topk(6).indices
    for index in steepest.tolist():
        ends = []
        for sign in (1, -1):
            moved = image.clone()
            moved.view(-1)[index] += sign * 0.02
            ends.append(objective(moved).total)
        slope = float(gradient.flatten()[index])
        assert (ends[0] - ends[1]) / 0.04 == pytest.approx(slope, rel=0.1, abs=1e-5)


@pytest.mark.parametrize("statistic", ["gram", "covariance", "wasserstein"])
def test_the_slope_along_the_gradient(tiny, photo, painting, statistic):
    features = FeatureExtractor(tiny, pooling="avg")
    objective = PerceptualObjective(
        features, photo, [region(features, painting)], WEIGHTS, statistic=statistic
    )
    image = noisy(photo)
    gradient = objective(image).gradient
    step = gradient * (5e-4 / gradient.abs().max())  # the losses bend: a hundredth is too long
    ends = [objective(image + sign * step).total for sign in (1, -1)]
    assert (ends[0] - ends[1]) / 2 == pytest.approx(float((gradient * step).sum()), rel=0.02)


def test_the_terms_add_up_to_what_the_losses_say(tiny, photo, painting):
    """Style and content against the definitions, layer weights normalized."""
    features = FeatureExtractor(tiny)
    target = region(features, painting)
    image = noisy(photo)
    found = features(image, [*STYLE, *CONTENT])
    wanted = features(photo, CONTENT)
    losses = PerceptualObjective(features, photo, [target], WEIGHTS)(image).losses
    style = sum(
        w * (moments(found[k]).gram() - target.targets[k].gram()).square().sum()
        / target.targets[k].gram().square().sum()
        for k, w in STYLE.items()
    )  # fmt: skip
    content = sum(
        w * (found[k] - wanted[k]).square().sum() / wanted[k].square().sum()
        for k, w in CONTENT.items()
    )
    assert losses["style"] == pytest.approx(3.0 * float(style) / 3.5, rel=1e-4)
    assert losses["content"] == pytest.approx(float(content) / 1.5, rel=1e-4)
    assert losses["pixel"] == pytest.approx(0.5 * float((image - photo).square().mean()), rel=1e-4)
    assert losses["palette"] == pytest.approx(2.0 * float(target.palette(image)), rel=1e-4)
    assert losses["tv"] > 0


def test_content_is_zero_at_the_photo(tiny, photo_of, painting):
    features, photo = FeatureExtractor(tiny), photo_of(*SIZE)
    for tile in (0, 64):
        losses = PerceptualObjective(
            features, photo, [region(features, painting)], WEIGHTS, tile=tile
        )(photo).losses
        assert losses["content"] == pytest.approx(0, abs=1e-9)
        assert losses["pixel"] == 0
        assert losses["style"] > 1e-3


def test_style_is_zero_at_the_style(tiny, painting):
    features = FeatureExtractor(tiny)
    objective = PerceptualObjective(features, painting, [region(features, painting)], WEIGHTS)
    assert objective(painting).losses["style"] == pytest.approx(0, abs=1e-9)


@pytest.mark.parametrize("tile", [0, 64])
def test_terms_without_weight_are_left_out(tiny, photo_of, painting, tile):
    features, photo = FeatureExtractor(tiny), photo_of(*SIZE)
    regions = [region(features, painting)]

    def evaluate(**changes):
        weights = dataclasses.replace(WEIGHTS, **changes)
        return PerceptualObjective(features, photo, regions, weights, tile=tile)(noisy(photo))

    style_only = evaluate(content=0.0, palette=0.0, pixel=0.0)
    assert set(style_only.losses) == {"style", "tv"}
    assert style_only.gradient.norm() > 0
    assert set(evaluate(content_layers={}).losses) == {"style", "palette", "pixel", "tv"}
    assert set(evaluate(style=0.0, palette=0.0).losses) == {"content", "pixel", "tv"}
    pixels_only = evaluate(content=0.0, style=0.0)
    assert set(pixels_only.losses) == {"pixel", "palette", "tv"}
    assert torch.isfinite(pixels_only.gradient).all()


def test_layers_without_weight_are_not_computed(tiny, photo, painting):
    features = FeatureExtractor(tiny)
    weights = dataclasses.replace(
        WEIGHTS, style_layers={**STYLE, "relu5_1": 0.0}, content_layers={"relu1_2": 1.0}
    )
    objective = PerceptualObjective(features, photo, [region(features, painting)], weights)
    assert objective.layers == ["relu1_1", "relu1_2", "relu3_1"]


@pytest.mark.parametrize(("tile", "passes"), [(0, 1), (80, 1), (64, 4), (32, 12)])
def test_one_tile_needs_one_pass(tiny, photo, painting, monkeypatch, tile, passes):
    """64x80 pixels: whole, in 1x2 tiles of up to 64, in 2x3 of up to 32; two passes if cut."""
    features, calls, run = FeatureExtractor(tiny), [], FeatureExtractor.__call__
    objective = PerceptualObjective(
        features, photo, [region(features, painting)], WEIGHTS, tile=tile
    )
    monkeypatch.setattr(
        FeatureExtractor, "__call__", lambda *a, **k: calls.append(1) or run(*a, **k)
    )
    objective(photo)
    assert len(calls) == passes


def test_the_picture_given_is_left_alone(tiny, photo, painting):
    features = FeatureExtractor(tiny)
    objective = PerceptualObjective(features, photo, [region(features, painting)], WEIGHTS)
    image = noisy(photo)
    before = image.clone()
    first, second = objective(image), objective(image)
    assert torch.equal(image, before)
    assert not image.requires_grad
    assert first.losses == second.losses
    assert torch.equal(first.gradient, second.gradient)


def test_a_regions_style_is_judged_where_its_mask_is(tiny, photo_of, painting_of):
    """Outside the mask the gradient of the style dies out at the receptive field."""
    features, photo = FeatureExtractor(tiny), photo_of(64, 240)
    mask = torch.zeros(1, 1, 64, 240)
    mask[..., :64] = 1
    weights = dataclasses.replace(
        WEIGHTS, content=0.0, pixel=0.0, palette=0.0, tv=0.0, style_layers={"relu3_1": 1.0}
    )
    objective = PerceptualObjective(
        features, photo, [region(features, painting_of(), mask)], weights
    )
    gradient = objective(photo).gradient
    assert gradient[..., :60].abs().max() > 0
    assert gradient[..., 64 + 13 + 4 :].abs().max() == 0


@pytest.mark.parametrize("tile", [0, 64])
def test_gathered_activations_and_moments_are_the_networks(tiny, photo_of, tile):
    features, photo = FeatureExtractor(tiny), photo_of(*SIZE)
    layers = ["conv1_2", "relu3_1", "pool4", "relu5_1"]
    grid = picture_tiles(features, layers, SIZE, tile)
    gathered, expected = gather_features(features, photo, layers, grid), features(photo, layers)
    found = gather_moments(features, photo, layers, tile)
    for layer in layers:
        torch.testing.assert_close(gathered[layer], expected[layer], rtol=1e-4, atol=1e-5)
        wanted = moments(expected[layer])
        assert float(found[layer].mass) == float(wanted.mass)
        torch.testing.assert_close(found[layer].gram(), wanted.gram(), rtol=1e-4, atol=1e-5)
        blended = blend([(found[layer], 2.0)])
        torch.testing.assert_close(blended.mean(), wanted.mean(), rtol=1e-4, atol=1e-5)


def test_masks_shrink_with_the_receptive_field(tiny):
    features = FeatureExtractor(tiny)
    mask = torch.zeros(1, 1, 163, 240)
    mask[..., 120:] = 1
    found = layer_masks(mask, features, ["relu1_1", "relu3_1", "relu5_1"])
    assert {k: tuple(m.shape[-2:]) for k, m in found.items()} == {
        "relu1_1": (163, 240),
        "relu3_1": (40, 60),
        "relu5_1": (10, 15),
    }
    for layer, m in found.items():
        g = features.geometry[layer]
        first = int(m[0, 0, 0].nonzero()[0]) * g.stride
        assert 120 <= first <= 120 + g.reach / 2 + 1.5 * g.stride, layer
        assert m[..., -1].min() == 1  # the picture's own border takes nothing away
    assert int(found["relu3_1"][0, 0, 0].nonzero()[0]) * 4 > 120


def test_small_masks_are_not_shrunk_to_nothing(tiny):
    features = FeatureExtractor(tiny)
    mask = torch.zeros(1, 1, 96, 96)
    mask[..., 40:56, 40:56] = 1
    for layer, m in layer_masks(mask, features, ["relu3_1", "relu5_1"]).items():
        assert float(m.sum()) * features.geometry[layer].stride ** 2 >= 256 / 4


@pytest.mark.parametrize("tile", [0, 64])
def test_the_temporal_loss_is_the_distance_to_what_is_held_where_it_is_trusted(
    tiny, photo_of, painting_of, tile
):
    features, photo = FeatureExtractor(tiny), photo_of(*SIZE)
    moved = photo.flip(-1)
    trust = torch.linspace(0, 1, SIZE[1]).expand(1, 1, *SIZE).contiguous()
    alone = dataclasses.replace(WEIGHTS, content=0, style=0, palette=0, tv=0, pixel=0, temporal=3)
    regions = [region(features, painting_of())]
    held = Held(moved, trust)
    found = PerceptualObjective(features, photo, regions, alone, tile=tile, held=held)(photo)
    expected = 3 * (trust * (photo - moved).square()).mean()
    assert found.losses["temporal"] == pytest.approx(float(expected), rel=1e-4)
    slope = 6 * trust * (photo - moved) / photo.numel()
    assert torch.allclose(found.gradient, slope, atol=1e-8)
    assert "temporal" not in PerceptualObjective(features, photo, regions, WEIGHTS)(photo).losses


def test_what_is_kept_counts_more_and_the_same_in_tiles(tiny, photo_of, painting):
    features, photo = FeatureExtractor(tiny), photo_of(*SIZE)
    regions = [region(features, painting)]
    weights = dataclasses.replace(WEIGHTS, kept_content=8.0, kept_pixel=3.0)
    nowhere = torch.zeros(1, 1, *SIZE)
    somewhere = nowhere.clone()
    somewhere[..., 40:90, 50:120] = 1
    usual, same, whole, tiled = (
        PerceptualObjective(features, photo, regions, weights, keep=keep, tile=tile)(noisy(photo))
        for keep, tile in ((None, 0), (nowhere, 0), (somewhere, 0), (somewhere, 64))
    )
    assert_same(tiled, whole)
    assert float(same.losses["kept"]) == 0
    assert float(same.losses["content"]) == pytest.approx(float(usual.losses["content"]))
    assert float(whole.losses["content"]) > 1.2 * float(usual.losses["content"])
    assert float(whole.losses["kept"]) > 0
    assert torch.allclose(same.gradient, usual.gradient, atol=1e-7)


def test_half_precision_activations_are_summed_in_pieces(monkeypatch):
    """Where memory is short: of all at once torch would make a copy in float32."""
    seen, norm = [], torch.linalg.vector_norm
    monkeypatch.setattr(
        torch.linalg, "vector_norm", lambda t, **how: seen.append(t.shape[1]) or norm(t, **how)
    )
    kept = torch.rand(1, 2 * PIECE + 5, 20, 30, generator=torch.Generator().manual_seed(0))
    exact = float(kept.square().sum())
    assert energy(kept, sparing=True) == energy(kept) == pytest.approx(exact, rel=1e-5)
    assert energy(kept.half(), sparing=True) == pytest.approx(exact, rel=1e-3)
    assert seen[-3:] == [PIECE, PIECE, 5]
    assert energy(kept.half()) == pytest.approx(exact, rel=1e-3)
    assert seen[-1] == 2 * PIECE + 5
