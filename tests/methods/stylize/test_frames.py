"""The frames of a clip by optimization: tiny, as in ``test_transfer``."""

import dataclasses

import pytest
import torch

from benchmarks.video import held_steady
from cnnart.methods.stylize.frames import FramePainter
from cnnart.methods.stylize.transfer import StyleTransfer
from cnnart.methods.video.steady import Steady
from cnnart.optim.objective import Held
from cnnart.optim.regions import StyleImage
from tests.methods.stylize.test_transfer import CONFIG, TINY, short  # noqa: F401
from tests.methods.video.test_steady import unsteadiness
from tests.optim.test_flow import shifted, texture

STABILITY = 0.9
NOISY = dataclasses.replace(CONFIG, init="noise")


def pan(count):
    scene = texture(height=112, width=128)
    return [shifted(scene, 2 * i - 4, 0) for i in range(count)]


def painter(config=CONFIG):
    return FramePainter([StyleImage(texture(5, 72, 64).flip(1))], config, TINY)


@pytest.mark.usefixtures("short")
def test_frames_that_are_held_hold_stiller_than_frames_alone():
    frames, alone = pan(5), painter()
    steady = Steady(painter(), STABILITY, guided=True)
    held = held_steady(steady, frames)
    loose = [alone(frame, None) for frame in frames]
    assert torch.equal(held[0], loose[0])
    assert unsteadiness(held) < 0.7 * unsteadiness(loose)


@pytest.mark.usefixtures("short")
def test_a_held_frame_begins_at_what_it_is_held_to_and_works_on_one_size():
    frame, other = pan(2)
    trust = torch.zeros(1, 1, 80, 96)
    trust[..., :48] = 1
    work = painter().work(frame, Held(other, trust))
    start = work.start(80, 96)
    assert torch.equal(start[..., :48], other[..., :48])
    assert torch.equal(start[..., 48:], painter().work(frame).start(80, 96)[..., 48:])
    assert [(level.height, level.width) for level in work.schedule] == [(80, 96)]
    assert sum(level.iterations for level in work.schedule) < sum(
        level.iterations for level in painter().work(frame).schedule
    )


@pytest.mark.usefixtures("short")
def test_the_losses_fall_and_the_temporal_one_is_told():
    frame, other = pan(2)
    work = painter(dataclasses.replace(CONFIG, steps=12)).work(
        frame, Held(other, torch.full((1, 1, 80, 96), 0.5))
    )
    first, *_, last = work.steps()
    assert isinstance(work, StyleTransfer)
    assert last.losses["temporal"] >= 0
    assert sum(last.losses.values()) < sum(first.losses.values())


@pytest.mark.usefixtures("short")
def test_each_frame_of_noise_is_the_same_noise():
    frame = pan(1)[0]
    assert torch.equal(painter(NOISY)(frame, None), painter(NOISY)(frame, None))


@pytest.mark.usefixtures("short")
def test_a_frame_keeps_its_size_whatever_was_asked_for_photos():
    found = painter(dataclasses.replace(CONFIG, size=300))(pan(1)[0], None)
    assert found.shape == (1, 3, 80, 96)
