"""A sweep over the layers: a texture of the first layer alone, of the first two, ..., of all.

Gatys, Ecker and Bethge 2015, figure 2: the statistics of the first layers know colors and noise,
those of the later ones strokes, pebbles, and how they lie.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import replace
from typing import Any

from torch import Tensor

from cnnart.image.contact_sheet import draw_sheet
from cnnart.methods.texture.config import TextureConfig
from cnnart.methods.texture.neural import NeuralTexture
from cnnart.networks.vgg import FeatureExtractor
from cnnart.optim.memory import Limits
from cnnart.optim.steps import MemoryPlan, PyramidLevel, State, Step


class LayerSweep:
    """A sheet: for each layer of ``config.layers`` a texture of it and those before; the exemplar.

    The arguments are ``NeuralTexture``'s. A Step's image is the texture of its level, the layers up
    to one; ``finish`` shows the levels done before it too.
    """

    def __init__(
        self,
        exemplars: Sequence[Tensor],
        weights: Sequence[float],
        config: TextureConfig,
        features: FeatureExtractor,
        *,
        limits: Limits | None = None,
        **options: Any,
    ) -> None:
        names = [name for name in features.geometry if config.layers.get(name, 0) > 0]
        limits = limits or Limits()
        if limits.seconds is not None:
            limits = replace(limits, seconds=limits.seconds / max(1, len(names)))
        self.features = features
        self.config = config
        self._make = lambda layers: NeuralTexture(
            exemplars,
            weights,
            replace(config, layers=layers),
            self.features,
            limits=limits,
            **options,
        )
        self.names = names
        self.exemplar = exemplars[0]
        self.warnings: list[str] = []
        self._cells: list[tuple[str, Tensor]] = []
        # The last level needs the most of everything; making it also checks all that is given.
        self._level = self._make(config.layers)
        self._label = names[-1]
        self.memory: MemoryPlan = self._level.memory
        self.schedule: list[PyramidLevel] = self._level.schedule * len(names)

    def steps(self, state: State | None = None) -> Iterator[Step]:
        """Run level by level, yielding a Step for every evaluation of the network."""
        done, seconds, first = 0, 0.0, 1
        if state is not None:
            done, first = state["done"], state["count"]
            self._cells[:] = zip(state["labels"], state["pictures"], strict=True)

        def standing() -> State:
            labels, pictures = zip(*self._cells, strict=True) if self._cells else ((), ())
            assert last.state is not None
            numbers = {"done": done, "count": count}
            here = {"labels": list(labels), "pictures": list(pictures), "level": last.state()}
            return numbers | here

        for count in range(first, len(self.names) + 1):
            layers = {name: self.config.layers[name] for name in self.names[:count]}
            self._level = self._make(layers)
            self._label = self.names[0] if count == 1 else f"to {self.names[count - 1]}"
            remaining = len(self.names) - count
            for step in self._level.steps(state and state["level"]):
                last, state = step, None
                yield replace(
                    step,
                    index=done + step.index,
                    steps=done + step.steps * (remaining + 1),
                    seconds=seconds + step.seconds,
                    state=standing,
                )
            self.features = self._level.features
            self.warnings += [text for text in self._level.warnings if text not in self.warnings]
            done, seconds = done + last.index, seconds + last.seconds
            if remaining:
                self._cells.append((self._label, self._level.finish(last.image)))

    def finish(self, image: Tensor) -> Tensor:
        """The sheet so far, ``1x3xHxW``, on the CPU; ``image`` is the current level's."""
        cells = [*self._cells, (self._label, self._level.finish(image))]
        height, width = cells[0][1].shape[-2:]
        shown = self.exemplar[..., :height, :width]
        return draw_sheet([*cells, ("exemplar", shown)], columns=len(self.names) + 1)
