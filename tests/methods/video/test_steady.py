"""Painted frames held steady."""

import itertools

import numpy as np
import pytest
import torch

from benchmarks.video import held_steady, pixels_of
from cnnart.methods.video.steady import SHARPER, Steady, blended, blended_tensors, moved
from cnnart.optim.flow import luma_of, warp
from cnnart.optim.objective import Held
from cnnart.video.config import ClipConfig
from tests.optim.test_flow import CPU, shifted, texture

STABILITY = ClipConfig().stability


class Flickering:
    """Paints negatives under a noise that is another at every frame."""

    def __init__(self, amount=0.2):
        self.amount, self.seed = amount, 0

    def __call__(self, frame):
        self.seed += 1
        noise = torch.randn(frame.shape, generator=torch.Generator().manual_seed(self.seed))
        return (1 - frame + self.amount * noise).clamp(0, 1)


def pan(count, step=2):
    scene = texture()
    return [shifted(scene, step * i - 8, 0) for i in range(count)]


def unsteadiness(pictures, step=2, margin=8):
    """Of a pan: what differs between pictures, once moved to meet."""
    differences = [
        (b[..., margin : -margin - step] - a[..., margin + step : -margin]).square().mean()
        for a, b in itertools.pairwise(pictures)
    ]
    return float(torch.stack(differences).mean().sqrt())


def test_flicker_along_a_camera_move_falls_to_less_than_half():
    frames = pan(8)
    paint, alone = Flickering(), Flickering()
    steady = Steady(paint, STABILITY)
    held = held_steady(steady, frames)
    loose = [alone(frame) for frame in frames]
    assert unsteadiness(held[2:]) < 0.5 * unsteadiness(loose[2:])
    source, result = steady.warping_error
    assert source < 0.1
    assert result < 0.5 * unsteadiness(loose[2:])


def test_stability_0_is_every_frame_alone():
    frames = pan(3)
    steady, alone = Steady(Flickering(), 0), Flickering()
    assert all(
        torch.equal(a, alone(b)) for a, b in zip(held_steady(steady, frames), frames, strict=True)
    )
    assert steady.warping_error is None


def test_the_steadier_the_more_is_held():
    frames, found = pan(6), []
    for stability in (0.3, 0.6, 0.9):
        steady = Steady(Flickering(), stability)
        found.append(unsteadiness(held_steady(steady, frames)))
    assert found[0] > found[1] > found[2]


def test_a_still_clip_stays_as_it_is_painted_and_does_not_drift():
    frame = texture(height=24, width=32)
    steady = Steady(lambda x: x.flip(1) ** 2, STABILITY)
    pictures = held_steady(steady, [frame] * 500)
    assert (torch.stack(pictures) - pictures[0]).abs().max() < 1 / 255 / 4
    assert (pictures[-1].mean((2, 3)) - pictures[0].mean((2, 3))).abs().max() < 1e-4
    assert steady.warping_error == pytest.approx((0, 0), abs=1e-4)


def test_a_cut_begins_anew():
    steady = Steady(lambda x: 1 - x, STABILITY)
    _, second = held_steady(steady, [texture(0), texture(1)])
    assert torch.equal(second, 1 - texture(1))
    assert steady.cuts == 1
    assert steady.warping_error is None


def test_what_is_held_fades_with_the_clip():
    """In a second, to black and back; a mean color that flickers does not come through."""
    scene = pan(1)[0]
    steady = Steady(lambda frame: frame, 0.9)
    motion_of = steady.motions()
    for level in [*np.linspace(1, 0, 25), *np.linspace(0, 1, 25)]:
        frame = scene * float(level)
        found = steady(frame, motion_of(pixels_of(frame)))
        assert abs(float((found - frame).mean())) < 6 / 255
    flickering = Steady(lambda frame: frame + next(noise), 0.9)
    motion_of, noise = flickering.motions(), itertools.cycle([0.004, -0.004])
    means = [float(flickering(scene, motion_of(pixels_of(scene))).mean()) for _ in range(9)]
    assert max(means[3:]) - min(means[3:]) < 0.002


