"""Texture synthesis by a network: noise becomes whatever has the exemplar's statistics.

Gatys, Ecker and Bethge 2015, "Texture synthesis using convolutional neural networks". Departures,
each because it measures better (docs/design.md): coarse to fine, with the exemplar always shown
at the canvas's own pixel scale, so that structures larger than the network's view come out too; at
each size the shallow layers first, which paint the details that enlarging does not give; the
canvas closes on itself and the exemplar is continued by its mirror image, so that neither has a
border whose zeros the network would take for texture; the colors of the pixels are part of the
objective, and matched at the end; losses are relative.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence

import torch
import torch.nn.functional as F
from torch import Tensor

from cnnart.errors import UsageError
from cnnart.methods.texture.config import TEXTURE_PRESETS, TextureConfig
from cnnart.methods.texture.guide import Guide, check_guide
from cnnart.methods.texture.inpaint import InpaintMask, inpaint_mask
from cnnart.methods.texture.targets import (
    Exemplar,
    MaskedTarget,
    guided_targets,
    mixed_moments,
)
from cnnart.methods.texture.wrap import (
    canvas_extent,
    canvas_sizes,
    resize_wrapped,
    wrap_axes,
)
from cnnart.networks.vgg import FeatureExtractor
from cnnart.optim.color import PaletteLoss, match_palette
from cnnart.optim.memory import Limits
from cnnart.optim.multiscale import (
    CoarseToFine,
    Descent,
    MultiscaleSynthesis,
    schedule_of,
    shallow_layers,
)
from cnnart.optim.objective import PerceptualObjective, Region, Weights
from cnnart.optim.steps import Evaluation, Objective, PyramidLevel, State, Step

PALETTE_TO_STYLE = 1.0  # all losses being relative
TV_TO_STYLE = 0.001
MATCH_ROUNDS = 20  # of matching colors, after which the sliced distance has stopped falling


class NeuralTexture(MultiscaleSynthesis[FeatureExtractor]):
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
        self.layers = [name for name, weight in config.layers.items() if weight > 0]
        features.check_layers(self.layers)
        self.config = config
        repeats = wrap_axes(config.tileable)
        device = features.device
        self.inpaint: InpaintMask | None = None
        if inpaint is not None:
            self.inpaint = inpaint_mask(inpaint[0].to(device), inpaint[1].to(device), repeats)
        # What is inpainted has borders of its own: the picture's.
        self.wrap = repeats if self.inpaint else (True, True)
        self.size = self.inpaint.size if self.inpaint else size
        self.align = features.smallest_side(self.layers)
        self.extent = self.size
        if self.inpaint is None:
            self.extent = canvas_extent(self.size, self.align, repeats)
        shown = [
            Exemplar(image.to(device), weight)
            for image, weight in zip(exemplars, weights, strict=True)
        ]
        self.targets = self._targets(shown, guide)
        self.shallow = shallow_layers(features, self.layers)
        self.run = CoarseToFine(
            features,
            self.layers,
            schedule_of(
                TEXTURE_PRESETS[config.preset],
                self._canvases(),
                config.steps,
                split=bool(self.shallow),
            ),
            update=Descent(config.optimizer),
            limits=limits,
            wrap=self.wrap,
        )

    def _targets(self, exemplars: list[Exemplar], guide: Guide | None) -> list[MaskedTarget]:
        if not exemplars or not all(e.weight > 0 for e in exemplars):
            raise UsageError("A texture needs an exemplar, with a weight above zero.")
        if guide is not None and self.inpaint is not None:
            raise UsageError("A guide and a mask to inpaint do not go together: use one of them.")
        if guide is not None and guide.weight > 0:
            check_guide(guide, [e.image for e in exemplars], self.size)
            return guided_targets(guide, exemplars)
        if self.inpaint is None:
            return [MaskedTarget(tuple(exemplars))]
        picture = self.inpaint.picture
        around = [
            Exemplar(self.inpaint.filled_with_mean(), e.weight, self.inpaint.outside)
            if e.image.shape == picture.shape and torch.equal(e.image, picture)
            else e
            for e in exemplars
        ]
        return [MaskedTarget(tuple(around), self.inpaint.counted)]

    def _canvases(self) -> list[tuple[int, int]]:
        exemplars = [e for target in self.targets for e in target.exemplars]
        sides = [n * self.config.scale for e in exemplars for n in e.image.shape[-2:]]
        if min(*sides, *self.size) < self.align:
            least = max(1, round(min(*sides, *self.size)))
            raise UsageError(
                f"A side of {least} pixels is too short for these layers: the exemplar and the "
                f"texture need at least {self.align}. Enlarge them (`scale`, `size`), or use a "
                "patch method (`method` quilting)."
            )
        return canvas_sizes(self.extent, [min(sides)] * 2, self.align, self.wrap)

    def steps(self, state: State | None = None) -> Iterator[Step]:
        """Run, yielding a Step for every evaluation of the network."""
        return self.run.steps(self, state)

    def start(self, height: int, width: int) -> Tensor:
        """Noise in the exemplars' colors; where nothing is inpainted, the picture."""
        size = (height, width)
        masked = [
            (t, None if t.mask is None or self.inpaint else self._mask(t.mask, size))
            for t in self.targets
        ]
        noise = color_noise(masked, size, self.config.seed).to(self.features.device)
        return self._restored(noise)

    def enlarged(self, image: Tensor, size: tuple[int, int]) -> Tensor:
        """A scale's result as the start of the next."""
        return self._restored(resize_wrapped(image, size, self.wrap).clone())

    def _restored(self, image: Tensor) -> Tensor:
        """A canvas with the picture where nothing may change."""
        return image if self.inpaint is None else self.inpaint.restored_around(image)

    def _mask(self, mask: Tensor, size: tuple[int, int]) -> Tensor:
        """A target's mask on a canvas."""
        bottom, right = (n - m for n, m in zip(self.extent, mask.shape[-2:], strict=True))
        whole = F.pad(mask.to(self.features.device), (0, right, 0, bottom), mode="replicate")
        return resize_wrapped(whole, size, self.wrap).clamp(0, 1)

    def objective(self, scale: PyramidLevel, tile: int) -> Objective:
        """The loss of a canvas: how far its statistics are from the exemplars'."""
        size = (scale.height, scale.width)
        device = self.features.device
        layers = self.shallow if scale.shallow else self.layers
        objective = PerceptualObjective(
            self.features,
            torch.zeros(1, 1, 1, 1, device=device).expand(1, 3, *size),  # no content: its size
            [self._region(target, size, layers, tile) for target in self.targets],
            Weights(
                content=0.0,
                style=1.0,
                palette=PALETTE_TO_STYLE * self.config.palette_weight,
                tv=TV_TO_STYLE,
                pixel=0.0,
                content_layers={},
                style_layers={name: self.config.layers[name] for name in layers},
            ),
            statistic=self.config.statistic,
            tile=tile,
            wrap=self.wrap,
        )
        # Per value, not per picture: L-BFGS takes curvatures below 1e-10 for rounding errors, as
        # those of a mean over a large picture would be.
        factor = torch.tensor(3.0 * size[0] * size[1], device=device)
        if self.inpaint is not None:
            factor = factor * self.inpaint.inside(size)

        def scaled(image: Tensor) -> Evaluation:
            found = objective(image)
            return Evaluation(found.terms, found.gradient.mul_(factor))

        return scaled

    def _region(
        self, target: MaskedTarget, size: tuple[int, int], layers: Sequence[str], tile: int
    ) -> Region:
        """What a target's region aims at: its exemplars, at the pixel scale of this canvas."""
        down, across = (n / whole for n, whole in zip(size, self.extent, strict=True))
        factors = (down * self.config.scale, across * self.config.scale)
        shown = [e.resized(factors, self.align) for e in target.exemplars]
        moments = mixed_moments(self.features, shown, layers, tile or max(size))
        mask = None if target.mask is None else self._mask(target.mask, size)
        palette = PaletteLoss([(e.pixels(), e.weight) for e in shown], mask)
        return Region(moments, palette, mask, target.share, shrink=self.inpaint is None)

    def finish(self, image: Tensor) -> Tensor:
        """Any Step's picture as it is to be written: its size, the exemplars' colors, on the CPU.

        With ``config.histogram`` the colors are distributed exactly as the exemplars'.
        """
        result = resize_wrapped(image.detach(), self.extent, self.wrap).clamp(0, 1)
        result = result[..., : self.size[0], : self.size[1]]
        if self.inpaint is not None:
            return self.inpaint.composite(result).cpu()
        if self.config.histogram:
            for target in self.targets:
                mask = None if target.mask is None else target.mask.to(result)
                palette = [(e.pixels(), e.weight) for e in target.exemplars]
                result = match_palette(result, palette, mask, MATCH_ROUNDS)
        return result.cpu()


def color_noise(
    targets: Sequence[tuple[MaskedTarget, Tensor | None]], size: tuple[int, int], seed: int
) -> Tensor:
    """``1x3xHxW``: each pixel has the color of a random pixel of its target's exemplars.

    ``targets``: each with its mask at this size.
    """
    generator = torch.Generator().manual_seed(seed)
    result = torch.zeros(1, 3, *size)
    for target, mask in targets:
        weights = torch.tensor([e.weight for e in target.exemplars])
        chosen = torch.multinomial(weights, size[0] * size[1], True, generator=generator)
        places = torch.rand(len(chosen), generator=generator)
        colors = torch.empty(3, len(chosen))
        for index, exemplar in enumerate(target.exemplars):
            pixels, mine = exemplar.pixels()[0, :, 0].cpu(), chosen == index
            colors[:, mine] = pixels[:, (places[mine] * pixels.shape[1]).long()]
        noise = colors.view(1, 3, *size)
        result += noise if mask is None else noise * mask.cpu()
    return result
