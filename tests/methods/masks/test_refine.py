"""A coarse mask finds the edges of its photo."""

import pytest
import torch

from cnnart.image.picture import resize
from cnnart.methods.masks.refine import feathered, refined


def disk(side=200, radius=60):
    y, x = torch.meshgrid(torch.arange(side) + 0.5, torch.arange(side) + 0.5, indexing="ij")
    return (((x - side / 2) ** 2 + (y - side / 2) ** 2) < radius**2).float()[None, None]


def two_colored(mask):
    inside, outside = (torch.tensor(c).view(1, 3, 1, 1) for c in ((0.9, 0.4, 0.2), (0.2, 0.5, 0.8)))
    return inside * mask + outside * (1 - mask)


def difference(a, b):
    return float((a - b).abs().mean())


def test_a_coarse_mask_comes_to_the_edges():
    exact = disk(512, 150)
    seen = resize(exact, 96, 96, mode="bilinear")
    coarse = resize(seen, 512, 512, mode="bilinear")
    found = refined(seen, two_colored(exact))
    assert found.shape == exact.shape
    assert 0 <= float(found.min()) <= float(found.max()) <= 1
    assert difference(found, exact) < difference(coarse, exact) / 4


def test_without_edges_the_mask_stays_soft_and_where_it_is():
    exact = disk()
    found = refined(resize(exact, 24, 24, mode="bilinear"), torch.full((1, 3, 200, 200), 0.5))
    assert difference(found, exact) < 0.05


@pytest.mark.parametrize("value", [0.0, 1.0])
@pytest.mark.parametrize("shape", [(1, 1), (1, 300), (40, 900), (700, 30)])
def test_full_and_empty_stay_so_at_any_shape(value, shape):
    photo = torch.rand(1, 3, *shape, generator=torch.Generator().manual_seed(0))
    found = refined(torch.full((1, 1, 20, 20), value), photo)
    assert found.shape == (1, 1, *shape)
    assert torch.allclose(found, torch.full_like(found, value), atol=1e-4)


def test_feathering_keeps_the_amount():
    mask = disk()
    soft = feathered(mask, 0.02)
    assert float(soft.mean()) == pytest.approx(float(mask.mean()), rel=1e-3)
    assert ((soft > 0.01) & (soft < 0.99)).float().mean() > 0.03
    assert torch.equal(feathered(mask, 0.0005), mask)  # less than a pixel
