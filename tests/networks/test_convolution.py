"""Frozen convolutions: every way to compute them is the same map, and a machine has one choice.

No test decides by a clock: it is replaced where the choice is made.
"""

import json
import os
from fractions import Fraction
from pathlib import Path

import pytest
import torch
import torch.nn.functional as F
from hypothesis import given, settings
from hypothesis import strategies as st

from cnnart.networks import convolution
from cnnart.networks.convolution import (
    POINTS,
    STEP,
    Direct,
    FrozenConvolution,
    Winograd,
    blocks,
    only_direct,
    toom_cook,
    turned,
)
from cnnart.networks.vgg import FeatureExtractor, Kept, backwards, forwards

CPU = torch.device("cpu")
EXACT = 1e-5  # relative error in float32 that is nothing but rounding


def drawn(*shape, seed=0):
    return torch.randn(*shape, generator=torch.Generator().manual_seed(seed))


def error(found, expected):
    return float((found.double() - expected.double()).norm() / expected.double().norm())


@pytest.fixture
def choices(tmp_path, monkeypatch):
    """An empty cache, nothing chosen; ``timed`` tells what the list says and counts the calls."""
    monkeypatch.setenv("CNNART_CACHE", str(tmp_path))
    monkeypatch.setattr(convolution, "_choices", {})
    told, calls = [1.0, 0.5], []
    monkeypatch.setattr(convolution, "timed", lambda n: calls.append(n) or tuple(told))
    return told, calls, tmp_path / "convolutions.json"


@pytest.mark.parametrize("points", [POINTS, (Fraction(0), Fraction(1), Fraction(-1))])
def test_a_product_of_polynomials_is_a_convolution(points):
    """outputs ((kernel g) * (inputs d)) is the correlation of d and g, whatever they are."""
    outputs, kernel, inputs = (matrix.double() for matrix in toom_cook(points))
    d, g = drawn(len(points) + 1).double(), drawn(3, seed=1).double()
    expected = torch.stack([d[i : i + 3] @ g for i in range(len(points) - 1)])
    torch.testing.assert_close(outputs @ ((kernel @ g) * (inputs @ d)), expected)


@settings(max_examples=40, deadline=None)
@given(
    size=st.tuples(st.integers(3, 40), st.integers(3, 40)),
    channels=st.tuples(st.integers(1, 9), st.integers(1, 9)),
    batch=st.integers(1, 2),
    padding=st.tuples(st.integers(0, 1), st.integers(0, 1)),
    block=st.sampled_from([8, 64, 1 << 15]),
)
def test_winograds_way_is_the_convolution_there_and_back(size, channels, batch, padding, block):
    """At any size, in blocks of any size; and the way back is its transpose."""
    n_in, n_out = channels
    weight, bias = drawn(n_out, n_in, 3, 3), drawn(n_out, seed=1)
    x = drawn(batch, n_in, *size, seed=2)
    winograd, before = Winograd(weight), convolution.BLOCK
    convolution.BLOCK = block
    try:
        found = winograd.forward(x, padding, bias)
        expected = F.conv2d(x.double(), weight.double(), bias.double(), padding=padding)
        assert error(found, expected) < EXACT
        torch.testing.assert_close(winograd.forward(x, padding, bias, relu=True), found.relu())
        g = drawn(batch, n_out, *size, seed=3)
        expected = F.conv2d(g.double(), turned(weight.double()), padding=padding)
        assert error(winograd.back(g, padding), expected) < EXACT
    finally:
        convolution.BLOCK = before


@given(height=st.integers(1, 200), width=st.integers(1, 200), most=st.integers(1, 100))
@settings(max_examples=100, deadline=None)
def test_blocks_hold_every_tile_once(height, width, most):
    seen = set()
    for block in blocks(height, width, most):
        assert block.tiles <= most
        for i in range(block.rows):
            for j in range(block.columns):
                at = (block.top + i * STEP, block.left + j * STEP)
                assert at not in seen
                seen.add(at)
    assert seen == {(y, x) for y in range(0, height, STEP) for x in range(0, width, STEP)}


