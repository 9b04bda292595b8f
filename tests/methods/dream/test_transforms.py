"""Random transforms: where a picture goes, what comes in, and that gradients come back."""

import pytest
import torch

from cnnart.image.picture import center_crop
from cnnart.methods.dream.transforms import RandomTransform


def generator(seed=0):
    return torch.Generator().manual_seed(seed)


def test_nothing_to_do_returns_the_picture():
    picture = torch.rand(2, 3, 8, 9)
    assert torch.equal(RandomTransform()(picture, generator()), picture)


@pytest.mark.parametrize("transform", [RandomTransform(), RandomTransform(jitter=1e-9)])
def test_pictures_are_cut_from_the_middle_of_their_canvas(transform):
    canvas = torch.rand(1, 3, 20, 26, generator=generator(2))
    seen = transform(canvas, generator(), (12, 14))
    torch.testing.assert_close(seen, canvas[..., 4:16, 6:20], atol=1e-4, rtol=0)
    assert torch.equal(center_crop(canvas, 12, 14), canvas[..., 4:16, 6:20])


def test_the_margin_keeps_what_is_beyond_the_canvas_out_of_sight():
    """Usually: it is half of the farthest that a picture can be moved."""
    transform = RandomTransform(8, 0.1, 10)
    around = transform.margin(128, 100)
    white = torch.ones(1, 3, 128 + 2 * around, 100 + 2 * around)
    seen = [float(transform(white, generator(s), (128, 100)).mean()) for s in range(20)]
    assert sum(share > 0.995 for share in seen) >= 18
    assert RandomTransform().margin(128, 100) == 0


@pytest.mark.parametrize(
    "transform", [RandomTransform(jitter=3), RandomTransform(scale=0.2), RandomTransform(rotate=20)]
)
def test_a_constant_gray_stays(transform):
    gray = torch.full((1, 3, 12, 15), 0.5)
    torch.testing.assert_close(transform(gray, generator()), gray)


def test_the_same_seed_moves_the_whole_batch_alike():
    pictures = torch.rand(3, 3, 20, 16, generator=generator(1))
    transform = RandomTransform(2, 0.1, 10)
    together = transform(pictures, generator(7))
    for i in range(3):
        alone = transform(pictures[i : i + 1], generator(7))
        torch.testing.assert_close(together[i : i + 1], alone)
    assert not torch.equal(together, transform(pictures, generator(8)))


def ramp(height=24, width=36):
    """Channel 0 grows by one per column, channel 1 by one per row; the middle is gray."""
    y = torch.arange(height) - (height - 1) / 2
    x = torch.arange(width) - (width - 1) / 2
    rows, columns = torch.meshgrid(y, x, indexing="ij")
    return torch.stack([columns, rows])[None] + 0.5


@pytest.mark.parametrize("seed", range(5))
def test_jitter_moves_by_less_than_asked_and_turns_nothing(seed):
    moved = RandomTransform(jitter=3)(ramp(), generator(seed))[..., 8:-8, 8:-8]
    shift = (moved - ramp()[..., 8:-8, 8:-8]).flatten(2)
    assert float(shift.std(dim=2).max()) < 1e-4
    assert 0 < float(shift.abs().max()) <= 6


@pytest.mark.parametrize("seed", range(5))
def test_a_rotation_is_one_on_an_oblong_too(seed):
    moved = RandomTransform(rotate=10)(ramp(), generator(seed))
    x, y = (moved - 0.5)[0]
    right = torch.stack([x[12, 20] - x[12, 16], y[12, 20] - y[12, 16]]) / 4
    down = torch.stack([x[14, 18] - x[10, 18], y[14, 18] - y[10, 18]]) / 4
    assert float(right.norm()) == pytest.approx(1, abs=1e-4)
    assert float(down.norm()) == pytest.approx(1, abs=1e-4)
    assert float(right @ down) == pytest.approx(0, abs=1e-4)
    assert abs(float(torch.atan2(right[1], right[0]))) <= torch.pi * 10 / 180 + 1e-6


@pytest.mark.parametrize("seed", range(5))
def test_scale_stays_within_its_share(seed):
    moved = RandomTransform(scale=0.25)(ramp(), generator(seed))
    rate = float(moved[0, 0, 12, 20] - moved[0, 0, 12, 16]) / 4
    assert 1 / 1.25 <= rate <= 1.25
    assert rate != 1


def test_gradients_come_back():
    picture = torch.rand(1, 3, 16, 16, requires_grad=True)
    RandomTransform(2, 0.1, 10)(picture, generator()).sum().backward()
    assert float(picture.grad[..., 6:10, 6:10].abs().min()) > 0
