"""Predicting memory and choosing what fits. The prediction's truth is benchmarks/memory.py's."""

import json
import subprocess
import sys
from types import SimpleNamespace

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from cnnart.errors import OutOfMemory
from cnnart.methods.stylize.config import CONTENT_LAYERS, STYLE_LAYERS
from cnnart.networks.vgg import FeatureExtractor
from cnnart.optim import memory, tiles
from cnnart.optim.memory import (
    TILES,
    Limits,
    context_memory,
    free_memory,
    gigabytes,
    hold_to,
    idle_memory,
)
from cnnart.optim.multiscale import CoarseToFine, Descent
from cnnart.optim.steps import MemoryPlan, PyramidLevel
from cnnart.optim.tiles import (
    content_bytes,
    evaluation_bytes,
    gather_features,
    picture_tiles,
    plan_memory,
    predict_peak,
    state_bytes,
    weight_bytes,
)

LAYERS = [*STYLE_LAYERS, *CONTENT_LAYERS]
GIB = 1 << 30


def test_memory_of_this_machine_is_told():
    cpu = torch.device("cpu")
    assert free_memory(cpu) > 0
    assert idle_memory(cpu) > 50 << 20  # torch alone is more
    assert idle_memory(cpu) == idle_memory(cpu)


def test_a_photo_is_counted_once(tiny, monkeypatch):
    """As one of the pictures of its size, else beside them; the next one by itself again."""
    monkeypatch.setattr(memory, "_idle", {})
    monkeypatch.setattr(memory, "_occupied", lambda device: GIB)
    features, layers = FeatureExtractor(tiny), ["relu3_1"]

    def beside_the_rest(photo, side):
        level = PyramidLevel(side, side, 4)
        limits = Limits(tile=0)
        run = CoarseToFine(features, layers, [level], update=Descent(), limits=limits, photo=photo)
        plan = MemoryPlan(iterations=4)
        return run.memory.peak - predict_peak(features, layers, (side, side), plan)

    first, larger = torch.zeros(1, 3, 128, 128), torch.zeros(1, 3, 256, 256)
    assert beside_the_rest(first, 128) == GIB - first.nbytes
    assert beside_the_rest(first, 64) == GIB
    assert beside_the_rest(larger, 64) == GIB - first.nbytes + larger.nbytes
    assert beside_the_rest(None, 64) == GIB - first.nbytes


def test_a_small_picture_is_not_cut(features):
    assert plan_memory(features, LAYERS, (512, 512), MemoryPlan(), 64 * GIB).tile == 0


@given(st.integers(300, 12000), st.integers(300, 12000), st.floats(0.3, 16))
@settings(max_examples=60, deadline=None)
def test_a_plan_fits_or_says_that_nothing_does(features, height, width, gigabytes_allowed):
    limit = int(gigabytes_allowed * GIB)
    size = (height, width)
    leanest = [MemoryPlan(t, "adam") for t in (0, *TILES) if t < max(size)]
    if min(predict_peak(features, LAYERS, size, plan) for plan in leanest) > limit:
        with pytest.raises(OutOfMemory, match=r"`size`.*`max_memory`"):
            plan_memory(features, LAYERS, size, MemoryPlan(), limit)
        return
    plan = plan_memory(features, LAYERS, size, MemoryPlan(), limit)
    assert plan.peak <= limit
    assert plan.peak == predict_peak(features, LAYERS, size, plan)


def test_less_memory_means_smaller_tiles_then_a_leaner_optimizer(features):
    plans = [
        plan_memory(features, LAYERS, (3072, 4096), MemoryPlan(), int(limit * GIB))
        for limit in (200, 20, 8, 4, 3)
    ]
    peaks = [plan.peak for plan in plans]
    assert peaks == sorted(peaks, reverse=True)
    assert plans[0].tile == 0
    assert plans[1].tile > 0
    assert plans[-1].optimizer == "adam"


