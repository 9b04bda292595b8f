"""The frames of a clip by optimization, each held to the one before (Ruder et al. 2016)."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from torch import Tensor

from cnnart.optim.objective import Held
from cnnart.optim.regions import applies, covered
from cnnart.optim.steps import Synthesis


class HeldFrames:
    """Makes frames of one size (``1x3xHxW`` in [0, 1]), which stay at the size that they have.

    A subclass says what is to be done for a frame. ``masks``: of the next frame; None, and where
    there are none: as they were given. ``warnings`` grows by each line once.
    """

    def __init__(self) -> None:
        self.warnings: list[str] = []
        self.masks: Sequence[Tensor | None] = ()

    def work(self, frame: Tensor, held: Held | None = None) -> Synthesis:
        """What is to be done for a frame; ``held``: None where it begins a scene."""
        raise NotImplementedError

    def masks_now(self) -> Sequence[Tensor | None]:
        """Of the next frame, at least one; None: everywhere."""
        raise NotImplementedError

    def __call__(self, frame: Tensor, held: Held | None) -> Tensor:
        """``held``: None where the frame begins a scene, and is made as a photo is."""
        if not applies(self.masks_now()):
            return frame.clone()
        work = self.work(frame, held)
        for step in work.steps():
            image = step.image
        self.warnings += [line for line in work.warnings if line not in self.warnings]
        return work.finish(image).to(frame.device)

    def where(self, frame: Tensor) -> Tensor | None:
        """Where the next frame changes at all: ``1x1xHxW``; None: everywhere."""
        masks = [None if mask is None else mask.to(frame.device) for mask in self.masks_now()]
        return covered(masks, frame.shape[-2], frame.shape[-1])

    def state_dict(self) -> dict[str, Any]:
        """What the frames to come depend on, of those before, but for what they are held to."""
        return {}

    def load_state_dict(self, state: Mapping[str, Any]) -> None:
        """Go on from there."""
