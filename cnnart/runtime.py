"""What every method computes with: a device, a precision, a network on it, and limits."""

from __future__ import annotations

import ctypes
import functools
import sys
import time
from collections.abc import Iterable
from typing import TYPE_CHECKING

import torch

from cnnart.errors import UsageError, did_you_mean
from cnnart.optim.memory import Limits

if TYPE_CHECKING:
    from cnnart.networks.base import Network
    from cnnart.networks.vgg import FeatureExtractor

DTYPES = {"fp32": torch.float32, "bf16": torch.bfloat16, "fp16": torch.float16}
DEFAULT_BACKBONE = "vgg19"  # the embedded network
ORIGINAL = {DEFAULT_BACKBONE: "vgg19-oxford"}  # it has the shape of its original

# From glibc's malloc.h.
TRIM_THRESHOLD, MMAP_MAX = -1, -4
NEVER = 2**31 - 1  # bytes, the largest value mallopt takes


class Runtime:
    """A device, a precision, a network and limits, for any number of pictures.

    The network is loaded by the first picture that needs it.

    Args:
        device: ``auto``, ``cpu``, ``cuda``, ``cuda:N`` or ``mps``.
        precision: ``auto``, ``fp32``, ``bf16`` or ``fp16``.
        backbone: one of ``cnnart.weights.backbones.backbone_names()``, or for methods that take any
            network the name of one (``cnnart.networks.zoo``).
        offline: never download weights.
        max_memory: the most bytes a run may take, all included; None: most of what is free.
        time_budget: seconds a picture may take; None: as long as its preset does.
        max_pixels: refuse to read pictures with more; None: as ``cnnart.image.read`` says.
        begun: when the program started (``time.time()``), if the first picture is to count that.

    Raises UsageError for a device or precision that does not exist.
    """

    def __init__(
        self,
        *,
        device: str = "auto",
        precision: str = "auto",
        backbone: str = DEFAULT_BACKBONE,
        offline: bool = False,
        max_memory: float | None = None,
        time_budget: float | None = None,
        max_pixels: int | None = None,
        begun: float | None = None,
    ) -> None:
        self.device = pick_device(device)
        self.dtype = pick_precision(precision, self.device)
        self.backbone = backbone
        self.offline = offline
        self.max_pixels = max_pixels
        self._memory = None if max_memory is None else int(max_memory)
        self._seconds = time_budget
        self._begun = begun
        self._loaded: dict[str, FeatureExtractor] = {}
        self._network: Network | None = None

    def features(self, pooling: str = "max") -> FeatureExtractor:
        """The VGG with this pooling, loaded once. Raises WeightsError when it is not to be had."""
        if pooling not in self._loaded:
            from cnnart.networks.vgg import FeatureExtractor

            self.check_layers([])
            weights = load_vgg(self.backbone, offline=self.offline)
            self._loaded = {
                pooling: FeatureExtractor(
                    weights, pooling=pooling, device=self.device, dtype=self.dtype
                )
            }
        return self._loaded[pooling]

    def network(self, pooling: str = "max") -> Network:
        """Any network, by the name of a backbone. Raises UsageError and WeightsError."""
        if self.is_vgg:
            return self.features(pooling)
        if self._network is None:
            from cnnart.networks.zoo import open_network

            self._network = open_network(
                self.backbone, device=self.device, dtype=self.dtype, offline=self.offline
            )
        return self._network

    @property
    def is_vgg(self) -> bool:
        """Whether the backbone is a VGG, whose layers are known without loading it."""
        from cnnart.weights.backbones import backbone_names

        return self.backbone in backbone_names()

    def check_layers(self, names: Iterable[str]) -> None:
        """Raise UsageError for a VGG or a layer that does not exist, without loading anything."""
        from cnnart.weights.backbones import backbone_names

        if not self.is_vgg:
            hint = did_you_mean(self.backbone, backbone_names())
            raise UsageError(f"Unknown backbone {self.backbone!r}.{hint}")
        known = layer_names(self.backbone)
        for name in names:
            if name not in known:
                hint = did_you_mean(name, known) or " Names look like relu4_2."
                raise UsageError(f"{self.backbone} has no layer {name!r}.{hint}")

    def limits(self) -> Limits:
        """What the next picture may take. The first one's time includes starting up."""
        seconds = self._seconds
        if seconds is not None and self._begun is not None:
            seconds = max(1.0, seconds - (time.time() - self._begun))
            self._begun = None
        return Limits(self._memory, seconds)


def load_vgg(name: str, *, offline: bool = False):  # type: ignore[no-untyped-def]
    """See ``cnnart.weights.vgg.load_vgg``, which is imported by the first picture that needs it."""
    from cnnart.weights.vgg import load_vgg

    return load_vgg(name, offline=offline)


def layer_names(backbone: str) -> list[str]:
    """Every layer of a VGG: ``conv1_1``, ``relu1_1``, ..., ``pool5``."""
    from cnnart.weights.backbones import BACKBONES, layers

    convs = [name for name, *_ in layers(BACKBONES[ORIGINAL.get(backbone, backbone)])]
    pools = [f"pool{block}" for block in range(1, 6)]
    return [*convs, *(name.replace("conv", "relu") for name in convs), *pools]


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
            f"No device {name!r}: torch sees {found} CUDA devices here. Use `device` auto."
        )
    if device.type == "mps" and not torch.backends.mps.is_available():
        raise UsageError("No device 'mps' on this machine. Use `device` auto.")
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
    if name in DTYPES:
        return DTYPES[name]
    if name != "auto":
        raise UsageError(f"Unknown precision {name!r}: use auto, fp32, bf16 or fp16.")
    if device.type == "cuda":
        return torch.bfloat16 if torch.cuda.is_bf16_supported(False) else torch.float16
    if device.type == "cpu" and fast_bf16_cpu():
        return torch.bfloat16
    return torch.float32


def precision_name(dtype: torch.dtype) -> str:
    """``fp32``, ``bf16`` or ``fp16``."""
    return next(name for name, known in DTYPES.items() if known == dtype)


@functools.cache
def keep_freed_memory() -> bool:
    """Let freed memory stay with the process, for its next tensor. Returns whether it will.

    glibc gives every large block back to the system at once, and the next one comes page by page:
    in a network of many short layers that takes as long as the arithmetic. Other C libraries do
    not, and are left alone. The whole process is affected, for good.
    """
    if sys.platform != "linux":
        return False
    try:
        mallopt = ctypes.CDLL("libc.so.6").mallopt
    except (OSError, AttributeError):  # musl
        return False
    return bool(mallopt(MMAP_MAX, 0)) and bool(mallopt(TRIM_THRESHOLD, NEVER))