def test_the_evaluation_grows_with_the_area_and_the_precision(features):
    once = evaluation_bytes(features, LAYERS, 512 * 512)
    assert evaluation_bytes(features, LAYERS, 4 * 512 * 512) == pytest.approx(4 * once, rel=1e-6)
    half = features.with_dtype(torch.bfloat16)
    assert 0.4 * once < evaluation_bytes(half, LAYERS, 512 * 512) < once
    assert evaluation_bytes(features, ["relu1_1"], 512 * 512) < once
    copied = evaluation_bytes(features, LAYERS, 512 * 512, core=256 * 256)
    assert once < copied < evaluation_bytes(features, LAYERS, 512 * 512, core=512 * 512)
    assert once < evaluation_bytes(features, LAYERS, 512 * 512, wrap=True) < 1.2 * once
    assert evaluation_bytes(features, [], 512 * 512) == 0


def test_weights_are_counted_as_deep_as_they_are_used(features):
    """For both ways; in float32 on a CPU as Winograd's, of which 36 stand for 9."""
    pairs = 3 * 64 + 64 * 64
    assert weight_bytes(features, ["relu1_2"]) == pairs * 36 * 4
    assert weight_bytes(features.with_dtype(torch.bfloat16), ["conv1_2"]) == pairs * 2 * 9 * 2
    assert weight_bytes(features, ["pool5"]) > weight_bytes(features, ["relu5_1"])
    assert weight_bytes(features, []) == 0


def test_activations_of_a_large_photo_are_kept_in_half_precision(tiny, monkeypatch):
    """Each value to within 2^-11 of itself; what half precision cannot hold becomes its largest."""
    features, image = FeatureExtractor(tiny), torch.rand(1, 3, 64, 96)
    layers = ["relu2_1", "conv3_1"]
    grid = picture_tiles(features, layers, (64, 96), 0)
    exact = gather_features(features, image, layers, grid)
    assert all(t.dtype == torch.float32 for t in exact.values())
    monkeypatch.setattr(tiles, "MANY", 1000)
    half = gather_features(features, image, layers, grid)
    for name in layers:
        assert half[name].dtype == torch.float16
        torch.testing.assert_close(half[name].float(), exact[name], rtol=2**-11, atol=1e-6)
    monkeypatch.setattr(tiles, "HALF_MOST", 0.25)
    cut = gather_features(features, image, layers, grid)["conv3_1"].float()
    torch.testing.assert_close(cut, half["conv3_1"].float().clamp(-0.25, 0.25))
    assert tiles.kept_dtype(torch.bfloat16, 1 << 40) == torch.bfloat16
    before = content_bytes(features, layers, 64 * 96)
    monkeypatch.setattr(tiles, "MANY", 1 << 40)
    assert content_bytes(features, layers, 64 * 96) == 2 * before


def test_a_limit_leaves_the_c_library_nothing_to_hold_back(monkeypatch):
    cpu = torch.device("cpu")
    monkeypatch.setattr(memory, "_freed_returns", False)
    assert memory.spare_bytes(100, cpu) == 100
    assert memory.spare_bytes(1 << 40, cpu) == memory.SPARE
    assert memory.spare_bytes(1 << 40, torch.device("cuda")) == 0
    monkeypatch.setattr(memory, "_freed_returns", True)
    assert memory.spare_bytes(1 << 40, cpu) == 0


FREED = """
import sys
import torch
from cnnart.optim.memory import hold_to

def resident():
    status = open("/proc/self/status").read()
    return int(status.split("VmRSS:")[1].split()[0]) * 1024

if sys.argv[1] == "held":
    hold_to(1 << 30, torch.device("cpu"))
for _ in range(3):  # glibc learns from what is freed
    torch.ones(7 << 20)
parts = [torch.ones(7 << 18) for _ in range(32)]  # 7 MiB each
before = resident()
del parts[:31]  # all but the last one, above the hole
print(before - resident())
"""


@pytest.mark.slow
@pytest.mark.skipif(sys.platform != "linux", reason="reads /proc/self/status")
def test_with_a_limit_freed_memory_goes_back_at_once():
    command = [sys.executable, "-c", FREED, "held"]
    told = subprocess.run(command, capture_output=True, text=True, check=True).stdout
    assert int(told) > 200 << 20


