"""What every method computes with: a device, a precision, a network on it, and limits."""

from __future__ import annotations

import contextlib
import ctypes
import functools
import sys
import time
from collections.abc import Callable, Iterable, Iterator
from threading import Thread
from typing import TYPE_CHECKING, Any

import torch
import torch.nn.functional as F

from cnnart.errors import UsageError, did_you_mean
from cnnart.machine import cpu_quota, wanted_threads
from cnnart.optim.memory import Limits

if TYPE_CHECKING:
    from cnnart.networks.base import Network
    from cnnart.networks.vgg import FeatureExtractor

DTYPES = {"fp32": torch.float32, "bf16": torch.bfloat16, "fp16": torch.float16}
DEFAULT_BACKBONE = "vgg19"  # the embedded network
ORIGINAL = {DEFAULT_BACKBONE: "vgg19-oxford"}  # it has the shape of its original

# From glibc's malloc.h.
TRIM_THRESHOLD, MMAP_MAX, ARENA_MAX = -1, -4, -8
NEVER = 2**31 - 1  # bytes, the largest value mallopt takes


class Runtime:
    """A device, a precision, a network and limits, for any number of pictures.

    The network is loaded by the first picture that needs it.

    Args:
        device: ``auto``, or one that ``pick_device`` knows.
        precision: ``auto``, ``fp32``, ``bf16`` or ``fp16``.
        backbone: one of ``cnnart.weights.backbones.backbone_names()``, or for methods that take any
            network the name of one (``cnnart.networks.zoo``).
        offline: never download weights.
        max_memory: the most bytes a run may take, all included; None: most of what is free.
        time_budget: seconds a picture may take; None: as long as its preset does.
        max_pixels: refuse to read pictures with more; None: as ``cnnart.image.read`` says.
        begun: when the program started (``time.time()``), if the first picture is to count that.
        read_only: keep nothing in caches or beside results: it is a dry run.

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
        read_only: bool = False,
    ) -> None:
        self.loading: dict[str, float] = {}  # seconds, for --debug
        self.notes: list[str] = []  # of the pictures read that all photos share, to be told once
        self.tell: Callable[[str], None] = self.notes.append  # now, where somebody listens
        self._opening: Thread | None = None
        keep_to_cores()
        self._device = pick_device(device)
        if self._device.index:  # CUDA graphs, and questions without a device, are the current one's
            _of_kind(self._device.type).set_device(self._device)
        self.dtype = pick_precision(precision, self._device)
        self.backbone = backbone
        self.offline = offline
        self.read_only = read_only
        self.max_pixels = max_pixels
        self._memory = None if max_memory is None else int(max_memory)
        self._seconds = time_budget
        # By a clock that nobody sets, from now on.
        self._begun = None if begun is None else time.monotonic() - max(0, time.time() - begun)
        self._loaded: dict[str, FeatureExtractor] = {}
        self._network: Network | None = None

    @property
    def device(self) -> torch.device:
        """The device, ready."""
        if (opening := self._opening) is not None:
            with self._timed("device"):
                opening.join()
            self._opening = None
        return self._device

    @device.setter
    def device(self, device: torch.device) -> None:
        self._device = device

    @contextlib.contextmanager
    def _timed(self, part: str) -> Iterator[None]:
        begun = time.perf_counter()
        yield
        self.loading[part] = self.loading.get(part, 0.0) + time.perf_counter() - begun

    def open_ahead(self) -> None:
        """Begin in another thread what the first computation on a GPU would wait for.

        Its context, and the libraries for convolutions and matrix products. ``device`` waits for
        the end: nothing else may use the GPU while a CUDA graph is captured.
        """
        if self._device.type in SEVERAL and self._opening is None:
            self._opening = Thread(
                target=_open, args=(self._device, self.dtype), name="open device", daemon=True
            )
            self._opening.start()

    def features(self, pooling: str = "max") -> FeatureExtractor:
        """The VGG with this pooling, loaded once. Raises WeightsError when it is not to be had."""
        if pooling not in self._loaded:
            from cnnart.networks.vgg import FeatureExtractor

            self.check_layers([])
            with self._timed("weights"):
                weights = load_vgg(self.backbone, offline=self.offline)
            device = self.device
            with self._timed("weights"):
                network = FeatureExtractor(
                    weights, pooling=pooling, device=device, dtype=self.dtype
                )
            self._loaded = {pooling: network}
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
        from cnnart.networks.base import check_vgg_layers
        from cnnart.weights.backbones import backbone_names

        if not self.is_vgg:
            hint = did_you_mean(self.backbone, backbone_names())
            raise UsageError(f"Unknown backbone {self.backbone!r}.{hint}")
        check_vgg_layers(self.backbone, names, layer_names(self.backbone))

    def limits(self) -> Limits:
        """What the next picture may take. The first one's time includes starting up."""
        seconds = self._seconds
        if seconds is not None and self._begun is not None:
            seconds = max(1.0, seconds - (time.monotonic() - self._begun))
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


