"""The frames of a clip, each dreaming on from the one before.

As in the first dreams of clips (samim23's DeepDreamAnim and others, 2015), moved along the optical
flow (as Ruder et al. 2016 do it for painting): what is new in a frame is dreamed as in a photo, and
what was there before only as much as keeps it from fading.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from typing import Any

from torch import Tensor

from cnnart.methods.dream.config import DreamConfig
from cnnart.methods.dream.dream import DeepDream
from cnnart.networks.base import Network
from cnnart.optim.memory import Limits
from cnnart.optim.objective import Held
from cnnart.optim.regions import applies, covered


class FramePainter:
    """Dreams on frames of one size (``1x3xHxW`` in [0, 1]), which stay at the size that they have.

    The arguments are those of ``DeepDream``; ``limits`` are each frame's.
    """

    def __init__(
        self,
        config: DreamConfig,
        network: Network,
        *,
        guide: Tensor | None = None,
        mask: Tensor | None = None,
        limits: Callable[[], Limits] = Limits,
    ) -> None:
        self.warnings: list[str] = []
        # Where to dream in the next frame; None, and where there is none: as it was given.
        self.masks: Sequence[Tensor | None] = ()
        self._config, self._network = replace(config, size=None), network
        self._guide, self._mask, self._limits = guide, mask, limits

    def work(self, frame: Tensor, held: Held | None = None) -> DeepDream:
        """What is to be done for a frame. Raises what ``DeepDream`` does."""
        return DeepDream(
            frame,
            self._config,
            self._network,
            guide=self._guide,
            mask=self._mask_now(),
            limits=self._limits(),
            held=held,
        )

    def _mask_now(self) -> Tensor | None:
        own = self.masks[0] if self.masks else None
        return self._mask if own is None else own

    def __call__(self, frame: Tensor, held: Held | None) -> Tensor:
        """``held``: None where the frame begins a scene, which is dreamed on as a photo is."""
        if self._config.strength == 0 or not applies([self._mask_now()]):
            return frame.clone()
        work = self.work(frame, held)
        for step in work.steps():
            image = step.image
        self.warnings += [line for line in work.run.warnings if line not in self.warnings]
        return work.finish(image).to(frame.device)

    def where(self, frame: Tensor) -> Tensor | None:
        """Where to dream in the next frame: ``1x1xHxW``; None: everywhere."""
        mask = self._mask_now()
        size = frame.shape[-2], frame.shape[-1]
        return None if mask is None else covered([mask.to(frame.device)], *size)

    def state_dict(self) -> dict[str, Any]:
        """What the frames to come depend on, of those before, but for what they are held to."""
        return {}

    def load_state_dict(self, state: Mapping[str, Any]) -> None:
        """Go on from there."""
