"""The palette loss against exact sorting, and recoloring against the Gaussians it promises."""

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from cnnart.optim.color import (
    PaletteLoss,
    blend_gaussians,
    color_directions,
    color_gaussian,
    color_gaussians,
    match_palette,
    recolor,
    recolor_batch,
)

BIN = 2.3 / 1024  # the widest bin of any direction


def uniform(height, width, seed, low=0.0, high=1.0):
    generator = torch.Generator().manual_seed(seed)
    return low + (high - low) * torch.rand(1, 3, height, width, generator=generator)


def exact_distance(a, b):
    """Sliced squared 2-Wasserstein distance of two pictures of one size, by sorting."""
    directions = color_directions()
    pa = (directions @ a[0].flatten(1)).sort(1).values
    pb = (directions @ b[0].flatten(1)).sort(1).values
    return float((pa - pb).square().mean())


def test_directions_are_unit_vectors_spread_evenly():
    directions = color_directions()
    torch.testing.assert_close(directions.norm(dim=1), torch.ones(len(directions)))
    spread = directions.T @ directions * (3 / len(directions))
    assert (spread - torch.eye(3)).abs().max() < 0.15
    nearest = (directions @ directions.T - torch.eye(len(directions))).abs().max()
    assert nearest < 0.95  # no two are the same axis


@pytest.mark.parametrize("seed", [0, 1])
def test_a_picture_has_its_own_palette(seed, photo_of):
    picture = photo_of(48, 64, seed)
    assert float(PaletteLoss([(picture, 1.0)])(picture)) < 1e-5


@pytest.mark.parametrize(
    ("low", "high"),
    [
        (0.0, 1.0),
        (0.4, 0.6),
        (0.5, 0.5),
        (0.0, 0.0),
    ],
)
def test_narrow_and_flat_pictures_have_their_own_palette_too(low, high):
    picture = uniform(48, 48, 0, low, high)
    assert float(PaletteLoss([(picture, 1.0)])(picture)) < 1e-5


@pytest.mark.parametrize(
    "shift",
    [
        (0.1, 0.0, 0.0),
        (-0.1, 0.15, 0.05),
        (0.2, 0.2, 0.2),
    ],
)
def test_a_shift_costs_its_square_in_every_direction(shift):
    picture = uniform(64, 64, 0, 0.2, 0.8)
    shift = torch.tensor(shift)
    found = float(PaletteLoss([(picture, 1.0)])(picture + shift.view(1, 3, 1, 1)))
    expected = float((color_directions() @ shift).square().mean())
    assert found == pytest.approx(expected, rel=0.02)


@settings(max_examples=25, deadline=None)
@given(seed=st.integers(0, 10_000), low=st.floats(0, 0.6), width=st.floats(0.2, 0.4))
def test_histograms_stand_in_for_sorting(seed, low, width):
    a, b = uniform(40, 40, seed), uniform(40, 40, seed + 1, low, low + width)
    exact = exact_distance(a, b) ** 0.5
    assert float(PaletteLoss([(b, 1.0)])(a)) ** 0.5 == pytest.approx(exact, abs=2 * BIN)


def transported(image, picture, mask):
    """The loss and each pixel's way to go, a direction at a time and in float64, by the book."""
    flat, weight = image[0].flatten(1).double().numpy(), mask.flatten().double().numpy()
    way, squares = np.zeros_like(flat), 0.0
    for d in color_directions().double().numpy():
        low, high = d.clip(max=0).sum() - 0.25, d.clip(min=0).sum() + 0.25
        bins = np.linspace(low, high, 1025)
        values, wanted = d @ flat, d @ picture[0].flatten(1).double().numpy()
        here = np.concatenate(([0], np.histogram(values, bins, weights=weight)[0].cumsum()))
        there = np.histogram(wanted, bins)[0]
        filled = there.nonzero()[0]
        first, last = bins[filled[0]], bins[filled[-1] + 1]
        there = np.concatenate(([0], there.cumsum())) / there.sum()
        levels = np.linspace(0, 1, 1024)
        right = np.searchsorted(there, levels).clip(1)
        part = (levels - there[right - 1]) / np.maximum(there[right] - there[right - 1], 1e-12)
        quantiles = (bins[right - 1] + part.clip(0, 1) * (bins[1] - bins[0])).clip(first, last)
        target = np.interp(np.interp(values, bins, here / here[-1]), levels, quantiles)
        squares += (weight * (target - values) ** 2).sum() / weight.sum() / 12
        way += d[:, None] * weight * (target - values)
    return squares, way.reshape(image.shape)


@pytest.mark.parametrize("chunk", [1 << 17, 999])
@pytest.mark.parametrize("masked", [False, True])
def test_all_directions_at_once_are_each_on_its_own(photo, painting, monkeypatch, chunk, masked):
    monkeypatch.setattr("cnnart.optim.color.CHUNK", chunk)
    mask = torch.ones(1, 1, 64, 80)
    if masked:
        mask[:] = torch.linspace(0, 1, 80).mul(1024).round() / 1024  # which integers can say
    squares, way = transported(photo, painting, mask)
    loss = PaletteLoss([(painting, 1.0)], mask if masked else None)
    assert float(loss(photo)) == pytest.approx(squares, rel=1e-3)
    found = loss.displacement(photo).double().numpy() * (12 / 3)
    # A value on the border of two bins may fall into either.
    assert np.abs(found - way).max() < 12 * BIN
    assert np.abs(found - way).mean() < 1e-4 * np.abs(way).mean() + 1e-5


