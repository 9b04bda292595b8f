"""The frames of a clip by optimization, each held to the one before (Ruder et al. 2016)."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from typing import Any

from torch import Tensor

from cnnart.methods.stylize.config import StylizeConfig
from cnnart.methods.stylize.transfer import StyleTransfer, TargetCache
from cnnart.networks.vgg import FeatureExtractor
from cnnart.optim.memory import Limits
from cnnart.optim.objective import Held
from cnnart.optim.regions import StyleImage, applies, covered


class FramePainter:
    """Paints frames of one size (``1x3xHxW`` in [0, 1]), which stay at the size that they have.

    The arguments are those of ``StyleTransfer``; ``limits`` are each frame's.
    """

    def __init__(
        self,
        styles: Sequence[StyleImage],
        config: StylizeConfig,
        features: FeatureExtractor,
        *,
        init: Tensor | None = None,
        limits: Callable[[], Limits] = Limits,
        cache: TargetCache | None = None,
    ) -> None:
        self.warnings: list[str] = []
        # Of each style in the next frame; None, and where there are none: as the style has it.
        self.masks: Sequence[Tensor | None] = ()
        self._styles, self._config = styles, replace(config, size=None)
        self._features, self._init, self._limits = features, init, limits
        self._cache = cache or TargetCache()

    def work(self, frame: Tensor, held: Held | None = None) -> StyleTransfer:
        """What is to be done for a frame. Raises what ``StyleTransfer`` does."""
        return StyleTransfer(
            frame,
            self._masked(),
            self._config,
            self._features,
            init=self._init,
            limits=self._limits(),
            cache=self._cache,
            held=held,
        )

    def _masked(self) -> list[StyleImage]:
        masks = self.masks or [None] * len(self._styles)
        return [
            style if mask is None else replace(style, mask=mask)
            for style, mask in zip(self._styles, masks, strict=True)
        ]

    def __call__(self, frame: Tensor, held: Held | None) -> Tensor:
        """``held``: None where the frame begins a scene, which is painted as a photo is."""
        if not applies([style.mask for style in self._masked()]):
            return frame.clone()
        work = self.work(frame, held)
        for step in work.steps():
            image = step.image
        self.warnings += [line for line in work.run.warnings if line not in self.warnings]
        return work.finish(image).to(frame.device)

    def where(self, frame: Tensor) -> Tensor | None:
        """Where any style applies in the next frame: ``1x1xHxW``; None: everywhere."""
        masks = [None if s.mask is None else s.mask.to(frame.device) for s in self._masked()]
        return covered(masks, frame.shape[-2], frame.shape[-1])

    def state_dict(self) -> dict[str, Any]:
        """What the frames to come depend on, of those before, but for what they are held to."""
        return {}

    def load_state_dict(self, state: Mapping[str, Any]) -> None:
        """Go on from there."""
