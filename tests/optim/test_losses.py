"""The losses against closed forms in numpy, and their gradients against double precision."""

import numpy as np
import pytest
import torch

from cnnart.errors import UsageError
from cnnart.optim.losses import (
    Moments,
    blend,
    content_loss_sum,
    excess_sum,
    matrix_sqrt,
    moments,
    style_loss,
    tv_loss,
)
from cnnart.settings import STATISTICS


def activations(channels=5, height=6, width=7, seed=0):
    generator = torch.Generator().manual_seed(seed)
    return torch.randn(1, channels, height, width, generator=generator) + 0.5


def columns(features):
    """Activations as numpy, one column per position."""
    return features[0].flatten(1).double().numpy()


def assert_close(found, expected, tolerance=1e-5):
    np.testing.assert_allclose(found.detach().numpy(), expected, rtol=tolerance, atol=tolerance)


def assert_same(found, expected, tolerance=1e-5):
    for name, a, b in zip(Moments._fields, found, expected, strict=True):
        torch.testing.assert_close(a, b, rtol=tolerance, atol=tolerance, msg=name)


def gaussian(mean, covariance):
    """The moments of a distribution given by its mean and covariance."""
    mean, covariance = torch.as_tensor(mean).double(), torch.as_tensor(covariance).double()
    return Moments(torch.ones(()).double(), mean, covariance + torch.outer(mean, mean))


def random_covariance(size, seed):
    root = torch.randn(size, size, generator=torch.Generator().manual_seed(seed)).double()
    return root @ root.T / size + 0.1 * torch.eye(size).double()


def test_statistics_are_those_of_numpy():
    f = activations()
    found, x = moments(f), columns(f)
    assert float(found.mass) == x.shape[1]
    assert_close(found.mean(), x.mean(1))
    assert_close(found.gram(), x @ x.T / x.shape[1])
    assert_close(found.covariance(), np.cov(x, bias=True))


def test_weights_of_one_change_nothing():
    f = activations()
    assert_same(moments(f, torch.ones(1, 1, 6, 7)), moments(f))


def test_a_binary_weight_is_the_subset():
    f = activations()
    weight = torch.zeros(1, 1, 6, 7)
    weight[..., 1:4, 2:7] = 1
    assert_same(moments(f, weight), moments(f[..., 1:4, 2:7]))


def test_fractional_weights_are_numpys():
    f = activations()
    weight = torch.rand(1, 1, 6, 7, generator=torch.Generator().manual_seed(3))
    found, x, w = moments(f, weight), columns(f), weight.flatten().double().numpy()
    assert_close(found.mean(), np.average(x, axis=1, weights=w))
    assert_close(found.covariance(), np.cov(x, aweights=w, bias=True))


@pytest.mark.parametrize("column", [1, 3, 6])
def test_moments_of_two_parts_add_up(column):
    f = activations()
    parts = moments(f[..., :column]).plus(moments(f[..., column:]))
    assert_same(parts, moments(f))


def test_the_gram_matrix_does_not_depend_on_the_size():
    f = activations()
    assert_close(moments(f.repeat(1, 1, 3, 2)).gram(), moments(f).gram())


def test_memory_layout_does_not_matter():
    f = activations(8, 9, 11)
    last = f.contiguous(memory_format=torch.channels_last)
    assert_same(moments(last), moments(f))


def test_blend_is_the_mixture_whatever_the_sizes():
    a, b = activations(seed=1), activations(height=3, width=4, seed=2)
    found = blend([(moments(a), 3.0), (moments(b), 1.0)])
    xa, xb = columns(a), columns(b)
    assert_close(found.mean(), 0.75 * xa.mean(1) + 0.25 * xb.mean(1))
    assert_close(found.gram(), 0.75 * xa @ xa.T / 42 + 0.25 * xb @ xb.T / 12)
    assert_same(blend([(moments(a), 6.0), (moments(b), 2.0)]), found)
    assert_close(blend([(moments(b), 0.2)]).gram(), moments(b).gram())


@pytest.mark.parametrize("statistic", STATISTICS)
def test_style_loss_is_zero_when_equal_and_relative(statistic):
    a, b = activations(seed=1), activations(seed=2)
    assert float(style_loss(moments(a), moments(a), statistic)) == pytest.approx(0, abs=2e-5)
    loss = float(style_loss(moments(a), moments(b), statistic))
    assert loss > 1e-2
    # Neither the number of positions nor the scale of the network's activations matters.
    larger = moments((10 * a).repeat(1, 1, 2, 2)), moments(10 * b)
    assert float(style_loss(*larger, statistic)) == pytest.approx(loss, rel=1e-3)


