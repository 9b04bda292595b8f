"""The pass that paints: the training pass's arithmetic, without waits, recorded where it recurs."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest
import torch
import torch.nn.functional as F

from cnnart.methods.fast.layers import statistics
from cnnart.methods.fast.styled import SIZES, RepeatedPasses, StyledNetwork, cells, moments
from cnnart.methods.fast.stylize import STYLES, NetworkRunner
from cnnart.optim.capture import WARM_UP
from tests.helpers.fast import TINY, checkpoint, network
from tests.helpers.waits import NoWaits

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
        found = StyledNetwork(net, MIX, layout=layout)(picture(*size))
        assert found.shape == expected.shape
        assert torch.allclose(found, expected, rtol=1e-5, atol=2e-5)


def test_half_precision_is_as_near_to_float32_as_the_training_pass() -> None:
    net, photo = network("small,widths=16-16,blocks=2", 2), picture(64, 80)
    exact = StyledNetwork(net, MIX)(photo)
    with torch.no_grad():
        trained = net(photo, MIX, torch.bfloat16)
    found = StyledNetwork(net, MIX, torch.bfloat16)(photo)
    assert found.dtype == torch.float32
    assert (found - exact).abs().mean() <= 1.1 * (trained - exact).abs().mean()


@pytest.mark.parametrize("layout", LAYOUTS)
@pytest.mark.parametrize("dtype", [torch.float32, torch.bfloat16])
def test_cells_are_pixels_gathered_into_channels(
    dtype: torch.dtype, layout: torch.memory_format
) -> None:
    photo = picture(12, 20)
    found = cells(photo, 4, dtype, layout)
    assert torch.equal(found, F.pixel_unshuffle(photo, 4).to(dtype))
    assert found.is_contiguous(memory_format=layout)


@pytest.mark.parametrize("dtype", [torch.float32, torch.bfloat16])
def test_moments_are_float32_whatever_comes_in(dtype: torch.dtype) -> None:
    x = (30 + torch.randn(1, 4, 24, 40, generator=torch.Generator().manual_seed(2))).to(dtype)
    for found, expected in zip(moments(x), statistics(x), strict=True):
        assert found.dtype == torch.float32
        assert torch.allclose(found, expected[0], rtol=1e-5)


def test_a_pass_never_waits_for_its_device() -> None:
    styled = StyledNetwork(network(pairs=2), MIX)
    with NoWaits():
        styled(picture(33, 47))


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
    styled, tape = StyledNetwork(network(pairs=2), MIX), Tape()
    passes = RepeatedPasses(styled, tape)
    photos = [picture(20, 24, seed) for seed in range(WARM_UP + 3)]
    found = [passes(photo) for photo in photos]
    assert (tape.recorded, tape.replayed) == (1, 3)
    for photo, result in zip(photos, found, strict=True):
        assert torch.equal(result, styled(photo).clamp(0, 1))


def test_an_odd_size_is_not_recorded_and_few_sizes_are_kept() -> None:
    tape = Tape()
    passes = RepeatedPasses(StyledNetwork(network(pairs=2), MIX), tape)
    assert not passes.recording
    for _ in range(2):
        for side in range(20, 20 + 4 * (SIZES + 1), 4):
            passes(picture(side, 24))
    assert tape.recorded == 0
    assert len(passes._sizes) == SIZES
    assert passes.recording


def test_a_runner_keeps_the_styles_last_used_and_gives_them_up() -> None:
    made = checkpoint("candy", "waves")
    runner = NetworkRunner(torch.device("cpu"), torch.float32)
    photo = picture(20, 24)
    vectors = [made.bank.style_vector({"candy": 1}, s / 10) for s in range(2, 2 + STYLES + 2)]
    first = [runner.run(made, photo, vector, 0, []) for vector in vectors]
    own = runner.prepared(made, [])
    assert len(own.styled) == STYLES
    again = runner.run(made, photo, vectors[0], 0, [])
    assert torch.equal(first[0], again)
    assert not torch.equal(first[0], first[-1])
    assert not runner.forget_passes()  # on a CPU nothing is recorded
    assert not own.styled


@pytest.mark.gpu
@pytest.mark.parametrize("dtype", [torch.float32, torch.bfloat16])
def test_recorded_passes_on_a_card_are_the_photos_own(dtype: torch.dtype) -> None:
    device = torch.device("cuda")
    styled = StyledNetwork(network(pairs=2).to(device), MIX.to(device), dtype)
    passes = RepeatedPasses(styled)
    for seed in range(WARM_UP + 3):
        photo = picture(96, 128, seed).to(device)
        assert torch.allclose(passes(photo), styled(photo).clamp(0, 1), atol=1e-5)
    replay, _ = passes._sizes[photo.shape]
    assert replay._recorded is not None


@pytest.mark.gpu
def test_a_card_paints_what_a_cpu_paints() -> None:
    net, photo = network(pairs=2), picture(96, 128)
    expected = StyledNetwork(net, MIX)(photo)
    found = StyledNetwork(net.cuda(), MIX.cuda())(photo.cuda()).cpu()
    assert (found - expected).abs().mean() < 2e-3  # TF32, where it is allowed
