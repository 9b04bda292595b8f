"""Statistics carried over the frames of a clip: a first frame is a photo, then they follow slowly,
folded into the weights.
"""

from __future__ import annotations

from typing import Any

import pytest
import torch
import torch.nn.functional as F
from torch import Tensor

from cnnart.errors import OutOfMemory
from cnnart.methods.fast import styled as styled_module
from cnnart.methods.fast.carried import EVERY, RATE, CarriedLayer, CarriedPass, CarriedStatistics
from cnnart.methods.fast.config import FastConfig
from cnnart.methods.fast.frames import FramePainter
from cnnart.methods.fast.network import StyleNetwork, make_noise
from cnnart.methods.fast.styled import LARGEST_SHIFT, StyledNetwork, fused, fuses
from cnnart.methods.fast.stylize import FastStyle, NetworkRunner
from cnnart.optim.memory import Limits
from tests.helpers.fast import TINY, checkpoint, network

SHAPES = (
    TINY,
    "johnson,widths=4-6-8,blocks=1",
    "small,widths=6-8,blocks=1,stem=3",
    "johnson,widths=4-6,separable=yes,blocks=0",
)
LAYOUTS = (torch.channels_last, torch.contiguous_format)
CPU = torch.device("cpu")


def styled(net: StyleNetwork, **named: Any) -> StyledNetwork:
    with torch.no_grad():
        return StyledNetwork(net, net.mixed_pair(torch.tensor([[0.3, 0.7]])), **named)


def frame(seed: int = 0, light: float = 1.0) -> Tensor:
    coarse = torch.rand(1, 3, 6, 8, generator=torch.Generator().manual_seed(seed))
    return light * F.interpolate(coarse, (24, 32), mode="bilinear")


def noise(net: StyleNetwork) -> Tensor | None:
    return make_noise(net.arch, 24, 32, [0])


def painter(dtype: torch.dtype = torch.float32, **named: Any) -> FramePainter:
    runner = NetworkRunner(CPU, dtype)
    return FramePainter([FastStyle(checkpoint("candy"), "candy")], FastConfig(), runner, **named)


@pytest.mark.parametrize("layout", LAYOUTS)
@pytest.mark.parametrize("arch", SHAPES)
def test_a_still_clip_is_its_photo_folded_or_not(arch: str, layout: torch.memory_format) -> None:
    net = network(arch, 2)
    ready, photo, carried = styled(net, layout=layout), frame(), CarriedPass()
    expected = ready(photo, noise(net))
    assert torch.equal(ready(photo, noise(net), carried), expected)  # measured
    for _ in range(EVERY):  # folded, and measured again
        found = ready(photo, noise(net), carried)
        assert torch.allclose(found, expected, rtol=1e-4, atol=1e-4)


def test_statistics_follow_a_change_of_light_slowly() -> None:
    net = network(pairs=2)
    ready, carried = styled(net), CarriedPass()
    dark, bright = frame(light=0.3), frame()
    ready(dark, noise(net), carried)
    before = carried.layers[0].mean
    own, step = ready(bright, noise(net)), []
    for _ in range(6 * EVERY):
        step.append(float((ready(bright, noise(net), carried) - own).abs().mean()))
    assert step[0] > 0.02  # as a dark scene's statistics have it
    assert step[-1] < 0.2 * step[0]
    assert step[EVERY - 1] < step[EVERY - 2] == step[0]  # only a measurement changes something
    fresh = CarriedPass()
    ready(bright, noise(net), fresh)
    assert before is not None
    assert fresh.layers[0].mean is not None
    share = (1 - RATE) ** 6
    wanted = share * before + (1 - share) * fresh.layers[0].mean
    assert carried.layers[0].mean is not None
    assert torch.allclose(carried.layers[0].mean, wanted, atol=1e-6)


def test_a_layer_next_to_blank_is_not_folded() -> None:
    block = styled(network(pairs=2)).blocks[0]
    channels = len(block.gamma)
    usual = CarriedLayer(torch.zeros(channels), torch.ones(channels))
    blank = CarriedLayer(torch.full((channels,), 3.0), torch.zeros(channels))
    assert block.folded(usual) is not None
    assert LARGEST_SHIFT < 3 / 1e-5**0.5
    assert block.folded(blank) is None


def test_a_clip_of_blank_frames_is_painted_as_blank_photos_are() -> None:
    net = network(pairs=2)
    ready, carried = styled(net, dtype=torch.bfloat16), CarriedPass()
    black = torch.zeros(1, 3, 24, 32)
    expected = ready(black, noise(net))
    for _ in range(EVERY + 1):
        found = ready(black, noise(net), carried)
        assert (found - expected).abs().mean() < 0.02


def test_another_size_begins_anew() -> None:
    carried = CarriedPass()
    assert carried.next_frame(3)
    assert not carried.next_frame(3)
    assert carried.next_frame(4)


@pytest.mark.parametrize("relu", [True, False])
@pytest.mark.parametrize("stride", [1, 2])
def test_one_pass_is_what_three_are(stride: int, relu: bool) -> None:
    if not fuses():
        pytest.skip("this torch has no fused convolutions")
    rng = torch.Generator().manual_seed(0)
    x = torch.randn(1, 8, 12, 10, generator=rng).contiguous(memory_format=torch.channels_last)
    weight, bias = torch.randn(8, 8, 1, 1, generator=rng), torch.randn(8, generator=rng)
    plain = F.conv2d(x, weight, bias, stride)
    expected = plain.relu() if relu else plain
    assert torch.allclose(fused(x, weight, bias, stride, None, relu=relu), expected, atol=1e-5)
    if not relu:
        onto = torch.ones_like(plain)
        found = fused(x, weight, bias, stride, onto, relu=False)
        assert found.data_ptr() == onto.data_ptr()
        assert torch.allclose(found, plain + 1, atol=1e-5)


