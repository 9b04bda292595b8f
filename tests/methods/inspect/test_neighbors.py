"""Nearest neighbors, and how often they share a label: against what can be counted by hand."""

from __future__ import annotations

import pytest
import torch

from cnnart.methods.inspect.neighbors import BLOCK, agreement, nearest


def rows(count, seed=0, width=8):
    return torch.randn(count, width, generator=torch.Generator().manual_seed(seed))


@pytest.mark.parametrize("count", [20, 2 * BLOCK + 7])
def test_nearest_is_what_a_full_sort_finds(count):
    space, queries = rows(count), rows(3, seed=1)
    distances, numbers = nearest(queries, space, 5)
    every = (queries[:, None] - space[None]).square().sum(2).sqrt()
    expected = every.sort(1)
    assert torch.equal(numbers, expected.indices[:, :5])
    torch.testing.assert_close(distances, expected.values[:, :5])


@pytest.mark.parametrize("dtype", [torch.float16, torch.float32, torch.uint8])
def test_a_row_is_its_own_nearest_at_distance_zero(dtype):
    space = (rows(BLOCK + 50) * 40).to(dtype)
    asked = [0, 17, BLOCK + 3]
    distances, numbers = nearest(space[asked], space, 2)
    assert numbers[:, 0].tolist() == asked
    assert distances[:, 0].tolist() == [0, 0, 0]


def test_a_row_can_be_left_out():
    space = rows(BLOCK + 50)
    asked = [0, BLOCK + 3]
    distances, numbers = nearest(space[asked], space, 3, asked)
    whole = nearest(space[asked], space, 4)
    assert torch.equal(numbers, whole[1][:, 1:])
    assert torch.equal(distances, whole[0][:, 1:])


def test_there_are_no_more_than_there_are():
    space = rows(4)
    assert nearest(space[:1], space, 9)[1].shape == (1, 4)
    assert nearest(space[:1], space, 9, [0])[1].tolist() == [
        nearest(space[:1], space, 4)[1][0, 1:].tolist()
    ]


def test_equally_near_rows_keep_their_order():
    space = torch.zeros(BLOCK + 10, 2)
    assert nearest(space[:1], space, 4)[1].tolist() == [[0, 1, 2, 3]]


def test_agreement_counted_by_hand():
    """On a line: a a b | b . c c, where the dot has no label and counts for nothing."""
    line = torch.tensor([[0.0], [1.0], [1.9], [5.0], [5.1], [8.0], [8.5]])
    labels = ["a", "a", "b", "b", None, "c", "c"]
    found = agreement(line, labels, 1)
    # Nearest: a-a yes, a-b no (0.9 against 1), b-a no, b-c no (3 against 3.1), c-c yes, c-c yes.
    assert found.first == found.share == pytest.approx(3 / 6)
    assert found.chance == pytest.approx(1 / 5)
    assert (found.count, found.pictures) == (1, 6)


def test_a_label_that_only_one_picture_has_is_not_asked_for():
    line = torch.tensor([[0.0], [1.0], [1.1], [2.0]])
    found = agreement(line, ["a", "a", "lonely", "a"], 1)
    # It still stands in the way of the others: 1 and 2 have it as their nearest.
    assert found.first == pytest.approx(1 / 3)
    assert found.pictures == 3
    assert found.chance == pytest.approx(2 / 3)


def test_classes_far_apart_agree_wholly_and_shuffled_ones_by_chance():
    centers = torch.eye(4)[torch.arange(80) % 4] * 50
    labels = [str(n % 4) for n in range(80)]
    assert agreement(centers + 0.01 * rows(80, width=4), labels, 5).share == 1
    noise = agreement(rows(800), [str(n % 4) for n in range(800)], 5)
    assert noise.share == pytest.approx(noise.chance, abs=0.03)
