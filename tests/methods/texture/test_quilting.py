"""Quilting: every pixel is a copy, nothing outside a hole changes, tiles have no seam."""

import pytest
import torch

from cnnart.errors import UsageError
from cnnart.methods.texture.canvas import apply_nnf
from cnnart.methods.texture.config import TextureConfig
from cnnart.methods.texture.guide import Guide
from cnnart.methods.texture.quilting import Quilting
from cnnart.methods.texture.seam_error import seam_error
from tests.helpers.textures import flat, grain, stripes

RED, BLUE, BLACK, WHITE = (1.0, 0.0, 0.0), (0.0, 0.0, 1.0), (0.0, 0.0, 0.0), (1.0, 1.0, 1.0)


def make(exemplars, size, weights=None, guide=None, inpaint=None, **settings):
    exemplars = exemplars if isinstance(exemplars, list) else [exemplars]
    weights = weights or [1.0] * len(exemplars)
    config = TextureConfig(**settings)
    work = Quilting(exemplars, weights, config, size=size, guide=guide, inpaint=inpaint)
    *_, last = work.steps()
    assert last.index == last.steps
    return work, work.finish(last.image)


@pytest.mark.parametrize("channels", [3, 4])
@pytest.mark.parametrize("tileable", ["none", "both"])
def test_every_pixel_is_a_copy(channels, tileable):
    exemplar = grain(40, 32, channels)
    work, image = make(exemplar, (36, 50), tileable=tileable)
    assert image.shape == (1, channels, 36, 50)
    assert work.nnf.shape == (36, 50, 3)
    assert torch.equal(apply_nnf([exemplar], work.nnf), image)


def test_the_same_seed_gives_the_same_picture_with_any_number_of_threads():
    exemplar, threads = grain(40, 40), torch.get_num_threads()
    first, second = make(exemplar, (44, 44), seed=3)[1], make(exemplar, (44, 44), seed=4)[1]
    try:
        torch.set_num_threads(threads + 1)
        again = make(exemplar, (44, 44), seed=3)[1]
    finally:
        torch.set_num_threads(threads)
    assert torch.equal(first, again)
    assert not torch.equal(first, second)


def test_a_pattern_goes_on_across_patches():
    """A cut between stripes that do not fit would leave a step larger than a stripe's own."""
    exemplar = stripes(40, 40)
    _, image = make(exemplar, (60, 50), patch=13)
    steepest = (exemplar[..., 1:] - exemplar[..., :-1]).abs().max()
    assert (image[..., 1:] - image[..., :-1]).abs().max() <= steepest + 1e-6
    assert (image[..., 1:, :] - image[..., :-1, :]).abs().max() <= steepest + 1e-6


@pytest.mark.parametrize(("tileable", "axes"), [("x", "x"), ("y", "y"), ("both", "xy")])
def test_a_tile_has_no_seam(tileable, axes):
    _, image = make(stripes(45, 45), (40, 48), patch=15, tileable=tileable)
    for axis in axes:
        assert abs(seam_error(image, axis)) < 0.03


@pytest.mark.parametrize("size", [20, 25, 32, 41, 50])
def test_no_straight_cut_from_end_to_end(size):
    """Pixels that were neighbors in the exemplar are so across the wrap as well, at most rows."""
    work, _ = make(grain(60, 60), (size, size), patch=20, tileable="both")
    nnf = work.nnf
    for axis in (0, 1):
        step = torch.tensor([0, 1 - axis, axis])
        torn = ((nnf - nnf.roll(1, axis) - step) != 0).any(-1).float().mean(1 - axis)
        assert float(torn[0]) < 0.6


def test_a_hole_is_filled_and_nothing_else_changes():
    photo, mask = grain(48, 64), torch.zeros(1, 1, 48, 64)
    mask[..., 10:30, 20:50] = 1
    scribbled = torch.where(mask > 0, torch.tensor([1.0, 0.0, 0.0]).view(1, 3, 1, 1), photo)
    work, image = make(scribbled, (48, 64), inpaint=(scribbled, mask), patch=9)
    inside = mask[0, 0] > 0
    assert torch.equal(image[..., ~inside], scribbled[..., ~inside])
    sources = work.nnf[inside]
    assert not bool(inside[sources[:, 1], sources[:, 2]].any())  # no scribble was copied
    assert torch.equal(image[0][:, inside], scribbled[0][:, sources[:, 1], sources[:, 2]])
    assert bool((work.nnf[~inside] == -1).all())


def test_a_pattern_goes_on_into_a_hole():
    photo, mask = stripes(64, 64), torch.zeros(1, 1, 64, 64)
    mask[..., 20:40, 25:45] = 1
    holed = torch.where(mask > 0, torch.zeros(()), photo)
    _, image = make(holed, (64, 64), inpaint=(holed, mask), patch=12)
    assert (image - photo).abs().max() < 1e-5