def test_what_was_cut_off_goes_on_with_the_same_frames():
    frames = pan(6)
    paint = Flickering()
    whole = Steady(paint, STABILITY)
    expected = held_steady(whole, frames)
    paint = Flickering()
    first = Steady(paint, STABILITY)
    found = held_steady(first, frames[:3])
    second = Steady(paint, STABILITY)
    second.load_state_dict(first.state_dict(), CPU)
    found += held_steady(second, frames[3:])
    assert all(torch.equal(a, b) for a, b in zip(found, expected, strict=True))
    assert second.warping_error == whole.warping_error


def test_before_the_first_frame_there_is_nothing_to_go_on_from():
    steady = Steady(Flickering(), STABILITY)
    steady.load_state_dict(Steady(Flickering(), STABILITY).state_dict(), CPU)
    assert held_steady(steady, [texture()])[0].shape == (1, 3, 120, 160)


def contrast_of_details(picture):
    luma = luma_of(picture)[..., 8:-8, 8:-8]
    return float((luma - torch.nn.functional.avg_pool2d(luma, 3, 1, 1)).std())


def test_strokes_are_not_blurred_by_being_moved_again_and_again():
    """The camera moves by a fraction of a pixel, so that each frame is moved between pixels."""
    scene = texture()
    flow = torch.zeros(1, 2, 120, 160)
    frames = []
    for i in range(16):
        flow[:, 0], flow[:, 1] = 0.4 * i, 0.3 * i
        frames.append(warp(scene, flow, "bicubic"))
    held = held_steady(Steady(Flickering(0.1), STABILITY), frames)
    assert contrast_of_details(held[-1]) > 0.75 * contrast_of_details(1 - frames[-1])
    assert contrast_of_details(held[-1]) < 1.1 * contrast_of_details(Flickering(0.1)(frames[-1]))


def sharpened(picture, held):
    """``held``, kept whole, with details as in ``picture``."""
    return blended(picture, Held(held, torch.ones(1, 1, *held.shape[-2:])), 1)


def test_details_get_the_contrast_of_a_picture_up_to_a_bound():
    noise = torch.rand(1, 3, 60, 80, generator=torch.Generator().manual_seed(0))
    picture, flat = 0.5 + 0.8 * (noise - 0.5), torch.full((1, 3, 60, 80), 0.5)
    assert torch.allclose(sharpened(picture, picture), picture, atol=1e-5)
    assert torch.allclose(sharpened(picture, flat), flat, atol=1e-5)
    faint = 0.5 + 0.5 * (picture - 0.5)
    more = contrast_of_details(sharpened(picture, faint)) / contrast_of_details(faint)
    assert 1.02 < more <= SHARPER + 0.01
    less = contrast_of_details(sharpened(faint, picture)) / contrast_of_details(picture)
    assert 1 / SHARPER - 0.01 <= less < 0.98


def test_opencv_blends_and_moves_as_torch_does():
    """The one on the processor, the other on any device; also at sizes that are no whole blocks."""
    generator = torch.Generator().manual_seed(0)
    for size in ((60, 80), (61, 83)):
        painted, before = (texture(seed, *size) for seed in (1, 2))
        trust = torch.rand(1, 1, *size, generator=generator)
        flow = 8 * torch.rand(1, 2, *size, generator=generator) - 4
        held = Held(warp(before, flow, "bicubic"), trust)
        by_opencv = moved(before, flow, cubic=True)
        # OpenCV's cubic and torch's bend alike; places are rounded to a thirty-second of a pixel.
        assert (by_opencv - held.picture).abs().mean() < 0.002
        one = blended(painted, held, 0.9)
        other = blended_tensors(painted, held.picture, trust, 0.9)
        assert (one - other).abs()[..., 8:-8, 8:-8].max() < 0.002
        assert (one - other).abs().max() < 0.02


def test_frames_of_two_pixels_are_held_too():
    steady = Steady(lambda x: 1 - x, STABILITY)
    frames = [torch.full((1, 3, 2, 3), value) for value in (0.2, 0.21)]
    assert [frame.shape for frame in held_steady(steady, frames)] == [(1, 3, 2, 3)] * 2


def test_rows_of_a_moved_picture_are_those_of_all_of_it():
    picture, rows = texture(), slice(None, None, 4)
    flow = torch.full((1, 2, 120, 160), 2.3)
    for cubic in (False, True):
        whole = moved(picture, flow, cubic=cubic)
        assert torch.equal(moved(picture, flow, cubic=cubic, rows=rows), whole[..., rows, :])
