"""An object of a class, cut out."""

from pathlib import Path

import pytest
import torch

from cnnart.errors import ImageError, UsageError
from cnnart.image.read import read_image
from cnnart.methods.inspect.class_mask import LONG_SIDE, SHORT_SIDE, _seen, class_mask

pytest.importorskip("sklearn")
COFFEE = Path(__file__).parents[3] / "examples" / "coffee.jpg"


def test_the_cup_is_cut_out():
    photo = torch.nn.functional.interpolate(read_image(COFFEE).rgb, size=(200, 300), mode="area")
    mask = class_mask(photo, "espresso", "coffee.jpg")
    assert mask.shape == (1, 1, 200, 300)
    assert float(mask[0, 0, 80, 145]) > 0.9  # in the cup
    assert float(mask[0, 0, 20, 20]) < 0.1  # on the table
    assert 0.1 < float(mask.mean()) < 0.7


def test_what_is_not_there_is_said_with_what_is():
    with pytest.raises(
        ImageError, match=r"^c\.jpg: no tabby found in it for `mask`; the classifier sees espresso"
    ):
        class_mask(read_image(COFFEE).rgb, "tabby", "c.jpg")
    with pytest.raises(UsageError, match="Unknown class"):
        class_mask(read_image(COFFEE).rgb, "tabbi", "c.jpg")


@pytest.mark.parametrize(
    ("shape", "seen"), [((600, 800), (256, 341)), ((300, 3000), (51, 512)), ((1, 1), (256, 256))]
)
def test_the_classifier_sees_all_of_a_photo(shape, seen):
    found = tuple(_seen(torch.zeros(1, 3, *shape)).shape[-2:])
    assert found == seen
    assert min(found) <= SHORT_SIDE
    assert max(found) <= LONG_SIDE
