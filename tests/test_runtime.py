"""Devices and precisions, on machines this one is not."""

import threading
import time
from types import SimpleNamespace

import pytest
import torch

from cnnart import runtime as module
from cnnart.errors import UsageError, is_out_of_memory
from cnnart.networks.vgg import FeatureExtractor
from cnnart.optim import memory
from cnnart.optim.color import PaletteLoss
from cnnart.optim.memory import free_memory, idle_memory, release_memory
from cnnart.optim.objective import PerceptualObjective, Region, Weights
from cnnart.optim.tiles import gather_moments
from cnnart.runtime import (
    Runtime,
    auto_precision,
    auto_reason,
    device_reason,
    pick_device,
    pick_precision,
)

CPU, CUDA, MPS, XPU = (torch.device(kind) for kind in ("cpu", "cuda", "mps", "xpu"))


@pytest.fixture
def machine(monkeypatch):
    """A function that makes torch believe in these devices, and itself built for them."""

    def make(cuda=0, mps=False, xpu=0, *, bf16=True, rocm=False, built=("cuda", "xpu", "mps")):
        cards = SimpleNamespace(
            device_count=lambda: xpu,
            is_bf16_supported=lambda emulated=True: bf16,
            get_device_name=lambda device: f"Intel Arc {device.index or 0}",
        )
        monkeypatch.setattr(torch, "xpu", cards, raising=False)
        monkeypatch.setattr(torch.cuda, "is_available", lambda: cuda > 0)
        monkeypatch.setattr(torch.cuda, "device_count", lambda: cuda)
        monkeypatch.setattr(torch.cuda, "is_bf16_supported", lambda *a, **k: bf16)
        monkeypatch.setattr(torch.cuda, "get_device_name", lambda d: f"Tesla {d.index or 0}")
        monkeypatch.setattr(torch.backends.mps, "is_available", lambda: mps)
        monkeypatch.setattr(torch.backends.mps, "is_built", lambda: "mps" in built)
        nvidia = "cuda" in built and not rocm
        monkeypatch.setattr(torch.version, "cuda", "13.0" if nvidia else None)
        monkeypatch.setattr(torch.version, "hip", "6.4" if rocm else None)
        monkeypatch.setattr(torch.version, "xpu", "1" if "xpu" in built else None, raising=False)
        monkeypatch.setattr(torch, "__version__", "2.9")

    return make


@pytest.mark.parametrize(
    ("cuda", "xpu", "mps", "expected"),
    [
        (1, 0, False, CUDA),
        (2, 1, True, CUDA),
        (0, 2, False, XPU),
        (0, 0, True, MPS),
        (0, 0, False, CPU),
    ],
)
def test_auto_takes_the_fastest(machine, cuda, xpu, mps, expected):
    machine(cuda, mps, xpu)
    assert pick_device() == expected
    assert pick_device("auto") == expected


def test_a_named_device_is_that_device(machine):
    machine(cuda=2, mps=True, xpu=2)
    for name in ("cpu", "cuda", "cuda:0", "cuda:1", "mps", "xpu", "xpu:1"):
        assert pick_device(name) == torch.device(name)


@pytest.mark.parametrize(
    ("name", "there", "message"),
    [
        ("cuda", {}, "torch sees no CUDA device here"),
        ("cuda:0", {"xpu": 1}, "torch sees no CUDA device here"),
        ("cuda:1", {"cuda": 1}, "torch sees 1 CUDA device here"),
        ("cuda:2", {"cuda": 2}, "torch sees 2 CUDA devices here"),
        ("cuda:2", {"cuda": 2, "rocm": True}, "torch sees 2 ROCm devices here"),
        ("cuda", {"built": ["mps"]}, "torch 2.9 is built without CUDA"),
        ("xpu", {"cuda": 1}, "torch sees no XPU device here"),
        ("xpu:1", {"xpu": 1, "built": ["xpu"]}, "torch sees 1 XPU device here"),
        ("mps", {}, "torch sees no Metal device here"),
        ("mps:1", {"mps": True}, "torch sees 1 Metal device here"),
        ("mps", {"built": ["cuda"]}, "torch 2.9 is built without Metal"),
    ],
)
def test_devices_that_are_not_there(machine, name, there, message):
    machine(**there)
    with pytest.raises(UsageError) as error:
        pick_device(name)
    assert str(error.value) == f"No device {name!r}: {message}. Use `device` auto."
    assert error.value.exit_code == 2


@pytest.mark.parametrize("name", ["meta", "vulkan", "gpu", "rocm", "cuda:x", ""])
def test_devices_that_cnnart_does_not_know(machine, name):
    machine(cuda=1)
    with pytest.raises(UsageError) as error:
        pick_device(name)
    assert str(error.value) == (
        f"Unknown device {name!r}: use auto, cuda (NVIDIA, or AMD with ROCm), xpu (Intel), "
        "mps (Apple) or cpu; cuda:1 is the second of several."
    )