@pytest.mark.parametrize("dtype", [torch.float32, torch.bfloat16])
@pytest.mark.parametrize("relu", [False, True])
def test_the_direct_way_is_the_convolution_at_every_size_and_time(dtype, relu):
    """Also the second time a size comes, when its weights are packed, and after another one."""
    weight, bias = drawn(24, 16, 3, 3), drawn(24, seed=1)
    direct = Direct(lambda: weight.to(dtype), bias.to(dtype))
    for side in (20, 20, 20, 9, 20, 9, 9, 33):
        x = drawn(1, 16, side, side + 3).to(dtype).contiguous(memory_format=torch.channels_last)
        found = direct(x, (1, 0), relu=relu)
        expected = F.conv2d(
            x.float(), weight.to(dtype).float(), bias.to(dtype).float(), padding=(1, 0)
        )
        expected = expected.relu() if relu else expected
        assert found.dtype == dtype
        assert error(found, expected) < (0.004 if dtype == torch.bfloat16 else EXACT)


@pytest.mark.parametrize("wrap", [(False, False), (True, False), (True, True)])
@pytest.mark.parametrize("way", ["direct", "winograd"])
def test_the_way_back_is_the_transpose(choices, way, wrap):
    """<convolve(x), g> = <x, back(g)>."""
    told, calls, _ = choices
    told[:] = (1.0, 0.1) if way == "winograd" else (0.1, 1.0)
    convolve = FrozenConvolution(drawn(40, 33, 3, 3), torch.zeros(40), CPU, torch.float32)
    x, g = drawn(1, 33, 20, 23), drawn(1, 40, 20, 23, seed=1)
    there = float((convolve(x, wrap=wrap).double() * g).sum())
    back = float((x.double() * convolve.back(g, wrap=wrap)).sum())
    assert there == pytest.approx(back, rel=1e-4, abs=1e-2)
    assert ("_winograd" in vars(convolve)) == (way == "winograd")
    assert len(calls) == 1


def test_what_is_frozen_is_never_changed():
    x, g = drawn(1, 33, 20, 23), drawn(1, 40, 20, 23, seed=1)
    before = x.clone(), g.clone()
    convolve = FrozenConvolution(drawn(40, 33, 3, 3), drawn(40), CPU, torch.float32)
    with only_direct():
        convolve(x, relu=True)
        convolve.back(g)
    convolve._winograd.forward(x, (1, 1), drawn(40), relu=True)
    convolve._winograd.back(g, (1, 1))
    assert torch.equal(x, before[0])
    assert torch.equal(g, before[1])


@pytest.mark.parametrize(("seconds", "winograd"), [(0.5, True), (0.84, True), (0.9, False)])
def test_winograds_way_is_taken_where_it_is_clearly_faster(choices, seconds, winograd):
    told, _, _ = choices
    told[:] = 1.0, seconds
    assert convolution.prefers_winograd(64) is winograd


def test_the_choice_is_made_once_on_a_machine(choices, monkeypatch):
    """So that the next run rounds as this one did, however busy the machine is then."""
    told, calls, file = choices
    assert convolution.prefers_winograd(64)
    monkeypatch.setattr(convolution, "_choices", {})  # another process, in which it would lose
    told[:] = 1.0, 2.0
    assert convolution.prefers_winograd(64)
    assert calls == [64]
    assert not convolution.prefers_winograd(128)
    assert json.loads(file.read_text()) == {
        convolution.machine(): {"128 channels": False, "64 channels": True}
    }
    # Other libraries may be allowed to use less of the processor: that is another machine.
    monkeypatch.setattr(convolution, "_choices", {})
    monkeypatch.setenv("ONEDNN_MAX_CPU_ISA", "SSE41")
    assert not convolution.prefers_winograd(64)
    assert len(json.loads(file.read_text())) == 2


def test_what_another_process_chose_meanwhile_stands(choices):
    told, _, file = choices
    told[:] = 1.0, 2.0
    assert not convolution.prefers_winograd(64)
    file.write_text(json.dumps({convolution.machine(): {"256 channels": True}}))
    assert not convolution.prefers_winograd(128)  # recording it reads what is there
    assert convolution.prefers_winograd(256)


@pytest.mark.parametrize("content", ["", "{", "[]", '{"x": 1}'])
def test_a_damaged_record_is_measured_again(choices, content):
    _, calls, file = choices
    file.write_text(content)
    assert convolution.prefers_winograd(64)
    assert calls == [64]
    assert json.loads(file.read_text())[convolution.machine()] == {"64 channels": True}


def test_a_dry_run_keeps_no_choice(choices, tmp_path):
    _, calls, _ = choices
    with convolution.unrecorded():
        assert convolution.prefers_winograd(64)
    assert calls == [64]
    assert not list(tmp_path.iterdir())


