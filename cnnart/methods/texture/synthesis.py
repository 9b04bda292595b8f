"""A texture of any kind of input, by the method that suits it."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace

import torch.nn.functional as F
from torch import Tensor

from cnnart.errors import UsageError
from cnnart.image.picture import Picture, resize
from cnnart.methods.texture.alpha import MatteBackground, TransparentTexture
from cnnart.methods.texture.canvas import apply_nnf
from cnnart.methods.texture.config import TextureConfig
from cnnart.methods.texture.efros_leung import EfrosLeung
from cnnart.methods.texture.exemplars import with_alpha
from cnnart.methods.texture.guide import Guide
from cnnart.methods.texture.layer_sweep import LayerSweep
from cnnart.methods.texture.neural import NeuralTexture
from cnnart.methods.texture.quilting import Quilting
from cnnart.methods.texture.regularity import choose_method
from cnnart.methods.texture.seam_error import typical_border
from cnnart.methods.texture.wrap import texture_size, wrap_axes
from cnnart.networks.vgg import FeatureExtractor
from cnnart.optim.memory import memory_errors_named
from cnnart.optim.steps import MemoryPlan, PyramidLevel, ResumableSynthesis, State, Step
from cnnart.runtime import Runtime

GRAM = "gram"


@dataclass(frozen=True)
class TextureInputs:
    """What a texture is made from.

    ``pictures``: the exemplars, ``weights`` their parts in the mixture. ``guides``: a map for each
    (``1x3xhxw``, any size), ``guide_target`` the result's. ``inpaint``: the mask of what to make
    anew in the first picture (``1x1xhxw``). ``companions``: whether maps are to follow the copies.
    ``ladder``: a sheet of the layers' shares (``LayerSweep``) instead of the texture.
    """

    pictures: Sequence[Picture]
    weights: Sequence[float] = (1.0,)
    guides: Sequence[Tensor] = ()
    guide_target: Tensor | None = None
    inpaint: Tensor | None = None
    companions: bool = False
    ladder: bool = False


class TextureSynthesis:
    """A texture about to be made by the method that suits it.

    ``method`` and ``reason`` say which and why; ``size`` is the result's (height, width); ``alpha``
    is the last finished picture's, or None. Raises CnnartError for what cannot be done.
    """

    def __init__(self, runtime: Runtime, inputs: TextureInputs, config: TextureConfig) -> None:
        self.size = _size(inputs, config)
        self.method, self.reason = _choose(runtime, inputs, replace(config, size=self.size))
        if inputs.companions and self.method == GRAM:
            raise UsageError(
                "The method gram copies no pixels that companions could follow: use quilting or "
                "efros-leung."
            )
        self.alpha: Tensor | None = None
        # Where things are matters to a guide and to an inpainted picture: they are not moved.
        repeats = wrap_axes(config.tileable)
        is_free = not (inputs.ladder or inputs.guides or inputs.inpaint is not None)
        self._rings = [
            axis for axis, is_ring in zip("yx", repeats, strict=True) if is_ring and is_free
        ]
        self._shift = (0, 0)  # down, right: as the last finished picture was rolled
        self.patches: Quilting | EfrosLeung | None = None
        with memory_errors_named():
            if self.method == GRAM:
                self.work: ResumableSynthesis = _neural(runtime, inputs, config, self.size)
            else:
                self.work = self.patches = _patches(self.method, runtime, inputs, config, self.size)
        self.warnings = self.work.warnings

    @property
    def features(self) -> FeatureExtractor | None:
        """The network, if the method has one."""
        return self.work.features

    @property
    def memory(self) -> MemoryPlan:
        """What the run takes."""
        return self.work.memory

    @property
    def schedule(self) -> list[PyramidLevel]:
        """The scales, coarsest first."""
        return self.work.schedule

    def steps(self, state: State | None = None) -> Iterator[Step]:
        """Run, yielding a Step for each piece of work."""
        return self.work.steps(state)

    def finish(self, image: Tensor) -> Tensor:
        """Any Step's image as it is to be written: ``1x3xHxW``; sets ``alpha``."""
        result = self.work.finish(image)
        lines = {axis: typical_border(result, axis) for axis in self._rings}
        self._shift = (-lines.get("y", 0), -lines.get("x", 0))
        result = result.roll(self._shift, (-2, -1))
        self.alpha = result[:, 3:] if result.shape[1] == 4 else None
        return result[:, :3]

    def follow(self, companion: Tensor) -> Tensor:
        """A map of the (only) exemplar, ``1xCxhxw``, copied as the exemplar was.

        What inpainting leaves alone stays itself. To be called when a patch method has run to its
        end.
        """
        assert self.patches is not None
        nnf = self.patches.nnf
        kept = (nnf[..., 0] < 0).to(companion.device)
        result = apply_nnf([companion], nnf.clamp_min(0))
        if bool(kept.any()):
            result[0][:, kept] = companion[0][:, kept]
        return result.roll(self._shift, (-2, -1))