def test_a_torch_without_xpu(machine, monkeypatch):
    """As old as pyproject.toml allows."""
    machine()
    monkeypatch.delattr(torch, "xpu")
    monkeypatch.delattr(torch.version, "xpu")
    assert pick_device() == CPU
    with pytest.raises(UsageError, match="without XPU"):
        pick_device("xpu")


def test_a_second_card_becomes_the_current_one(machine, monkeypatch):
    """A CUDA graph is captured on the current device, whatever device its tensors are on."""
    machine(cuda=2)
    chosen = []
    monkeypatch.setattr(torch.cuda, "set_device", chosen.append)
    Runtime(device="cuda")
    assert chosen == []
    Runtime(device="cuda:1")
    assert chosen == [torch.device("cuda:1")]


def test_what_a_device_is(machine, monkeypatch):
    machine(cuda=2, xpu=1)
    monkeypatch.setattr(torch, "get_num_threads", lambda: 8)
    assert device_reason(torch.device("cuda:1")) == "Tesla 1 (CUDA)"
    assert device_reason(XPU) == "Intel Arc 0 (XPU)"
    assert device_reason(MPS) == "Apple GPU (Metal)"
    assert device_reason(CPU) == "CPU, 8 threads"
    monkeypatch.setattr(torch, "get_num_threads", lambda: 1)
    assert device_reason(CPU) == "CPU, 1 thread"
    machine(cuda=1, rocm=True)
    assert device_reason(CUDA) == "Tesla 0 (ROCm)"


@pytest.mark.parametrize(
    ("there", "reason"),
    [
        ({"cuda": 1}, "the GPU"),
        ({"cuda": 3}, "the first of 3 GPUs"),
        ({"built": ["cuda"]}, "torch sees no CUDA device here"),
        ({"built": ["cuda", "xpu"]}, "torch sees no CUDA or XPU device here"),
        ({"built": ["xpu"], "rocm": True}, "torch sees no ROCm or XPU device here"),
        ({"built": []}, "torch 2.9 is built for no GPU"),
    ],
)
def test_why_auto_takes_a_device(machine, there, reason):
    machine(**there)
    assert auto_reason(pick_device()) == reason


@pytest.mark.parametrize(
    ("device", "gpu_bf16", "cpu_bf16", "expected"),
    [
        (CUDA, True, False, torch.bfloat16),
        (CUDA, False, True, torch.float16),
        (XPU, True, False, torch.bfloat16),
        (XPU, False, True, torch.float16),
        (MPS, True, True, torch.float32),
        (CPU, True, True, torch.bfloat16),
        (CPU, True, False, torch.float32),
    ],
)
def test_auto_precision(machine, monkeypatch, device, gpu_bf16, cpu_bf16, expected):
    machine(cuda=1, xpu=1, bf16=gpu_bf16)
    monkeypatch.setattr(module, "fast_bf16_cpu", lambda: cpu_bf16)
    assert pick_precision("auto", device) == expected
    dtype, why = auto_precision(device)
    assert (dtype, bool(why)) == (expected, True)


def test_a_gpu_is_opened_while_other_things_are_done(machine, monkeypatch):
    machine(cuda=1)
    seen, open_it = [], threading.Event()

    def compute(device, dtype):
        assert open_it.wait(60)
        seen.append((device, dtype))

    monkeypatch.setattr(module, "_open", compute)
    runtime = Runtime(precision="fp32")
    runtime.open_ahead()
    assert seen == []
    open_it.set()
    assert runtime.device == CUDA
    assert seen == [(CUDA, torch.float32)]  # asking for the device has waited
    assert runtime.loading.keys() == {"device"}


def test_what_fails_while_a_device_is_opened_is_told_when_it_is_used(machine):
    machine(xpu=1)  # which there is not
    runtime = Runtime()
    runtime.open_ahead()
    assert runtime.device == XPU


@pytest.mark.parametrize(
    "text",
    [
        "XPU out of memory. Tried to allocate 20.00 GiB. GPU 0 has a total capacity of 15.91 GiB.",
        "level_zero backend failed with error: 39 (UR_RESULT_ERROR_OUT_OF_DEVICE_MEMORY)",
        "HIP out of memory. Tried to allocate 20.00 GiB.",
    ],
)
def test_how_other_gpus_say_that_memory_ran_out(text):
    assert is_out_of_memory(RuntimeError(text))


@pytest.mark.parametrize("dtype", [torch.float32, torch.bfloat16])
@pytest.mark.parametrize("device", ["cpu", pytest.param("cuda", marks=pytest.mark.gpu)])
def test_warming_up_computes(device, dtype):
    module.warm_up(torch.device(device), dtype)


