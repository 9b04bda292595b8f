"""What each color mode promises."""

import pytest
import torch

from cnnart.errors import UsageError
from cnnart.methods.stylize.config import StylizeConfig
from cnnart.optim.color import (
    PaletteLoss,
    color_content,
    color_gaussian,
    color_result,
    color_style,
    keeps_photo_colors,
    luma,
)
from cnnart.settings import COLOR_MODES


def chroma(picture):
    """What a color is beside its lightness: differences that a change of luma leaves alone."""
    return picture[:, [0, 2]] - luma(picture)


def test_luma_is_that_of_jpeg():
    primaries = torch.eye(3).view(1, 3, 1, 3)
    torch.testing.assert_close(luma(primaries).flatten(), torch.tensor([0.299, 0.587, 0.114]))
    torch.testing.assert_close(luma(torch.full((1, 3, 2, 2), 0.6)), torch.full((1, 1, 2, 2), 0.6))


def test_style_changes_nothing(photo, painting_of):
    painting = painting_of(64, 80)
    assert color_style("style", painting, photo) is painting
    assert color_content("style", photo) is photo
    assert color_result("style", painting, photo) is painting


def test_luma_keeps_the_photos_chroma(photo, painting_of):
    picture = painting_of(64, 80)
    result = color_result("luma", picture, photo)
    free = ((result > 0) & (result < 1)).all(1, keepdim=True)
    assert free.float().mean() > 0.5
    difference = (chroma(result) - chroma(photo)).abs() * free
    assert difference.max() < 1e-5
    assert ((luma(result) - luma(picture)).abs() * free).max() < 1e-5
    assert result.min() >= 0
    assert result.max() <= 1


def test_luma_shows_the_network_gray_pictures(photo, painting):
    seen = color_style("luma", painting, photo)
    torch.testing.assert_close(seen[:, 0], seen[:, 1])
    torch.testing.assert_close(seen[:, 0], seen[:, 2])
    assert float(seen.mean()) == pytest.approx(float(luma(photo).mean()), abs=0.05)
    assert float(seen[:, 0].std()) == pytest.approx(float(luma(photo).std()), rel=0.2)
    gray = color_content("luma", photo)
    torch.testing.assert_close(gray, luma(photo).expand_as(photo))


def test_keep_gives_the_style_the_photos_palette(photo, painting):
    kept = color_style("keep", painting, photo)
    mean, covariance = color_gaussian(kept)
    expected_mean, expected_covariance = color_gaussian(photo)
    torch.testing.assert_close(mean, expected_mean, atol=0.02, rtol=0)
    torch.testing.assert_close(covariance, expected_covariance, atol=0.01, rtol=0)
    assert color_content("keep", photo) is photo
    assert color_result("keep", kept, photo) is kept


def test_keep_takes_the_colors_of_the_masked_part(photo, painting):
    mask = torch.zeros(1, 1, 64, 80)
    mask[..., 45:, :] = 1  # the hill
    kept = color_style("keep", painting, photo, mask)
    expected = photo[..., 45:, :].mean((0, 2, 3))
    torch.testing.assert_close(kept.mean((0, 2, 3)), expected, atol=0.02, rtol=0)
    assert (expected - photo.mean((0, 2, 3))).abs().max() > 0.1


def test_histogram_ends_with_the_photos_colors(photo, painting_of):
    picture = painting_of(64, 80)
    palette = PaletteLoss([(photo, 1.0)])
    assert float(palette(color_result("histogram", picture, photo))) < float(palette(picture)) / 5
    assert color_style("histogram", picture, photo) is picture
    assert color_content("histogram", photo) is photo


def test_which_modes_keep_the_photos_colors():
    assert [mode for mode in COLOR_MODES if keeps_photo_colors(mode)] == ["keep", "luma"]


def test_every_mode_is_known():
    for mode in COLOR_MODES:
        assert StylizeConfig(color=mode).color == mode


@pytest.mark.parametrize(
    ("mode", "hint"), [("kept", " Did you mean keep?"), ("histgram", " Did you mean histogram?")]
)
def test_unknown_mode(mode, hint):
    with pytest.raises(UsageError) as error:
        StylizeConfig(color=mode)
    expected = f"Unknown color mode {mode!r}: use style, keep, luma, histogram.{hint}"
    assert str(error.value) == expected
