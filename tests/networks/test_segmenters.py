"""The embedded networks for masks: as published, and right on pictures."""

import json
from pathlib import Path

import numpy as np
import pytest
import torch

from cnnart.image.read import read_image
from cnnart.networks import blazeface, selfie_segmenter, u2net
from cnnart.networks.blazeface import find_faces, looked_at
from cnnart.networks.selfie_segmenter import person_map
from cnnart.networks.u2net import subject_map
from cnnart.weights.embedded import as_state, embedded_module

GOLDEN = json.loads((Path(__file__).parent / "golden_segmenters.json").read_text(encoding="utf-8"))
EXAMPLES = Path(__file__).parents[2] / "examples"
CLOSE = 1e-3
ODD_SHAPES = ((1, 1), (1, 300), (40, 900))


def probe(side):
    """The picture of tools/golden_segmenters.py: a disk before waves."""
    y, x = np.mgrid[0:side, 0:side].astype(np.float64) * (64 / side)
    waves = (np.sin(0.11 * x + 0.05 * y), np.cos(0.31 * y), np.sin(0.02 * x * y))
    picture = 0.5 + 0.5 * np.stack(waves)
    disk = (x - 30) ** 2 + (y - 34) ** 2 < 17**2
    picture[:, disk] = 0.3 * picture[:, disk] + np.array([[0.6], [0.4], [0.3]])
    return torch.from_numpy(picture[None].astype(np.float32))


def differences(name, outputs):
    """The largest difference of each output from the published network's."""
    found = []
    for ours, theirs in zip(outputs, GOLDEN[name], strict=True):
        flat = ours.flatten()
        samples = flat[:: max(1, len(flat) // 199)]
        assert len(samples) == len(theirs)
        found.append(float((samples - torch.tensor(theirs)).abs().max()))
    return found


@pytest.fixture(scope="module")
def astronaut():
    return read_image(EXAMPLES / "astronaut.jpg").rgb


def noise(height=96, width=96):
    return torch.rand(1, 3, height, width, generator=torch.Generator().manual_seed(0))


def test_the_subject_is_u2nets():
    found = subject_map(probe(u2net.SIDE))
    assert found.shape == (1, 1, 320, 320)
    assert 0 <= float(found.min()) < 0.1 < 0.5 < float(found.max()) <= 1
    assert max(differences(u2net.NAME, [found])) < CLOSE


def test_the_person_is_mediapipes():
    found = person_map(probe(selfie_segmenter.SIDE))
    assert found.shape == (1, 1, 256, 256)
    assert max(differences(selfie_segmenter.NAME, [found])) < CLOSE


def test_the_faces_are_blazefaces():
    network = embedded_module(blazeface.BlazeFace, blazeface.NAME, torch.device("cpu"))
    with torch.no_grad():
        found = network(2 * probe(blazeface.SIDE) - 1)
    assert [each.shape for each in found] == [(1, 896), (1, 896, 16)]
    assert max(differences(blazeface.NAME, found)) < CLOSE


def test_another_output_is_noticed():
    found = subject_map(probe(u2net.SIDE))
    assert max(differences(u2net.NAME, [found.roll(40, 3)])) > CLOSE


def test_the_astronaut_is_subject_and_person(astronaut):
    for found in (subject_map(astronaut), person_map(astronaut)):
        side = found.shape[-1]
        chest, wall = (
            found[0, 0, int(y * side), int(x * side)] for y, x in ((0.7, 0.35), (0, 0.7))
        )
        assert chest > 0.95
        assert wall < 0.05


def test_the_astronauts_face_has_its_points(astronaut):
    (face,) = find_faces(astronaut)
    left, top, right, bottom = face.box
    assert face.score > 0.9
    assert abs((left + right) / 2 - 224) < 10
    assert abs((top + bottom) / 2 - 126) < 10
    points = dict(zip(blazeface.POINTS, face.points, strict=True))
    for name, place in {
        "right eye": (204, 104),
        "left eye": (246, 103),
        "nose": (226, 124),
        "mouth": (225, 148),
    }.items():
        assert np.hypot(*np.subtract(points[name], place)) < 8, (name, points[name])


def test_a_face_is_found_wherever_it_is_and_small(astronaut):
    portrait = torch.nn.functional.interpolate(astronaut, size=(128, 128), mode="area")
    wide = torch.full((1, 3, 300, 900), 0.5)
    wide[:, :, 100:228, 700:828] = portrait
    (face,) = find_faces(wide)
    assert abs(sum(face.box[::2]) / 2 - (700 + 56)) < 4
    assert abs(sum(face.box[1::2]) / 2 - (100 + 31)) < 4
    right, left = (face.points[n][0] for n in (0, 1))
    assert right < left  # the person's right eye is on the picture's left


def test_two_faces_are_two_the_surest_first(astronaut):
    both = torch.cat((astronaut, astronaut.flip(3)), 3)
    faces = find_faces(both)
    assert len(faces) == 2
    assert faces[0].score >= faces[1].score
    centers = sorted(sum(face.box[::2]) / 2 for face in faces)
    assert abs(centers[0] - 224) < 10
    assert abs(centers[1] - (1024 - 224)) < 10


@pytest.mark.parametrize("picture", [noise(), torch.zeros(1, 3, 64, 64), torch.ones(1, 3, 64, 64)])
def test_no_face_in_noise_or_nothing(picture):
    assert find_faces(picture) == []


@pytest.mark.parametrize("shape", ODD_SHAPES)
def test_pictures_of_any_shape(shape):
    assert person_map(noise(*shape)).shape == (1, 1, 256, 256)
    assert find_faces(noise(*shape)) == []


def test_a_pixel_has_a_subject_map():
    assert bool(subject_map(noise(1, 1)).isfinite().all())


def test_the_squares_cover_the_photo():
    for height, width in ((300, 300), (200, 1000), (1000, 200), (97, 131)):
        squares = looked_at(height, width)
        assert squares[0][2] == max(height, width)
        for _, least in blazeface.PARTS:
            assert 0 < least < 1
        for side in {square[2] for square in squares}:
            seen = torch.zeros(height, width, dtype=torch.bool)
            for top, left, s, _ in squares:
                if s == side:
                    seen[max(0, top) : top + s, max(0, left) : left + s] = True
            assert bool(seen.all()), (height, width, side)


def test_weights_in_24_bits_come_back():
    whole = torch.tensor([-(2**23) + 1, -257, -1, 0, 1, 255, 256, 2**23 - 1])
    stored = {
        "a.weight.step": torch.tensor([0.5]),
        "a.weight.high": (whole >> 8).to(torch.int16),
        "a.weight.low": (whole & 255).to(torch.uint8),
        "a.bias": torch.tensor([1.5], dtype=torch.float16),
    }
    state = as_state(stored)
    assert set(state) == {"a.weight", "a.bias"}
    assert torch.equal(state["a.weight"], whole * 0.5)
    assert state["a.bias"].dtype == torch.float32
