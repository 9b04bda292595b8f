"""Pictures that repeat: the network, the objective and its tiles see across the border."""

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from cnnart.networks.vgg import FeatureExtractor
from cnnart.optim.color import PaletteLoss
from cnnart.optim.losses import tv_part
from cnnart.optim.objective import PerceptualObjective, Region, Weights, layer_masks
from cnnart.optim.tiles import add_crop, crop, gather_features, gather_moments, picture_tiles, spans

LAYERS = {"relu1_1": 1.0, "relu3_1": 0.5, "relu5_1": 2.0}
WEIGHTS = Weights(
    content=1.0,
    style=3.0,
    palette=2.0,
    tv=0.1,
    pixel=0.5,
    content_layers={"relu4_2": 1.0},
    style_layers=LAYERS,
)
WRAPS = [(True, True), (True, False), (False, True)]


def rolled(t, down, across):
    return t.roll((down, across), (-2, -1))


@pytest.mark.parametrize("pooling", ["max", "avg"])
def test_the_features_of_a_repeating_picture_move_with_it(tiny, photo_of, pooling):
    """Shifted around by whole units, every activation is the same, shifted: there is no border."""
    features, photo = FeatureExtractor(tiny, pooling=pooling), photo_of(64, 96)
    found = features(photo, LAYERS, wrap=(True, True))
    moved = features(rolled(photo, 32, 48), LAYERS, wrap=(True, True))
    for layer in LAYERS:
        stride = features.geometry[layer].stride
        expected = rolled(found[layer], 32 // stride, 48 // stride)
        torch.testing.assert_close(moved[layer], expected, atol=1e-5, rtol=1e-5)


@pytest.mark.parametrize("wrap", [(True, False), (False, True)])
def test_the_other_axis_still_ends(tiny, photo_of, wrap):
    """Along an axis that does not repeat, zeros and replicas are beyond the border, as always."""
    features, photo = FeatureExtractor(tiny), photo_of(64, 96)
    axis = (-2, -1)[wrap[0]]
    shifts = [32 * w for w in wrap]
    found = features(photo, LAYERS, wrap=wrap)
    moved = features(rolled(photo, *shifts), LAYERS, wrap=wrap)
    usual, both = features(photo, LAYERS), features(photo, LAYERS, wrap=(True, True))
    for layer in LAYERS:
        stride = features.geometry[layer].stride
        expected = rolled(found[layer], *(s // stride for s in shifts))
        torch.testing.assert_close(moved[layer], expected, atol=1e-5, rtol=1e-5)
        for other in (usual, both):
            assert (found[layer] - other[layer]).abs().amax() > 1e-3
    # At the first layer, away from the other axis's ends, nothing but the wrap decides.
    inner = [slice(1, -1) if a == axis else slice(None) for a in (-2, -1)]
    torch.testing.assert_close(found["relu1_1"][(..., *inner)], both["relu1_1"][(..., *inner)])


@settings(max_examples=200, deadline=None)
@given(
    units=st.integers(1, 40),
    tile=st.integers(1, 300),
    halo=st.integers(0, 150),
    align=st.sampled_from([1, 4, 16]),
)
def test_spans_of_a_repeating_axis(units, tile, halo, align):
    """Cores cover it once; every region holds the whole halo, or all there is."""
    length, covered = units * align, []
    for span in spans(length, tile, halo, align, wrap=True):
        covered += range(span.start, span.stop)
        assert span.low % align == span.high % align == 0
        if span.is_closed:
            assert (span.low, span.high) == (0, length)
            continue
        assert span.start - span.low >= halo
        assert span.high - span.stop >= halo
        assert span.high - span.low < length
        places = [i for start, count in span.stretches() for i in range(start, start + count)]
        assert places == [i % length for i in range(span.low, span.high)]
        assert len(set(places)) == len(places)
        assert places[span.start - span.low] == span.start
    assert covered == list(range(length))


def test_a_repeating_axis_needs_whole_units():
    with pytest.raises(ValueError, match="A repeating axis of 100 pixels is no multiple of 16"):
        spans(100, 64, 16, 16, wrap=True)


@pytest.mark.parametrize("wrap", WRAPS)
def test_adding_back_is_the_transpose_of_cropping(tiny, wrap):
    """<crop(x), y> = <x, add_crop(y)> for any x and y."""
    features, rng = FeatureExtractor(tiny), torch.Generator().manual_seed(0)
    picture = torch.randn(1, 3, 208, 320, generator=rng, dtype=torch.float64)
    for tile in picture_tiles(features, ["relu3_1"], (208, 320), 64, wrap):
        piece = crop(picture, tile)
        other = torch.randn(piece.shape, generator=rng, dtype=torch.float64)
        back = torch.zeros_like(picture)
        add_crop(back, tile, other)
        assert float((piece * other).sum()) == pytest.approx(float((picture * back).sum()))


def noisy(photo):
    return photo + 0.1 * torch.randn(photo.shape, generator=torch.Generator().manual_seed(9))


def two_regions(features, painting_of, height, width):
    mask = torch.zeros(1, 1, height, width)
    mask[..., : height // 2, : width // 3] = 1
    rest = (1 - mask) * torch.linspace(0.2, 1, width)
    made = []
    for painting, where, share in ((painting_of(), mask, 0.3), (painting_of(90, 70, 4), rest, 0.7)):
        targets = gather_moments(features, painting, list(LAYERS), 0)
        made.append(Region(targets, PaletteLoss([(painting, 1.0)], where), where, share))
    return made


@pytest.mark.parametrize("wrap", WRAPS)
@pytest.mark.parametrize(("size", "tile"), [((160, 208), 64), ((160, 208), 96), ((48, 416), 128)])
def test_tiles_change_nothing_where_it_wraps(tiny, photo_of, painting_of, wrap, size, tile):
    features, photo = FeatureExtractor(tiny), photo_of(*size)
    regions = two_regions(features, painting_of, *size)
    whole, tiled = (
        PerceptualObjective(features, photo, regions, WEIGHTS, tile=t, wrap=wrap) for t in (0, tile)
    )
    assert len(tiled.tiles) > len(whole.tiles) == 1
    found, expected = tiled(noisy(photo)), whole(noisy(photo))
    for name, loss in expected.losses.items():
        assert found.losses[name] == pytest.approx(loss, rel=1e-5), name
    error = (found.gradient - expected.gradient).norm() / expected.gradient.norm()
    assert float(error) < 1e-4


@pytest.mark.parametrize("tile", [0, 64])
def test_the_objective_moves_with_a_repeating_picture(tiny, photo_of, painting_of, tile):
    """Shifted around, photo and picture have the same losses and the same gradient, shifted."""
    features, photo = FeatureExtractor(tiny), photo_of(96, 192)
    target = gather_moments(features, painting_of(), list(LAYERS), 0)
    region = Region(target, PaletteLoss([(painting_of(), 1.0)]))
    found, moved = (
        PerceptualObjective(
            features, rolled(photo, *by), [region], WEIGHTS, tile=tile, wrap=(True, True)
        )(rolled(noisy(photo), *by))
        for by in ((0, 0), (32, 80))
    )
    assert moved.losses == pytest.approx(found.losses, rel=1e-4)
    error = moved.gradient - rolled(found.gradient, 32, 80)
    assert error.norm() < 1e-4 * found.gradient.norm()


@pytest.mark.parametrize("wrap", WRAPS)
def test_gathered_features_wrap(tiny, photo_of, wrap):
    features, photo = FeatureExtractor(tiny), photo_of(160, 208)
    grid = picture_tiles(features, list(LAYERS), (160, 208), 64, wrap)
    gathered = gather_features(features, photo, list(LAYERS), grid)
    for layer, expected in features(photo, LAYERS, wrap=wrap).items():
        torch.testing.assert_close(gathered[layer], expected, atol=1e-5, rtol=1e-5)


def test_tv_counts_the_step_across_the_border():
    image = torch.zeros(1, 3, 4, 6)
    image[..., :3] = 1  # two steps around a circle, one along a line; 6 and 5 pairs a row
    padded = torch.cat((image, image[..., :1]), -1)
    assert float(tv_part(image, (4, 6), (4, 6))) == pytest.approx(1 / 5)
    assert float(tv_part(padded, (4, 6), (4, 6), (False, True))) == pytest.approx(2 / 6)


def test_a_mask_that_is_not_to_shrink_keeps_its_area(features):
    mask = torch.zeros(1, 1, 128, 128)
    mask[..., 40:72, 32:96] = 1
    for layer, found in layer_masks(mask, features, ["relu1_1", "relu5_1"], shrink=False).items():
        stride = features.geometry[layer].stride
        assert float(found.sum()) * stride**2 == float(mask.sum())


def test_masks_shrink_across_the_border(features):
    """Where a repeating picture has the mask on one side of its border only, the mask shrinks."""
    mask = torch.zeros(1, 1, 128, 128)
    mask[..., 32:96] = 1
    inner = layer_masks(mask, features, ["relu4_1"], (False, True))["relu4_1"]
    mask = rolled(mask, 0, -32)  # from column 0 to 64
    usual = layer_masks(mask, features, ["relu4_1"])["relu4_1"]
    wrapped = layer_masks(mask, features, ["relu4_1"], (False, True))["relu4_1"]
    torch.testing.assert_close(wrapped, rolled(inner, 0, -4))
    assert float(usual.sum()) > float(wrapped.sum())
