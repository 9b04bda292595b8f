"""What every network offers, whatever it is made of."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from typing import Protocol, TypeVar, runtime_checkable

import torch
from torch import Tensor

from cnnart.errors import UsageError, did_you_mean


@dataclass(frozen=True)
class LayerGeometry:
    """A layer's grid: it has a unit for each block of ``stride`` x ``stride`` pixels.

    A unit depends on nothing further than ``reach`` pixels outside its block.
    """

    stride: int
    reach: int
    channels: int


@dataclass(frozen=True)
class ReceptiveField:
    """The pixels a unit depends on: unit i, along an axis, [i * stride - offset, ... + size).

    It may reach beyond the picture, into padding. ``local`` is False where units also depend on
    all other pixels through a global average (squeeze-and-excitation, attention, a linear layer).
    """

    size: int
    stride: int
    offset: int
    local: bool = True


N = TypeVar("N", bound="Network")


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

    def with_dtype(self: N, dtype: torch.dtype) -> N:
        """The same network in another precision."""

    def check_layers(self, layers: Iterable[str]) -> None:
        """Raise UsageError for a layer this network does not have."""

    def halo(self, layers: Iterable[str]) -> int:
        """Pixels around a region that its activations at these layers depend on."""

    def smallest_side(self, layers: Iterable[str]) -> int:
        """The smallest picture side that gives at least one unit at each of these layers."""

    def kind(self, layer: str) -> str:
        """What a layer does, in a word: conv, relu, pool, ..."""

    def receptive_field(self, layer: str) -> ReceptiveField:
        """Which pixels a unit of ``layer`` depends on."""

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
        """``1x3xHxW`` resized and cropped at the center to ``1x3xSxS``, as it was trained on."""


def check_vgg_layers(network: str, layers: Iterable[str], known: list[str]) -> None:
    """Raise UsageError, with the closest name, for a layer that a VGG does not have."""
    for name in layers:
        if name not in known:
            hint = did_you_mean(name, known) or " Names look like relu4_2."
            raise UsageError(f"{network} has no layer {name!r}.{hint}")