def test_gram_and_covariance_loss_against_numpy():
    a, b = activations(seed=1), activations(seed=2)
    xa, xb = columns(a), columns(b)
    ga, gb = xa @ xa.T / xa.shape[1], xb @ xb.T / xb.shape[1]
    gram = ((ga - gb) ** 2).sum() / (gb**2).sum()
    assert float(style_loss(moments(a), moments(b), "gram")) == pytest.approx(gram, rel=1e-4)
    ca, cb = np.cov(xa, bias=True), np.cov(xb, bias=True)
    ma, mb = xa.mean(1), xb.mean(1)
    both = ((ca - cb) ** 2).sum() / (cb**2).sum() + ((ma - mb) ** 2).sum() / (mb**2).sum()
    found = style_loss(moments(a), moments(b), "covariance")
    assert float(found) == pytest.approx(both / 2, rel=1e-4)


def test_wasserstein_of_diagonal_gaussians_has_a_closed_form():
    a, b = torch.tensor([4.0, 1.0, 0.25]), torch.tensor([1.0, 9.0, 0.25])
    mean_a, mean_b = torch.tensor([1.0, 0.0, 2.0]), torch.tensor([0.0, 0.5, 2.0])
    found = style_loss(gaussian(mean_a, a.diag()), gaussian(mean_b, b.diag()), "wasserstein")
    distance = (2 - 1) ** 2 + (1 - 3) ** 2 + 0 + 1**2 + 0.5**2
    energy = b.sum() + mean_b.square().sum()
    assert float(found) == pytest.approx(distance / float(energy), rel=1e-5)


def test_wasserstein_of_any_gaussians():
    """The eigenvalues of A B are those of A^1/2 B A^1/2: an independent way to the same trace."""
    a, b = random_covariance(6, 1), random_covariance(6, 2)
    zero = torch.zeros(6)
    cross = np.sqrt(np.linalg.eigvals((a @ b).numpy()).real).sum()
    expected = (a.trace() + b.trace() - 2 * cross) / b.trace()
    found = style_loss(gaussian(zero, a), gaussian(zero, b), "wasserstein")
    assert float(found) == pytest.approx(float(expected), rel=1e-4)


@pytest.mark.parametrize("statistic", STATISTICS)
def test_style_gradient_by_finite_differences(statistic):
    target = gaussian(torch.rand(4), random_covariance(4, 5))
    mean, covariance = torch.rand(4).double(), random_covariance(4, 6)
    found = [t.requires_grad_(True) for t in gaussian(mean, covariance)]
    style_loss(Moments(*found), target, statistic).backward()
    for index in (1, 2):
        start = found[index].detach()
        direction = torch.randn(start.shape, generator=torch.Generator().manual_seed(index))
        if index == 2:
            direction = direction + direction.T  # an outer sum is symmetric
        ends = []
        for sign in (1, -1):
            moved = [t.detach() for t in found]
            moved[index] = start + sign * 1e-3 * direction
            ends.append(float(style_loss(Moments(*moved), target, statistic)))
        slope = 0.0 if found[index].grad is None else (found[index].grad * direction).sum()
        assert (ends[0] - ends[1]) / 2e-3 == pytest.approx(float(slope), rel=1e-2, abs=2e-4)


def test_wasserstein_gradient_is_finite_with_fewer_positions_than_channels():
    a, b = activations(32, 3, 3, seed=1).requires_grad_(True), activations(32, 3, 3, seed=2)
    style_loss(moments(a), moments(b), "wasserstein").backward()
    slope = a.grad.norm()
    assert torch.isfinite(slope)
    assert slope > 0
    a.grad = None
    style_loss(moments(a), moments(a.detach()), "wasserstein").backward()
    assert a.grad.norm() < 0.05 * slope  # at its minimum


def test_wasserstein_is_never_negative():
    """A distance, also where most eigenvalues are zero: 64 channels seen at nine positions."""
    m = moments(0.1 * activations(64, 3, 3).relu())
    assert float(style_loss(m, m, "wasserstein")) > -1e-6