@pytest.mark.parametrize(
    ("name", "beside", "context"),
    [
        ("cuda", 640 << 20, (640 << 20) + memory.KERNELS),
        ("cuda:1", 9 * GIB, memory.CONTEXT),  # others are at work there, too
        ("cuda", 1 << 20, memory.CONTEXT),  # a driver that does not tell
    ],
)
def test_a_limit_is_the_allocators_too(monkeypatch, name, beside, context):
    """By torch's own functions, down to where a card would be needed."""
    asked = []
    context_memory.cache_clear()
    monkeypatch.setattr(torch.cuda, "mem_get_info", lambda device: (80 * GIB - beside, 80 * GIB))
    monkeypatch.setattr(torch.cuda, "memory_reserved", lambda device: 0)
    card = SimpleNamespace(total_memory=80 * GIB)
    monkeypatch.setattr(torch.cuda, "get_device_properties", lambda device: card)
    monkeypatch.setattr(torch.cuda, "current_device", lambda: 0)
    monkeypatch.setattr(torch.cuda.memory, "_lazy_init", lambda: None)
    monkeypatch.setattr(
        torch._C, "_cuda_setMemoryFraction", lambda *asks: asked.append(asks), raising=False
    )
    hold_to(4 * GIB, torch.device(name))
    ((share, index),) = asked
    assert share * card.total_memory == pytest.approx(4 * GIB - context)
    assert index == (1 if name.endswith("1") else 0)
    context_memory.cache_clear()


@pytest.mark.gpu
def test_a_limit_holds_on_cuda():
    """Beyond it the allocator fails, however much the card has."""
    device = torch.device("cuda")
    hold_to((1 << 30) + context_memory(device), device)
    try:
        with pytest.raises(torch.cuda.OutOfMemoryError):
            torch.empty(2 << 30, dtype=torch.uint8, device=device)
        assert idle_memory(device) >= context_memory(device)
    finally:
        torch.cuda.set_per_process_memory_fraction(1.0)


def test_state_of_the_optimizers():
    adam = MemoryPlan(optimizer="adam")
    full, half = (MemoryPlan(history_dtype=d) for d in (torch.float32, torch.bfloat16))
    assert state_bytes(adam, 1000) == 8000
    assert state_bytes(adam, 1000) < state_bytes(half, 1000) < 0.6 * state_bytes(full, 1000)


def test_bytes_for_people():
    assert gigabytes(3 * GIB) == "3.0 GB"
    assert gigabytes(5 << 20) == "5 MB"


MEASURE = """
import json, sys
from dataclasses import replace
import torch
from cnnart.runtime import Runtime
from cnnart.methods.stylize.config import StylizeConfig
from cnnart.optim.memory import Limits
from cnnart.optim.regions import StyleImage
from cnnart.methods.stylize.transfer import StyleTransfer

side, tile = int(sys.argv[1]), int(sys.argv[2])
features = Runtime(device="cpu").features("max")
picture = torch.rand(1, 3, side * 3 // 4, side, generator=torch.Generator().manual_seed(0))
run = StyleTransfer(
    picture, [StyleImage(picture)], StylizeConfig(steps=3), features, limits=Limits(tile=tile)
)
run.run.schedule = [replace(run.schedule[0], iterations=1), run.schedule[-1]]
for _ in run.steps():
    pass
# Not ru_maxrss: that begins at what the parent held when it started this process.
status = open("/proc/self/status").read()
peak = int(status.split("VmHWM:")[1].split()[0]) * 1024
print(json.dumps([run.memory.peak, peak]))
"""


@pytest.mark.slow
@pytest.mark.skipif(sys.platform != "linux", reason="reads /proc/self/status")
@pytest.mark.parametrize(("side", "tile"), [(256, 0), (448, 0), (576, 192)])
def test_the_prediction_is_within_a_quarter_of_the_measured_peak(side, tile):
    """Of a process of its own, everything included. benchmarks/memory.py measures whole runs."""
    command = [sys.executable, "-c", MEASURE, str(side), str(tile)]
    told = subprocess.run(command, capture_output=True, text=True, check=True).stdout
    predicted, measured = json.loads(told)
    assert predicted == pytest.approx(measured, rel=0.25)