# What torch calls each kind of device, and whose it is. An AMD card is "cuda" to a torch for ROCm.
DEVICES = {"cuda": "NVIDIA, or AMD with ROCm", "xpu": "Intel", "mps": "Apple", "cpu": ""}
SEVERAL = ("cuda", "xpu")  # kinds of which a machine may have more than one


def device_count(kind: str) -> int:
    """How many devices of a kind in ``DEVICES`` torch sees."""
    if kind == "cuda":
        return torch.cuda.device_count() if torch.cuda.is_available() else 0
    if kind == "xpu":
        return torch.xpu.device_count() if hasattr(torch, "xpu") else 0
    return int(kind == "cpu" or torch.backends.mps.is_available())


def pick_device(name: str = "auto") -> torch.device:
    """The torch device for ``auto``, ``cpu``, ``cuda``, ``cuda:N``, ``xpu``, ``xpu:N`` or ``mps``.

    ``auto``: the first kind in ``DEVICES`` of which there is one. Raises UsageError when the named
    device is not there: silence would turn a minute into an hour.
    """
    if name == "auto":
        return torch.device(next(kind for kind in DEVICES if device_count(kind)))
    kinds = [f"{kind} ({whose})" if whose else kind for kind, whose in DEVICES.items()]
    unknown = UsageError(
        f"Unknown device {name!r}: use auto, {', '.join(kinds[:-1])} or {kinds[-1]}; "
        "cuda:1 is the second of several."
    )
    try:
        device = torch.device(name)
    except RuntimeError:
        raise unknown from None
    if device.type not in DEVICES:
        raise unknown
    found = device_count(device.type)
    if (device.index or 0) >= found:
        seen = f"sees {found or 'no'} {_kind_name(device.type)} device{'s' * (found > 1)} here"
        if not _is_built_for(device.type):
            seen = f"{torch.__version__} is built without {_kind_name(device.type)}"
        raise UsageError(f"No device {name!r}: torch {seen}. Use `device` auto.")
    return device


def _kind_name(kind: str) -> str:
    """``CUDA``, ``ROCm``, ``XPU``, ``Metal`` or ``CPU``: what drives such a device."""
    if kind == "cuda" and torch.version.hip:
        return "ROCm"
    return {"mps": "Metal"}.get(kind, kind.upper())


def _of_kind(kind: str) -> Any:
    """torch's module for a kind of device in ``SEVERAL``; both have the same functions."""
    return torch.cuda if kind == "cuda" else torch.xpu


def _open(device: torch.device, dtype: torch.dtype) -> None:
    """Warm up. What fails here fails again where it can be told."""
    with contextlib.suppress(Exception):
        warm_up(device, dtype)


@torch.no_grad()
def warm_up(device: torch.device, dtype: torch.dtype) -> None:
    """Compute a little of each kind, and wait for it."""
    from cnnart.networks.convolution import cudnn_fuses

    if device.type == "cuda":
        cudnn_fuses(dtype)
    x = torch.ones(1, 64, 32, 32, device=device, dtype=dtype)
    x = x.contiguous(memory_format=torch.channels_last)
    x = F.conv2d(x, x.new_ones(64, 64, 3, 3), padding=1)
    rows = x[0].flatten(1).float()
    torch.linalg.norm(rows @ rows.T).item()


