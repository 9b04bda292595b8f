"""A network small enough to check by hand, and lists of pictures, for the tests of inspect."""

from __future__ import annotations

from collections.abc import Iterable

import torch
import torch.nn.functional as F
from torch import Tensor

from cnnart.errors import UsageError
from cnnart.features import LayerGeometry
from cnnart.inspect.streaming import Item
from cnnart.networks.network import ReceptiveField

FIELDS = {"conv1": ReceptiveField(3, 2, 1), "conv2": ReceptiveField(7, 2, 3)}


class SmallNetwork:
    """Two convolutions of random weights: 3 -> 4 channels at stride 2, and 4 -> 5."""

    name = "small"
    sha256 = "0" * 64
    device = torch.device("cpu")
    dtype = torch.float32
    geometry = {"conv1": LayerGeometry(2, 1, 4), "conv2": LayerGeometry(2, 3, 5)}  # noqa: RUF012

    def __init__(self, seed: int = 0) -> None:
        rng = torch.Generator().manual_seed(seed)
        self.first = torch.randn(4, 3, 3, 3, generator=rng)
        self.second = torch.randn(5, 4, 3, 3, generator=rng)

    def check_layers(self, layers: Iterable[str]) -> None:
        for layer in layers:
            if layer not in self.geometry:
                raise UsageError(f"small has no layer {layer!r}.")

    def smallest_side(self, layers: Iterable[str]) -> int:
        return 2

    def halo(self, layers: Iterable[str]) -> int:
        return 3

    def kind(self, layer: str) -> str:
        return "conv"

    def receptive_field(self, layer: str) -> ReceptiveField:
        return FIELDS[layer]

    def __call__(self, image: Tensor, layers: Iterable[str]) -> dict[str, Tensor]:
        first = F.conv2d(image - 0.5, self.first, stride=2, padding=1)
        found = {"conv1": first, "conv2": F.conv2d(F.relu(first), self.second, padding=1)}
        return {layer: found[layer] for layer in layers}


def noise_items(count: int, height: int = 20, width: int = 26) -> list[Item]:
    """Pictures of noise, each with a seed of its own."""

    def read(seed: int) -> Tensor:
        return torch.rand(1, 3, height, width, generator=torch.Generator().manual_seed(seed))

    return [
        Item(f"{n:03}.png", lambda n=n: read(n), (n, n))
        for n in range(count)  # type: ignore[misc]
    ]
