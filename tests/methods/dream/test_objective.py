"""What a dream raises, against closed forms and finite differences, whole and in tiles."""

import pytest
import torch

from cnnart.methods.dream.objective import (
    DreamObjective,
    ObjectiveSpec,
    RandomShift,
    guide_vectors,
    guided_sum,
    reference_rms,
)
from cnnart.networks.vgg import FeatureExtractor

ONE = {"relu3_2": 1.0, "relu2_1": 1.0, "relu5_1": 1.0}


@pytest.fixture(scope="module")
def network(tiny):
    return FeatureExtractor(tiny)


def make(network, photo, spec, **more):
    return DreamObjective(network, spec, tuple(photo.shape[-2:]), ONE, **more)


def test_values_are_means_over_the_chosen_units(photo, network):
    units = network(photo, ["relu3_2"])["relu3_2"]
    for spec, expected in [
        (ObjectiveSpec({"relu3_2": 1.0}), units.square().mean()),
        (ObjectiveSpec({"relu3_2": 2.0}, kind="mean"), 2 * units.mean()),
        (ObjectiveSpec({"relu3_2": -1.0}, channels=(1, 4)), -units[:, [1, 4]].square().mean()),
        (
            ObjectiveSpec({"relu3_2": 1.0}, neuron=(0.5, 0.0), kind="mean"),
            units[0, :, 0, 10].mean(),
        ),
        (
            ObjectiveSpec({"relu3_2": 1.0}, neuron=(1.0, 1.0), kind="mean"),
            units[0, :, 15, 19].mean(),
        ),
    ]:
        values = make(network, photo, spec)(photo).losses
        assert values == {"relu3_2": pytest.approx(float(expected), rel=1e-5)}


def test_the_gradient_is_that_of_the_sum(photo, network):
    spec = ObjectiveSpec({"relu3_2": 1.0}, channels=(1, 4))
    leaf = photo.clone().requires_grad_(True)
    network(leaf, ["relu3_2"])["relu3_2"][:, [1, 4]].square().sum().backward()
    found = make(network, photo, spec)(photo).gradient
    assert torch.allclose(found / found.norm(), leaf.grad / leaf.grad.norm(), atol=1e-6)


def test_a_layer_counts_relative_to_its_reference_rms(photo, network):
    spec = ObjectiveSpec({"relu3_2": 1.0})
    rms = reference_rms(network, photo, ["relu3_2"])
    value = DreamObjective(network, spec, (64, 80), rms)(photo).losses["relu3_2"]
    assert value == pytest.approx(1.0, rel=1e-5)


def test_jitter_is_undone(photo, network):
    """Far from the borders a shift by whole units leaves the gradient where it was."""
    spec = ObjectiveSpec({"relu2_1": 1.0})
    still = make(network, photo, spec)(photo).gradient
    for seed in range(20):
        generator = torch.Generator().manual_seed(seed)
        shift = torch.randint(-6, 7, (2,), generator=torch.Generator().manual_seed(seed))
        moved = make(network, photo, spec, jitter=6, generator=generator)(photo).gradient
        if (shift % 2 == 0).all() and shift.any():
            inner = (..., slice(16, 48), slice(16, 64))
            assert torch.allclose(moved[inner], still[inner], rtol=1e-3, atol=1e-6)
            return
    raise AssertionError("no even shift was drawn")


@pytest.mark.parametrize(
    "spec",
    [
        ObjectiveSpec({"relu3_2": 1.0, "relu2_1": -0.5}),
        ObjectiveSpec({"relu5_1": 1.0}, channels=(0, 3), kind="mean"),
        ObjectiveSpec({"relu3_2": 1.0}, neuron=(0.4, 0.7)),
    ],
)
def test_tiles_give_the_gradient_of_the_whole(photo_of, network, spec):
    photo = photo_of(150, 210)  # neither a multiple of a tile nor of a stride
    whole = make(network, photo, spec)(photo)
    tiled = make(network, photo, spec, tile=64)
    assert len(tiled.tiles) > 4
    found = tiled(photo)
    error = (found.gradient - whole.gradient).norm() / whole.gradient.norm()
    assert float(error) < 1e-4
    assert found.losses == pytest.approx(whole.losses, rel=1e-4)


