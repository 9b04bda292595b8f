"""The pass that paints: the training pass's arithmetic, without waits, recorded where it recurs."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest
import torch
import torch.nn.functional as F

from cnnart.methods.fast.architecture import make_architecture
from cnnart.methods.fast.config import FastConfig
from cnnart.methods.fast.layers import statistics
from cnnart.methods.fast.network import StyleNetwork, make_noise
from cnnart.methods.fast.styled import SIZES, RepeatedPasses, StyledNetwork, cells, moments
from cnnart.methods.fast.stylize import (
    STYLES,
    FastStyle,
    FastStylization,
    NetworkRunner,
    on_device,
)
from cnnart.optim.capture import WARM_UP
from tests.helpers.fast import TINY, checkpoint, network
from tests.helpers.waits import META, Elsewhere, NoWaits

SHAPES = (
    TINY,
    "johnson,widths=4-6-8,blocks=1",
    "small,widths=8,blocks=2,stem=4",
    "small,widths=6-8,blocks=1,stem=3",
    "small,widths=6-8,blocks=1,direct=no,outer=5",
    "johnson,widths=4-6,separable=yes,blocks=0",
)
LAYOUTS = (torch.channels_last, torch.contiguous_format)
MIX = torch.tensor([[0.3, 0.7]])


def styled(net: StyleNetwork, *more: Any, **named: Any) -> StyledNetwork:
    """It in a mix of its two styles."""
    with torch.no_grad():
        return StyledNetwork(net, net.mixed_pair(MIX), *more, **named)


def grain(net: StyleNetwork, photo: torch.Tensor) -> torch.Tensor | None:
    return make_noise(net.arch, photo.shape[-2], photo.shape[-1], [0])


def picture(height: int, width: int, seed: int = 0) -> torch.Tensor:
    return torch.rand(1, 3, height, width, generator=torch.Generator().manual_seed(seed))


@pytest.mark.parametrize("size", [(1, 9), (31, 17), (48, 64)])
@pytest.mark.parametrize("arch", SHAPES)
def test_it_is_what_was_trained(arch: str, size: tuple[int, int]) -> None:
    net = network(arch, 2)
    with torch.no_grad():  # a channel turned round, and one that the style does without
        for block in net.conv_blocks():
            if block.norm is not None:
                block.norm.gamma[:, 0] *= -1
                block.norm.gamma[:, 1] = 0
    expected = net(picture(*size), MIX).detach()  # with gradients: the training's own arithmetic
    for layout in LAYOUTS:  # a CPU's and a card's
        photo = picture(*size)
        found = styled(net, layout=layout)(photo, grain(net, photo))
        assert found.shape == expected.shape
        assert torch.allclose(found, expected, rtol=1e-5, atol=2e-5)


def test_half_precision_is_as_near_to_float32_as_the_training_pass() -> None:
    net, photo = network("small,widths=16-16,blocks=2", 2), picture(64, 80)
    exact = styled(net)(photo, grain(net, photo))
    with torch.no_grad():
        trained = net(photo, MIX, torch.bfloat16)
    found = styled(net, torch.bfloat16)(photo, grain(net, photo))
    assert found.dtype == torch.float32
    assert (found - exact).abs().mean() <= 1.1 * (trained - exact).abs().mean()


@pytest.mark.parametrize("layout", LAYOUTS)
@pytest.mark.parametrize("dtype", [torch.float32, torch.bfloat16])
def test_cells_are_pixels_gathered_into_channels(
    dtype: torch.dtype, layout: torch.memory_format
) -> None:
    photo, arch = picture(12, 20), make_architecture(TINY)
    noise = torch.randn(1, 2, 3, 5, generator=torch.Generator().manual_seed(0))
    found = cells(photo, arch, dtype, layout, noise)
    assert torch.equal(found[:, :48], F.pixel_unshuffle(photo, 4).to(dtype))
    assert torch.equal(found[:, 48:], noise.to(dtype))
    assert found.is_contiguous(memory_format=layout)


@pytest.mark.parametrize("dtype", [torch.float32, torch.bfloat16])
def test_moments_are_float32_whatever_comes_in(dtype: torch.dtype) -> None:
    x = (30 + torch.randn(1, 4, 24, 40, generator=torch.Generator().manual_seed(2))).to(dtype)
    for found, expected in zip(moments(x), statistics(x), strict=True):
        assert found.dtype == torch.float32
        assert torch.allclose(found, expected[0], rtol=1e-5)


def test_a_pass_never_waits_for_its_device() -> None:
    net, photo = network(pairs=2), picture(33, 47)
    ready, noise = styled(net), grain(net, photo)
    with NoWaits():
        ready(photo, noise)


def test_photos_are_painted_on_the_device_and_nothing_waits(monkeypatch) -> None:
    """Again and again, in a blend; noise and styles come from the host."""
    monkeypatch.setattr("cnnart.methods.fast.stylize.STYLED_ON", ("cpu", "cuda", "meta"))
    known = checkpoint("a", "b", arch=TINY)
    photo = torch.rand(1, 3, 40, 56)
    with Elsewhere() as elsewhere:
        runner = NetworkRunner(META, torch.float32)
        for count in range(3):
            styles = [FastStyle(known, "a"), FastStyle(known, "b", 2.0)]
            work = FastStylization(photo, styles, FastConfig(), runner)
            *_, step = work.steps()
            assert work.finish(step.image).shape == photo.shape
            elsewhere.strict = count == 0


# Passes that come again


class Tape:
    """A recorder that keeps the function, and fills its result's tensors by calling it again."""

    def __init__(self) -> None:
        self.recorded = self.replayed = 0

    def run(self, function: Callable[[], torch.Tensor]) -> torch.Tensor:
        return function()

    def record(self, function: Callable[[], torch.Tensor]) -> tuple[torch.Tensor, Any]:
        self.recorded += 1
        result = torch.full_like(function(), float("nan"))  # nothing is computed yet

        def replay() -> None:
            self.replayed += 1
            result.copy_(function())

        return result, replay


