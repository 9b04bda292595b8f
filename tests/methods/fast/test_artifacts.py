"""The detectors find what is planted, and nothing in pictures that are clean."""

from __future__ import annotations

import pytest
import torch

from cnnart.image.picture import luma
from cnnart.methods.fast.train.artifacts import checkerboard, defects, dots, grid_loss
from tests.helpers.pictures import make_painting, make_photo

PHOTO = make_photo(96, 128)


def board(period: int) -> torch.Tensor:
    y, x = torch.arange(96)[:, None], torch.arange(128)[None]
    return (((y * 2 // period) + (x * 2 // period)) % 2).float() - 0.5


@pytest.mark.parametrize("picture", [PHOTO, torch.rand(1, 3, 96, 128), make_painting(96, 128)])
def test_clean_pictures_have_no_checkerboard(picture: torch.Tensor) -> None:
    assert float(checkerboard(luma(picture))) < 0.12


@pytest.mark.parametrize("period", [2, 4])
def test_a_checkerboard_is_found(period: int) -> None:
    spoiled = (PHOTO + 0.15 * board(period)).clamp(0, 1)
    assert float(checkerboard(luma(spoiled))) > 0.5
    _, phrases = defects(spoiled, PHOTO, {})
    assert any("checkerboard" in phrase for phrase in phrases)


def test_a_grid_of_another_period_is_not_a_checkerboard() -> None:
    x = torch.arange(128)[None, None, None].float()
    waves = 0.5 + 0.2 * torch.sin(x * 2 * torch.pi / 7).expand(1, 1, 96, 128)
    assert float(checkerboard(waves)) < 0.1


def test_a_grid_in_color_alone_is_found() -> None:
    color = torch.tensor([1.0, -0.5087, 0.0])[None, :, None, None]  # of no luma
    spoiled = 0.5 + 0.2 * color * board(4)
    assert float(luma(spoiled).std()) < 0.01
    assert float(checkerboard(spoiled)) > 0.9


@pytest.mark.parametrize("period", [2, 4, 8])
def test_the_grid_loss_counts_what_repeats_on_the_grid(period: int) -> None:
    grid = 0.5 + 0.2 * board(period).expand(1, 1, 96, 128)
    noise = torch.rand(1, 1, 96, 128, generator=torch.Generator().manual_seed(0))
    noise = 0.5 + 0.1 * (noise - 0.5) / noise.std()
    x = torch.arange(128)[None, None, None].float()
    waves = 0.5 + 0.14 * torch.sin(x * 2 * torch.pi / 7).expand(1, 1, 96, 128)
    found = float(grid_loss(grid, 8))
    assert found > 5 * float(grid_loss(noise, 8))
    assert found > 5 * float(grid_loss(waves, 8))
    assert float(grid_loss(torch.full_like(grid, 0.3), 8)) < 1e-10


def test_dots_are_counted() -> None:
    spoiled = luma(PHOTO).clone() * 0.5
    spoiled[..., 10::24, 12::24] = 1
    assert float(dots(luma(PHOTO))) == 0
    assert float(dots(spoiled)) == pytest.approx(4 * 5 / (96 * 128), rel=0.3)


def test_what_the_painting_has_itself_is_no_defect() -> None:
    spoiled = (PHOTO + 0.15 * board(2)).clamp(0, 1)
    found, phrases = defects(spoiled, PHOTO, {"checkerboard": 1.0, "dots": 1.0})
    assert phrases == []
    assert found["checkerboard"] == 0


def test_dead_and_broken_outputs_are_named() -> None:
    _, phrases = defects(torch.full_like(PHOTO, 0.4), PHOTO, {})
    assert phrases == ["a picture of almost nothing"]
    _, phrases = defects(torch.full_like(PHOTO, float("nan")), PHOTO, {})
    assert phrases == ["values that are no numbers"]


def test_a_good_output_has_no_defects() -> None:
    _, phrases = defects(make_painting(96, 128), PHOTO, {})
    assert phrases == []
