"""``cnnart.texture`` in Python; guides, holes and transparency on their own."""

import numpy as np
import pytest
import torch
from PIL import Image

from cnnart.errors import UsageError
from cnnart.image import Picture
from cnnart.optimize import Step
from cnnart.textures.alpha import Ground, ground_colour
from cnnart.textures.api import texture
from cnnart.textures.guide import Guide
from cnnart.textures.guided import guided_parts, label_maps
from cnnart.textures.inpaint import CONTEXT, MARGIN, find_hole
from cnnart.textures.parts import Exemplar, mirrored, mixed_moments

GRAM = {"method": "gram", "layers": "relu1_1,relu2_1", "preset": "draft", "steps": 2}
CPU = {"device": "cpu", "precision": "fp32"}


def to_array(painting):
    return (painting[0].permute(1, 2, 0).numpy() * 255).round().astype(np.uint8)


# The function.


def test_any_kind_of_picture_in_an_image_out(painting):
    for exemplar in (painting, to_array(painting), Image.fromarray(to_array(painting))):
        result = texture(exemplar, size=(40, 50), **GRAM, **CPU)
        assert result.size == (50, 40)
        assert result.mode == "RGB"


def test_a_mixture_by_pairs_and_a_callback_that_stops(painting_of):
    steps: list[Step] = []

    def stop(step):
        steps.append(step)
        return len(steps) < 2

    pairs = [(painting_of(), 3), painting_of(seed=4)]
    texture(pairs, size=(40, 40), callback=stop, **{**GRAM, "steps": 9}, **CPU)
    assert len(steps) == 2


def test_companions_come_with_it(painting):
    made = texture(painting, size=48, method="quilting", companions=[painting], **CPU)
    result, copy = (np.asarray(image).astype(int) for image in made)
    assert np.abs(result - copy).max() <= 1


def test_transparency_comes_with_it(painting):
    alpha = np.zeros((*painting.shape[-2:], 1), np.uint8)
    alpha[20:50, 10:40] = 255
    exemplar = Image.fromarray(np.concatenate([to_array(painting), alpha], -1))
    for method in ({"method": "quilting"}, GRAM):
        result = texture(exemplar, size=(48, 48), **method, **CPU)
        assert result.mode == "RGBA"


def test_a_ladder_has_a_rung_for_each_layer(painting):
    names = []
    sheet = texture(painting, size=(40, 40), ladder=True, **GRAM, **CPU, callback=names.append)
    assert sheet.width > 3 * 40
    indices = [step.index for step in names]
    assert indices == list(range(1, len(indices) + 1))
    assert names[-1].steps == len(names)


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"guide": torch.zeros(1, 3, 8, 8)}, "guide and guide_target belong together"),
        ({"sizes": 40}, "Unknown setting 'sizes'. Did you mean size?"),
        ({"method": "gram", "companions": [torch.zeros(1, 3, 72, 60)]}, "copies no pixels"),
        ({"companions": [torch.zeros(1, 3, 8, 8)]}, "companion 1: a map of 8x8 pixels"),
        ({"size": (40, 8)}, "A texture of 8x40 is too small: 16 pixels at least each way."),
        ({"method": "gram", "layers": "relu9_1"}, "vgg19 has no layer 'relu9_1'."),
    ],
)
def test_what_is_refused(painting, options, message):
    with pytest.raises(UsageError) as error:
        texture(painting, **{"size": (40, 40), "steps": 1, **options}, **CPU)
    assert message in str(error.value)


# Guides.


def coloured(labels, colours):
    return torch.tensor(colours)[torch.tensor(labels)].permute(2, 0, 1)[None]


COLOURS = [[0.0, 0.0, 0.0], [1.0, 0.0, 0.0], [0.0, 0.0, 1.0]]


def test_maps_become_the_same_labels():
    source = coloured([[0] * 30 + [1] * 30] * 40, COLOURS)
    target = coloured([[1] * 20 + [0] * 50] * 10, COLOURS)
    (found,), wanted, count = label_maps(Guide([source], target))
    assert count == 2
    assert (found[:, :30] == wanted[0, 20]).all()
    assert (found[:, 30:] == wanted[0, 0]).all()
    assert found[0, 0] != found[0, 30]
    assert len(wanted.unique()) == 2


def test_a_colour_that_the_exemplar_does_not_have_goes_to_its_nearest():
    """And so do shades, as a JPEG or a soft brush makes them."""
    source = coloured([[0] * 30 + [1] * 30] * 40, COLOURS)
    noise = 0.03 * torch.randn(source.shape, generator=torch.Generator().manual_seed(0))
    target = coloured([[1] * 20 + [2] * 50] * 10, [*COLOURS[:2], [0.9, 0.2, 0.1]])
    (found,), wanted, count = label_maps(Guide([(source + noise).clamp(0, 1)], target))
    assert count == 2
    assert (wanted == found[0, 59]).all()


def test_parts_share_the_result_and_take_after_their_own(painting):
    source = coloured([[0] * 30 + [1] * 30] * 72, COLOURS)
    target = coloured([[1] * 20 + [0] * 60] * 10, COLOURS)
    parts = guided_parts(Guide([source], target), [Exemplar(painting)])
    assert sorted(part.share for part in parts) == pytest.approx([0.25, 0.75])
    assert torch.stack([part.mask for part in parts]).sum(0).eq(1).all()
    for part in parts:
        (exemplar,) = part.exemplars
        assert float(exemplar.mask.mean()) == pytest.approx(0.5)
    half = guided_parts(Guide([source], target, 0.5), [Exemplar(painting)])
    assert [e.mask is None for e in half[0].exemplars] == [False, True]
    assert half[0].exemplars[0].weight == pytest.approx(half[0].exemplars[1].weight)


