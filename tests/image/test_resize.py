"""Resizing, and the arithmetic of sizes."""

import itertools
import math
from pathlib import Path

import numpy as np
import pytest
import torch
import torch.nn.functional as F
from hypothesis import given, settings
from hypothesis import strategies as st
from PIL import Image

import cnnart
from cnnart.errors import UsageError
from cnnart.image.picture import MOST_AT_ONCE, fit_long_side, resize, resize_stages
from cnnart.methods.stylize.config import StylizeConfig
from cnnart.methods.stylize.transfer import StyleTransfer
from cnnart.networks.module import ModuleNetwork, Preprocessing
from cnnart.networks.vgg import FeatureExtractor
from cnnart.optim.regions import StyleImage
from tests.helpers.networks import Tangled


def test_resize_to_the_same_size_changes_nothing():
    image = torch.rand(1, 3, 7, 5)
    assert torch.equal(resize(image, 7, 5), image)


@pytest.mark.parametrize("size", [(3, 2), (14, 10), (1, 1), (7, 40)])
def test_resize_agrees_with_pillow(size):
    image = torch.rand(1, 3, 7, 5, generator=torch.Generator().manual_seed(1))
    for channel, resized in zip(image[0], resize(image, *size)[0], strict=True):
        expected = Image.fromarray(channel.numpy()).resize(size[::-1], Image.Resampling.BICUBIC)
        assert np.allclose(resized.numpy(), np.clip(np.asarray(expected), 0, 1), atol=1e-4)


def test_resize_averages_a_checkerboard_away():
    board = (torch.arange(64)[:, None] + torch.arange(64)).remainder(2).float()[None, None]
    assert torch.allclose(resize(board, 16, 16)[..., 2:-2, 2:-2], torch.tensor(0.5), atol=0.02)


def test_resize_clamps_only_what_was_within():
    step = torch.zeros(1, 3, 4, 8)
    step[..., 4:] = 1
    assert 0 <= float(resize(step, 8, 16).min()) <= float(resize(step, 8, 16).max()) <= 1
    assert float(resize(step * 2, 8, 16).max()) > 2
    with pytest.raises(UsageError, match="0x5"):
        resize(step, 0, 5)


@given(*[st.integers(1, 10_000)] * 3)
@settings(max_examples=200, deadline=None)
def test_fit_long_side(height, width, long_side):
    fitted = fit_long_side(height, width, long_side)
    assert max(fitted) == long_side
    assert min(fitted) >= 1
    assert (fitted[0] >= fitted[1]) if height >= width else (fitted[0] <= fitted[1])
    assert fit_long_side(width, height, long_side) == fitted[::-1]
    short = min(height, width) * long_side / max(height, width)
    assert abs(min(fitted) - max(1, short)) <= 0.5 + 1e-9
    assert fit_long_side(height, width, max(height, width)) == (height, width)


def test_fit_long_side_refuses_nothing_sized():
    with pytest.raises(UsageError, match="Sizes must be 1 or more"):
        fit_long_side(10, 10, 0)


SUPPORT = {"bilinear": 1.0, "bicubic": 2.0}  # pixels of the smaller picture to each side


@pytest.fixture(params=[(32, 48), (64, 64)], ids=["NVIDIA", "AMD"])
def gpu_interpolate(monkeypatch, request):
    """``F.interpolate`` with the limit it has on a GPU: shared memory for a block's weights.

    As torch's ``upsample_gen2d_aa_out_cuda_template`` counts it, for float32 and one row of threads
    (the fewest): threads in a row, and KiB of shared memory, by the vendor.
    """
    row, kilobytes = request.param
    plain, seen = F.interpolate, []

    def limited(image, size, mode, antialias=False, **more):
        if antialias:
            tall, wide = (
                1 + 2 * math.ceil(SUPPORT[mode] * max(1.0, n / m))
                for n, m in zip(image.shape[-2:], size, strict=True)
            )
            if 4 * (wide * row + tall * (row + 1)) > kilobytes * 1024:
                raise RuntimeError("Too much shared memory required")
            seen.append(tuple(size))
        return plain(image, size=size, mode=mode, antialias=antialias, **more)

    monkeypatch.setattr(F, "interpolate", limited)
    return seen


