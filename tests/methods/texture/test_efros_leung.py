"""Efros and Leung: copies of single pixels, grown from what is known."""

import pytest
import torch

from cnnart.errors import UsageError
from cnnart.methods.texture.canvas import apply_nnf
from cnnart.methods.texture.config import TextureConfig
from cnnart.methods.texture.efros_leung import EfrosLeung, Neighborhoods, Queries, gaussian
from cnnart.methods.texture.exemplars import PatchInputs, color_levels
from cnnart.methods.texture.guide import Guide
from cnnart.methods.texture.seam_error import seam_error
from tests.helpers.textures import flat, grain, stripes


def make(exemplars, size, weights=None, guide=None, inpaint=None, **settings):
    exemplars = exemplars if isinstance(exemplars, list) else [exemplars]
    weights = weights or [1.0] * len(exemplars)
    config = TextureConfig(**settings)
    work = EfrosLeung(exemplars, weights, config, size=size, guide=guide, inpaint=inpaint)
    steps = list(work.steps())
    assert steps[-1].index == steps[-1].steps
    return work, work.finish(steps[-1].image)


@pytest.mark.parametrize("channels", [3, 4])
@pytest.mark.parametrize("tileable", ["none", "both"])
def test_every_pixel_is_a_copy(channels, tileable):
    exemplar = grain(16, 14, channels)
    work, image = make(exemplar, (18, 21), tileable=tileable, patch=5)
    assert image.shape == (1, channels, 18, 21)
    assert torch.equal(apply_nnf([exemplar], work.nnf), image)


def test_the_same_seed_gives_the_same_picture_with_any_number_of_threads():
    exemplar, threads = grain(16, 16), torch.get_num_threads()
    first, second = make(exemplar, (16, 16), seed=3)[1], make(exemplar, (16, 16), seed=4)[1]
    try:
        torch.set_num_threads(threads + 1)
        again = make(exemplar, (16, 16), seed=3)[1]
    finally:
        torch.set_num_threads(threads)
    assert torch.equal(first, again)
    assert not torch.equal(first, second)


def test_a_pattern_grows_on_as_it_is():
    """Whatever stripe the seed is from, all pixels must follow."""
    _, image = make(stripes(24, 24), (32, 32), patch=9)
    matches = [(image - stripes(64, 64)[..., k : k + 32, :32]).abs().max() for k in range(8)]
    assert min(matches) < 1e-5


@pytest.mark.parametrize(("tileable", "axes"), [("x", "x"), ("y", "y"), ("both", "xy")])
def test_a_tile_has_no_seam(tileable, axes):
    _, image = make(stripes(24, 24), (32, 40), patch=9, tileable=tileable)
    for axis in axes:
        assert abs(seam_error(image, axis)) < 0.03


def test_a_hole_is_filled_from_its_border_and_nothing_else_changes():
    photo, mask = stripes(32, 40), torch.zeros(1, 1, 32, 40)
    mask[..., 10:22, 12:26] = 1
    holed = torch.where(mask > 0, torch.zeros(()), photo)
    work, image = make(holed, (32, 40), inpaint=(holed, mask), patch=7)
    inside = mask[0, 0] > 0
    assert (image - photo).abs().max() < 1e-5
    assert torch.equal(image[..., ~inside], photo[..., ~inside])
    sources = work.nnf[inside]
    assert not bool(inside[sources[:, 1], sources[:, 2]].any())


def test_pixels_filled_at_once_do_not_see_each_other():
    work = EfrosLeung([grain(16, 16)], [1.0], TextureConfig(patch=5), size=(24, 24))
    before = work.nnf[..., 0]
    for _ in work.steps():
        now = work.nnf[..., 0]
        new = torch.nonzero((now >= 0) & (before < 0))
        before = now
        if len(new) == 9:  # the seed
            continue
        apart = (new[:, None] - new[None]).abs().amax(2) + 99 * torch.eye(len(new), dtype=int)
        assert int(apart.min()) > 2


def test_the_best_window_is_found_by_its_known_pixels_only():
    exemplar = PatchInputs([grain(12, 12)], [1.0], (8, 8)).read(color_levels, 1.0)[0]
    neighborhoods = Neighborhoods([exemplar], 5, None)
    levels, known = (
        exemplar.levels[None, :, 3:8, 4:9].clone(),
        torch.ones(1, 5, 5, dtype=torch.bool),
    )
    known[:, 2:] = False
    levels[:, :, 2:] = 77.0  # unknown: whatever lies there
    zero = torch.zeros(1, dtype=torch.int64)
    nnf, error = neighborhoods.choose(Queries(levels, known, zero, zero, zero), torch.zeros(1))
    assert nnf.tolist() == [[0, 5, 6]]
    assert float(error) == 0


def test_near_neighbors_count_more_and_all_count():
    weights = gaussian(7)
    assert float(weights[3, 3]) == float(weights.max())
    assert float(weights.min()) >= 1
    assert torch.equal(weights, weights.round())
    assert bool((weights[3, 3:].diff() < 0).all())


def test_exemplars_get_their_shares():
    red, blue = flat(12, 12, (1.0, 0.0, 0.0)), flat(12, 12, (0.0, 0.0, 1.0))
    work, _ = make([red, blue], (40, 40), [3.0, 1.0], patch=3)
    share = float((work.nnf[..., 0] == 0).float().mean())
    assert share == pytest.approx(0.75, abs=0.1)


def test_a_guide_decides_what_goes_where():
    exemplar = torch.cat((flat(14, 14, (1.0, 0.0, 0.0)), flat(14, 14, (0.0, 0.0, 1.0))), 3)
    source = torch.cat((flat(14, 14, (0.0, 0.0, 0.0)), flat(14, 14, (1.0, 1.0, 1.0))), 3)
    target = torch.cat((flat(12, 24, (1.0, 1.0, 1.0)), flat(12, 24, (0.0, 0.0, 0.0))), 2)
    _, image = make(exemplar, (24, 24), guide=Guide([source], target, 8.0), patch=3)
    assert float(image[0, 2, :11].mean()) > 0.95
    assert float(image[0, 2, 13:].mean()) < 0.05


@pytest.mark.parametrize("size", [(1, 1), (1, 9), (8, 2)])
@pytest.mark.parametrize("tileable", ["none", "both"])
def test_the_smallest_textures(size, tileable):
    exemplar = grain(9, 9)
    work, image = make(exemplar, size, tileable=tileable)
    assert torch.equal(apply_nnf([exemplar], work.nnf), image)


@pytest.mark.parametrize(
    ("request_", "sentence"),
    [
        (
            {"exemplar": grain(12, 12), "patch": 14},
            "A neighborhood of 15 pixels does not fit into an exemplar whose short side is 12: "
            "use a smaller `patch`.",
        ),
        (
            {"exemplar": grain(4, 12)},
            "An exemplar of 12x4 pixels is too small for a patch method: 8x8 at least. Enlarge it "
            "with `scale`.",
        ),
    ],
)
def test_what_makes_no_sense_is_told(request_, sentence):
    with pytest.raises(UsageError) as error:
        make(request_.pop("exemplar"), (16, 16), **request_)
    assert str(error.value) == sentence


def test_a_mask_that_leaves_no_neighborhood_is_told():
    photo, mask = grain(16, 16), torch.zeros(1, 1, 16, 16)
    mask[..., ::2, :] = 1
    with pytest.raises(UsageError, match="No neighborhood of 5 pixels in the exemplar is free"):
        make(photo, (16, 16), inpaint=(photo, mask))
