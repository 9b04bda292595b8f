"""Which method suits which exemplar."""

import pytest
import torch

from cnnart.methods.texture.config import TextureConfig
from cnnart.methods.texture.regularity import autocorrelation, choose_method, regularity
from tests.helpers.textures import bricks, flat, grain, stripes


def choose(exemplar, *, companions=False, guided=False, **settings):
    config = TextureConfig(**settings)
    return choose_method(exemplar, config, companions=companions, guided=guided)


def test_a_periodic_picture_is_exactly_regular():
    assert regularity(stripes(96, 96)) == pytest.approx(1, abs=0.02)


def test_noise_is_not_regular():
    assert regularity(grain(128, 128)) < 0.1


def test_a_constant_picture_has_no_pattern():
    assert regularity(flat(64, 64)) == 0


def test_autocorrelation_is_one_at_no_shift_and_at_each_period():
    plane = (torch.arange(48, dtype=torch.float64) % 12 - 5.5).expand(48, 48)
    found = autocorrelation(plane)
    assert float(found[24, 24]) == pytest.approx(1)
    assert float(found[24, 36]) == pytest.approx(1)
    assert float(found[30, 12]) == pytest.approx(1)
    assert float(found[24, 30]) < 0


def test_light_and_shade_are_no_pattern():
    shade = torch.linspace(0, 0.5, 128).expand(1, 3, 128, 128)
    assert regularity(0.5 * grain(128, 128) + shade) < 0.1


@pytest.mark.parametrize(
    ("exemplar", "more", "method", "why"),
    [
        (grain(64, 64), {"companions": True}, "quilting", "companion maps"),
        (grain(64, 64), {"guided": True}, "quilting", "guide map"),
        (grain(20, 64), {}, "quilting", "too small for a network"),
        (bricks(), {}, "quilting", "the pattern repeats"),
        (grain(64, 64), {"size": (4000, 4000)}, "quilting", "without a GPU"),
        (grain(64, 64), {}, "gram", "no strict pattern"),
    ],
)
def test_the_method_and_why(exemplar, more, method, why):
    chosen, reason = choose(exemplar, **more)
    assert chosen == method
    assert why in reason
    assert "\n" not in reason
