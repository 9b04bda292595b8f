"""One texture about to be made: inputs of any kind, the method, and alpha; for the API and jobs."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from typing import Protocol

import torch
from torch import Tensor

from cnnart.budget import MemoryPlan
from cnnart.config import TextureConfig, check_texture_config
from cnnart.engine import Engine
from cnnart.errors import UsageError
from cnnart.features import FeatureExtractor
from cnnart.image import Picture, resize
from cnnart.jobs.memory import memory_errors_named
from cnnart.optimize import Step
from cnnart.schedule import Scale
from cnnart.textures.guide import Guide
from cnnart.textures.origin import gather
from cnnart.textures.seam import typical_cut
from cnnart.textures.sizing import texture_size
from cnnart.textures.wrapping import wrap_axes

GRAM = "gram"


class Method(Protocol):
    """What all methods of synthesis have in common."""

    notes: list[str]

    @property
    def memory(self) -> MemoryPlan: ...
    @property
    def schedule(self) -> list[Scale]: ...
    def steps(self) -> Iterator[Step]: ...
    def finish(self, image: Tensor) -> Tensor: ...


@dataclass(frozen=True)
class Ingredients:
    """What a texture is made from.

    ``pictures``: the exemplars, ``weights`` their parts in the mixture. ``guides``: a map for each
    (``1x3xhxw``, any size), ``guide_target`` the result's. ``inpaint``: the mask of what to make
    anew in the first picture (``1x1xhxw``). ``companions``: whether maps are to follow the copies.
    """

    pictures: Sequence[Picture]
    weights: Sequence[float] = (1.0,)
    guides: Sequence[Tensor] = ()
    guide_target: Tensor | None = None
    inpaint: Tensor | None = None
    companions: bool = False


class Texture:
    """A texture about to be made by the method that suits it.

    ``method`` and ``reason`` say which and why; ``alpha`` is the last finished picture's, or None.
    Raises CnnartError for what cannot be done.
    """

    def __init__(
        self, engine: Engine, made_of: Ingredients, config: TextureConfig, *, ladder: bool = False
    ) -> None:
        check_texture_config(config)
        self.size = _size(made_of, config)
        self.method, self.reason = _choose(engine, made_of, replace(config, size=self.size), ladder)
        if made_of.companions and self.method == GRAM:
            raise UsageError(
                "The method gram copies no pixels that companions could follow: use quilting or "
                "efros-leung."
            )
        self.alpha: Tensor | None = None
        # Where things are matters to a guide and to a picture with a hole: they are not moved.
        rings = wrap_axes(config.tileable)
        is_free = not (ladder or made_of.guides or made_of.inpaint is not None)
        self._rings = [axis for axis, ring in zip("yx", rings, strict=True) if ring and is_free]
        self._shift = (0, 0)
        with memory_errors_named():
            if self.method == GRAM:
                self.work: Method = _neural(engine, made_of, config, self.size, ladder)
            else:
                self.work = _patches(self.method, engine, made_of, config, self.size)

    @property
    def features(self) -> FeatureExtractor | None:
        """The network, if the method has one."""
        found = getattr(self.work, "features", None)
        return found if isinstance(found, FeatureExtractor) else None

    def steps(self) -> Iterator[Step]:
        """Run, yielding a Step for each piece of work."""
        return self.work.steps()

    def finish(self, image: Tensor) -> Tensor:
        """Any Step's image as it is to be written: ``1x3xHxW``; sets ``alpha``."""
        result = self.work.finish(image)
        cuts = {axis: typical_cut(result, axis) for axis in self._rings}
        self._shift = (-cuts.get("y", 0), -cuts.get("x", 0))
        result = result.roll(self._shift, (-2, -1))
        self.alpha = result[:, 3:] if result.shape[1] == 4 else None
        return result[:, :3]

    def follow(self, companion: Tensor) -> Tensor:
        """A map of the (only) exemplar, ``1xCxhxw``, copied as the exemplar was.

        What inpainting leaves alone stays itself. To be called when a patch method has run to its
        end.
        """
        origin: Tensor = self.work.origin  # type: ignore[attr-defined]  # patch methods have it
        fixed = (origin[..., 0] < 0).to(companion.device)
        result = gather([companion], origin.clamp_min(0))
        if bool(fixed.any()):
            result[0][:, fixed] = companion[0][:, fixed]
        return result.roll(self._shift, (-2, -1))


