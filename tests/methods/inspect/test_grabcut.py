"""From saliency to a mask: the object's outline from a few points on it."""

import numpy as np
import pytest
import torch

pytest.importorskip("sklearn")

from cnnart.methods.inspect.grabcut import cut, mask_from_saliency, tidy


def disc_picture(height=60, width=80):
    """A textured orange disc on a textured blue ground, and where the disc is."""
    y, x = torch.arange(height)[:, None], torch.arange(width)[None]
    disc = (y - 28) ** 2 + (x - 45) ** 2 < 15**2
    color = torch.where(
        disc,
        torch.tensor([0.9, 0.5, 0.1]).view(3, 1, 1),
        torch.tensor([0.2, 0.3, 0.7]).view(3, 1, 1),
    )
    noise = 0.05 * torch.randn(3, height, width, generator=torch.Generator().manual_seed(0))
    return (color + noise).clamp(0, 1)[None], disc


def overlap(mask, truth):
    found = mask[0, 0] > 0.5
    return float((found & truth).sum() / (found | truth).sum())


def test_a_few_points_on_the_object_give_all_of_it():
    image, disc = disc_picture()
    y, x = torch.arange(60)[:, None], torch.arange(80)[None]
    distance = ((y - 26) ** 2 + (x - 48) ** 2).float().sqrt()  # off its center
    saliency = (0.3 * torch.exp(-distance / 10))[None, None]
    mask = mask_from_saliency(image, saliency)
    assert mask.shape == (1, 1, 60, 80)
    assert set(mask.unique().tolist()) == {0.0, 1.0}
    assert overlap(mask, disc) > 0.97


def test_it_follows_the_map_not_the_picture():
    image, disc = disc_picture()
    mask = mask_from_saliency(image, torch.ones(1, 1, 60, 80) - disc.float())
    assert overlap(mask, disc) < 0.1


def test_a_map_of_one_point_gives_that_point_at_least():
    image, _ = disc_picture()
    saliency = torch.zeros(1, 1, 60, 80)
    saliency[0, 0, 28, 45] = 1
    mask = mask_from_saliency(image, saliency)
    assert mask[0, 0, 28, 45] == 1
    assert float(mask.mean()) < 0.2


def test_it_is_the_same_every_time():
    image, disc = disc_picture()
    saliency = torch.rand(1, 1, 60, 80, generator=torch.Generator().manual_seed(1)) + disc * 0.5
    assert torch.equal(mask_from_saliency(image, saliency), mask_from_saliency(image, saliency))


def test_the_cut_is_the_cheapest_one():
    """Three pixels in a row: against every labelling, by hand."""
    rng = np.random.default_rng(0)
    links = (np.array([0, 1]), np.array([1, 2]), np.array([2.0, 0.5]))
    none = np.zeros(3, dtype=bool)
    for _ in range(20):
        costs = [rng.uniform(0, 5, 3).round(2), rng.uniform(0, 5, 3).round(2)]

        def price(label, costs=costs):
            unary = sum(costs[0][i] if label >> i & 1 else costs[1][i] for i in range(3))
            bits = [label >> i & 1 for i in range(3)]
            return unary + 2.0 * (bits[0] != bits[1]) + 0.5 * (bits[1] != bits[2])

        inside = cut(costs, none, none, links)
        found = sum(int(bit) << i for i, bit in enumerate(inside))
        assert price(found) == pytest.approx(min(map(price, range(8))), abs=0.05)


def test_islands_without_a_sure_pixel_and_small_holes_go():
    inside = np.zeros((40, 40), dtype=bool)
    inside[5:20, 5:20] = True
    inside[10, 10] = False  # a hole
    inside[30:38, 30:38] = True  # an island
    sure = np.zeros_like(inside)
    sure[8, 8] = True
    expected = np.zeros_like(inside)
    expected[5:20, 5:20] = True
    assert (tidy(inside, sure) == expected).all()


def test_a_flat_map_has_no_object():
    image, _ = disc_picture()
    assert float(mask_from_saliency(image, torch.ones(1, 1, 60, 80)).sum()) == 0
