"""Deletion and insertion: curves in closed form, and a true map against others."""

import pytest
import torch

from cnnart.methods.inspect.attribution_scores import (
    area,
    random_saliency,
    ranking_scores,
    replacement_curve,
)


def share_white(pictures):
    return pictures.mean((1, 2, 3))


def test_the_curve_counts_replaced_pixels_most_salient_first():
    before, after = torch.zeros(1, 3, 4, 4), torch.zeros(1, 3, 4, 4)
    after[..., 2, 1] = 1.0  # the one pixel that matters
    saliency = torch.zeros(1, 1, 4, 4)
    saliency[..., 2, 1] = 5.0
    first = replacement_curve(share_white, before, after, saliency, 16)
    last = replacement_curve(share_white, before, after, -saliency, 16)
    assert first.tolist() == pytest.approx([0.0] + [1 / 16] * 16)
    assert last.tolist() == pytest.approx([0.0] * 16 + [1 / 16])


def test_the_curve_goes_from_one_picture_to_the_other_whatever_the_steps(photo):
    saliency = random_saliency(*photo.shape[-2:])
    for steps in (1, 7, 40):  # 40: in several batches
        curve = replacement_curve(share_white, photo, 1 - photo, saliency, steps)
        assert len(curve) == steps + 1
        torch.testing.assert_close(curve[:1], share_white(photo))
        torch.testing.assert_close(curve[-1:], share_white(1 - photo))


def test_the_area_is_one_under_one_and_half_under_a_ramp():
    assert area(torch.ones(9)) == pytest.approx(1)
    assert area(torch.linspace(0, 1, 9)) == pytest.approx(0.5)


def test_the_true_map_beats_random_ones_by_a_margin():
    """The 'class' is how much of a patch's detail is still there."""
    patch = (slice(None), slice(None), slice(20, 40), slice(30, 50))
    photo = torch.rand(1, 3, 64, 80, generator=torch.Generator().manual_seed(4))
    detail = photo[patch] - 0.5

    def probability(pictures):
        kept = ((pictures[patch] - 0.5) * detail).sum((1, 2, 3)) / detail.square().sum()
        return kept.clamp(0, 1)

    truth = torch.zeros(1, 1, *photo.shape[-2:])
    truth[patch] = 1
    true = ranking_scores(probability, photo, truth)
    for seed in range(3):
        guess = ranking_scores(probability, photo, random_saliency(64, 80, seed=seed))
        assert true.deletion < guess.deletion - 0.3
        assert true.insertion > guess.insertion + 0.3


def test_random_saliency_follows_its_seed():
    assert torch.equal(random_saliency(30, 40, seed=1), random_saliency(30, 40, seed=1))
    assert not torch.equal(random_saliency(30, 40, seed=1), random_saliency(30, 40, seed=2))