def test_pixels_are_counted_exactly(photo, painting):
    histograms = PaletteLoss([(painting, 1.0)]).histograms(photo.repeat(1, 1, 30, 40))
    assert float(histograms.mass) == 30 * 40 * 64 * 80
    ends = (histograms.below + histograms.inside).view(12, 1024)
    assert torch.equal(ends[:, -1], torch.ones(12))
    pixels = histograms.inside.double() * float(histograms.mass)
    assert (pixels / 1200 - (pixels / 1200).round()).abs().max() < 1e-4  # each came 1200 times


def test_pictures_against_sorting(photo, photo_of, painting_of):
    painting = painting_of(64, 80)
    for a, b in ((photo, painting), (painting, photo), (photo_of(64, 80, 5), painting)):
        exact = exact_distance(a, b) ** 0.5
        assert float(PaletteLoss([(b, 1.0)])(a)) ** 0.5 == pytest.approx(exact, abs=2 * BIN)


def test_the_order_and_number_of_pixels_do_not_matter(photo, painting):
    loss = PaletteLoss([(painting, 1.0)])
    order = torch.randperm(64 * 80, generator=torch.Generator().manual_seed(0))
    shuffled = photo.flatten(2)[..., order].view_as(photo)
    assert float(loss(shuffled)) == pytest.approx(float(loss(photo)), rel=1e-4)
    assert float(loss(photo.repeat(1, 1, 2, 3))) == pytest.approx(float(loss(photo)), rel=1e-3)


def test_only_masked_pixels_are_judged(painting_of):
    painting = painting_of(48, 60)
    mask = torch.zeros(1, 1, 48, 60)
    mask[..., 20:] = 1
    picture = painting.clone()
    picture[..., :20] = 0.9
    reference = PaletteLoss([(painting[..., 20:], 1.0)], mask)
    image = picture.clone().requires_grad_(True)
    loss = reference(image)
    loss.backward()
    assert float(loss.detach()) < 1e-5
    assert image.grad[..., :20].abs().max() == 0
    assert float(PaletteLoss([(painting[..., 20:], 1.0)])(picture)) > 1e-2


def test_a_masked_picture_costs_what_its_part_costs(photo, painting):
    mask = torch.zeros(1, 1, 64, 80)
    mask[..., :30, :] = 1
    masked = float(PaletteLoss([(painting, 1.0)], mask)(photo))
    part = float(PaletteLoss([(painting, 1.0)])(photo[..., :30, :]))
    assert masked == pytest.approx(part, rel=1e-3)


def test_the_gradient_is_the_slope(photo, painting):
    loss = PaletteLoss([(painting, 1.0)])
    image = photo.clone().requires_grad_(True)
    loss(image).backward()
    step = image.grad * (0.02 / image.grad.abs().max())
    ends = [float(loss(photo + sign * step)) for sign in (1, -1)]
    assert (ends[0] - ends[1]) / 2 == pytest.approx(float((image.grad * step).sum()), rel=0.03)


def test_values_outside_the_range_are_pulled_back(painting):
    wild = uniform(32, 32, 0, -2.0, 3.0).requires_grad_(True)
    loss = PaletteLoss([(painting, 1.0)])(wild)
    loss.backward()
    assert torch.isfinite(wild.grad).all()
    assert (wild.grad[wild > 2] > 0).float().mean() > 0.95
    assert (wild.grad[wild < -1] < 0).float().mean() > 0.95


def test_styles_mix_by_weight_whatever_their_size():
    """Three parts of one color, one of another: a picture of just that mixture costs nothing."""
    dark, light = uniform(16, 16, 0, 0.1, 0.3), uniform(40, 40, 1, 0.7, 0.9)
    mixture = torch.cat((dark.repeat(1, 1, 1, 3), light[..., :16, :16]), 3)
    loss = PaletteLoss([(dark, 3.0), (light, 1.0)])
    assert float(loss(mixture)) < 1e-3
    assert float(loss(torch.cat((dark, light[..., :16, :16].repeat(1, 1, 1, 3)), 3))) > 0.05


def test_displacement_undoes_a_shift():
    picture = uniform(64, 64, 0, 0.2, 0.8)
    shift = torch.tensor([0.1, -0.05, 0.08]).view(1, 3, 1, 1)
    back = PaletteLoss([(picture, 1.0)]).displacement(picture + shift)
    mean = back.mean((0, 2, 3))
    torch.testing.assert_close(mean, -shift.flatten(), atol=0.015, rtol=0)


