"""The statistics of instance normalization, carried over the frames of a clip.

Each frame's own would make colors and contrast breathe with whatever comes into the picture. And
what is known before a layer is computed can be folded into its weights: a layer then is one pass
over the activations instead of four.
"""

from __future__ import annotations

from collections.abc import Mapping
from copy import copy
from dataclasses import dataclass, field
from typing import Any

from torch import Tensor

EVERY = 5  # frames: in one of so many, statistics are measured
RATE = 0.3  # of what is measured, in what is carried on: half of a change after two measurements


@dataclass
class CarriedLayer:
    """Of one normalization: mean and variance of each channel (``C``, float32) as they are carried;
    None before the first frame.

    ``folded``: weight and bias of the convolution before it, the normalization within; None where
    this frame's statistics are to be measured.
    """

    mean: Tensor | None = None
    variance: Tensor | None = None
    folded: tuple[Tensor, Tensor] | None = None

    def measured(self, mean: Tensor, variance: Tensor) -> tuple[Tensor, Tensor]:
        """Take in what a frame has; returns what it is to be normalized with."""
        if self.mean is not None and self.variance is not None:
            mean, variance = self.mean.lerp(mean, RATE), self.variance.lerp(variance, RATE)
        self.mean, self.variance = mean, variance
        return mean, variance


@dataclass
class CarriedPass:
    """Of one of the passes that make a frame; ``age``: frames since the first of the scene."""

    layers: list[CarriedLayer] = field(default_factory=list)
    age: int = 0

    def next_frame(self, count: int) -> bool:
        """Begin a frame's pass through so many normalizations. Whether all are to be measured."""
        if len(self.layers) != count:
            self.layers, self.age = [CarriedLayer() for _ in range(count)], 0
        due = self.age % EVERY == 0
        if due:
            for layer in self.layers:
                layer.folded = None
        self.age += 1
        return due

    @property
    def is_settled(self) -> bool:
        """Whether the next frame measures nothing, and finds all folded."""
        folded = all(layer.folded is not None for layer in self.layers)
        return bool(self.layers) and self.age % EVERY != 0 and folded


class CarriedStatistics:
    """Of all passes that make a frame, in their order: the same in every frame of a clip."""

    def __init__(self) -> None:
        self._passes: list[CarriedPass] = []
        self._next = 0

    def next_frame(self) -> None:
        """A frame begins."""
        self._next = 0

    def next_pass(self) -> CarriedPass:
        """The frame's next pass begins."""
        if self._next == len(self._passes):
            self._passes.append(CarriedPass())
        self._next += 1
        return self._passes[self._next - 1]

    @property
    def is_new(self) -> bool:
        """Whether the next frame begins a scene."""
        return not self._passes

    def beside(self) -> CarriedStatistics | None:
        """What the next frame goes on with if it changes nothing, so that it can be painted beside
        those before and after it; None: it is to be painted in its turn, with this.
        """
        if not self._passes or not all(each.is_settled for each in self._passes):
            return None
        own = CarriedStatistics()
        # Copies: meanwhile the frame that measures next changes what is carried.
        own._passes = [CarriedPass([*map(copy, each.layers)], each.age) for each in self._passes]
        for each in self._passes:
            each.age += 1
        return own

    def restart(self) -> None:
        """The next frame begins another scene: it has its own statistics."""
        self._passes = []

    def state_dict(self) -> list[dict[str, Any]]:
        """All that the next frame depends on: plain values and tensors."""
        return [
            {
                "age": each.age,
                "mean": [layer.mean for layer in each.layers],
                "variance": [layer.variance for layer in each.layers],
            }
            for each in self._passes
        ]

    def load_state_dict(self, state: list[Mapping[str, Any]]) -> None:
        """Go on from there."""
        self._passes = [
            CarriedPass(
                [CarriedLayer(*pair) for pair in zip(one["mean"], one["variance"], strict=True)],
                one["age"],
            )
            for one in state
        ]