def test_exemplars_get_their_shares():
    work, image = make([flat(24, 24, RED), flat(30, 30, BLUE)], (160, 160), [3.0, 1.0], patch=16)
    share = float((work.nnf[..., 0] == 0).float().mean())
    assert share == pytest.approx(0.75, abs=0.1)
    assert float(image[0, 0].mean()) == pytest.approx(share)


def test_an_exemplar_without_weight_is_not_used():
    work, _ = make([grain(24, 24), grain(24, 24, seed=1)], (40, 40), [0.0, 1.0])
    assert bool((work.nnf[..., 0] == 1).all())


def test_a_guide_decides_what_goes_where():
    exemplar = torch.cat((flat(32, 32, RED), flat(32, 32, BLUE)), 3)
    source = torch.cat((flat(32, 32, BLACK), flat(32, 32, WHITE)), 3)
    target = torch.cat((flat(30, 48, WHITE), flat(22, 48, BLACK)), 2)
    _, image = make(exemplar, (52, 48), guide=Guide([source], target, 4.0), patch=8)
    blue = image[0, 2] > 0.5
    assert float(blue[:30].float().mean()) > 0.9
    assert float(blue[34:].float().mean()) < 0.1


def test_a_constant_exemplar_gives_a_constant_texture():
    _, image = make(flat(16, 16), (33, 21))
    assert torch.equal(image, flat(33, 21))


@pytest.mark.parametrize("size", [(1, 1), (1, 30), (40, 1)])
@pytest.mark.parametrize("tileable", ["none", "both"])
def test_the_smallest_textures(size, tileable):
    exemplar = grain(20, 20)
    work, image = make(exemplar, size, tileable=tileable)
    assert torch.equal(apply_nnf([exemplar], work.nnf), image)


def test_the_color_of_transparent_pixels_does_not_count():
    """The clear halves differ wildly in hidden color, so that it would decide if it counted."""
    exemplar = torch.cat((stripes(40, 40), torch.zeros(1, 1, 40, 40)), 1)
    exemplar[:, 3] = (stripes(40, 40)[:, 0] > 0.5).float()
    hidden = exemplar[:, 3:] == 0
    other = torch.cat((torch.where(hidden, grain(40, 40), exemplar[:, :3]), exemplar[:, 3:]), 1)
    first, second = make(exemplar, (40, 40))[0], make(other, (40, 40))[0]
    assert torch.equal(first.nnf, second.nnf)


def test_scale_enlarges_and_the_nnf_stays_in_the_exemplar():
    exemplar = stripes(24, 24)
    work, image = make(exemplar, (40, 40), scale=2.0)
    assert int(work.nnf[..., 1:].max()) <= 23
    assert float((apply_nnf([exemplar], work.nnf) - image).abs().mean()) < 0.1


ERRORS = [
    ({"exemplars": []}, "No exemplar given: name a picture of the texture."),
    (
        {"exemplars": [grain(24, 24), grain(24, 24, 4)], "weights": [1.0, 1.0]},
        "Some exemplars have transparency and some have not: convert them alike.",
    ),
    ({"weights": [1.0, 2.0]}, "2 weights for 1 exemplars: give one each."),
    (
        {"weights": [-1.0]},
        "The weights of the exemplars must not be negative, and not all zero.",
    ),
    (
        {"exemplars": [grain(7, 9)]},
        "An exemplar of 9x7 pixels is too small for a patch method: 8x8 at least. Enlarge it with "
        "`scale`.",
    ),
    (
        {"patch": 40},
        "A patch of 40 pixels does not fit into an exemplar whose short side is 24: use `patch` 8 "
        "or so.",
    ),
    ({"size": (0, 5)}, "A texture of 5x0 pixels has no pixels: ask for more."),
    (
        {"inpaint": (grain(24, 30), torch.zeros(1, 1, 24, 30))},
        "The picture to inpaint is 30x24 pixels, but the result 32x32 pixels: they must have the "
        "same size.",
    ),
    (
        {"inpaint": (grain(32, 32), torch.zeros(1, 1, 32, 32)), "scale": 2.0},
        "A picture to inpaint keeps its own scale: leave `scale` out.",
    ),
    (
        {"guide": Guide([grain(9, 24)], grain(32, 32))},
        "The guide map of exemplar 1 is 24x9, but must be 24x24: resize it.",
    ),
    (
        {"guide": Guide([], grain(32, 32))},
        "0 guide maps for 1 exemplars: give one for each.",
    ),
]


@pytest.mark.parametrize(("wrong", "sentence"), ERRORS)
def test_what_makes_no_sense_is_told(wrong, sentence):
    request = {"exemplars": [grain(24, 24)], "size": (32, 32), **wrong}
    with pytest.raises(UsageError) as error:
        make(request.pop("exemplars"), request.pop("size"), **request)
    assert str(error.value) == sentence


def test_a_mask_that_leaves_no_patch_is_told():
    photo, mask = grain(32, 32), torch.zeros(1, 1, 32, 32)
    mask[..., ::4, :] = 1
    with pytest.raises(UsageError, match="No 8x8 patch of the exemplar is free of the mask"):
        make(photo, (32, 32), inpaint=(photo, mask))
