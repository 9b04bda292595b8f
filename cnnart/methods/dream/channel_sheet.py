"""Channel sheets: what each channel of a layer wants to see, labeled, on one picture."""

from __future__ import annotations

import time
from collections.abc import Iterator, Sequence
from dataclasses import replace

import torch
from torch import Tensor

from cnnart.image.contact_sheet import draw_sheet
from cnnart.image.parts import Parts
from cnnart.methods.dream.config import VisualizeConfig
from cnnart.methods.dream.visualize import ChannelTarget, Visualization, check_targets
from cnnart.networks.base import Network
from cnnart.optim.memory import Limits
from cnnart.optim.steps import PyramidLevel, Step

# Pixels computed at once: enough to keep a processor busy, and little to lose when interrupted.
PIXELS_AT_ONCE = 4 * 128 * 128
GPU_FACTOR = 8  # times as many on a GPU
BLANK = 1.0  # the value of pixels in cells still to come


class ChannelSheet:
    """Channels of one layer, visualized some at a time; those that ``parts`` holds are done.

    A Step's image is what is being made, ``B x 3 x h x w``; ``finish`` lays it out together with
    what is done. A cell depends on its channel and the settings only, not on its neighbors.
    """

    def __init__(
        self,
        network: Network,
        targets: Sequence[ChannelTarget],
        config: VisualizeConfig,
        parts: Parts,
        limits: Limits | None = None,
    ) -> None:
        check_targets(network, targets, config.sides)
        self.features = network
        self.warnings: list[str] = list(parts.warnings)
        self._config = config
        self._targets = list(targets)
        self._parts = parts
        self._seconds = (limits or Limits()).seconds
        height, width = config.sides
        most = PIXELS_AT_ONCE * (1 if network.device.type == "cpu" else GPU_FACTOR)
        size = max(1, most // (height * width))
        missing = [t for t in self._targets if not parts.has(channel_of(t))]
        self._groups = [missing[i : i + size] for i in range(0, len(missing), size)]
        self._current: list[ChannelTarget] = []
        largest = Visualization(network, self._targets[:size], config)
        self.memory = largest.memory
        # A group costs as much as a picture as high as all of its cells.
        self.schedule = [
            PyramidLevel(height * len(group), width, config.steps) for group in self._groups
        ]

    @property
    def done(self) -> int:
        """How many cells are done."""
        return sum(self._parts.has(channel_of(target)) for target in self._targets)

    @property
    def whole(self) -> bool:
        """Whether all cells are done."""
        return self.done == len(self._targets)

    def steps(self) -> Iterator[Step]:
        """Make what is missing."""
        begun = time.perf_counter()
        total = max(1, len(self._groups) * self._config.steps)
        if not self._groups:  # only the sheet is to be written
            nothing = torch.empty(0, 3, *self._config.sides)
            yield Step(total, total, {}, nothing, self._config.sides, 0.0)
        for done, group in enumerate(self._groups):
            visualization = Visualization(self.features, group, self._config)
            self._current = group
            for step in visualization.steps():
                self.warnings += [w for w in visualization.warnings if w not in self.warnings]
                seconds = time.perf_counter() - begun
                index = done * self._config.steps + step.index
                yield replace(step, index=index, steps=total, seconds=seconds, state=None)
                if self._seconds is not None and seconds > self._seconds:
                    finished = done * len(self._groups[0])
                    self.warnings.append(f"Time is up after {finished} channels.")
                    return
            pictures = visualization.finish(step.image).split(1)
            for target, picture in zip(group, pictures, strict=True):
                self._parts.write(channel_of(target), picture)

    def finish(self, image: Tensor) -> Tensor:
        """The sheet: cells that are done, those in ``image``, and blanks for those to come."""
        current = [channel_of(target) for target in self._current]
        making = dict(zip(current, image.split(1), strict=False))
        blank = torch.full((1, 3, *self._config.sides), BLANK)
        cells = []
        for target in self._targets:
            n = channel_of(target)
            made = making.get(n, blank).detach().clamp(0, 1).cpu()
            cells.append((str(n), self._parts.read(n) if self._parts.has(n) else made))
        title = f"{self.features.name} {self._targets[0].layer}"
        return draw_sheet(cells, title=title)


def channel_of(target: ChannelTarget) -> int:
    """A sheet's targets are channels, never whole layers."""
    assert target.channel is not None
    return target.channel
