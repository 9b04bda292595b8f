"""The frames of a clip by optimization, each held to the one before (Ruder et al. 2016)."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import replace

from torch import Tensor

from cnnart.methods.stylize.config import StylizeConfig
from cnnart.methods.stylize.transfer import StyleTransfer, TargetCache
from cnnart.networks.vgg import FeatureExtractor
from cnnart.optim.held_frames import HeldFrames
from cnnart.optim.memory import Limits
from cnnart.optim.objective import Held
from cnnart.optim.regions import StyleImage


class FramePainter(HeldFrames):
    """Paints frames. The arguments are those of ``StyleTransfer``; ``limits`` are each frame's."""

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
        super().__init__()
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

    def masks_now(self) -> Sequence[Tensor | None]:
        return [style.mask for style in self._masked()]
