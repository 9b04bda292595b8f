"""The frames of a clip in trained styles: the same noise, and statistics that change slowly."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from typing import Any

import torch
from torch import Tensor

from cnnart.methods.fast.carried import CarriedStatistics
from cnnart.methods.fast.config import FastConfig
from cnnart.methods.fast.stylize import FastStyle, FastStylization, NetworkRunner, seed_of
from cnnart.optim.memory import Limits
from cnnart.optim.regions import applies, covered
from cnnart.optim.steps import MemoryPlan


class FramePainter:
    """Paints frames of one size (``1x3xHxW`` in [0, 1], on the runner's device).

    The arguments are those of ``FastStylization``; frames stay at the size that they have.

    ``alone``: each frame has its own statistics, as a photo has; else they are carried on.
    """

    def __init__(
        self,
        styles: Sequence[FastStyle],
        config: FastConfig,
        runner: NetworkRunner,
        limits: Limits | None = None,
        *,
        alone: bool = False,
    ) -> None:
        self.warnings: list[str] = []
        # Of each style in the next frame; None, and where there are none: as the style has it.
        self.masks: Sequence[Tensor | None] = ()
        self._styles, self._config = styles, replace(config, size=None)
        self._runner, self._limits = runner, limits
        self._seed: int | None = None
        self._applied: list[bool] = []  # of the styles, in the frame before
        self._carried = None if alone else CarriedStatistics()
        # Of all frames, as of the first: what else takes memory meanwhile changes no frame.
        self._memory: MemoryPlan | None = None

    def planned(self, frame: Tensor, seed: int = 0) -> FastStylization:
        """What is to be done for a frame, with its network and its memory.

        Raises what ``FastStylization`` does.
        """
        return self._work(frame, seed, self._carried)

    def _work(self, frame: Tensor, seed: int, carried: CarriedStatistics | None) -> FastStylization:
        work = FastStylization(
            *(frame, self._masked(), self._config, self._runner, self._limits),
            *([seed], carried, self._memory),
            frame=True,
        )
        self._memory = self._memory or work.memory
        return work

    def _masked(self) -> list[FastStyle]:
        masks = self.masks or [None] * len(self._styles)
        return [
            style if mask is None else replace(style, mask=mask)
            for style, mask in zip(self._styles, masks, strict=True)
        ]

    def __call__(self, frame: Tensor) -> Tensor:
        return self.begin(frame)()

    def begin(self, frame: Tensor) -> Callable[[], Tensor]:
        """What gives the picture of the next frame: in any thread, beside those of other frames. A
        frame with which the statistics change is painted at once.
        """
        if self._seed is None:
            self._seed = seed_of(frame[0])
        applied = [applies([style.mask]) for style in self._masked()]
        if applied != self._applied:  # other passes than in the frame before
            self.restart()
        self._applied = applied
        if not any(applied):
            return frame.clone
        own = None
        if self._carried and not self.masks:  # by masks that move, a frame may have other passes
            own = self._carried.beside()
        work = self._work(frame, self._seed, own or self._carried)
        if own or not self._carried:
            return lambda: self._picture(work)
        begins, rounded = self._carried.is_new, work.features.dtype != torch.float32
        picture = self._picture(work)
        if begins and rounded:
            # Once more, by weights as the next frames have them: those round otherwise, and a still
            # clip would go from the one picture to the other.
            picture = self._picture(self._work(frame, self._seed, self._carried))
        return lambda: picture

    def _picture(self, work: FastStylization) -> Tensor:
        for step in work.steps():
            image = step.image
        self.warnings += [line for line in work.warnings if line not in self.warnings]
        return work.finish(image)

    def where(self, frame: Tensor) -> Tensor | None:
        """Where any style applies in the next frame: ``1x1xHxW``; None: everywhere."""
        masks = [None if s.mask is None else s.mask.to(frame.device) for s in self._masked()]
        return covered(masks, frame.shape[-2], frame.shape[-1])

    def restart(self) -> None:
        """The next frame begins another scene."""
        if self._carried:
            self._carried.restart()

    def state_dict(self) -> dict[str, Any]:
        """What the frames to come depend on, of those before."""
        carried = self._carried.state_dict() if self._carried else []
        return {"seed": self._seed, "statistics": carried, "applied": self._applied}

    def load_state_dict(self, state: Mapping[str, Any]) -> None:
        """Go on from there."""
        self._seed, self._applied = state["seed"], state["applied"]
        if self._carried:
            self._carried.load_state_dict(state["statistics"])
