"""Fine detail against closed forms: what an octave holds, and what matching does to it."""

from __future__ import annotations

import pytest
import torch
import torch.nn.functional as F

from cnnart.optim.detail import LEAST, MOST_GAIN, detail_of, doubled, halved, match_detail
from tests.helpers.pictures import make_painting, make_photo

GRAY, RED = torch.ones(3), torch.tensor([2.0, -1.0, -1.0])  # without and with nothing but color


def checks(color: torch.Tensor, side: int, height: float = 0.1) -> torch.Tensor:
    """A checkerboard of squares of that side around a middle gray, in a direction of colors."""
    index = torch.arange(32) // side
    signs = 1.0 - 2.0 * ((index[:, None] + index) % 2)
    return 0.5 + height * color.view(1, 3, 1, 1) * signs


@pytest.mark.parametrize(
    ("picture", "expected"),
    [
        (checks(GRAY, 1), (0.1, 0, 0, 0)),
        (checks(GRAY, 2), (0, 0, 0.1, 0)),
        (checks(GRAY, 4), (0, 0, 0, 0)),  # too coarse for either octave
        (checks(RED, 1, 0.05), (0, 0.05 * 2**0.5, 0, 0)),
        (checks(RED, 2, 0.05), (0, 0, 0, 0.05 * 2**0.5)),
        (checks(GRAY, 1) + checks(RED, 2, 0.05) - 0.5, (0.1, 0, 0, 0.05 * 2**0.5)),
    ],
)
def test_each_number_is_of_its_octave_and_of_gray_or_color(
    picture: torch.Tensor, expected: tuple[float, ...]
) -> None:
    found = detail_of(picture)[0]
    assert torch.allclose(found, torch.tensor(expected).clamp_min(LEAST), atol=2e-4)


def test_detail_is_each_pictures_own_and_does_not_depend_on_what_is_coarse() -> None:
    photo, painting = make_photo(40, 56), make_painting(40, 56)
    both = detail_of(torch.cat((photo, painting)))
    assert torch.allclose(both[1:], detail_of(painting))
    ramp = torch.linspace(0, 0.01, 56)
    assert torch.allclose(detail_of(photo + ramp), detail_of(photo), rtol=0.02, atol=1e-4)


def test_a_picture_is_given_the_detail_that_is_wanted_and_keeps_what_is_coarse() -> None:
    photo = 0.5 + 0.1 * torch.randn(1, 3, 96, 80, generator=torch.Generator().manual_seed(0))
    own = detail_of(photo)
    for factors in ((0.5, 1, 1, 1), (1, 0.4, 1, 0.7), (1.3, 0.4, 0.8, 0.6)):
        wanted = own * torch.tensor([factors])
        found = match_detail(photo, wanted)
        # Octaves overlap: what is cut off as squares is put together smoothly.
        assert torch.allclose(detail_of(found), wanted, rtol=0.35)
        coarse = [F.avg_pool2d(p, 8) for p in (photo, found)]
        assert (coarse[0] - coarse[1]).abs().max() < 0.01


def test_what_has_the_detail_already_stays_as_it_is() -> None:
    painting = make_painting(41, 57)
    assert torch.allclose(match_detail(painting, detail_of(painting)), painting, atol=1e-5)


def test_nothing_is_raised_by_more_than_a_limit() -> None:
    photo = make_photo(64, 64)
    much = torch.full((1, 4), 10.0)
    assert torch.allclose(
        match_detail(photo, much), match_detail(photo, MOST_GAIN * detail_of(photo))
    )
    assert torch.allclose(match_detail(photo, much, most_gain=1.0), photo, atol=1e-5)
    sky = torch.full((1, 3, 16, 16), 0.6)
    assert torch.allclose(match_detail(sky, much), sky, atol=1e-5)


def test_a_share_goes_as_far() -> None:
    photo, wanted = make_photo(32, 48), 0.4 * detail_of(make_photo(32, 48))
    half = match_detail(photo, wanted, share=0.5)
    assert torch.allclose(half, 0.5 * (photo + match_detail(photo, wanted)), atol=1e-5)
    assert torch.allclose(match_detail(photo, wanted, share=0.0), photo, atol=1e-5)


@pytest.mark.parametrize("size", [(1, 1), (1, 7), (2, 3), (31, 5), (33, 64)])
def test_any_size_will_do(size: tuple[int, int]) -> None:
    picture = torch.rand(2, 3, *size, generator=torch.Generator().manual_seed(1))
    found = match_detail(picture, detail_of(make_painting()))
    assert found.shape == picture.shape
    assert found.isfinite().all()


@pytest.mark.parametrize("size", [(8, 6), (7, 9), (1, 1)])
def test_the_quick_ways_to_halve_and_double_are_torchs(size: tuple[int, int]) -> None:
    picture = torch.rand(2, 3, *size, generator=torch.Generator().manual_seed(2))
    with torch.no_grad():
        half = halved(picture)
        whole = doubled(half, size)
    assert torch.allclose(half, halved(picture))  # with gradients: torch's pooling
    assert torch.allclose(whole, doubled(half, size), atol=1e-6)
    assert half.shape[-2:] == (-(-size[0] // 2), -(-size[1] // 2))
    assert whole.shape == picture.shape
