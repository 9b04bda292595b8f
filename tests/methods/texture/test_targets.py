"""What a neural texture aims at: guides, masks, and exemplars without a border."""

import pytest
import torch

from cnnart.methods.texture.guide import Guide, label_maps
from cnnart.methods.texture.targets import (
    Exemplar,
    guided_targets,
    mirrored,
    mixed_moments,
)


def colored(labels, colors):
    return torch.tensor(colors)[torch.tensor(labels)].permute(2, 0, 1)[None]


COLORS = [[0.0, 0.0, 0.0], [1.0, 0.0, 0.0], [0.0, 0.0, 1.0]]


def test_maps_become_the_same_labels():
    source = colored([[0] * 30 + [1] * 30] * 40, COLORS)
    target = colored([[1] * 20 + [0] * 50] * 10, COLORS)
    (found,), wanted, count = label_maps(Guide([source], target))
    assert count == 2
    assert (found[:, :30] == wanted[0, 20]).all()
    assert (found[:, 30:] == wanted[0, 0]).all()
    assert found[0, 0] != found[0, 30]
    assert len(wanted.unique()) == 2


def test_a_color_that_the_exemplar_does_not_have_goes_to_its_nearest():
    """And so do shades, as a JPEG or a soft brush makes them."""
    source = colored([[0] * 30 + [1] * 30] * 40, COLORS)
    noise = 0.03 * torch.randn(source.shape, generator=torch.Generator().manual_seed(0))
    target = colored([[1] * 20 + [2] * 50] * 10, [*COLORS[:2], [0.9, 0.2, 0.1]])
    (found,), wanted, count = label_maps(Guide([(source + noise).clamp(0, 1)], target))
    assert count == 2
    assert (wanted == found[0, 59]).all()


def test_targets_share_the_result_and_take_after_their_own(painting):
    source = colored([[0] * 30 + [1] * 30] * 72, COLORS)
    target = colored([[1] * 20 + [0] * 60] * 10, COLORS)
    targets = guided_targets(Guide([source], target), [Exemplar(painting)])
    assert sorted(region.share for region in targets) == pytest.approx([0.25, 0.75])
    assert torch.stack([region.mask for region in targets]).sum(0).eq(1).all()
    for region in targets:
        (exemplar,) = region.exemplars
        assert float(exemplar.mask.mean()) == pytest.approx(0.5)
    half = guided_targets(Guide([source], target, 0.5), [Exemplar(painting)])
    assert [e.mask is None for e in half[0].exemplars] == [False, True]
    assert half[0].exemplars[0].weight == pytest.approx(half[0].exemplars[1].weight)


def test_mirror_images_all_around():
    image = torch.arange(3.0).view(1, 1, 1, 3).expand(1, 3, 1, 3)
    found = mirrored(image, 5)
    assert found.shape == (1, 3, 11, 13)
    assert found[0, 0, 0].tolist() == [1, 2, 2, 1, 0, 0, 1, 2, 2, 1, 0, 0, 1]


def test_moments_of_a_constant_do_not_know_the_border(features):
    """Zeros around an exemplar would be texture: all units of a gray picture are the same."""
    gray = Exemplar(torch.full((1, 3, 32, 48), 0.5))
    for layer, found in mixed_moments(features, [gray], ["relu2_1", "relu5_1"], 0).items():
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
