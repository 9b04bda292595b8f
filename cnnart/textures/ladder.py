"""The ladder of layers: what a texture is to the first layer alone, to the first two, to all.

Gatys, Ecker and Bethge 2015, figure 2: the statistics of the first layers know colours and noise,
those of the later ones strokes, pebbles, and how they lie.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import replace
from typing import Any

from torch import Tensor

from cnnart.budget import Limits, MemoryPlan
from cnnart.config import TextureConfig
from cnnart.features import FeatureExtractor
from cnnart.image import draw_sheet
from cnnart.optimize import Step
from cnnart.schedule import Scale
from cnnart.textures.neural import TextureSynthesis


class Ladder:
    """A sheet: for each layer of ``config.layers`` a texture of it and those before; the exemplar.

    The arguments are ``TextureSynthesis``'s. A Step's image is that of the rung it belongs to;
    ``finish`` shows the rungs done before it too.
    """

    def __init__(
        self,
        exemplars: Sequence[Tensor],
        weights: Sequence[float],
        config: TextureConfig,
        features: FeatureExtractor,
        *,
        limits: Limits | None = None,
        **more: Any,
    ) -> None:
        names = [name for name in features.geometry if config.layers.get(name, 0) > 0]
        limits = limits or Limits()
        if limits.seconds is not None:
            limits = replace(limits, seconds=limits.seconds / max(1, len(names)))
        self.features = features
        self.config = config
        self._make = lambda layers: TextureSynthesis(
            exemplars,
            weights,
            replace(config, layers=layers),
            self.features,
            limits=limits,
            **more,
        )
        self.names = names
        self.exemplar = exemplars[0]
        self.notes: list[str] = []
        self._cells: list[tuple[str, Tensor]] = []
        # The last rung needs the most of everything; making it also checks all that is given.
        self._rung = self._make(config.layers)
        self._label = names[-1]
        self.memory: MemoryPlan = self._rung.memory
        self.schedule: list[Scale] = self._rung.schedule * len(names)

    def steps(self) -> Iterator[Step]:
        """Run rung by rung, yielding a Step for every evaluation of the network."""
        done, seconds = 0, 0.0
        for count in range(1, len(self.names) + 1):
            layers = {name: self.config.layers[name] for name in self.names[:count]}
            self._rung = self._make(layers)
            self._label = self.names[0] if count == 1 else f"to {self.names[count - 1]}"
            remaining = len(self.names) - count
            for step in self._rung.steps():
                last = step
                yield replace(
                    step,
                    index=done + step.index,
                    steps=done + step.steps * (remaining + 1),
                    seconds=seconds + step.seconds,
                )
            self.features = self._rung.features
            self.notes += [note for note in self._rung.notes if note not in self.notes]
            done, seconds = done + last.index, seconds + last.seconds
            if remaining:
                self._cells.append((self._label, self._rung.finish(last.image)))

    def finish(self, image: Tensor) -> Tensor:
        """The sheet so far, ``1x3xHxW``, on the CPU; ``image`` is the current rung's."""
        cells = [*self._cells, (self._label, self._rung.finish(image))]
        width = cells[0][1].shape[-1]
        height = cells[0][1].shape[-2]
        shown = self.exemplar[..., :height, :width]
        return draw_sheet([*cells, ("exemplar", shown)], columns=len(self.names) + 1)