def test_a_size_that_comes_again_is_recorded_and_each_photo_is_its_own() -> None:
    net, tape = network(pairs=2), Tape()
    ready = styled(net)
    passes = RepeatedPasses(ready, tape)
    photos = [picture(20, 24, seed) for seed in range(WARM_UP + 3)]
    noises = [make_noise(net.arch, 20, 24, [seed]) for seed in range(WARM_UP + 3)]
    found = [passes(photo, noise) for photo, noise in zip(photos, noises, strict=True)]
    assert (tape.recorded, tape.replayed) == (1, 3)
    for photo, noise, result in zip(photos, noises, found, strict=True):
        assert torch.equal(result, ready(photo, noise))


def test_an_odd_size_is_not_recorded_and_few_sizes_are_kept() -> None:
    net, tape = network(pairs=2), Tape()
    passes = RepeatedPasses(styled(net), tape)
    assert not passes.recording
    for _ in range(2):
        for side in range(20, 20 + 4 * (SIZES + 1), 4):
            passes(picture(side, 24), make_noise(net.arch, side, 24, [0]))
    assert tape.recorded == 0
    assert len(passes._sizes) == SIZES
    assert passes.recording


def test_a_runner_keeps_the_styles_last_used_and_gives_them_up() -> None:
    made = checkpoint("candy", "waves")
    runner = NetworkRunner(torch.device("cpu"), torch.float32)
    photo = picture(20, 24)
    pairs = [FastStyle(made, "candy").pair(s / 10) for s in range(2, 2 + STYLES + 2)]
    noise = grain(made.network, photo)
    first = [runner.run(made, photo, pair, noise, 0, []) for pair in pairs]
    own = runner.prepared(made, [])
    assert len(own.styled) == STYLES
    again = runner.run(made, photo, pairs[0], noise, 0, [])
    assert torch.equal(first[0], again)
    assert not torch.equal(first[0], first[-1])
    assert not runner.forget_passes()  # on a CPU nothing is recorded
    assert not own.styled


@pytest.mark.gpu
@pytest.mark.parametrize("dtype", [torch.float32, torch.bfloat16])
def test_recorded_passes_on_a_card_are_the_photos_own(dtype: torch.dtype) -> None:
    device = torch.device("cuda")
    net = network(pairs=2)
    pair = on_device(net.mixed_pair(MIX), device)
    ready = StyledNetwork(net.to(device), pair, dtype)
    passes = RepeatedPasses(ready)
    for seed in range(WARM_UP + 3):
        photo, noise = picture(96, 128, seed).to(device), make_noise(net.arch, 96, 128, [seed])
        expected = ready(photo, noise)
        assert torch.allclose(passes(photo, noise), expected, atol=1e-5)
    replay, _ = passes._sizes[photo.shape]
    assert replay._recorded is not None


@pytest.mark.gpu
def test_a_card_paints_what_a_cpu_paints() -> None:
    net, photo = network(pairs=2), picture(96, 128)
    expected, pair, noise = (
        styled(net)(photo, grain(net, photo)),
        net.mixed_pair(MIX),
        grain(net, photo),
    )
    found = StyledNetwork(net.cuda(), on_device(pair, torch.device("cuda")))(photo.cuda(), noise)
    assert (found.cpu() - expected).abs().mean() < 2e-3  # TF32, where it is allowed