@pytest.mark.parametrize("weighted", [False, True])
def test_outer_gradient_is_autograds_in_double(weighted):
    f = activations(7, 5, 6).requires_grad_(True)
    weight = torch.rand(1, 1, 5, 6) if weighted else None
    slope = torch.randn(7, 7, generator=torch.Generator().manual_seed(4))  # not symmetric
    (moments(f, weight).outer * slope).sum().backward()
    plain = f.detach().double().requires_grad_(True)
    flat = plain[0].flatten(1)
    w = torch.ones(1, 30).double() if weight is None else weight.flatten()[None].double()
    (((flat * w) @ flat.T) * slope.double()).sum().backward()
    torch.testing.assert_close(f.grad.double(), plain.grad, rtol=1e-5, atol=1e-5)


def test_total_and_mass_have_gradients_too():
    f = activations().requires_grad_(True)
    weight = torch.rand(1, 1, 6, 7)
    (moments(f, weight).total * torch.arange(5.0)).sum().backward()
    expected = weight * torch.arange(5.0).view(1, 5, 1, 1)
    torch.testing.assert_close(f.grad, expected.expand_as(f))


@pytest.mark.parametrize("positions", [(8, 8), (50, 100), (64, 64)])
@pytest.mark.parametrize("weighted", [False, True])
def test_bfloat16_gram_is_within_2e_3_of_float32(positions, weighted):
    height, width = positions
    f = activations(48, height, width).relu().bfloat16()
    weight = (torch.rand(1, 1, height, width) > 0.5).float() if weighted else None
    found, expected = moments(f, weight).gram(), moments(f.float(), weight).gram()
    assert found.dtype == torch.float32
    assert (found - expected).norm() < 2e-3 * expected.norm()


def test_bfloat16_gradient_is_close_to_float32():
    f = activations(48, 40, 40).relu()
    target = moments(activations(48, 40, 40, seed=2).relu())
    slopes = []
    for dtype in (torch.bfloat16, torch.float32):
        leaf = f.to(dtype).requires_grad_(True)
        style_loss(moments(leaf), target).backward()
        slopes.append(leaf.grad.float())
    assert (slopes[0] - slopes[1]).norm() < 0.02 * slopes[1].norm()


def test_float16_sums_do_not_overflow():
    f = torch.full((1, 2, 64, 64), 300.0, dtype=torch.float16)
    assert_close(moments(f).gram(), np.full((2, 2), 9e4))


def test_matrix_sqrt_squares_to_its_matrix():
    full = random_covariance(5, 1)
    torch.testing.assert_close(matrix_sqrt(full) @ matrix_sqrt(full), full)
    vector = torch.arange(4.0).double()
    singular = torch.outer(vector, vector)
    torch.testing.assert_close(matrix_sqrt(singular) @ matrix_sqrt(singular), singular)


def test_content_loss_sums_squares_in_float32():
    a, b = activations(seed=1), activations(seed=2)
    expected = ((columns(a) - columns(b)) ** 2).sum()
    assert float(content_loss_sum(a, b)) == pytest.approx(expected, rel=1e-5)
    assert content_loss_sum(a.bfloat16(), b.bfloat16()).dtype == torch.float32
    assert float(content_loss_sum(a, a)) == 0


def test_tv_loss_of_a_ramp():
    y = 0.03 * torch.arange(10.0).view(1, 1, 10, 1)
    x = 0.02 * torch.arange(12.0).view(1, 1, 1, 12)
    ramp = (y + x).expand(1, 3, 10, 12)
    assert float(tv_loss(ramp)) == pytest.approx(0.03**2 + 0.02**2, rel=1e-4)
    assert float(tv_loss(torch.full((1, 3, 4, 5), 0.7))) == 0


def test_excess_sum_counts_only_the_excess():
    picture = torch.tensor([0.0, 0.5, 1.0, 1.5, -0.25, 0.2]).view(1, 3, 1, 2)
    assert float(excess_sum(picture)) == pytest.approx(0.5**2 + 0.25**2)
    assert float(excess_sum(picture.clamp(0, 1))) == 0


def test_unknown_statistic():
    m = moments(activations())
    with pytest.raises(UsageError) as error:
        style_loss(m, m, "grams")
    expected = "Unknown statistic 'grams': use covariance, gram, wasserstein."
    assert str(error.value) == expected


def test_content_counts_where_it_is_to_be_kept():
    a, b = torch.zeros(1, 4, 2, 2), torch.ones(1, 4, 2, 2)
    weight = torch.tensor([[[[1.0, 3.0], [0.0, 1.0]]]])
    assert float(content_loss_sum(a, b, weight)) == 4 * 5
    assert float(content_loss_sum(a, b, torch.ones(1, 1, 2, 2))) == float(content_loss_sum(a, b))
