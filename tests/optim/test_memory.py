"""Predicting memory and choosing what fits. The prediction's truth is benchmarks/memory.py's."""

import json
import subprocess
import sys

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from cnnart.errors import OutOfMemory
from cnnart.methods.stylize.config import CONTENT_LAYERS, STYLE_LAYERS
from cnnart.optim.memory import TILES, free_memory, gigabytes, idle_memory
from cnnart.optim.steps import MemoryPlan
from cnnart.optim.tiles import evaluation_bytes, plan_memory, predict_peak, state_bytes

LAYERS = [*STYLE_LAYERS, *CONTENT_LAYERS]
GIB = 1 << 30


def test_memory_of_this_machine_is_told():
    cpu = torch.device("cpu")
    assert free_memory(cpu) > 0
    assert idle_memory(cpu) > 50 << 20  # torch alone is more
    assert idle_memory(cpu) == idle_memory(cpu)


def test_a_small_picture_is_not_cut(features):
    assert plan_memory(features, LAYERS, (512, 512), MemoryPlan(), 64 * GIB).tile == 0


@given(st.integers(300, 12000), st.integers(300, 12000), st.floats(0.3, 16))
@settings(max_examples=60, deadline=None)
def test_a_plan_fits_or_says_that_nothing_does(features, height, width, gigabytes_allowed):
    limit = int(gigabytes_allowed * GIB)
    size = (height, width)
    least = MemoryPlan(min(TILES), "adam")
    if max(size) > min(TILES) and predict_peak(features, LAYERS, size, least) > limit:
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
    assert evaluation_bytes(features, ["relu1_1"], 512 * 512) < once / 2
    assert evaluation_bytes(features, [], 512 * 512) == 0


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