def test_tiles_give_the_gradient_of_the_whole_vgg(photo_of, features):
    photo = photo_of(128, 192)
    spec = ObjectiveSpec({"relu3_2": 1.0})
    whole = make(features, photo, spec)(photo).gradient
    tiled = make(features, photo, spec, tile=96)(photo).gradient
    assert float((tiled - whole).norm() / whole.norm()) < 1e-4


def test_guided_tiles_give_the_gradient_of_the_whole(photo_of, painting, network):
    photo = photo_of(150, 210)
    guides = guide_vectors(network, painting, ["relu3_2"])
    spec = ObjectiveSpec({"relu3_2": 1.0}, guides=guides)
    whole, tiled = (make(network, photo, spec, tile=tile)(photo) for tile in (0, 64))
    assert float((tiled.gradient - whole.gradient).norm() / whole.gradient.norm()) < 1e-4
    assert tiled.losses == pytest.approx(whole.losses, rel=1e-4)


def test_guide_vectors_have_length_one(painting, network):
    vectors = guide_vectors(network, painting, ["relu3_2"])["relu3_2"]
    assert vectors.shape == (18 * 15, 6)
    lengths = vectors.norm(dim=1)
    assert torch.allclose(lengths[lengths > 0], torch.tensor(1.0), atol=1e-5)


@pytest.mark.parametrize("cells", [1, 7, 1 << 24])
def test_guided_sum_takes_the_best_guide_for_each_place(monkeypatch, cells):
    monkeypatch.setattr("cnnart.methods.dream.objective.GUIDE_CELLS", cells)
    generator = torch.Generator().manual_seed(0)
    units = torch.randn(1, 4, 3, 5, generator=generator).requires_grad_(True)
    guides = torch.nn.functional.normalize(torch.randn(6, 4, generator=generator))
    best = torch.einsum("qc,chw->qhw", guides, units[0]).amax(0).sum()
    total = guided_sum(units, guides)
    assert float(total.detach()) == pytest.approx(float(best.detach()), rel=1e-5)
    (expected,) = torch.autograd.grad(best, units)
    (found,) = torch.autograd.grad(total, units)
    assert torch.allclose(found, expected)


def shifted(picture, most, seed):
    generator = torch.Generator().manual_seed(seed)
    shift = RandomShift(most, tuple(picture.shape[-2:]), generator, picture.device)
    shift.draw()
    return shift


def test_a_shift_mirrors_what_comes_in():
    picture = torch.arange(20.0).view(1, 1, 4, 5)
    for seed in range(9):
        down, right = torch.randint(-2, 3, (2,), generator=torch.Generator().manual_seed(seed))
        moved = shifted(picture, 2, seed)(picture)
        for y in range(4):
            for x in range(5):
                row, column = int(y - down), int(x - right)
                row = -row if row < 0 else 6 - row if row > 3 else row
                column = -column if column < 0 else 8 - column if column > 4 else column
                assert moved[0, 0, y, x] == picture[0, 0, row, column]


@pytest.mark.parametrize("most", [0, 2, 3, 32])
def test_a_shifted_gradient_is_what_autograd_says(most):
    """To the last bit: pictures of versions before were made with it."""
    rng = torch.Generator().manual_seed(9)
    picture = torch.rand(1, 3, 4, 6, generator=rng).requires_grad_(True)
    gradient = torch.randn(picture.shape, generator=rng)
    for seed in range(12):
        shift = shifted(picture, most, seed)
        (expected,) = torch.autograd.grad(shift(picture), picture, gradient)
        assert torch.equal(shift.back(gradient), expected)


def test_a_shift_beyond_a_small_picture_is_cut():
    picture = torch.rand(1, 3, 5, 3)
    moved = [shifted(picture, 32, seed)(picture) for seed in range(9)]
    assert {m.shape for m in moved} == {picture.shape}
    assert any(not torch.equal(m, picture) for m in moved)
