"""Transparency: exemplars on a background of a color of their own, and back."""

import torch

from cnnart.image.picture import Picture
from cnnart.methods.texture.alpha import MatteBackground, background_color


def leaf(height=40, width=48):
    """A green disc on nothing, in black."""
    y, x = torch.arange(height)[:, None], torch.arange(width)[None]
    alpha = (((y - 20) ** 2 + (x - 24) ** 2) < 200).float()[None, None]
    return Picture(torch.tensor([0.2, 0.7, 0.1]).view(1, 3, 1, 1) * alpha, alpha)


def test_the_background_has_a_color_that_the_picture_has_not():
    picture = leaf()
    color = background_color([picture.rgb], [picture.alpha])
    assert color.flatten().tolist() == [1.0, 0.0, 1.0]


def test_alpha_and_color_are_found_again():
    """From the exemplar on its background: its own alpha, and its own color where there is any."""
    picture = leaf()
    background = MatteBackground([picture])
    found = background.recover_alpha(background.exemplars[0], (False, False), 0)
    assert (found[:, 3:] - picture.alpha).abs().mean() < 0.02
    visible = (picture.alpha > 0.5).expand_as(picture.rgb)
    assert (found[:, :3] - picture.rgb)[visible].abs().mean() < 0.02


def test_an_alpha_that_is_the_same_everywhere_stays_that():
    picture = Picture(torch.rand(1, 3, 20, 20), torch.full((1, 1, 20, 20), 0.5))
    background = MatteBackground([picture])
    assert background.is_needed
    assert torch.equal(background.exemplars[0], picture.rgb)
    found = background.recover_alpha(torch.rand(1, 3, 30, 30), (False, False), 0)
    assert (found[:, 3] == 0.5).all()
    assert not MatteBackground([Picture(picture.rgb)]).is_needed