def _size(inputs: TextureInputs, config: TextureConfig) -> tuple[int, int]:
    """The result's (height, width)."""
    height, width = inputs.pictures[0].rgb.shape[-2:]
    if inputs.inpaint is not None:
        return height, width
    if config.size is None and inputs.guide_target is not None:
        target = inputs.guide_target.shape[-2:]
        return texture_size((height, width), (target[0], target[1]))
    return texture_size((height, width), config.size, config.scale)


def _choose(runtime: Runtime, inputs: TextureInputs, config: TextureConfig) -> tuple[str, str]:
    """The method and, in a phrase, why."""
    if inputs.ladder:
        return GRAM, "its layers are what the ladder shows"
    if config.method != "auto":
        return config.method, "as asked"
    if inputs.inpaint is not None:
        return "quilting", "patches continue what surrounds a hole"
    return choose_method(
        inputs.pictures[0].rgb.to(runtime.device),
        config,
        companions=inputs.companions,
        guided=bool(inputs.guides),
    )


def _neural(
    runtime: Runtime, inputs: TextureInputs, config: TextureConfig, size: tuple[int, int]
) -> ResumableSynthesis:
    runtime.check_layers(list(config.layers))
    background = MatteBackground(inputs.pictures)
    exemplars, mask = background.exemplars, _mask(inputs)
    features = runtime.features(config.pooling)
    guide, limits = _guide(inputs, exemplars, config, size), runtime.limits()
    if inputs.ladder:
        return LayerSweep(
            exemplars, inputs.weights, config, features, size=size, guide=guide, limits=limits
        )
    inpaint = None if mask is None else (exemplars[0], mask)
    if background.is_needed:
        return TransparentTexture(
            background,
            inputs.weights,
            config,
            features,
            size=size,
            guide=guide,
            inpaint=inpaint,
            limits=limits,
        )
    return NeuralTexture(
        exemplars,
        inputs.weights,
        config,
        features,
        size=size,
        guide=guide,
        inpaint=inpaint,
        limits=limits,
    )


def _patches(
    method: str,
    runtime: Runtime,
    inputs: TextureInputs,
    config: TextureConfig,
    size: tuple[int, int],
) -> Quilting | EfrosLeung:
    exemplars = [picture.to(runtime.device) for picture in with_alpha(inputs.pictures)]
    guide, mask = _guide(inputs, exemplars, config, size), _mask(inputs)
    inpaint = None if mask is None else (exemplars[0], mask.to(runtime.device))
    make = Quilting if method == "quilting" else EfrosLeung
    return make(exemplars, list(inputs.weights), config, size=size, guide=guide, inpaint=inpaint)


def _mask(inputs: TextureInputs) -> Tensor | None:
    """The mask to inpaint at the picture's size."""
    if inputs.inpaint is None:
        return None
    height, width = inputs.pictures[0].rgb.shape[-2:]
    return resize(inputs.inpaint, height, width).clamp(0, 1)


def _guide(
    inputs: TextureInputs, exemplars: Sequence[Tensor], config: TextureConfig, size: tuple[int, int]
) -> Guide | None:
    """The maps at the sizes of what they are maps of; colors are not mixed."""
    if not inputs.guides or inputs.guide_target is None:
        return None
    maps = [
        _nearest(guide, (exemplar.shape[-2], exemplar.shape[-1])).to(exemplar.device)
        for guide, exemplar in zip(inputs.guides, exemplars, strict=True)
    ]
    target = _nearest(inputs.guide_target, size).to(exemplars[0].device)
    return Guide(maps, target, config.guide_weight)


def _nearest(image: Tensor, size: tuple[int, int]) -> Tensor:
    return F.interpolate(image, size=size, mode="nearest-exact")
