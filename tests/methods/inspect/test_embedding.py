"""Reduction to a plane and the grid: exact where it can be, a permutation always."""

from __future__ import annotations

import itertools
import sys

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from cnnart.errors import UsageError
from cnnart.methods.inspect import embedding as module
from cnnart.methods.inspect.embedding import embed, grid_shape, snap_to_grid, to_unit


def noise(*shape, seed=0):
    return torch.randn(*shape, generator=torch.Generator().manual_seed(seed))


def distances(points):
    return torch.cdist(points, points).fill_diagonal_(0)


def test_pca_of_points_on_a_plane_is_exact():
    """Rotated into 20 dimensions and back: all distances are kept, up to the scale of the map."""
    plane = noise(40, 2) * torch.tensor([3.0, 1.0])
    basis = torch.linalg.qr(noise(20, 20, seed=1))[0][:2]
    found = embed(plane @ basis + noise(20, seed=2), "pca")
    assert sum(found.facts["variance"]) == pytest.approx(1, abs=1e-5)
    assert found.facts["trustworthiness"] == pytest.approx(1, abs=1e-6)
    expected, actual = distances(plane), distances(found.points)
    scale = expected.max() / actual.max()
    torch.testing.assert_close(actual * scale, expected, atol=1e-3, rtol=1e-3)


def test_tsne_keeps_clusters_together_and_is_the_same_every_time():
    groups = torch.arange(60) % 3
    features = torch.eye(3)[groups] * 10 + 0.1 * noise(60, 3)
    found = embed(features, "tsne", perplexity=10)
    near = distances(found.points).fill_diagonal_(9).argmin(1)
    assert torch.equal(groups[near], groups)
    assert torch.equal(embed(features, "tsne", perplexity=10).points, found.points)
    assert found.facts["perplexity"] == 10


@pytest.mark.parametrize("count", [3, 4, 7])
@pytest.mark.parametrize("method", ["pca", "tsne"])
def test_few_pictures(count, method):
    found = embed(noise(count, 8).half(), method)
    assert found.points.shape == (count, 2)
    assert bool(torch.isfinite(found.points).all())
    assert float(found.points.min()) >= 0
    assert float(found.points.max()) <= 1


@pytest.mark.parametrize("method", ["pca", "tsne"])
def test_pictures_that_are_all_alike(method):
    found = embed(torch.ones(6, 8), method)
    assert bool(torch.isfinite(found.points).all())


def test_too_few_pictures():
    with pytest.raises(UsageError, match="A map needs at least 3 pictures, not 2"):
        embed(noise(2, 8), "pca")


def test_without_scikit_learn(monkeypatch):
    monkeypatch.setitem(sys.modules, "sklearn", None)
    with pytest.raises(UsageError, match=r"needs scikit-learn: pip install 'cnnart\[inspect\]'"):
        embed(noise(5, 8), "pca")


def test_to_unit_keeps_the_aspect_and_centers():
    found = to_unit(torch.tensor([[0.0, 5.0], [10.0, 5.0], [5.0, 7.5]]))
    expected = torch.tensor([[0.0, 0.375], [1.0, 0.375], [0.5, 0.625]])
    torch.testing.assert_close(found, expected)


FLOATS = st.floats(width=32, allow_nan=False, allow_infinity=False)


@given(st.lists(st.tuples(FLOATS, FLOATS), min_size=1, max_size=6))
def test_to_unit_never_leaves_the_unit_square(points):
    """Not by one rounding, on any processor: huge, tiny and nearly equal numbers among them."""
    found = to_unit(torch.tensor(points))
    assert bool(((found >= 0) & (found <= 1)).all())


@pytest.mark.parametrize(
    "points",
    [
        [[3.4e38, -3.4e38], [-3.4e38, 3.4e38]],  # their difference overflows, and so do sums
        [[3.4e38, 3.4e38], [3.3e38, 3.4e38]],
        [[1e-45, 0.0], [0.0, 1e-45]],
        [[16777216.0, 0.0], [16777215.0, 0.0], [16777214.0, 1.0]],
        [[0.1, 0.7], [0.3, 0.2], [0.7, 0.1]],
    ],
)
def test_to_unit_of_hard_numbers(points):
    found = to_unit(torch.tensor(points))
    assert bool(((found >= 0) & (found <= 1)).all())


@pytest.mark.parametrize("count", [1, 2, 3, 7, 12, 50, 99])
@pytest.mark.parametrize("assigned", [1500, 0])
def test_every_point_gets_a_cell_of_its_own(count, assigned, monkeypatch):
    monkeypatch.setattr(module, "ASSIGNED", assigned)
    rows, columns = grid_shape(count)
    cells = snap_to_grid(to_unit(noise(count, 2)))
    assert cells.shape == (count, 2)
    assert len({tuple(cell) for cell in cells.tolist()}) == count
    assert int(cells.min()) >= 0
    assert int(cells[:, 0].max()) < columns
    assert int(cells[:, 1].max()) < rows


def test_the_assignment_is_the_shortest():
    points = to_unit(noise(6, 2))
    cells = snap_to_grid(points)
    size = torch.tensor([2.0, 3.0])
    assert grid_shape(6) == (3, 2)

    def way(chosen):
        return float(((chosen + 0.5) / size - points).square().sum())

    every = torch.tensor(list(itertools.product(range(2), range(3))))
    best = min(way(every[list(order)]) for order in itertools.permutations(range(6)))
    assert way(cells) == pytest.approx(best)


@pytest.mark.parametrize("assigned", [1500, 0])
def test_points_on_a_grid_stay_there(assigned, monkeypatch):
    monkeypatch.setattr(module, "ASSIGNED", assigned)
    y, x = torch.meshgrid(torch.arange(5), torch.arange(5), indexing="ij")
    cells = torch.stack((x.flatten(), y.flatten()), 1)[torch.randperm(25)]
    assert torch.equal(snap_to_grid((cells + 0.5) / 5), cells)


def test_grid_shape_holds_them_all():
    for count in range(1, 200):
        rows, columns = grid_shape(count)
        assert rows * columns >= count
        assert (rows - 1) * columns < count
        assert abs(rows - columns) <= 1
