"""Which affine pairs of a network are which style, and how strength and blends mix them."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

import torch
from torch import Tensor

from cnnart.errors import UsageError, did_you_mean


@dataclass(frozen=True)
class StyleTable:
    """The styles of a network by name.

    ``range``: the strengths of a style's two affine pairs, weak and strong, between which it was
    trained; other strengths mix them. None: each style has one pair, trained at one strength.
    """

    names: tuple[str, ...]
    range: tuple[float, float] | None = None

    @property
    def entries(self) -> int:
        """Affine pairs per normalization of the network."""
        return len(self.names) * (2 if self.range else 1)

    def index(self, name: str) -> int:
        """Raises UsageError, with the closest name, for a style that is not in it."""
        if name not in self.names:
            hint = did_you_mean(name, list(self.names))
            raise UsageError(f"No style {name!r} in it: {', '.join(self.names)}.{hint}")
        return self.names.index(name)

    def row(self, weights: Mapping[str, float], strength: float) -> Tensor:
        """The mix for a blend of styles at a strength: ``1xentries``, its sum 1."""
        total = sum(weights.values())
        row = torch.zeros(self.entries)
        for name, weight in weights.items():
            part, index = weight / total, self.index(name)
            if self.range is None:
                row[index] += part
                continue
            position = self.position(strength)
            row[2 * index] += part * (1 - position)
            row[2 * index + 1] += part * position
        return row[None]

    def position(self, strength: float) -> float:
        """0 at the weak pair, 1 at the strong one; strengths beyond count as these."""
        assert self.range
        weak, strong = self.range
        return min(1.0, max(0.0, (strength - weak) / (strong - weak)))

    def opacity(self, strength: float) -> float:
        """How much of the network's picture is laid over the photo; 0 at strength 0.

        Below the weakest strength that was trained the two are close, and mixing them does not
        show double edges. A style of one pair has nothing else to offer below its 0.5.
        """
        least = self.range[0] if self.range else 0.5
        return min(1.0, strength / least)