def test_the_stand_in_refuses_what_a_gpu_refuses(gpu_interpolate):
    with pytest.raises(RuntimeError, match="shared memory"):
        F.interpolate(torch.rand(1, 1, 128, 128), (2, 2), "bicubic", antialias=True)


@pytest.mark.parametrize("size", [(1, 1), (3, 400), (90, 2), (600, 9)])
def test_no_resize_asks_too_much_of_a_gpu(gpu_interpolate, size):
    assert resize(torch.rand(1, 3, 500, 777), *size).shape[-2:] == size
    assert gpu_interpolate


def test_stylizing_with_a_very_large_style_asks_no_more_of_a_gpu(gpu_interpolate, tiny, photo):
    """A style of 24 megapixels at a size of 256 began at 47 times, and a picture of 8192 at 64."""
    style, config = StyleImage(torch.rand(1, 3, 6400, 160)), StylizeConfig(size=80, steps=1)
    for _ in StyleTransfer(photo, [style], config, FeatureExtractor(tiny)).steps():
        pass
    assert any(tall == 80 for tall, _ in gpu_interpolate)


def test_preparing_a_very_large_photo_asks_no_more_of_a_gpu(gpu_interpolate):
    network = ModuleNetwork("tangled", Tangled(), Preprocessing(input_size=160, resize=160))
    assert network.prepare(torch.rand(1, 3, 4000, 3600)).shape[-2:] == (160, 160)
    assert len(gpu_interpolate) > 1


def test_there_is_one_antialiased_resize():
    """So what holds for ``resize`` holds for every command."""
    folder = Path(cnnart.__file__).parent
    texts = {path: path.read_text(encoding="utf-8") for path in folder.rglob("*.py")}
    assert [p.name for p, text in texts.items() if "antialias=" in text] == ["picture.py"]


@given(*[st.integers(1, 20_000)] * 4)
@settings(max_examples=300, deadline=None)
def test_stages_shrink_little_at_once(tall, wide, height, width):
    stages = [(tall, wide), *resize_stages((tall, wide), (height, width))]
    assert stages[-1] == (height, width)
    for before, after in itertools.pairwise(stages):
        assert all(n <= MOST_AT_ONCE * m for n, m in zip(before, after, strict=True))
    if tall <= MOST_AT_ONCE * height and wide <= MOST_AT_ONCE * width:
        assert len(stages) == 2
    for axis in (0, 1):  # it only shrinks, or only grows
        sides = [stage[axis] for stage in stages]
        assert sides in (sorted(sides), sorted(sides, reverse=True))


@pytest.mark.parametrize("size", [(24, 32), (40, 12)])
def test_stages_differ_from_one_step_by_less_than_a_level(photo_of, size):
    noise = torch.rand(1, 3, 600, 800, generator=torch.Generator().manual_seed(0))
    for image in (noise, photo_of(600, 800)):
        once = F.interpolate(image, size=size, mode="bicubic", antialias=True).clamp(0, 1)
        staged = resize(image, *size)
        assert not torch.equal(staged, once)
        assert float((staged - once).abs().max()) < 1 / 255
        assert float((staged - once).square().mean().sqrt()) < 0.1 / 255


def test_a_device_without_the_operation_has_the_cpu_do_it(monkeypatch):
    image, plain, calls = torch.rand(1, 3, 40, 40), F.interpolate, []

    def missing_once(*args, **more):
        calls.append(1)
        if len(calls) == 1:
            raise NotImplementedError("not currently implemented for the MPS device")
        return plain(*args, **more)

    expected = resize(image, 10, 10)
    monkeypatch.setattr(F, "interpolate", missing_once)
    assert torch.equal(resize(image, 10, 10), expected)


def test_resize_has_a_gradient():
    image = torch.rand(1, 3, 33, 40, dtype=torch.float64, requires_grad=True)
    assert torch.autograd.gradcheck(lambda x: resize(x, 2, 50), image)


@pytest.mark.gpu
@pytest.mark.parametrize("size", [(8, 8), (3, 500), (900, 1200)])
def test_cuda_resizes_as_the_cpu_does(photo_of, size):
    image = photo_of(800, 1100)
    assert torch.allclose(resize(image.cuda(), *size).cpu(), resize(image, *size), atol=1e-4)
