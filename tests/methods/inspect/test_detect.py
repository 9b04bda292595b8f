"""Detection: what is sure enough, in order, in colors over the photo."""

import torch

from cnnart.methods.inspect.boxes import color_of
from cnnart.methods.inspect.config import DetectConfig
from cnnart.methods.inspect.detect import detect, detection_finding
from cnnart.networks.detection import Detection, Detector


def things(mask=None):
    return [
        Detection("cat", 0.4, (0, 0, 10, 10), mask),
        Detection("dog", 0.9, (20, 10, 40, 30), mask),
        Detection("cat", 0.8, (50, 10, 70, 30), mask),
    ]


def detector(mask=None):
    return Detector("fake", lambda photo: things(mask))


def test_the_surest_first_and_not_too_many():
    photo = torch.ones(1, 3, 40, 80)
    found = detect(detector(), photo, DetectConfig())
    assert [(thing.name, thing.score) for thing in found] == [("dog", 0.9), ("cat", 0.8)]
    assert len(detect(detector(), photo, DetectConfig(score=0))) == 3
    assert len(detect(detector(), photo, DetectConfig(score=0, most=1))) == 1


def test_lines_numbers_and_boxes_at_the_size_shown():
    photo, shown = torch.ones(1, 3, 40, 80), torch.ones(1, 3, 80, 160)
    found = detection_finding(detector(), DetectConfig(), "a.png", photo, shown)
    assert found.line == "a.png: dog 90%, cat 80%"
    assert found.numbers["found"] == 2
    assert found.numbers["detections"][0] == {
        "name": "dog", "score": 0.9, "left": 20, "top": 10, "right": 40, "bottom": 30
    }  # fmt: skip
    ((label, picture),) = found.cells
    assert label == "1 dog, 1 cat"
    for place, left in ((0, 40), (1, 100)):
        ink = torch.tensor(color_of(place)) / 255
        assert torch.allclose(picture[0, :, 50, left], ink, atol=0.01)


def test_nothing_found():
    photo = torch.rand(1, 3, 40, 80)
    found = detection_finding(Detector("fake", lambda _: []), DetectConfig(), "a.png", photo, photo)
    assert found.line == "a.png: nothing found"
    assert found.cells[0][0] == "nothing found"
    assert torch.allclose(found.cells[0][1], photo, atol=1 / 255)


def test_masks_are_colored():
    mask = torch.zeros(40, 80, dtype=torch.bool)
    mask[34:, :] = True
    photo = torch.ones(1, 3, 40, 80)
    found = detection_finding(detector(mask), DetectConfig(score=0.85), "a.png", photo, photo)
    assert found.numbers["detections"][0]["mask_share"] == 0.15
    picture = found.cells[0][1]
    ink = torch.tensor(color_of(0)) / 255
    assert torch.allclose(picture[0, :, 38, 70], 0.5 + 0.5 * ink, atol=0.01)
    assert bool((picture[0, :, 5, 70] == 1).all())
