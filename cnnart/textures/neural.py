"""Texture synthesis by a network: noise becomes whatever has the exemplar's statistics.

Gatys, Ecker and Bethge 2015, "Texture synthesis using convolutional neural networks". Departures,
each because it measures better (README, "Design"): coarse to fine, with the exemplar always shown
at the canvas's own pixel scale, so that structures larger than the network's view come out too; the
canvas closes on itself and the exemplar is continued by its mirror image, so that neither has a
border whose zeros the network would take for texture; the colours of the pixels are part of the
objective, and matched at the end; losses are relative.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence

import torch
import torch.nn.functional as F
from torch import Tensor

from cnnart.budget import Limits, MemoryPlan
from cnnart.coarse_to_fine import CoarseToFine
from cnnart.config import TextureConfig, check_texture_config
from cnnart.errors import UsageError
from cnnart.features import FeatureExtractor
from cnnart.objective import PerceptualObjective, Region, Weights
from cnnart.optimize import Evaluation, Objective, Step
from cnnart.palette import PaletteLoss
from cnnart.schedule import Scale
from cnnart.textures.colours import colour_noise, match_colours
from cnnart.textures.guide import Guide, check_guide
from cnnart.textures.guided import guided_parts
from cnnart.textures.inpaint import Hole, find_hole
from cnnart.textures.parts import Exemplar, Part, mixed_moments
from cnnart.textures.sizing import canvas_extent, canvas_sizes, texture_schedule
from cnnart.textures.wrapping import resize_wrapped, wrap_axes

PALETTE_TO_STYLE = 1.0  # all losses being relative
TV_TO_STYLE = 0.001


class TextureSynthesis:
    """One texture after one exemplar or a mixture of several.

    Args:
        exemplars: each ``1x3xHxW`` in [0, 1].
        weights: their parts in the mixture, above zero.
        config: see ``TextureConfig``; its ``method``, ``size`` and ``patch`` are not looked at.
        features: the network; its device and precision are the run's.
        size: (height, width) of the result; with ``inpaint`` it is the picture's.
        guide: what is to be where, or None.
        inpaint: a picture and the mask of what to make anew in it (``1x1xhxw``, white: anew), or
            None. Outside of the mask the picture stays exactly, and an exemplar that is the picture
            itself serves without what is inside.
        limits: of memory and time.

    Nothing long happens before the first step. Raises UsageError for settings that make no sense,
    and OutOfMemory for a texture that cannot fit.
    """

    def __init__(
        self,
        exemplars: Sequence[Tensor],
        weights: Sequence[float],
        config: TextureConfig,
        features: FeatureExtractor,
        *,
        size: tuple[int, int],
        guide: Guide | None = None,
        inpaint: tuple[Tensor, Tensor] | None = None,
        limits: Limits | None = None,
    ) -> None:
        check_texture_config(config)
        self.layers = [name for name, weight in config.layers.items() if weight > 0]
        features.check_layers(self.layers)
        self.config = config
        repeats = wrap_axes(config.tileable)
        device = features.device
        self.hole: Hole | None = None
        if inpaint is not None:
            picture, mask = (t.to(device) for t in inpaint)
            self.hole = find_hole(picture, mask, repeats)
        # What is inpainted has borders of its own: the picture's.
        self.wrap = repeats if self.hole else (True, True)
        self.size = self.hole.size if self.hole else size
        self.align = features.smallest_side(self.layers)
        self.extent = self.size
        if self.hole is None:
            self.extent = canvas_extent(self.size, self.align, repeats)
        shown = [
            Exemplar(image.to(device), weight)
            for image, weight in zip(exemplars, weights, strict=True)
        ]
        self.parts = self._parts(shown, guide)
        scales = texture_schedule(config, self._canvases())
        self.run = CoarseToFine(
            features,
            self.layers,
            scales,
            optimizer=config.optimizer,
            limits=limits,
            wrap=self.wrap,
        )
        self.notes = self.run.notes

    def _parts(self, exemplars: list[Exemplar], guide: Guide | None) -> list[Part]:
        if not exemplars or not all(e.weight > 0 for e in exemplars):
            raise UsageError("A texture needs an exemplar, with a weight above zero.")
        if guide is not None and self.hole is not None:
            raise UsageError("A guide and a mask to inpaint do not go together: use one of them.")
        if guide is not None and guide.weight > 0:
            check_guide(guide, [e.image for e in exemplars], self.size)
            return guided_parts(guide, exemplars)
        if self.hole is None:
            return [Part(tuple(exemplars))]
        picture = self.hole.picture
        around = [
            Exemplar(self.hole.emptied(), e.weight, self.hole.outside)
            if e.image.shape == picture.shape and torch.equal(e.image, picture)
            else e
            for e in exemplars
        ]
        return [Part(tuple(around), self.hole.counted)]

    def _canvases(self) -> list[tuple[int, int]]:
        exemplars = [e for part in self.parts for e in part.exemplars]
        sides = [n * self.config.scale for e in exemplars for n in e.image.shape[-2:]]
        if min(*sides, *self.size) < self.align:
            least = max(1, round(min(*sides, *self.size)))
            raise UsageError(
                f"A side of {least} pixels is too short for these layers: the exemplar and the "
                f"texture need at least {self.align}. Enlarge them (--scale, --size), or use a "
                "patch method (--method quilting)."
            )
        return canvas_sizes(self.extent, [min(sides)] * 2, self.align, self.wrap)

    @property
    def features(self) -> FeatureExtractor:
        """The network; another one than was given if that could not be trusted."""
        return self.run.features

    @property
    def memory(self) -> MemoryPlan:
        """What the run takes."""
        return self.run.memory

    @property
    def schedule(self) -> list[Scale]:
        """The scales, coarsest first."""
        return self.run.schedule

    def steps(self) -> Iterator[Step]:
        """Run, yielding a Step for every evaluation of the network."""
        return self.run.steps(self)

    def start(self, height: int, width: int) -> Tensor:
        """Noise in the exemplars' colours; around a hole, the picture."""
        size = (height, width)
        masks = [(p, None if p.mask is None else self._mask(p.mask, size)) for p in self.parts]
        if self.hole is not None:
            masks = [(p, None) for p in self.parts]
        return self._around(colour_noise(masks, size, self.config.seed).to(self.features.device))

    def enlarged(self, image: Tensor, size: tuple[int, int]) -> Tensor:
        """A scale's result as the start of the next."""
        return self._around(resize_wrapped(image, size, self.wrap).clone())

    def _around(self, image: Tensor) -> Tensor:
        return image if self.hole is None else self.hole.around(image)

    def _mask(self, mask: Tensor, size: tuple[int, int]) -> Tensor:
        """A part's mask on a canvas."""
        rest = [n - m for n, m in zip(self.extent, mask.shape[-2:], strict=True)]
        whole = F.pad(mask.to(self.features.device), (0, rest[1], 0, rest[0]), mode="replicate")
        return resize_wrapped(whole, size, self.wrap).clamp(0, 1)

    def objective(self, scale: Scale, tile: int) -> Objective:
        """The loss of a canvas: how far its statistics are from the exemplars'."""
        size = (scale.height, scale.width)
        device = self.features.device
        objective = PerceptualObjective(
            self.features,
            torch.zeros(1, 1, 1, 1, device=device).expand(1, 3, *size),  # no content: its size
            [self._target(part, size, tile) for part in self.parts],
            Weights(
                content=0.0,
                style=1.0,
                palette=PALETTE_TO_STYLE * self.config.palette_weight,
                tv=TV_TO_STYLE,
                pixel=0.0,
                content_layers={},
                style_layers=self.config.layers,
            ),
            statistic=self.config.statistic,
            tile=tile,
            wrap=self.wrap,
        )
        # Per value, not per picture: L-BFGS takes curvatures below 1e-10 for rounding errors, as
        # those of a mean over a large picture would be.
        factor = torch.tensor(3.0 * size[0] * size[1], device=device)
        if self.hole is not None:
            factor = factor * self.hole.inside(size)

        def scaled(image: Tensor) -> Evaluation:
            found = objective(image)
            return Evaluation(found.losses, found.gradient.mul_(factor))

        return scaled

    def _target(self, part: Part, size: tuple[int, int], tile: int) -> Region:
        """What a part aims at: its exemplars, at the pixel scale of this canvas."""
        down, across = (n / whole for n, whole in zip(size, self.extent, strict=True))
        factors = (down * self.config.scale, across * self.config.scale)
        shown = [e.at(factors, self.align) for e in part.exemplars]
        targets = mixed_moments(self.features, shown, self.layers, tile or max(size))
        mask = None if part.mask is None else self._mask(part.mask, size)
        palette = PaletteLoss([(e.pixels(), e.weight) for e in shown], mask)
        return Region(targets, palette, mask, part.share, shrink=self.hole is None)

    def finish(self, image: Tensor) -> Tensor:
        """Any Step's picture as it is to be written: its size, the exemplars' colours, on the CPU.

        With ``config.histogram`` the colours are distributed exactly as the exemplars'.
        """
        result = resize_wrapped(image.detach(), self.extent, self.wrap).clamp(0, 1)
        result = result[..., : self.size[0], : self.size[1]]
        if self.hole is not None:
            return self.hole.paste(result).cpu()
        if self.config.histogram:
            for part in self.parts:
                mask = None if part.mask is None else part.mask.to(result)
                result = match_colours(result, part.exemplars, mask)
        return result.cpu()
