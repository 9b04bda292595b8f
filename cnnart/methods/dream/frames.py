"""The frames of a clip, each dreaming on from the one before.

As in the first dreams of clips (samim23's DeepDreamAnim and others, 2015), moved along the optical
flow (as Ruder et al. 2016 do it for painting): what is new in a frame is dreamed as in a photo, and
what was there before only as much as keeps it from fading.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import replace

from torch import Tensor

from cnnart.methods.dream.config import DreamConfig
from cnnart.methods.dream.dream import DeepDream
from cnnart.networks.base import Network
from cnnart.optim.held_frames import HeldFrames
from cnnart.optim.memory import Limits
from cnnart.optim.objective import Held


class FramePainter(HeldFrames):
    """Dreams on. The arguments are those of ``DeepDream``; ``limits`` are each frame's."""

    def __init__(
        self,
        config: DreamConfig,
        network: Network,
        *,
        guide: Tensor | None = None,
        mask: Tensor | None = None,
        limits: Callable[[], Limits] = Limits,
    ) -> None:
        super().__init__()
        self._config, self._network = replace(config, size=None), network
        self._guide, self._mask, self._limits = guide, mask, limits

    def work(self, frame: Tensor, held: Held | None = None) -> DeepDream:
        """What is to be done for a frame. Raises what ``DeepDream`` does."""
        return DeepDream(
            frame,
            self._config,
            self._network,
            guide=self._guide,
            mask=self.masks_now()[0],
            limits=self._limits(),
            held=held,
        )

    def masks_now(self) -> Sequence[Tensor | None]:
        own = self.masks[0] if self.masks else None
        return [self._mask if own is None else own]

    def __call__(self, frame: Tensor, held: Held | None) -> Tensor:
        return frame.clone() if self._config.strength == 0 else super().__call__(frame, held)
