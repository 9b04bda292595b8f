"""Devices and precisions, on machines this one is not."""

from types import SimpleNamespace

import pytest
import torch

from cnnart import runtime as module
from cnnart.errors import UsageError
from cnnart.networks.vgg import FeatureExtractor
from cnnart.optim.color import PaletteLoss
from cnnart.optim.objective import PerceptualObjective, Region, Weights
from cnnart.optim.tiles import gather_moments
from cnnart.runtime import device_reason, pick_device, pick_precision

CPU, CUDA, MPS = torch.device("cpu"), torch.device("cuda"), torch.device("mps")


@pytest.fixture
def machine(monkeypatch):
    """A function that makes torch believe in this many CUDA devices, or in Metal."""

    def make(cuda=0, mps=False, bf16=True):
        monkeypatch.setattr(torch.cuda, "is_available", lambda: cuda > 0)
        monkeypatch.setattr(torch.cuda, "device_count", lambda: cuda)
        monkeypatch.setattr(torch.cuda, "is_bf16_supported", lambda *a, **k: bf16)
        monkeypatch.setattr(torch.cuda, "get_device_name", lambda d: f"Tesla {d.index or 0}")
        monkeypatch.setattr(torch.backends.mps, "is_available", lambda: mps)

    return make


@pytest.mark.parametrize(
    ("cuda", "mps", "expected"),
    [(1, False, CUDA), (2, True, CUDA), (0, True, MPS), (0, False, CPU)],
)
def test_auto_takes_the_fastest(machine, cuda, mps, expected):
    machine(cuda, mps)
    assert pick_device() == expected
    assert pick_device("auto") == expected


def test_a_named_device_is_that_device(machine):
    machine(cuda=2, mps=True)
    for name in ("cpu", "cuda", "cuda:0", "cuda:1", "mps"):
        assert pick_device(name) == torch.device(name)


@pytest.mark.parametrize(
    ("name", "cuda", "message"),
    [
        ("cuda", 0, "No device 'cuda': torch sees 0 CUDA devices here. Use `device` auto."),
        ("cuda:0", 0, "No device 'cuda:0': torch sees 0 CUDA devices here. Use `device` auto."),
        ("cuda:2", 2, "No device 'cuda:2': torch sees 2 CUDA devices here. Use `device` auto."),
        ("mps", 0, "No device 'mps' on this machine. Use `device` auto."),
        ("gpu", 0, "Unknown device 'gpu': use auto, cpu, cuda, cuda:N or mps."),
        ("cuda:x", 1, "Unknown device 'cuda:x': use auto, cpu, cuda, cuda:N or mps."),
        ("", 0, "Unknown device '': use auto, cpu, cuda, cuda:N or mps."),
    ],
)
def test_devices_that_are_not_there(machine, name, cuda, message):
    machine(cuda)
    with pytest.raises(UsageError) as error:
        pick_device(name)
    assert str(error.value) == message
    assert error.value.exit_code == 2


@pytest.mark.parametrize("name", ["meta", "xpu", "vulkan"])
def test_devices_torch_knows_but_cnnart_does_not(machine, name):
    machine()
    with pytest.raises(UsageError, match=r"^Unknown device"):
        pick_device(name)


def test_reasons(machine, monkeypatch):
    machine(cuda=2)
    monkeypatch.setattr(torch, "get_num_threads", lambda: 8)
    assert device_reason(torch.device("cuda:1")) == "Tesla 1 (CUDA)"
    assert device_reason(MPS) == "Apple GPU (Metal)"
    assert device_reason(CPU) == "CPU, 8 threads"
    monkeypatch.setattr(torch, "get_num_threads", lambda: 1)
    assert device_reason(CPU) == "CPU, 1 thread"


@pytest.mark.parametrize(
    ("device", "cuda_bf16", "cpu_bf16", "expected"),
    [
        (CUDA, True, False, torch.bfloat16),
        (CUDA, False, True, torch.float16),
        (MPS, True, True, torch.float32),
        (CPU, True, True, torch.bfloat16),
        (CPU, True, False, torch.float32),
    ],
)
def test_auto_precision(machine, monkeypatch, device, cuda_bf16, cpu_bf16, expected):
    machine(cuda=1, bf16=cuda_bf16)
    monkeypatch.setattr(module, "fast_bf16_cpu", lambda: cpu_bf16)
    assert pick_precision("auto", device) == expected


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
    for device in (CPU, CUDA, MPS):
        assert pick_precision(name, device) == expected


def test_unknown_precision():
    with pytest.raises(UsageError) as error:
        pick_precision("float64", CPU)
    assert str(error.value) == "Unknown precision 'float64': use auto, fp32, bf16 or fp16."


# torch computes float32 convolutions on CUDA in TF32, whose 10 bits of mantissa round each product
# to 5e-4; through seven layers and back the gradient was off by 0.011 on an H200.
@pytest.mark.gpu
@pytest.mark.parametrize("tile", [0, 64])
@pytest.mark.parametrize(("dtype", "tolerance"), [(torch.float32, 0.02), (torch.bfloat16, 0.1)])
def test_cuda_computes_what_the_cpu_does(vgg, photo_of, painting, tile, dtype, tolerance):
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
