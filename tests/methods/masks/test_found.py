"""The subject, people and faces of the example photos."""

from pathlib import Path

import pytest
import torch
import torch.nn.functional as F

from cnnart.image.read import read_image
from cnnart.methods.masks import found
from cnnart.methods.masks.found import face_mask, person_mask, subject_mask
from cnnart.networks.blazeface import Face, face_ellipses

EXAMPLES = Path(__file__).parents[3] / "examples"
NOISE = torch.rand(1, 3, 96, 96, generator=torch.Generator().manual_seed(0))


@pytest.fixture(scope="module")
def astronaut():
    return read_image(EXAMPLES / "astronaut.jpg").rgb


def at(mask, y, x):
    """The mask at a place of the astronaut, whose photo has 512 x 512 pixels."""
    return float(mask[0, 0, y, x])


def test_the_astronaut_is_cut_out(astronaut):
    for mask in (subject_mask(astronaut), person_mask(astronaut)):
        assert mask.shape == (1, 1, 512, 512)
        assert at(mask, 126, 224) > 0.95  # face
        assert at(mask, 350, 150) > 0.95  # chest
        assert at(mask, 40, 330) < 0.05  # wall
        assert at(mask, 100, 420) < 0.05  # rocket
        edges = ((mask > 0.05) & (mask < 0.95)).float().mean()
        assert edges < 0.06


def test_the_face_is_the_face_alone(astronaut):
    mask = face_mask(astronaut)
    assert at(mask, 126, 224) == pytest.approx(1, abs=0.02)
    for place in ((350, 150), (40, 330), (230, 224)):  # chest, wall, collar
        assert at(mask, *place) < 0.05
    assert 0.02 < float(mask.mean()) < 0.1


def test_a_map_that_is_sure_of_nothing_is_no_mask(monkeypatch):
    monkeypatch.setattr(found, "subject_map", lambda photo: torch.full((1, 1, 9, 9), 0.49))
    monkeypatch.setattr(found, "person_map", lambda photo: torch.zeros(1, 1, 9, 9))
    assert subject_mask(NOISE) is None
    assert person_mask(NOISE) is None


def test_what_stands_out_faintly_becomes_a_whole_mask(monkeypatch):
    faint = torch.zeros(1, 1, 96, 96)
    faint[..., 30:60, 30:60] = 0.6
    photo = torch.where(faint > 0, 0.9, 0.1).expand(1, 3, -1, -1)
    monkeypatch.setattr(found, "subject_map", lambda photo: faint)
    assert at(subject_mask(photo), 45, 45) > 0.98


def test_there_is_nothing_in_nothing():
    for side in (1, 64):
        blank = torch.zeros(1, 3, side, side)
        assert face_mask(blank) is None
        assert person_mask(blank) is None
    assert face_mask(NOISE) is None


def test_a_panorama(astronaut):
    small = F.interpolate(astronaut, size=(200, 200), mode="area")
    wide = torch.full((1, 3, 200, 1000), 0.6)
    wide[..., 400:600] = small
    mask = face_mask(wide)
    assert mask.shape == (1, 1, 200, 1000)
    columns = mask[0, 0].mean(0)
    assert 400 < int(columns.argmax()) < 600
    assert float(columns[:400].max()) < 0.01


def test_an_ellipse_turns_with_the_eyes():
    upright = Face((30, 30, 70, 70), ((40, 45), (60, 45), *[(50, 55)] * 4), 1.0)
    lying = Face((30, 30, 70, 70), ((55, 40), (55, 60), *[(45, 50)] * 4), 1.0)
    tall, wide = (face_ellipses([face], 100, 100)[0, 0] > 0.5 for face in (upright, lying))
    for mask, long, short in ((tall, 1, 0), (wide, 0, 1)):
        spread = [int(mask.any(axis).sum()) for axis in (0, 1)]
        assert spread[long] > spread[short]
    rows = tall.any(1).nonzero()
    assert float(rows.float().mean()) < 50  # the brow is part of it, above the box


def test_several_faces_are_in_one_mask():
    faces = [
        Face((x, 20, x + 20, 40), ((x + 5, 27), (x + 15, 27), *[(x + 10, 33)] * 4), 1.0)
        for x in (10, 70)
    ]
    mask = face_ellipses(faces, 60, 100)[0, 0]
    assert float(mask[28, 20]) == float(mask[28, 80]) == 1
    assert float(mask[28, 50]) == 0
