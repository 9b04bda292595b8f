"""Networks on a device, ready to run: whole pictures or strips, eager or compiled."""

from __future__ import annotations

import copy
from collections.abc import Callable

import torch
from torch import Tensor

from cnnart.allocator import keep_freed_memory
from cnnart.fast.checkpoint import Checkpoint
from cnnart.fast.network import StyleNetwork
from cnnart.fast.strips import in_strips

TOLERANCE = 0.1  # of pixels, by which half precision may differ from float32
TRIAL = 64


class FastEngine:
    """Runs checkpoints' networks; each is brought to the device once.

    Args:
        device, dtype: of the activations.
        compiled: let torch.compile make it faster, where that works; a note says where not.
    """

    def __init__(self, device: torch.device, dtype: torch.dtype, *, compiled: bool = False) -> None:
        self.device, self.dtype, self.compiled = device, dtype, compiled
        if device.type == "cpu":
            keep_freed_memory()
        self.notes: list[str] = []
        self._ready: dict[int, tuple[Checkpoint, StyleNetwork]] = {}
        self._fast: dict[int, Callable[..., Tensor]] = {}

    def run(self, checkpoint: Checkpoint, photos: Tensor, mix: Tensor, rows: int = 0) -> Tensor:
        """``Bx3xHxW`` stylized, float32, not clamped; ``rows``: of a strip, 0: none."""
        network = self._network(checkpoint)
        if rows:
            pictures = [
                in_strips(network, photos[i : i + 1], mix[i : i + 1], self.dtype, rows)
                for i in range(len(photos))
            ]
            return torch.cat(pictures)
        if self.compiled:
            return self._compiled(checkpoint, network, photos, mix)
        result: Tensor = network(photos, mix, self.dtype)
        return result

    def _network(self, checkpoint: Checkpoint) -> StyleNetwork:
        """The network on the device, its convolutions in the engine's precision."""
        key = id(checkpoint)
        if key not in self._ready:
            network = copy.deepcopy(checkpoint.network).to(self.device).eval()
            network.requires_grad_(False)
            if self.device.type != "cpu" and self.dtype != torch.float32:
                self._check_precision(network)
            for unit in network.units():
                for name in ("weight", "bias", "depthwise"):
                    if (value := getattr(unit, name)) is not None:
                        value.data = value.data.to(self.dtype)
            self._ready[key] = checkpoint, network  # held, so that its id stays its own
        return self._ready[key][1]

    def _check_precision(self, network: StyleNetwork) -> None:
        """Go back to float32 where half precision overflows or is computed wrongly."""
        photo = torch.rand(1, 3, TRIAL, TRIAL, generator=torch.Generator().manual_seed(0))
        photo = photo.to(self.device)
        mix = torch.full((1, network.entries), 1 / network.entries, device=self.device)
        with torch.no_grad():
            found, exact = network(photo, mix, self.dtype), network(photo, mix)
        if not float((found - exact).abs().mean()) < TOLERANCE:
            self.notes.append("Half precision is not computed right on this device: using fp32.")
            self.dtype = torch.float32

    def _compiled(
        self, checkpoint: Checkpoint, network: StyleNetwork, photos: Tensor, mix: Tensor
    ) -> Tensor:
        key = id(checkpoint)
        if key not in self._fast:
            self._fast[key] = torch.compile(network)
        try:
            result: Tensor = self._fast[key](photos, mix, self.dtype)
        except Exception as error:  # no compiler, an unknown platform: it fails in many ways
            reason = type(error).__name__
            self.notes.append(f"torch.compile does not work here ({reason}): running without it.")
            self.compiled = False
            result = network(photos, mix, self.dtype)
        return result
