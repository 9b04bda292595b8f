"""The decorrelated Fourier basis: what zero is, that it inverts, and how it weighs frequencies."""

import pytest
import torch

from cnnart.errors import UsageError
from cnnart.methods.dream.fourier import FourierBasis, spectrum_weights

SIZES = [(16, 16), (17, 16), (16, 17), (15, 21), (1, 5), (1, 1)]


@pytest.mark.parametrize("size", SIZES)
def test_zero_is_mid_gray(size):
    basis = FourierBasis(*size)
    picture = basis.picture(torch.zeros_like(basis.noise([0, 1])))
    assert picture.shape == (2, 3, *size)
    assert torch.equal(picture, torch.full_like(picture, 0.5))


@pytest.mark.parametrize("size", SIZES)
def test_a_picture_comes_back_from_its_coefficients(size):
    given = 0.05 + 0.9 * torch.rand(2, 3, *size, generator=torch.Generator().manual_seed(3))
    basis = FourierBasis(*size)
    torch.testing.assert_close(basis.picture(basis.coefficients(given)), given)


def test_black_and_white_stay_finite():
    basis = FourierBasis(8, 8)
    extremes = torch.cat([torch.zeros(1, 3, 8, 8), torch.ones(1, 3, 8, 8)])
    back = basis.picture(basis.coefficients(extremes))
    assert float((back - extremes).abs().max()) < 0.01


def test_every_pixel_pulls_at_the_coefficients():
    basis = FourierBasis(9, 12)
    coefficients = basis.noise([0]).requires_grad_(True)
    basis.picture(coefficients)[0, :, 4, 5].sum().backward()
    # A single pixel holds every frequency in lightness; DC has no imaginary part.
    real, imaginary = coefficients.grad[0, 0].unbind(-1)
    assert bool((real.square() + imaginary.square() > 0).all())
    assert float(imaginary[0, 0]) == 0


def test_weights_are_one_over_frequency():
    weights = spectrum_weights(32, 64)
    assert weights.shape == (32, 33)
    assert float(weights[0, 0]) == 64  # the constant counts as one cycle per long side
    assert float(weights[0, 1]) == 64
    assert float(weights[0, 8]) == pytest.approx(64 / 8)
    assert float(weights[3, 0]) == pytest.approx(32 / 3)
    assert float(weights[-3, 0]) == pytest.approx(32 / 3)
    assert torch.equal(spectrum_weights(32, 64, 0.0), torch.ones(32, 33))
    torch.testing.assert_close(spectrum_weights(32, 64, 2.0), weights**2)


def test_contrast_of_noise_does_not_depend_on_the_size():
    small, large = (FourierBasis(n, n) for n in (64, 256))
    spread = [float(b.picture(b.noise([0, 1, 2, 3])).std()) for b in (small, large)]
    assert spread[1] == pytest.approx(spread[0], rel=0.25)
    assert 0 < spread[0] < 0.05


def test_noise_follows_its_seed_alone():
    basis = FourierBasis(8, 10)
    both = basis.noise([4, 5])
    assert torch.equal(both[1:], basis.noise([5]))
    assert not torch.equal(both[0], both[1])
    assert float(basis.noise([4], 0.0).abs().max()) == 0


def test_lightness_varies_most():
    """Equal steps in all coefficients change lightness more than either color axis."""
    basis = FourierBasis(8, 8)
    steps = torch.zeros(3, 3, 8, 5, 2)
    steps[range(3), range(3), 1, 1, 0] = 0.01
    change = (basis.picture(steps) - 0.5).flatten(1).norm(dim=1)
    assert float(change[0]) > 2 * float(change[1]) > 2 * float(change[2])


def test_wrong_sizes_are_named():
    with pytest.raises(UsageError, match="0x4 pixels has no spectrum"):
        FourierBasis(4, 0)
    with pytest.raises(UsageError, match="The picture is 6x5, the basis 8x8"):
        FourierBasis(8, 8).coefficients(torch.zeros(1, 3, 5, 6))