def _is_built_for(kind: str) -> bool:
    """Whether this torch could use such a device if there was one."""
    built = {
        "cuda": torch.version.cuda or torch.version.hip,
        "xpu": getattr(torch.version, "xpu", None),
        "mps": torch.backends.mps.is_built(),
        "cpu": True,
    }
    return bool(built[kind])


def device_reason(device: torch.device) -> str:
    """One phrase for people: what the device is, ``NVIDIA H100 (CUDA)`` or ``CPU, 8 threads``."""
    if device.type in SEVERAL:
        return f"{_of_kind(device.type).get_device_name(device)} ({_kind_name(device.type)})"
    if device.type == "mps":
        return "Apple GPU (Metal)"
    threads = torch.get_num_threads()
    return f"CPU, {threads} thread{'s' if threads != 1 else ''}"


def auto_reason(device: torch.device) -> str:
    """Why ``auto`` takes this device here, in one phrase for people."""
    if device.type != "cpu":
        count = device_count(device.type)
        return f"the first of {count} GPUs" if count > 1 else "the GPU"
    built = [_kind_name(kind) for kind in DEVICES if kind != "cpu" and _is_built_for(kind)]
    if not built:
        return f"torch {torch.__version__} is built for no GPU"
    return f"torch sees no {' or '.join(built)} device here"


def fast_bf16_cpu() -> bool:
    """Whether this CPU multiplies bfloat16 natively (AVX512-BF16 or AMX on x86)."""
    capabilities = torch.cpu.get_capabilities() if hasattr(torch.cpu, "get_capabilities") else {}
    if capabilities:
        return bool(capabilities.get("avx512_bf16") or capabilities.get("amx_bf16"))
    asked = ("_is_avx512_bf16_supported", "_is_amx_tile_supported")  # torch before get_capabilities
    return any(getattr(torch.cpu, name, bool)() for name in asked)


def auto_precision(device: torch.device) -> tuple[torch.dtype, str]:
    """The dtype that ``auto`` takes on a device, and why, in one phrase for people."""
    if device.type == "cpu":
        if fast_bf16_cpu():
            return torch.bfloat16, "this processor multiplies it natively (AVX512-BF16 or AMX)"
        return torch.float32, "bf16 is taken only with AVX512-BF16 or AMX, which it has not"
    if device.type == "mps":
        return torch.float32, "half precision was not measured on Metal"
    supported = getattr(
        _of_kind(device.type), "is_bf16_supported", None
    )  # torch.xpu has it since 2.6
    if supported is not None and supported(False):  # False: and not by emulation
        return torch.bfloat16, "this card multiplies it natively"
    return torch.float16, "this card has no native bfloat16"


def pick_precision(name: str, device: torch.device) -> torch.dtype:
    """The dtype of the network's activations for ``auto``, ``fp32``, ``bf16`` or ``fp16``.

    ``auto``: bf16 where the hardware multiplies it natively, fp16 on older cards, fp32 elsewhere.
    Losses, Gram matrices and optimizer state are fp32 whatever is chosen here.
    """
    if name in DTYPES:
        return DTYPES[name]
    if name != "auto":
        raise UsageError(f"Unknown precision {name!r}: use auto, fp32, bf16 or fp16.")
    return auto_precision(device)[0]


def precision_name(dtype: torch.dtype) -> str:
    """``fp32``, ``bf16`` or ``fp16``."""
    return next(name for name, known in DTYPES.items() if known == dtype)


def keep_to_cores() -> None:
    """Compute in no more threads than the container pays cores for.

    torch counts the machine's: of 64 threads on 2 cores, each waits for the others. What
    OMP_NUM_THREADS and the like say, torch knows by itself.
    """
    quota = cpu_quota()
    if quota and wanted_threads() is None and quota < torch.get_num_threads():
        torch.set_num_threads(quota)


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
    # In threads' own arenas a block of more than 64 MB has no place, and comes from the system.
    asked = mallopt(ARENA_MAX, 1), mallopt(MMAP_MAX, 0), mallopt(TRIM_THRESHOLD, NEVER)
    return all(asked)
