"""Cuts against all paths there are, on small grids."""

import itertools

import pytest
import torch

from cnnart.methods.texture.seams import cheapest_path, free_cut, keep_old, straight_cut


def costs(height, width, seed=0):
    rng = torch.Generator().manual_seed(seed)
    return torch.randint(1, 100, (4, height, width), generator=rng)


def test_the_path_is_the_cheapest_of_all():
    grid = costs(5, 4)
    found = cheapest_path(grid)
    for cost, path in zip(grid, found, strict=True):
        least = min(
            sum(int(cost[y, x]) for y, x in enumerate(columns))
            for columns in itertools.product(range(4), repeat=5)
            if all(abs(a - b) <= 1 for a, b in itertools.pairwise(columns))
        )
        assert sum(int(cost[y, x]) for y, x in enumerate(path)) == least


@pytest.mark.parametrize("cut", [straight_cut, free_cut])
def test_a_straight_groove_is_followed(cut):
    cost = torch.full((1, 6, 5), 50, dtype=torch.int32)
    cost[..., 3] = 1
    assert torch.equal(cut(cost)[0], (torch.arange(5) < 3).expand(6, 5))


def test_only_a_free_cut_turns_back():
    """A groove in the shape of an S, which no path that always goes on can follow."""
    groove = [
        "..#......",
        "..#......",
        "..#####..",
        "......#..",
        "..#####..",
        "..#......",
        "..#......",
    ]
    cost = torch.tensor([[1 if c == "#" else 1000 for c in row] for row in groove])[None]
    left = free_cut(cost)[0]
    on_the_left = [row[: row.index("#")] for row in groove]
    assert all(bool(left[y, : len(part)].all()) for y, part in enumerate(on_the_left))
    assert bool(left[3, :6].all())  # the bay between the two bends
    assert not bool(left[:, 7:].any())
    assert not bool(left[5, 3:].any())  # the bay on the other side
    assert not bool(straight_cut(cost)[0][3, 5])


def test_all_four_sides_are_cut():
    """A square groove: old outside of it, new from the groove on."""
    error = torch.full((1, 12, 12), 50)
    error[:, 2, 2:10] = error[:, 9, 2:10] = error[:, 2:10, 2] = error[:, 2:10, 9] = 1
    inside = torch.zeros(12, 12, dtype=torch.bool)
    inside[2:10, 2:10] = True
    for cut in (straight_cut, free_cut):
        old = keep_old(error, (4, 4), cut)[0]
        assert torch.equal(old[3:9], ~inside[3:9])


def test_without_overlap_nothing_old_is_kept():
    assert not bool(keep_old(costs(6, 6), (0, 0), free_cut).any())
