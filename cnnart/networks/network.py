"""What every network offers, whatever it is made of."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Protocol, runtime_checkable

import torch
from torch import Tensor

from cnnart.features import LayerGeometry, ReceptiveField

__all__ = ["Classifier", "LayerGeometry", "Network", "ReceptiveField"]


@runtime_checkable
class Network(Protocol):
    """A frozen network on one device, in one precision. It takes pictures in [0, 1].

    ``geometry`` holds every layer in network order. ``sha256`` identifies the weights.
    """

    name: str
    sha256: str
    device: torch.device
    dtype: torch.dtype
    geometry: dict[str, LayerGeometry]

    def check_layers(self, layers: Iterable[str]) -> None:
        """Raise UsageError for a layer this network does not have."""

    def halo(self, layers: Iterable[str]) -> int:
        """Pixels around a region that its activations at these layers depend on."""

    def smallest_side(self, layers: Iterable[str]) -> int:
        """The smallest picture side that gives at least one unit at each of these layers."""

    def kind(self, layer: str) -> str:
        """What a layer does, in a word: conv, relu, pool, ..."""

    def receptive_field(self, layer: str) -> ReceptiveField:
        """Which pixels a unit of ``layer`` sees."""

    def __call__(self, image: Tensor, layers: Iterable[str]) -> dict[str, Tensor]:
        """Activations of ``image`` (``Bx3xHxW`` in [0, 1]) at ``layers``, differentiable in it.

        ``BxCxhxw`` in ``dtype``; a layer that is no map gives what it gives (``BxC``, ``BxNxC``).
        """


@runtime_checkable
class Classifier(Network, Protocol):
    """A network that ends in classes.

    ``input_size`` is the side of the square it was trained on, ``resize`` the short side before
    the crop to it, ``classes`` the names of its outputs, or None where they are not known.
    """

    input_size: int
    resize: int
    classes: list[str] | None

    def logits(self, image: Tensor) -> Tensor:
        """``BxK`` float32 of ``Bx3xSxS`` in [0, 1]; differentiable in the image."""

    def prepare(self, image: Tensor) -> Tensor:
        """``1x3xHxW`` resized and cropped at the centre to ``1x3xSxS``, as it was trained on."""
