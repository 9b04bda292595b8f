"""``cnnart info``: what this machine and this installation are, for bug reports."""

from __future__ import annotations

import platform
import subprocess
import sys
from importlib.metadata import PackageNotFoundError, distributions, version
from pathlib import Path
from typing import Any

import torch

from cnnart.builtin_styles import builtin_styles
from cnnart.errors import CnnartError
from cnnart.machine import total_memory
from cnnart.runtime import (
    DEVICES,
    SEVERAL,
    auto_precision,
    auto_reason,
    device_count,
    device_reason,
    keep_to_cores,
    pick_device,
    precision_name,
)
from cnnart.version import __version__
from cnnart.weights.backbones import EMBEDDED
from cnnart.weights.cache import cached_path
from cnnart.weights.store import network_names, status, verify

CPU_WHEELS = "https://download.pytorch.org/whl/cpu"
PACKAGES = ("torch", "torchvision", "numpy", "pillow")


def describe_environment() -> dict[str, Any]:
    """Everything as plain values, ready for JSON; memory is in bytes."""
    keep_to_cores()
    device = pick_device("auto")
    dtype, why = auto_precision(device)
    return {
        "cnnart": __version__,
        "python": f"{platform.python_version()} ({platform.python_implementation()})",
        **{name: _version(name) for name in PACKAGES},
        "torch_built_for": _built_for(),
        **({"unused_cuda": unused} if (unused := unused_cuda()) else {}),
        "os": platform.platform(),
        "cpu": cpu_model(),
        "cpu_instructions": torch.backends.cpu.get_cpu_capability(),
        "cpu_threads": torch.get_num_threads(),
        "memory": total_memory(),
        "auto_device": {"name": str(device), "why": auto_reason(device)},
        "auto_precision": {"name": precision_name(dtype), "why": why},
        "devices": [_device(device) for device in _devices()],
        "weights": [_weights(name) for name in network_names() if _is_here(name)],
        "weights_cache": str(cached_path(EMBEDDED).parent),
        "styles": _styles(),
    }


def _version(package: str) -> str:
    try:
        return version(package)
    except PackageNotFoundError:
        return "not installed"


def cpu_model() -> str:
    """The processor's name, as far as the system tells."""
    try:
        if platform.system() == "Linux":
            text = Path("/proc/cpuinfo").read_text(encoding="utf-8", errors="replace")
            names = [line.partition(":")[2] for line in text.splitlines() if "model name" in line]
            return names[0].strip() if names else platform.machine()
        if platform.system() == "Darwin":
            command = ["sysctl", "-n", "machdep.cpu.brand_string"]
            return subprocess.run(command, capture_output=True, text=True).stdout.strip()
    except OSError:
        pass
    return platform.processor() or platform.machine()


def _built_for() -> str:
    """What this torch can compute on, with the version of what drives it."""
    cuda, rocm = torch.version.cuda, torch.version.hip
    xpu = getattr(torch.version, "xpu", None)
    built = [f"CUDA {cuda}" if cuda else "", f"ROCm {rocm}" if rocm else "", "XPU" if xpu else ""]
    metal = "Metal" if torch.backends.mps.is_built() else ""
    return ", ".join(name for name in (*built, metal, "CPU") if name)


def unused_cuda() -> dict[str, Any] | None:
    """The libraries for NVIDIA cards where torch finds none, with the lines that remove them."""
    if not torch.version.cuda or device_count("cuda"):
        return None
    library = Path(torch.__file__).parent
    folders = [library.parent / name for name in ("nvidia", "triton", "cuda")]
    files = [path for folder in folders for path in folder.rglob("*")]
    files += (library / "lib").glob("*cuda*")
    names = sorted(
        name
        for name in {str(found.metadata["Name"]).lower() for found in distributions()}
        if name.startswith(("nvidia-", "cuda-")) or name == "triton"
    )
    pip = f"{sys.executable} -m pip"
    return {
        "disk": sum(path.stat().st_size for path in files if path.is_file()),
        "why": "torch finds no NVIDIA card; these two lines remove them",
        "lines": [
            f"{pip} uninstall -y torch torchvision {' '.join(names)}",
            f"{pip} install torch torchvision --index-url {CPU_WHEELS}",
        ],
    }


def _devices() -> list[torch.device]:
    return [
        torch.device(kind, index) if kind in SEVERAL else torch.device(kind)
        for kind in DEVICES
        for index in range(device_count(kind))
    ]


def _device(device: torch.device) -> dict[str, Any]:
    facts: dict[str, Any] = {
        "name": str(device),
        "is": device_reason(device),
        "auto_precision": precision_name(auto_precision(device)[0]),
    }
    if device.type == "cuda":
        about = torch.cuda.get_device_properties(device)
        facts["memory"] = about.total_memory
        amd = about.gcnArchName if torch.version.hip else ""
        facts["capability"] = amd or f"{about.major}.{about.minor}"
    elif device.type == "xpu":
        facts["memory"] = torch.xpu.get_device_properties(device).total_memory
    return facts


def _is_here(name: str) -> bool:
    return status(name).present != "missing"


def _weights(name: str) -> dict[str, str]:
    try:
        return {"name": name, "path": str(verify(name)), "checksum": "ok"}
    except CnnartError as error:
        return {"name": name, "path": str(status(name).path), "checksum": str(error)}


def _styles() -> dict[str, Any]:
    try:
        styles = builtin_styles()
    except CnnartError as error:
        return {"error": str(error)}
    folders = sorted({str(style.path.parent) for style in styles.values()})
    return {"path": folders[0] if folders else None, "names": list(styles)}
