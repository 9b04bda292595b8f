"""The frames of a clip, dreamed on: tiny, as in ``test_dream``."""

import dataclasses

import pytest
import torch

from benchmarks.video import held_steady
from cnnart.methods.dream.dream import HELD_STEPS
from cnnart.methods.dream.frames import FramePainter
from cnnart.methods.video.steady import Steady
from cnnart.networks.vgg import FeatureExtractor
from cnnart.optim.objective import Held
from tests.methods.dream.test_dream import CONFIG
from tests.methods.video.test_steady import unsteadiness
from tests.optim.test_flow import shifted, texture

STABILITY = 0.9


@pytest.fixture(scope="module")
def network(tiny):
    return FeatureExtractor(tiny)


def frames(count, step=2):
    scene = texture(height=88, width=104)
    return [shifted(scene, step * i - 4, 0) for i in range(count)]


def far(picture, frame):
    return float((picture - frame).abs().mean())


def steady(painter):
    return Steady(painter, STABILITY, guided=True, blend=False)


def test_frames_that_are_held_hold_stiller_than_frames_alone(network):
    clip, alone = frames(5), FramePainter(CONFIG, network)
    held = held_steady(steady(FramePainter(CONFIG, network)), clip)
    loose = [alone(frame, None) for frame in clip]
    assert torch.equal(held[0], loose[0])
    assert unsteadiness(held) < 0.8 * unsteadiness(loose)


def test_a_dream_neither_fades_nor_grows_in_a_clip_that_stands_still(network):
    (frame,) = frames(1)
    pictures = held_steady(steady(FramePainter(CONFIG, network)), [frame] * 10)
    assert 0.7 < far(pictures[-1], frame) / far(pictures[0], frame) < 1.3


def test_what_is_new_is_dreamed_as_in_a_photo_and_the_rest_only_kept(network):
    frame, other = frames(2)
    trust = torch.zeros(1, 1, *frame.shape[-2:])
    trust[..., : frame.shape[-1] // 2] = 1
    config = dataclasses.replace(CONFIG, octaves=1, jitter=0, smoothing=0.0)
    painter = FramePainter(config, network)
    work = painter.work(frame, Held(other, trust))
    height, width = frame.shape[-2:]
    start = work.start(height, width)
    half = width // 2
    assert torch.equal(start[..., :half], other[..., :half])
    assert torch.equal(start[..., half:], frame[..., half:])
    picture = painter(frame, Held(other, trust))
    assert torch.equal(picture[..., :half], other[..., :half])  # held whole: nothing is to be added
    alone = painter(frame, None)
    new = far(picture[..., half:], frame[..., half:])
    assert new == pytest.approx(far(alone[..., half:], frame[..., half:]), rel=0.5)
    assert sum(level.iterations for level in work.schedule) == 3 // HELD_STEPS


def test_without_strength_a_frame_is_the_frame_whatever_it_is_held_to(network):
    frame, other = frames(2)
    painter = FramePainter(dataclasses.replace(CONFIG, strength=0.0), network)
    assert torch.equal(painter(frame, Held(other, torch.ones(1, 1, 80, 96))), frame)


def test_outside_the_mask_frames_stay_as_they_are(network):
    frame, other = frames(2)
    mask = torch.zeros(1, 1, *frame.shape[-2:])
    painter = FramePainter(dataclasses.replace(CONFIG, feather=0.0), network, mask=mask)
    assert torch.equal(painter(frame, None), frame)
    mask[..., :40] = 1
    painter.masks = [mask]
    where = painter.where(frame)
    picture = painter(frame, Held(other, 0.9 * where))
    assert torch.equal(picture[..., 40:], frame[..., 40:])
    assert far(picture[..., :40], frame[..., :40]) > 0.01
