"""``cnnart.texture`` in Python."""

import numpy as np
import pytest
import torch
from PIL import Image

from cnnart.api import texture
from cnnart.errors import UsageError
from cnnart.optim.steps import Step

GRAM = {"method": "gram", "layers": "relu1_1,relu2_1", "preset": "draft", "steps": 2}
CPU = {"device": "cpu", "precision": "fp32"}


def to_array(painting):
    return (painting[0].permute(1, 2, 0).numpy() * 255).round().astype(np.uint8)


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
        ({"guide": torch.zeros(1, 3, 8, 8)}, "`guide` and `guide_target` belong together"),
        ({"sizes": 40}, "Unknown setting 'sizes'. Did you mean size?"),
        (
            {"method": "gram", "companions": [torch.zeros(1, 3, 72, 60)]},
            "`companion` needs a method that copies pixels",
        ),
        ({"companions": [torch.zeros(1, 3, 8, 8)]}, "companion 1: a map of 8x8 pixels"),
        ({"size": (40, 8)}, "A texture of 8x40 is too small: 16 pixels at least each way."),
        ({"method": "gram", "layers": "relu9_1"}, "vgg19 has no layer 'relu9_1'."),
    ],
)
def test_what_is_refused(painting, options, message):
    with pytest.raises(UsageError) as error:
        texture(painting, **{"size": (40, 40), "steps": 1, **options}, **CPU)
    assert message in str(error.value)