def test_color_gaussian_is_numpys(photo):
    weight = torch.rand(1, 1, 64, 80, generator=torch.Generator().manual_seed(0))
    x, w = photo[0].flatten(1).double().numpy(), weight.flatten().double().numpy()
    mean, covariance = color_gaussian(photo)
    np.testing.assert_allclose(mean.numpy(), x.mean(1), atol=1e-6)
    np.testing.assert_allclose(covariance.numpy(), np.cov(x, bias=True), atol=1e-6)
    mean, covariance = color_gaussian(photo, weight)
    np.testing.assert_allclose(mean.numpy(), np.average(x, axis=1, weights=w), atol=1e-6)
    np.testing.assert_allclose(covariance.numpy(), np.cov(x, aweights=w, bias=True), atol=1e-6)


def test_recolor_reaches_the_target():
    generator = torch.Generator().manual_seed(0)
    mix = torch.tensor([[0.03, 0.02, 0.0], [0.0, 0.04, 0.01], [0.02, 0.0, 0.03]])
    source = 0.5 + torch.einsum(
        "ij,bjhw->bihw", mix, torch.randn(1, 3, 64, 64, generator=generator)
    )
    mean = torch.tensor([0.55, 0.45, 0.5]).double()
    root = torch.tensor([[0.05, 0.01, 0.0], [0.01, 0.03, 0.01], [0.0, 0.01, 0.04]]).double()
    result = recolor(source, color_gaussian(source), (mean, root @ root.T))
    assert result.min() > 0  # nothing was clipped
    assert result.max() < 1
    found_mean, found_covariance = color_gaussian(result)
    torch.testing.assert_close(found_mean, mean, atol=1e-5, rtol=0)
    torch.testing.assert_close(found_covariance, root @ root.T, atol=5e-5, rtol=0)


def test_recolor_to_the_same_colors_is_the_identity(photo):
    gaussian = color_gaussian(photo)
    torch.testing.assert_close(recolor(photo, gaussian, gaussian), photo, atol=1e-5, rtol=0)


def test_a_batch_is_recolored_as_each_picture_is(photo, painting):
    pictures = torch.cat((photo, photo.flip(-1) ** 2))
    mean, covariance = color_gaussians(torch.cat((painting, 1 - 0.7 * painting.flip(1))))
    found = recolor_batch(pictures, mean, covariance)
    for picture, result, *target in zip(pictures, found, mean, covariance, strict=True):
        wanted = recolor(picture[None], color_gaussian(picture[None]), [t.double() for t in target])
        torch.testing.assert_close(result.clamp(0, 1), wanted[0], atol=0.01, rtol=0)


def test_contrast_before_recoloring_neither_gains_nor_loses_anything(photo, painting):
    mean, covariance = color_gaussians(painting)
    contrast = torch.ones((), requires_grad=True)
    found = recolor_batch(0.5 + contrast * (photo - 0.5), mean, covariance)
    (slope,) = torch.autograd.grad((found - photo).square().mean(), contrast)
    fixed = 2 * ((found - photo) * (found - mean[:, :, None, None])).mean()  # were the map fixed
    assert abs(float(slope)) < 0.03 * abs(float(fixed))


def test_recoloring_a_batch_survives_flat_pictures_and_flat_styles(photo):
    flat = torch.full_like(photo, 0.4)
    for pictures, style in ((flat, photo), (photo, flat), (flat, flat)):
        mean, covariance = color_gaussians(style)
        found = recolor_batch(pictures, mean, covariance)
        assert found.isfinite().all()
        torch.testing.assert_close(found.mean((2, 3)), mean, atol=1e-3, rtol=0)


def test_recolor_survives_flat_pictures(photo):
    flat = torch.full((1, 3, 8, 8), 0.3)
    result = recolor(flat, color_gaussian(flat), color_gaussian(photo))
    expected = photo.mean((0, 2, 3)).view(1, 3, 1, 1).expand_as(flat)
    torch.testing.assert_close(result, expected, atol=1e-4, rtol=0)
    back = recolor(photo, color_gaussian(photo), color_gaussian(flat))
    assert (back - 0.3).abs().max() < 0.05


def test_blended_gaussians_are_those_of_the_mixed_samples(photo, painting_of):
    """Two pictures of one size, the first counted three times."""
    painting = painting_of(64, 80)
    samples = np.concatenate([photo[0].flatten(1).double().numpy()] * 3, 1)
    samples = np.concatenate([samples, painting[0].flatten(1).double().numpy()], 1)
    mean, covariance = blend_gaussians(
        [(*color_gaussian(photo), 1.5), (*color_gaussian(painting), 0.5)]
    )
    np.testing.assert_allclose(mean.numpy(), samples.mean(1), atol=1e-6)
    np.testing.assert_allclose(covariance.numpy(), np.cov(samples, bias=True), atol=1e-6)


def test_match_palette_brings_the_distance_down(photo, painting):
    loss = PaletteLoss([(painting, 1.0)])
    matched = match_palette(photo, [(painting, 1.0)])
    assert float(loss(matched)) < float(loss(photo)) / 5
    assert matched.min() >= 0
    assert matched.max() <= 1