def test_a_torch_without_it_gives_the_same(monkeypatch: pytest.MonkeyPatch) -> None:
    net = network(pairs=2)
    photo = frame()

    def second_frame() -> Tensor:
        ready, carried = styled(net), CarriedPass()
        ready(photo, noise(net), carried)
        return ready(photo, noise(net), carried)

    expected = second_frame()
    monkeypatch.setattr(styled_module, "fuses", lambda: False)
    assert torch.allclose(second_frame(), expected, atol=1e-5)


@pytest.mark.parametrize("error", [AttributeError, RuntimeError, TypeError, None])
def test_an_operation_that_is_missing_or_wrong_is_not_used(
    monkeypatch: pytest.MonkeyPatch, error: type[Exception] | None
) -> None:
    def broken(x: Tensor, *_: Any, **__: Any) -> Tensor:
        if error is not None:
            raise error
        return x

    monkeypatch.setattr(styled_module, "fused", broken)
    assert not fuses.__wrapped__()


# A clip's frames


def test_frames_alone_are_photos_and_others_go_on_from_the_first() -> None:
    alone, held = painter(alone=True), painter()
    first, second = frame(1), frame(2, 0.5)
    assert torch.equal(alone(first), held(first))
    assert not torch.equal(alone(second), held(second))
    held.restart()
    assert torch.equal(alone(second), held(second))


def test_in_half_precision_a_scene_begins_as_it_goes_on() -> None:
    """Weights that hold the normalization round otherwise than it does."""
    held = painter(torch.bfloat16)
    for seed in (1, 2):
        held.restart()
        first = held(frame(seed))
        assert torch.equal(first, held(frame(seed)))
    alone = painter(torch.bfloat16, alone=True)
    assert not torch.equal(first, alone(frame(2)))


def test_a_clip_taken_up_again_has_the_same_frames() -> None:
    frames = [frame(seed) for seed in range(EVERY + 3)]
    whole, first, second = painter(), painter(), painter()
    expected = [whole(each) for each in frames]
    found = [first(each) for each in frames[:3]]
    second.load_state_dict(first.state_dict())
    found += [second(each) for each in frames[3:]]
    for one, other in zip(found, expected, strict=True):
        assert torch.equal(one, other)


def test_frames_between_two_that_are_measured_can_be_painted_in_any_order() -> None:
    frames = [frame(seed) for seed in range(2 * EVERY + 2)]
    whole, ahead = painter(), painter()
    expected = [whole(each) for each in frames]
    begun, states = [], []
    for each in frames:
        begun.append(ahead.begin(each))
        states.append(ahead.state_dict())
    found = [made() for made in reversed(begun)][::-1]
    for one, other in zip(found, expected, strict=True):
        assert torch.equal(one, other)
    again = painter()
    again.load_state_dict(states[EVERY + 1])
    for each, other in zip(frames[EVERY + 2 :], expected[EVERY + 2 :], strict=True):
        assert torch.equal(again.begin(each)(), other)


def test_each_pass_of_a_frame_has_its_own() -> None:
    carried = CarriedStatistics()
    carried.next_frame()
    first, second = carried.next_pass(), carried.next_pass()
    assert first is not second
    carried.next_frame()
    assert carried.next_pass() is first
    assert carried.next_pass() is second
    carried.restart()
    carried.next_frame()
    assert carried.next_pass() is not first


def test_in_strips_each_frame_has_its_own() -> None:
    held = painter(limits=Limits(tile=64))
    alone = painter(limits=Limits(tile=64), alone=True)
    for seed in range(2):
        assert torch.equal(held(frame(seed)), alone(frame(seed)))


def test_where_a_mask_empties_the_other_styles_statistics_are_their_own() -> None:
    """The passes of a frame are told apart by their order, which is another then."""
    runner, photo = NetworkRunner(CPU, torch.float32), torch.rand(1, 3, 24, 32)
    left = torch.zeros(1, 1, 24, 32)
    left[..., :16] = 1
    nothing, all_ = torch.zeros(1, 1, 24, 32), torch.ones(1, 1, 24, 32)
    styles = [
        FastStyle(checkpoint(name, seed=seed), name) for seed, name in enumerate(("one", "two"))
    ]
    paint = FramePainter(styles, FastConfig(), runner)
    paint.masks = [left, 1 - left]
    paint(photo)
    paint.masks = [nothing, all_]
    found = paint(photo)
    fresh = FramePainter(styles, FastConfig(), runner)
    fresh.masks = [nothing, all_]
    assert torch.equal(found, fresh(photo))
    paint.masks = [nothing, nothing]
    assert torch.equal(paint(photo), photo)


def test_frames_are_painted_alike_whatever_else_takes_memory_meanwhile(monkeypatch: Any) -> None:
    """Planned anew, a frame would be painted in strips, or be refused, in the midst of a clip."""
    expected = painter()
    frames = [frame(), frame().flip(-1)]
    pictures = [expected(each) for each in frames]
    paint = painter()
    paint.planned(frames[0])
    monkeypatch.setattr("cnnart.methods.fast.stylize.free_memory", lambda device: 0)
    assert all(torch.equal(paint(a), b) for a, b in zip(frames, pictures, strict=True))
    with pytest.raises(OutOfMemory):
        painter()(frames[0])