def test_a_cache_that_cannot_be_written_is_no_error(choices, tmp_path, monkeypatch):
    (tmp_path / "file").write_text("")
    monkeypatch.setenv("CNNART_CACHE", str(tmp_path / "file" / "below"))
    assert convolution.prefers_winograd(64)
    assert convolution.prefers_winograd(64)


def test_nothing_is_measured_where_there_is_no_choice(choices):
    _, calls, _ = choices
    x = drawn(1, 64, 16, 16)
    weight, bias = drawn(64, 64, 3, 3), drawn(64)
    FrozenConvolution(weight, bias, CPU, torch.bfloat16)(x.bfloat16())
    FrozenConvolution(weight[:, :3], bias, CPU, torch.float32)(x[:, :3])
    exact = FrozenConvolution(weight, bias, CPU, torch.float32)
    exact(x[..., :4])  # too few positions
    with only_direct():
        exact(x)
    assert calls == []
    exact(x)
    assert calls == [64]


def test_the_timing_times_both_ways():
    """And leaves the number of threads as it was."""
    threads = torch.get_num_threads()
    assert all(seconds > 0 for seconds in convolution.timed(32))
    assert torch.get_num_threads() == threads


def test_the_networks_gradient_is_exact_by_winograds_way(vgg, photo_of, monkeypatch):
    """The whole way back from relu5_1, from the same signs and maxima.

    (Going forward, a value next to zero may get the other sign by rounding, in either way.)
    """
    features = FeatureExtractor(vgg)
    names = list(features.geometry)
    layers = [features._layer(n, (False, False)) for n in names[: names.index("relu5_1") + 1]]
    found, kept = [], Kept()
    for winograd in (False, True):
        monkeypatch.setattr(convolution, "prefers_winograd", lambda n, w=winograd: w)
        x = photo_of(162, 258).contiguous(memory_format=torch.channels_last) - 0.5
        y = forwards(x, layers, None if winograd else kept)
        found.append((y, backwards(drawn(*y.shape), layers, kept)))
    for direct, other in zip(*found, strict=True):
        assert 0 < error(other, direct) < EXACT


def fused_rightly(x, weight, bias, padding):
    return F.conv2d(x, weight, bias, padding=padding).relu()


def fused_without_bias(x, weight, bias, padding):
    return fused_rightly(x, weight, torch.zeros_like(bias), padding)


def not_there(*_):
    raise AttributeError("no such operator")


@pytest.mark.parametrize(
    ("operator", "dtype", "used"),
    [
        (fused_rightly, torch.bfloat16, True),
        (fused_rightly, torch.float32, False),
        (fused_without_bias, torch.bfloat16, False),
        (not_there, torch.bfloat16, False),
    ],
)
def test_cudnns_fused_convolution_is_used_where_it_is_there_and_right(
    monkeypatch, operator, dtype, used
):
    monkeypatch.setattr(convolution, "_convolve_by_cudnn", operator)
    monkeypatch.setattr(torch.Tensor, "cuda", lambda self: self)
    monkeypatch.setattr(torch.backends.cudnn, "is_available", lambda: True)
    convolution.cudnn_fuses.cache_clear()
    assert convolution.cudnn_fuses(dtype) == used
    convolution.cudnn_fuses.cache_clear()


@pytest.mark.gpu
@pytest.mark.parametrize("dtype", [torch.bfloat16, torch.float16])
def test_cudnns_fused_convolution_gives_the_same_bytes_again(dtype):
    assert convolution.cudnn_fuses(dtype)
    shapes = ((1, 64, 171, 256), (128, 64, 3, 3), (128,))
    x, weight, bias = (torch.randn(shape).to("cuda", dtype) for shape in shapes)
    x, weight = (t.contiguous(memory_format=torch.channels_last) for t in (x, weight))
    found = [convolution._convolve_by_cudnn(x, weight, bias, (1, 1)) for _ in range(3)]
    assert all(torch.equal(found[0], other) for other in found)
    expected = F.conv2d(x, weight, bias, padding=1).relu()
    assert (found[0] - expected).norm() < 0.01 * expected.norm()


@pytest.mark.skipif(not hasattr(os, "mkfifo"), reason="needs named pipes")
def test_a_pipe_in_the_place_of_the_lock_is_not_waited_for(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("CNNART_CACHE", str(tmp_path))
    os.mkfifo(tmp_path / "convolutions.lock")
    with convolution._one_at_a_time():
        pass