def test_the_memory_of_an_intel_gpu(machine):
    machine(xpu=1)
    emptied = []
    torch.xpu.get_device_properties = lambda device: SimpleNamespace(total_memory=16 << 30)
    torch.xpu.memory_reserved = lambda device: 3 << 30
    torch.xpu.empty_cache = lambda: emptied.append(True)
    assert free_memory(XPU) == 13 << 30
    assert idle_memory(XPU) == 3 << 30
    release_memory(XPU)
    assert emptied == [True]
    del memory._idle[XPU]


def test_a_cpu_needs_no_opening():
    runtime = Runtime(device="cpu")
    runtime.open_ahead()
    assert runtime._opening is None


@pytest.mark.parametrize(
    ("capabilities", "expected"),
    [
        ({"avx512_bf16": True, "amx_bf16": False}, True),
        ({"avx512_bf16": False, "amx_bf16": True}, True),
        ({"avx512_bf16": False, "amx_bf16": False, "avx2": True}, False),
        ({"architecture": "aarch64"}, False),
    ],
)
def test_fast_bfloat16_needs_the_instructions(monkeypatch, capabilities, expected):
    monkeypatch.setattr(torch.cpu, "get_capabilities", lambda: capabilities, raising=False)
    assert module.fast_bf16_cpu() is expected


def test_a_torch_that_knows_no_capabilities(monkeypatch):
    """As old as pyproject.toml allows: it cannot say, so the answer is no."""
    monkeypatch.setattr(torch, "cpu", SimpleNamespace())
    assert module.fast_bf16_cpu() is False


@pytest.mark.parametrize(
    ("name", "expected"),
    [("fp32", torch.float32), ("bf16", torch.bfloat16), ("fp16", torch.float16)],
)
def test_a_named_precision_is_that_precision(name, expected):
    for device in (CPU, CUDA, MPS, XPU):
        assert pick_precision(name, device) == expected


def test_unknown_precision():
    with pytest.raises(UsageError) as error:
        pick_precision("float64", CPU)
    assert str(error.value) == "Unknown precision 'float64': use auto, fp32, bf16 or fp16."


# Left alone, torch computes float32 convolutions on CUDA in TF32, whose 10 bits of mantissa round
# each product to 5e-4; through seven layers and back the gradient was off by 0.011 on an H200.
@pytest.mark.gpu
@pytest.mark.parametrize("tile", [0, 64])
@pytest.mark.parametrize(
    ("dtype", "tf32", "tolerance"),
    [
        (torch.float32, False, 1e-3),
        (torch.float32, True, 0.02),
        (torch.bfloat16, True, 0.1),
    ],
)
def test_cuda_computes_what_the_cpu_does(
    vgg, photo_of, painting, monkeypatch, tile, dtype, tf32, tolerance
):
    monkeypatch.setattr(torch.backends.cudnn, "allow_tf32", tf32)
    weights = Weights(1.0, 2.0, 1.0, 0.1, 0.5, {"relu3_2": 1.0}, {"relu1_1": 1.0, "relu3_1": 1.0})
    photo, found = photo_of(101, 130), []
    image = photo + 0.1 * torch.randn(photo.shape, generator=torch.Generator().manual_seed(0))
    for device, precision in (("cpu", torch.float32), ("cuda", dtype)):
        features = FeatureExtractor(vgg, device=device, dtype=precision)
        style = painting.to(device)
        targets = gather_moments(features, style, ["relu1_1", "relu3_1"], 0)
        region = Region(targets, PaletteLoss([(style, 1.0)]))
        objective = PerceptualObjective(features, photo.to(device), [region], weights, tile=tile)
        found.append(objective(image.to(device)))
    expected, on_cuda = found
    assert on_cuda.gradient.device.type == "cuda"
    assert on_cuda.losses == pytest.approx(expected.losses, rel=tolerance, abs=1e-6)
    error = (on_cuda.gradient.cpu() - expected.gradient).norm() / expected.gradient.norm()
    assert float(error) < tolerance


@pytest.mark.parametrize("set_by", [-86_400, 86_400])
def test_the_first_pictures_time_includes_starting_up_whatever_the_clock_is_set_to(
    set_by: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    runtime = Runtime(device="cpu", time_budget=60, begun=time.time() - 10)
    now = time.time()
    monkeypatch.setattr(time, "time", lambda: now + set_by)
    first = runtime.limits().seconds
    assert first is not None
    assert 40 < first <= 50
    assert runtime.limits().seconds == 60
    early = Runtime(device="cpu", time_budget=60, begun=now + 86_400 + 10).limits().seconds
    assert early is not None
    assert early <= 60
