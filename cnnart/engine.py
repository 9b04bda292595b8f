"""A network on a device and what a run may take: what every method computes with."""

from __future__ import annotations

import time
from typing import TYPE_CHECKING

from cnnart.budget import Limits
from cnnart.device import pick_device, pick_precision
from cnnart.errors import UsageError, did_you_mean
from cnnart.features import FeatureExtractor
from cnnart.weights import EMBEDDED, backbone_names, load_vgg
from cnnart.weights.backbones import BACKBONES, layers

if TYPE_CHECKING:
    from cnnart.networks import Network

ORIGINAL = {EMBEDDED: "vgg19-oxford"}  # the embedded network has the shape of its original


class Engine:
    """A network on a device, for any number of pictures; it is loaded by the first.

    Args:
        device: ``auto``, ``cpu``, ``cuda``, ``cuda:N`` or ``mps``.
        precision: ``auto``, ``fp32``, ``bf16`` or ``fp16``.
        backbone: one of ``cnnart.weights.backbone_names()``.
        offline: never download weights.
        max_memory: the most bytes a run may take, all included; None: most of what is free.
        time_budget: seconds a picture may take; None: as long as its preset does.
        begun: when the program started (``time.time()``), if the first picture is to count that.

    Raises UsageError for a device or precision that does not exist.
    """

    def __init__(
        self,
        *,
        device: str = "auto",
        precision: str = "auto",
        backbone: str = EMBEDDED,
        offline: bool = False,
        max_memory: float | None = None,
        time_budget: float | None = None,
        begun: float | None = None,
    ) -> None:
        self.device = pick_device(device)
        self.dtype = pick_precision(precision, self.device)
        self.backbone = backbone
        self.offline = offline
        self._memory = None if max_memory is None else int(max_memory)
        self._seconds = time_budget
        self._begun = begun
        self._loaded: dict[str, FeatureExtractor] = {}
        self._network: Network | None = None

    def features(self, pooling: str = "max") -> FeatureExtractor:
        """The VGG with this pooling, loaded once. Raises WeightsError when it is not to be had."""
        if pooling not in self._loaded:
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
        if self.backbone in backbone_names():
            return self.features(pooling)
        if self._network is None:
            from cnnart.networks import open_network

            self._network = open_network(
                self.backbone, device=self.device, dtype=self.dtype, offline=self.offline
            )
        return self._network

    def check_layers(self, names: list[str]) -> None:
        """Raise UsageError for a VGG or a layer that does not exist, without loading anything."""
        if self.backbone not in backbone_names():
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


def layer_names(backbone: str) -> list[str]:
    """Every layer of a VGG: ``conv1_1``, ``relu1_1``, ..., ``pool5``."""
    convs = [name for name, *_ in layers(BACKBONES[ORIGINAL.get(backbone, backbone)])]
    pools = [f"pool{block}" for block in range(1, 6)]
    return [*convs, *(name.replace("conv", "relu") for name in convs), *pools]
