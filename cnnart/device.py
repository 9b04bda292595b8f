"""Which device to compute on, and in which precision."""

from __future__ import annotations

import torch

from cnnart.errors import UsageError

PRECISIONS = {"fp32": torch.float32, "bf16": torch.bfloat16, "fp16": torch.float16}


def pick_device(name: str = "auto") -> torch.device:
    """The torch device for ``auto``, ``cpu``, ``cuda``, ``cuda:N`` or ``mps``.

    ``auto`` prefers CUDA, then MPS, then the CPU. Raises UsageError when the named device is not
    there: silence would turn a minute into an hour.
    """
    if name == "auto":
        if torch.cuda.is_available():
            return torch.device("cuda")
        return torch.device("mps" if torch.backends.mps.is_available() else "cpu")
    unknown = UsageError(f"Unknown device {name!r}: use auto, cpu, cuda, cuda:N or mps.")
    try:
        device = torch.device(name)
    except RuntimeError:
        raise unknown from None
    if device.type not in ("cpu", "cuda", "mps"):
        raise unknown
    if device.type == "cuda" and (device.index or 0) >= torch.cuda.device_count():
        found = torch.cuda.device_count()
        raise UsageError(
            f"No device {name!r}: torch sees {found} CUDA devices here. Use --device auto."
        )
    if device.type == "mps" and not torch.backends.mps.is_available():
        raise UsageError("No device 'mps' on this machine. Use --device auto.")
    return device


def device_reason(device: torch.device) -> str:
    """One phrase for people: the device, and why it was the choice."""
    if device.type == "cuda":
        return f"{torch.cuda.get_device_name(device)} (CUDA)"
    if device.type == "mps":
        return "Apple GPU (Metal)"
    threads = torch.get_num_threads()
    return f"CPU, {threads} thread{'s' if threads != 1 else ''}"


def fast_bf16_cpu() -> bool:
    """Whether this CPU multiplies bfloat16 natively (AVX512-BF16 or AMX on x86)."""
    capabilities = torch.cpu.get_capabilities() if hasattr(torch.cpu, "get_capabilities") else {}
    if capabilities:
        return bool(capabilities.get("avx512_bf16") or capabilities.get("amx_bf16"))
    asked = ("_is_avx512_bf16_supported", "_is_amx_tile_supported")  # torch before get_capabilities
    return any(getattr(torch.cpu, name, bool)() for name in asked)


def pick_precision(name: str, device: torch.device) -> torch.dtype:
    """The dtype of the network's activations for ``auto``, ``fp32``, ``bf16`` or ``fp16``.

    ``auto``: bf16 where the hardware multiplies it natively, fp16 on older CUDA devices, fp32
    elsewhere. Losses, Gram matrices and optimizer state are fp32 whatever is chosen here.
    """
    if name in PRECISIONS:
        return PRECISIONS[name]
    if name != "auto":
        raise UsageError(f"Unknown precision {name!r}: use auto, fp32, bf16 or fp16.")
    if device.type == "cuda":
        return torch.bfloat16 if torch.cuda.is_bf16_supported(False) else torch.float16
    if device.type == "cpu" and fast_bf16_cpu():
        return torch.bfloat16
    return torch.float32
