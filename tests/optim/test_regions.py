"""Masks as regions: who gets which share of the picture."""

import pytest
import torch

from cnnart.optim.regions import StyleImage, coverage, style_regions

PICTURE = torch.full((1, 3, 8, 8), 0.5)


def style(mask=None, weight=1.0):
    return StyleImage(PICTURE, weight, mask)


def box(rows=slice(None), columns=slice(None), value=1.0, size=(20, 30)):
    mask = torch.zeros(1, 1, *size)
    mask[..., rows, columns] = value
    return mask


def test_without_masks_there_is_one_region():
    styles = [style(), style(weight=2.0)]
    (region,) = style_regions(styles, 20, 30)
    assert region.styles == tuple(styles)
    assert region.mask is None
    assert region.share == 1
    assert coverage([region]) is None


def test_free_styles_get_the_rest():
    masked, first, second = style(box(columns=slice(0, 10))), style(), style(weight=3.0)
    regions = style_regions([first, masked, second], 20, 30)
    assert [r.styles for r in regions] == [(masked,), (first, second)]
    assert [r.share for r in regions] == pytest.approx([1 / 3, 2 / 3])
    torch.testing.assert_close(regions[0].mask + regions[1].mask, torch.ones(1, 1, 20, 30))
    assert coverage(regions) is None


def test_overlapping_masks_share_their_pixels():
    left, right = box(columns=slice(0, 20)), box(columns=slice(10, 30))
    a, b = style_regions([style(left), style(right)], 20, 30)
    both = slice(10, 20)
    assert (a.mask[..., both] == 0.5).all()
    assert (b.mask[..., both] == 0.5).all()
    assert a.share == pytest.approx(0.5)
    assert a.share + b.share == pytest.approx(1)


def test_overlaps_are_divided_in_proportion():
    a, b = style_regions([style(box(value=1.0)), style(box(value=0.25))], 20, 30)
    assert a.share == pytest.approx(0.8)
    assert b.share == pytest.approx(0.2)


def test_faint_masks_leave_room_for_free_styles():
    """Half of a style is half of a style: it is not scaled up to the whole."""
    a, rest = style_regions([style(box(value=0.5)), style()], 20, 30)
    assert a.share == pytest.approx(0.5)
    assert rest.share == pytest.approx(0.5)


def test_masks_may_have_any_size():
    mask = box(rows=slice(0, 35), size=(70, 50))
    regions = style_regions([style(mask), style()], 20, 30)
    assert all(r.mask.shape == (1, 1, 20, 30) for r in regions)
    assert [r.share for r in regions] == pytest.approx([0.5, 0.5], abs=0.02)
    assert sum(r.share for r in regions) == pytest.approx(1, abs=1e-5)
    assert all(r.mask.min() >= 0 and r.mask.max() <= 1 for r in regions)


def test_regions_without_anything_are_dropped():
    full, empty = style(box()), style(box(value=0.0))
    assert [r.styles for r in style_regions([full, empty], 20, 30)] == [(full,)]
    assert [r.styles for r in style_regions([full, style()], 20, 30)] == [(full,)]
    assert style_regions([empty], 20, 30) == []


def test_coverage_of_a_part():
    mask = box(columns=slice(0, 10))
    regions = style_regions([style(mask)], 20, 30)
    assert regions[0].share == pytest.approx(1 / 3)
    torch.testing.assert_close(coverage(regions), mask)


def test_coverage_of_overlapping_parts():
    masks = [box(columns=slice(0, 10)), box(columns=slice(5, 15), value=0.5)]
    regions = style_regions([style(m) for m in masks], 20, 30)
    expected = torch.cat((torch.ones(1, 1, 20, 10), 0.5 * torch.ones(1, 1, 20, 5)), 3)
    torch.testing.assert_close(coverage(regions)[..., :15], expected)
    assert (coverage(regions)[..., 15:] == 0).all()


def test_coverage_of_nothing_and_of_everything():
    assert coverage([]) is None
    left, right = box(columns=slice(0, 10)), box(columns=slice(10, 30))
    assert coverage(style_regions([style(left), style(right)], 20, 30)) is None