def _size(made_of: Ingredients, config: TextureConfig) -> tuple[int, int]:
    """The result's (height, width)."""
    height, width = made_of.pictures[0].rgb.shape[-2:]
    if made_of.inpaint is not None:
        return height, width
    if config.size is None and made_of.guide_target is not None:
        target = made_of.guide_target.shape[-2:]
        return texture_size((height, width), (target[0], target[1]))
    return texture_size((height, width), config.size, config.scale)


def _choose(
    engine: Engine, made_of: Ingredients, config: TextureConfig, ladder: bool
) -> tuple[str, str]:
    """The method and, in a phrase, why."""
    if ladder:
        return GRAM, "its layers are what the ladder shows"
    if config.method != "auto":
        return config.method, "as asked"
    if made_of.inpaint is not None:
        return "quilting", "patches continue what surrounds a hole"
    from cnnart.textures.choice import choose_method

    return choose_method(
        made_of.pictures[0].rgb.to(engine.device),
        config,
        companions=made_of.companions,
        guided=bool(made_of.guides),
    )


def _neural(
    engine: Engine,
    made_of: Ingredients,
    config: TextureConfig,
    size: tuple[int, int],
    ladder: bool,
) -> Method:
    from cnnart.textures.alpha import Ground, TransparentSynthesis
    from cnnart.textures.ladder import Ladder
    from cnnart.textures.neural import TextureSynthesis

    engine.check_layers(list(config.layers))
    ground = Ground(made_of.pictures)
    exemplars = ground.exemplars
    guide = _guide(made_of, exemplars, config, size)
    features, limits = engine.features(config.pooling), engine.limits()
    if ladder:
        return Ladder(
            exemplars, made_of.weights, config, features, size=size, guide=guide, limits=limits
        )
    mask = _mask(made_of)
    work = TextureSynthesis(
        exemplars,
        made_of.weights,
        config,
        features,
        size=size,
        guide=guide,
        inpaint=None if mask is None else (exemplars[0], mask),
        limits=limits,
    )
    if not ground.is_needed:
        return work
    given = None if mask is None else (made_of.pictures[0], mask)
    return TransparentSynthesis(work, ground, given)


def _patches(
    method: str,
    engine: Engine,
    made_of: Ingredients,
    config: TextureConfig,
    size: tuple[int, int],
) -> Method:
    from cnnart.textures.efros_leung import EfrosLeung
    from cnnart.textures.quilting import Quilting

    exemplars = [picture.to(engine.device) for picture in with_alpha(made_of.pictures)]
    guide = _guide(made_of, exemplars, config, size)
    mask = _mask(made_of)
    inpaint = None if mask is None else (exemplars[0], mask.to(engine.device))
    make = Quilting if method == "quilting" else EfrosLeung
    work: Method = make(
        exemplars, list(made_of.weights), config, size=size, guide=guide, inpaint=inpaint
    )
    return work


def _mask(made_of: Ingredients) -> Tensor | None:
    """The mask to inpaint at the picture's size."""
    if made_of.inpaint is None:
        return None
    size = made_of.pictures[0].rgb.shape[-2:]
    return resize(made_of.inpaint, size[0], size[1]).clamp(0, 1)


def _guide(
    made_of: Ingredients, exemplars: Sequence[Tensor], config: TextureConfig, size: tuple[int, int]
) -> Guide | None:
    """The maps at the sizes of what they are maps of; colours are not mixed."""
    if not made_of.guides or made_of.guide_target is None:
        return None
    maps = [
        _nearest(m, (e.shape[-2], e.shape[-1])).to(e.device)
        for m, e in zip(made_of.guides, exemplars, strict=True)
    ]
    target = _nearest(made_of.guide_target, size).to(exemplars[0].device)
    return Guide(maps, target, config.guide_weight)


def _nearest(image: Tensor, size: tuple[int, int]) -> Tensor:
    return torch.nn.functional.interpolate(image, size=size, mode="nearest-exact")


def with_alpha(pictures: Sequence[Picture]) -> list[Tensor]:
    """The exemplars with alpha as a fourth channel, if any of them has it."""
    if not any(p.alpha is not None for p in pictures):
        return [p.rgb for p in pictures]
    opaque = (torch.ones_like(p.rgb[:, :1]) if p.alpha is None else p.alpha for p in pictures)
    return [torch.cat((p.rgb, alpha), 1) for p, alpha in zip(pictures, opaque, strict=True)]
