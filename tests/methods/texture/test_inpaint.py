"""The window of a picture that is inpainted by a network."""

import torch

from cnnart.methods.texture.inpaint import CONTEXT, MARGIN, inpaint_mask


def test_the_window_of_a_hole():
    picture, mask = torch.rand(1, 3, 400, 500), torch.zeros(1, 1, 400, 500)
    mask[..., 200:210, 20:40] = 1
    inpaint = inpaint_mask(picture, mask, (False, False))
    assert inpaint.rows == slice(200 - CONTEXT, 210 + CONTEXT)
    assert inpaint.columns == slice(0, 40 + CONTEXT)
    assert inpaint_mask(picture, mask, (False, True)).columns == slice(0, 500)
    counted = inpaint.counted
    assert counted.shape[-2:] == inpaint.size
    assert float(counted.sum()) == (10 + 2 * MARGIN) * (20 + 2 * MARGIN)
    assert float(inpaint.inside(inpaint.size).sum()) == 200


def test_a_hole_at_the_border_counts_on_the_other_side_too():
    picture, mask = torch.rand(1, 3, 100, 200), torch.zeros(1, 1, 100, 200)
    mask[..., 40:50, :4] = 1
    counted = inpaint_mask(picture, mask, (False, True)).counted
    assert float(counted[0, 0, 45].sum()) == 4 + 2 * MARGIN
    assert counted[0, 0, 45, -1] == 1


def test_a_soft_mask_blends():
    picture, mask = torch.zeros(1, 3, 60, 60), torch.zeros(1, 1, 60, 60)
    mask[..., 20:40, 20:40] = 0.5
    inpaint = inpaint_mask(picture, mask, (False, False))
    result = inpaint.composite(torch.ones(1, 3, *inpaint.size))
    assert float(result[0, 0, 30, 30]) == 0.5
    assert float(result.sum()) == 3 * 400 * 0.5
