"""Optical flow, where it is to be trusted, and what is made of it."""

import sys
from typing import NamedTuple

import numpy as np
import pytest
import torch
import torch.nn.functional as F
from torch import Tensor

from cnnart.errors import CnnartError
from cnnart.optim import flow as module
from cnnart.optim.flow import (
    FLOW_SIDE,
    MotionFinder,
    as_array,
    as_tensor,
    inside,
    remapped,
    trust,
    warp,
    warping_error,
)

CPU = torch.device("cpu")


def reduced(picture):
    """Of ``1x3xHxW`` in [0, 1]."""
    return module.reduced((picture[0] * 255).round().byte().permute(1, 2, 0).numpy())


class Found(NamedTuple):
    flow: Tensor
    trust: Tensor
    cut: bool


def motion(before, now, size):
    found = module.motion(before, now)
    return Found(*found.at(size, CPU), found.cut)


def optical_flow(first, second):
    return module.optical_flow(first, second)


def texture(seed=0, height=120, width=160):
    """``1x3xHxW`` in [0, 1] with details of a few pixels, and some of many."""
    generator = torch.Generator().manual_seed(seed)
    layers = [
        F.interpolate(
            torch.rand(1, 3, height // step + 2, width // step + 2, generator=generator),
            (height, width),
            mode="bicubic",
        )
        for step in (4, 16)
    ]
    return (sum(layers) / 2).clamp(0, 1)


def shifted(picture, dx, dy, margin=16):
    """A window of the picture, its middle moved by whole pixels."""
    height, width = picture.shape[-2:]
    return picture[
        ..., margin + dy : height - margin + dy, margin + dx : width - margin + dx
    ].contiguous()


class TestWarp:
    def test_a_flow_of_zero_changes_nothing(self):
        picture = texture()
        assert torch.allclose(warp(picture, torch.zeros(1, 2, 120, 160)), picture, atol=1e-4)

    def test_each_pixel_is_what_lies_where_the_flow_points(self):
        picture = texture()
        flow = torch.zeros(1, 2, 120, 160)
        flow[:, 0], flow[:, 1] = 3, -2
        moved = warp(picture, flow)
        assert torch.allclose(moved[..., 2:, :-3], picture[..., :-2, 3:], atol=1e-4)

    def test_between_pixels_it_is_linear(self):
        picture = torch.tensor([0.0, 1.0, 0.0, 0.0]).view(1, 1, 1, 4)
        flow = torch.tensor([0.25, 0.0]).view(1, 2, 1, 1).expand(1, 2, 1, 4)
        assert torch.allclose(warp(picture, flow)[0, 0, 0, :3], torch.tensor([0.25, 0.75, 0.0]))

    @pytest.mark.parametrize("channels", [1, 2, 3])
    @pytest.mark.parametrize("cubic", [False, True])
    def test_opencv_moves_as_torch_does(self, channels, cubic):
        picture = texture()[:, :channels]
        flow = 12 * torch.rand(1, 2, 120, 160, generator=torch.Generator().manual_seed(0)) - 6
        expected = warp(picture, flow, "bicubic" if cubic else "bilinear")
        found = as_tensor(remapped(as_array(picture), as_array(flow), cubic=cubic))
        assert (found - expected).abs().max() < 0.02  # of a thirty-second of a pixel
        assert (found - expected).abs().mean() < 0.002


class TestFlow:
    @pytest.mark.parametrize("move", [(0, 0), (3, 0), (-5, 2), (7, -6)])
    def test_a_known_shift_is_found(self, move):
        scene = texture()
        before, now = shifted(scene, 0, 0), shifted(scene, *move)
        found = motion(reduced(before), reduced(now), (88, 128))
        assert not found.cut
        inner = found.flow[0, :, 12:-12, 12:-12]
        assert (inner.mean((1, 2)) - torch.tensor(move)).abs().max() < 0.1
        assert found.trust[..., 12:-12, 12:-12].mean() > 0.9

    def test_a_larger_frame_is_reduced_and_the_flow_is_in_its_own_pixels(self):
        scene = F.interpolate(texture(), scale_factor=5, mode="bicubic").clamp(0, 1)
        before, now = shifted(scene, 0, 0, 40), shifted(scene, 20, 10, 40)
        small = reduced(before)
        assert max(small.shape) == FLOW_SIDE
        found = motion(small, reduced(now), (520, 720))
        assert found.flow.shape == (1, 2, 520, 720)
        assert found.trust.shape == (1, 1, 520, 720)
        inner = found.flow[0, :, 60:-60, 60:-60]
        assert (inner.mean((1, 2)) - torch.tensor([20, 10])).abs().max() < 0.5

    def test_a_rotation_and_zoom_are_found(self):
        scene = texture()
        angle, zoom = 0.03, 1.02
        ys, xs = torch.meshgrid(torch.arange(120.0), torch.arange(160.0), indexing="ij")
        x, y = xs - 79.5, ys - 59.5
        cos, sin = torch.cos(torch.tensor(angle)), torch.sin(torch.tensor(angle))
        flow = torch.stack(((cos * x - sin * y) * zoom - x, (sin * x + cos * y) * zoom - y))[None]
        now = warp(scene, flow)
        found = motion(reduced(scene), reduced(now), (120, 160))
        trusted = found.trust > 0.5
        apart = (found.flow - flow).square().sum(1, keepdim=True).sqrt()
        assert trusted.float().mean() > 0.8
        assert apart[trusted].mean() < 0.2

    def test_a_frame_that_does_not_change_does_not_move(self):
        small = reduced(texture())
        assert np.abs(optical_flow(small, small)).max() == 0

    def test_frames_smaller_than_a_patch_do_not_move(self):
        small = reduced(torch.rand(1, 3, 8, 60))
        assert optical_flow(small, small).shape == (8, 60, 2)

    def test_without_opencv_a_line_says_what_to_install(self, monkeypatch):
        monkeypatch.setitem(sys.modules, "cv2", None)
        with pytest.raises(CnnartError, match=r"pip install 'cnnart\[video\]', or use `stability`"):
            MotionFinder()(np.zeros((20, 20, 3), np.uint8))

    def test_the_first_frame_begins_a_scene_and_a_finder_goes_on_from_where_another_was(self):
        frames = [
            (255 * shifted(texture(), 3 * i, 0)[0]).byte().permute(1, 2, 0).numpy()
            for i in range(3)
        ]
        find = MotionFinder()
        first, second, third = (find(frame) for frame in frames)
        assert (first.cut, second.cut, third.cut) == (True, False, False)
        again = MotionFinder(second.small)(frames[2])
        assert (again.flow == third.flow).all()
        assert (again.trust == third.trust).all()

    def test_the_flow_does_not_depend_on_how_many_threads_opencv_has(self):
        import cv2

        first, second = (reduced(shifted(texture(), step, 0)) for step in (0, 5))
        expected = module.motion(first, second)
        before = cv2.getNumThreads()
        cv2.setNumThreads(4)
        try:
            found = module.motion(first, second)
        finally:
            cv2.setNumThreads(before)
        assert (found.flow == expected.flow).all()


class TestReduced:
    def test_gray_is_its_own_luma(self):
        small = reduced(torch.full((1, 3, 701, 1023), 0.6))
        assert small.dtype == np.uint8
        assert np.unique(small).tolist() == [153]
        assert small.shape == (219, 320)

    def test_a_small_frame_keeps_its_size(self):
        assert reduced(torch.rand(1, 3, 33, 47)).shape == (33, 47)


class TestTrust:
    def test_what_was_hidden_is_not_trusted(self):
        """A square moves before a background that stands still."""
        scene, square = texture(0), texture(1)
        before, now = scene.clone(), scene.clone()
        before[..., 30:90, 40:100] = square[..., :60, :60]
        now[..., 30:90, 46:106] = square[..., :60, :60]
        found = motion(reduced(before), reduced(now), (120, 160))
        assert found.trust[..., 36:84, 41:45].mean() < 0.5  # the square stood there
        assert found.trust[..., 36:84, 52:100].mean() > 0.9  # it does now
        assert (found.flow[0, 0, 36:84, 52:100] + 6).abs().mean() < 0.3
        assert found.trust[..., 4:20, 4:-4].mean() > 0.9

    def test_beyond_the_picture_is_not_trusted(self):
        scene = texture()
        found = motion(reduced(shifted(scene, 0, 0)), reduced(shifted(scene, 12, 0)), (88, 128))
        assert found.trust[..., -10:].max() < 0.5

    def test_flows_that_do_not_meet_are_not_trusted(self):
        back = np.zeros((20, 20, 2), np.float32)
        back[..., 0] = 4
        assert trust(back, -back)[:, :15].min() == 1
        assert trust(back, back)[:, :15].max() == 0
        assert trust(back, -back)[:, -4:].max() == 0
        assert not inside(as_tensor(back))[..., -4:].any()

    def test_a_light_that_goes_on_is_not_trusted(self):
        scene = texture() * 0.5
        lit = scene.clone()
        lit[..., :80] += 0.4
        found = motion(reduced(scene), reduced(lit), (120, 160))
        assert found.trust[..., :70].mean() < 0.1
        assert found.trust[..., 100:].mean() > 0.9


class TestCuts:
    def test_another_scene_is_a_cut(self):
        first, second = reduced(texture(0)), reduced(texture(1))
        assert motion(first, second, (120, 160)).cut

    def test_black_before_a_scene_is_a_cut(self):
        black = np.zeros((120, 160), np.uint8)
        assert motion(black, reduced(texture()), (120, 160)).cut

    def test_a_slow_fade_is_none(self):
        scene = texture()
        assert not motion(reduced(scene), reduced(scene * 0.95), (120, 160)).cut


class TestWarpingError:
    def test_it_is_the_root_mean_square_where_it_is_trusted(self):
        now, moved = torch.zeros(1, 3, 4, 4), torch.zeros(1, 3, 4, 4)
        moved[..., :2] = 0.5
        trusted = torch.ones(1, 1, 4, 4)
        assert warping_error(now, moved, trusted) == pytest.approx(0.5 / 2**0.5)
        trusted[..., :2] = 0
        assert warping_error(now, moved, trusted) == 0