# Exemplars.


def test_mirror_images_all_around():
    image = torch.arange(3.0).view(1, 1, 1, 3).expand(1, 3, 1, 3)
    found = mirrored(image, 5)
    assert found.shape == (1, 3, 11, 13)
    assert found[0, 0, 0].tolist() == [1, 2, 2, 1, 0, 0, 1, 2, 2, 1, 0, 0, 1]


def test_moments_of_a_constant_do_not_know_the_border(features):
    """Zeros around an exemplar would be texture: all units of a grey picture are the same."""
    grey = Exemplar(torch.full((1, 3, 32, 48), 0.5))
    for layer, found in mixed_moments(features, [grey], ["relu2_1", "relu5_1"], 0).items():
        spread = found.covariance().norm() / found.gram().norm()
        assert float(found.mass) == 1
        assert float(spread) < 1e-4, layer


def test_a_mask_says_what_counts(features, painting_of):
    """Of a picture of two halves, each masked half has its own moments."""
    left, right = painting_of(64, 64), painting_of(64, 64, 5, (0.1, 0.3, 0.9))
    both = torch.cat((left, right), -1)
    mask = torch.zeros(1, 1, 64, 128)
    mask[..., :64] = 1
    found = mixed_moments(features, [Exemplar(both, 1.0, mask)], ["relu2_1"], 0)["relu2_1"]
    own, other = (
        mixed_moments(features, [Exemplar(half)], ["relu2_1"], 0)["relu2_1"]
        for half in (left, right)
    )
    away = [float((found.gram() - m.gram()).norm() / m.gram().norm()) for m in (own, other)]
    assert away[0] < 0.05 < 0.2 < away[1]


# Holes.


def test_the_window_of_a_hole():
    picture, mask = torch.rand(1, 3, 400, 500), torch.zeros(1, 1, 400, 500)
    mask[..., 200:210, 20:40] = 1
    hole = find_hole(picture, mask, (False, False))
    assert hole.rows == slice(200 - CONTEXT, 210 + CONTEXT)
    assert hole.columns == slice(0, 40 + CONTEXT)
    assert find_hole(picture, mask, (False, True)).columns == slice(0, 500)
    counted = hole.counted
    assert counted.shape[-2:] == hole.size
    assert float(counted.sum()) == (10 + 2 * MARGIN) * (20 + 2 * MARGIN)
    assert float(hole.inside(hole.size).sum()) == 200


def test_a_hole_at_the_border_counts_on_the_other_side_too():
    picture, mask = torch.rand(1, 3, 100, 200), torch.zeros(1, 1, 100, 200)
    mask[..., 40:50, :4] = 1
    counted = find_hole(picture, mask, (False, True)).counted
    assert float(counted[0, 0, 45].sum()) == 4 + 2 * MARGIN
    assert counted[0, 0, 45, -1] == 1


def test_a_soft_mask_blends():
    picture, mask = torch.zeros(1, 3, 60, 60), torch.zeros(1, 1, 60, 60)
    mask[..., 20:40, 20:40] = 0.5
    hole = find_hole(picture, mask, (False, False))
    result = hole.paste(torch.ones(1, 3, *hole.size))
    assert float(result[0, 0, 30, 30]) == 0.5
    assert float(result.sum()) == 3 * 400 * 0.5


# Transparency.


def leaf(height=40, width=48):
    """A green disc on nothing, in black."""
    y, x = torch.arange(height)[:, None], torch.arange(width)[None]
    alpha = (((y - 20) ** 2 + (x - 24) ** 2) < 200).float()[None, None]
    return Picture(torch.tensor([0.2, 0.7, 0.1]).view(1, 3, 1, 1) * alpha, alpha)


def test_the_ground_has_a_colour_that_the_picture_has_not():
    picture = leaf()
    colour = ground_colour([picture.rgb], [picture.alpha])
    assert colour.flatten().tolist() == [1.0, 0.0, 1.0]


def test_alpha_and_colour_are_found_again():
    """From the exemplar on its ground: its own alpha, and its own colour where there is any."""
    picture = leaf()
    ground = Ground([picture])
    found = ground.find(ground.exemplars[0], (False, False), 0)
    assert (found[:, 3:] - picture.alpha).abs().mean() < 0.02
    visible = (picture.alpha > 0.5).expand_as(picture.rgb)
    assert (found[:, :3] - picture.rgb)[visible].abs().mean() < 0.02


def test_an_alpha_that_is_the_same_everywhere_stays_that():
    picture = Picture(torch.rand(1, 3, 20, 20), torch.full((1, 1, 20, 20), 0.5))
    ground = Ground([picture])
    assert ground.is_needed
    assert torch.equal(ground.exemplars[0], picture.rgb)
    found = ground.find(torch.rand(1, 3, 30, 30), (False, False), 0)
    assert (found[:, 3] == 0.5).all()
    assert not Ground([Picture(picture.rgb)]).is_needed
