"""Neural style transfer by optimization, coarse to fine (Gatys, Ecker and Bethge 2016).

Departures from the paper, each because it measures better (docs/design.md):
the picture is optimized at a small size first, then at twice the size until the output's, so that
strokes come out at every size; at each of the next sizes shallow layers come first, which paint
the details that enlarging does not give; it starts from the photo recolored with the style's
palette; the colors of the pixels are part of the objective; losses are relative, so one strength
fits all.
"""

from __future__ import annotations

import functools
import math
import threading
from collections import OrderedDict
from collections.abc import Callable, Hashable, Iterator, Sequence
from dataclasses import replace

import torch
from torch import Tensor

from cnnart.errors import UsageError
from cnnart.image.picture import fit_long_side, output_size, resize
from cnnart.methods.stylize.config import FAST_IS_FOR_PHOTOS, PRESETS, StylizeConfig
from cnnart.networks.blazeface import face_ellipses, find_faces
from cnnart.networks.vgg import FeatureExtractor
from cnnart.optim.color import (
    PaletteLoss,
    blend_gaussians,
    color_content,
    color_gaussian,
    color_result,
    color_style,
    keeps_photo_colors,
    recolor,
)
from cnnart.optim.losses import Moments, blend
from cnnart.optim.memory import Limits
from cnnart.optim.multiscale import (
    CoarseToFine,
    Descent,
    MultiscaleSynthesis,
    level_sizes,
    schedule_of,
    shallow_layers,
)
from cnnart.optim.objective import Held, PerceptualObjective, Region, Weights
from cnnart.optim.regions import StyledRegion, StyleImage, coverage, style_regions
from cnnart.optim.steps import PyramidLevel, State, Step
from cnnart.optim.tiles import content_bytes, gather_moments
from cnnart.settings import SMALLEST_SIDE

# The terms' weights at strength 0.5, all losses being relative (about 1 for unrelated pictures).
STYLE_TO_CONTENT = 3.6
# Where more evaluations of all layers give more of the content back: so much more.
MORE_STYLE = {"fine": 1.15}
PALETTE_TO_CONTENT = 7.0
TV_TO_CONTENT = 0.02
DETAIL = 1.0  # how much of what a pyramid level adds to the photo the picture starts with
TEMPORAL_TO_CONTENT = 200.0  # of a frame of a clip: what holds it to the one before
PIXEL_TO_CONTENT = 4.0  # below strength 0.5: what holds the photo's colors and details

# What content counts at a shallow level, at the deepest of its layers: so little, because that one
# would otherwise hold the details, too.
SHALLOW_CONTENT = 0.07

# In faces, where they are kept: how much more content counts, and what holds their pixels.
FACE_CONTENT, FACE_PIXEL = 2.0, 6.0
NO_FACES_KEPT = 0.7  # the strength from which on they are painted like the rest

MOST_TARGETS = 24  # kept for the next photo; 2.5 MB each with the usual layers


class TargetCache:
    """Moments of style pictures at each size, kept from one photo of a batch to the next.

    For photos with the same settings, whose styles are the very same tensors. Threads may share it:
    what one is finding, the others wait for.
    """

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._kept: OrderedDict[Hashable, tuple[Tensor, dict[str, Moments]]] = OrderedDict()

    def get(
        self, style: Tensor, how: Hashable, find: Callable[[], dict[str, Moments]]
    ) -> dict[str, Moments]:
        """The moments of a style seen in some way: as kept, or found now. The oldest are lost."""
        key = (id(style), how)  # the style is kept too, so no other one can have its id
        with self._lock:
            if key not in self._kept:
                self._kept[key] = style, find()
            self._kept.move_to_end(key)
            if len(self._kept) > MOST_TARGETS:
                self._kept.popitem(last=False)
            return self._kept[key][1]


class StyleTransfer(MultiscaleSynthesis[FeatureExtractor]):
    """One photo in one style or a blend of several.

    Args:
        photo: ``1x3xHxW`` in [0, 1].
        styles: at least one.
        config: see ``StylizeConfig``.
        features: the network; its device and precision are the run's.
        init: the picture to start from when ``config.init`` is ``picture``, of any size, or
            ``fast``, which is also where its details come from when the run goes on to a larger
            size, as far as it has them.
        limits: of memory and time.
        cache: shared by photos whose styles are the very same tensors, on the network's device.
        held: of a frame of a clip, the last one's result, moved to meet it: it starts there, and is
            held to it, where it can be trusted; so it needs no size but the last, and that one's
            iterations look at all layers.

    Nothing long happens before the first step. Raises UsageError for settings that make no sense,
    and OutOfMemory for a picture that cannot fit.
    """

    def __init__(
        self,
        photo: Tensor,
        styles: Sequence[StyleImage],
        config: StylizeConfig,
        features: FeatureExtractor,
        *,
        init: Tensor | None = None,
        limits: Limits | None = None,
        cache: TargetCache | None = None,
        held: Held | None = None,
    ) -> None:
        self.layers = [*config.content_layers, *config.style_layers]
        features.check_layers(self.layers)
        if not styles:
            raise UsageError("No style given: name at least one with `style`.")
        if not all(style.weight > 0 for style in styles):
            raise UsageError("The weight of a style must be above zero.")
        if config.init == "picture" and init is None:
            raise UsageError("To start from a picture, give it: `init` FILE.")
        if config.init == "fast" and init is None:
            raise UsageError(FAST_IS_FOR_PHOTOS)
        self.config = config
        # In the photo's colors a style is another one for each photo and size.
        self.cache = None if keeps_photo_colors(config.color) else cache or TargetCache()
        device = features.device
        size = output_size(photo.shape[-2], photo.shape[-1], config.size)
        if min(size) < (least := features.smallest_side(self.layers)):
            raise UsageError(
                f"{size[1]}x{size[0]} is too small for these layers: the short side needs at least "
                f"{least} pixels. Ask for more with `size`."
            )
        self.smallest = max(least, SMALLEST_SIDE)
        style, content = (
            [name for name, weight in layers.items() if weight > 0]
            for layers in (config.style_layers, config.content_layers)
        )
        found = shallow_layers(features, [*style, *content])
        self.shallow = sorted({*found} & {*style}, key=lambda k: features.geometry[k].reach)
        levels = schedule(config, *size, self.smallest, split=bool(self.shallow))
        final = [level for level in levels if (level.height, level.width) == size]
        if held is not None:
            count = sum(level.iterations for level in final)
            levels = final = [PyramidLevel(*size, count)]
        kept = [list(self.weights(level).content_layers) for level in final]
        self.run = CoarseToFine(
            features,
            self.layers,
            levels,
            update=Descent(config.optimizer),
            content=max(
                kept, key=functools.partial(content_bytes, features, pixels=math.prod(size))
            ),
            limits=limits,
            photo=photo,
        )
        self.photo = resize(photo.to(device), *size)
        faces = find_faces(photo) if faces_kept(config) else []
        self.faces = face_ellipses(faces, *photo.shape[-2:]).to(device) if faces else None
        self.init = None if init is None else init.to(device)
        self.held = None
        if held is not None:
            self.held = Held(held.picture.to(device), held.trust.to(device))
        self.regions = style_regions([_on(device, s) for s in styles], *size)
        if not self.regions:
            raise UsageError("The masks are empty: no style applies anywhere in the picture.")

    def steps(self, state: State | None = None) -> Iterator[Step]:
        """Run, yielding a Step for every evaluation of the network."""
        return self.run.steps(self, state)

    def enlarged(self, image: Tensor, size: tuple[int, int]) -> Tensor:
        """A level's result as the start of the next: enlarged, with the photo's finer details, or
        with those of the picture that a fast network painted.
        """
        before = (image.shape[-2], image.shape[-1])
        if before == size:
            return image.clone()
        fine = self.photo
        if self.init is not None and self.config.init == "fast" and self.init.shape[-2] >= size[0]:
            fine = self.init
        fine = color_content(self.config.color, resize(fine, *size))
        result = resize(resize(fine, *before), *size).neg_()
        return result.add_(fine).mul_(DETAIL).add_(resize(image, *size))

    def finish(self, image: Tensor) -> Tensor:
        """Any Step's picture as it is to be written: output size, colors as asked, on the CPU."""
        result = resize(image.detach(), *self.photo.shape[-2:]).clamp(0, 1)
        result = color_result(self.config.color, result, self.photo)
        if (cover := coverage(self.regions)) is not None:
            result = result * cover + self.photo * (1 - cover)
        return result.cpu()

    def _scaled(self, height: int, width: int) -> tuple[Tensor, list[StyledRegion]]:
        """The photo and the regions at one pyramid level, in the colors that the run is to see."""
        mode = self.config.color
        photo = resize(self.photo, height, width)
        regions = []
        for region in self.regions:
            mask = None if region.mask is None else resize(region.mask, height, width).clamp(0, 1)
            styles = tuple(
                replace(s, image=color_style(mode, s.image, photo, mask)) for s in region.styles
            )
            regions.append(replace(region, styles=styles, mask=mask))
        return color_content(mode, photo), regions

    def start(self, height: int, width: int) -> Tensor:
        """The first picture: the recolored photo, noise in the style's colors, or as given; of a
        frame that is held, so only where what it is held to cannot be trusted.
        """
        start = self._start(height, width)
        if (held := self._held(height, width)) is None:
            return start
        return start.lerp(held.picture, held.trust)

    def _held(self, height: int, width: int) -> Held | None:
        if self.held is None:
            return None
        return Held(*(resize(t, height, width) for t in (self.held.picture, self.held.trust)))

    def _start(self, height: int, width: int) -> Tensor:
        photo, regions = self._scaled(height, width)
        if self.init is not None and self.config.init == "picture":
            return resize(self.init, height, width)
        if self.init is not None and self.config.init == "fast":
            return color_content(self.config.color, resize(self.init, height, width))
        if self.config.init == "noise":
            generator = torch.Generator().manual_seed(self.config.seed)
            photo = torch.rand(photo.shape, generator=generator).to(photo.device)
        elif keeps_photo_colors(self.config.color):
            return photo
        # Weak styles keep more of the photo's own colors.
        amount = min(1.0, 2 * self.config.strength)
        result = photo.clone()
        for region in regions:
            parts = [(*color_gaussian(s.image), s.weight) for s in region.styles]
            source = color_gaussian(photo, region.mask)
            change = recolor(photo, source, blend_gaussians(parts)) - photo
            result += amount * (change if region.mask is None else change * region.mask)
        return result

    def weights(self, level: PyramidLevel) -> Weights:
        """The terms' weights at a level.

        At a shallow one, of the layers that it looks at, with the weights that they have in the
        whole; content is compared at the deepest of them.
        """
        weights = term_weights(self.config)
        if not level.shallow:
            return weights
        style = {name: weights.style_layers[name] for name in self.shallow}
        return replace(
            weights,
            content=SHALLOW_CONTENT * weights.content,
            content_layers={self.shallow[-1]: 1.0},
            style=weights.style * sum(style.values()) / sum(weights.style_layers.values()),
            style_layers=style,
        )

    def objective(self, level: PyramidLevel, tile: int) -> PerceptualObjective:
        height, width = level.height, level.width
        weights = self.weights(level)
        photo, regions = self._scaled(height, width)
        return PerceptualObjective(
            self.features,
            photo,
            [self._target(region, height, width, tile) for region in regions],
            weights,
            statistic=self.config.statistic,
            tile=tile,
            held=self._held(height, width),
            keep=None if self.faces is None else resize(self.faces, height, width, mode="bilinear"),
        )

    def _target(self, region: StyledRegion, height: int, width: int, tile: int) -> Region:
        """What a region aims at: its styles, seen at the size the picture has at this level.

        At all layers: a shallow level is followed by one that needs them.
        """
        layers = list(self.config.style_layers)
        parts: list[tuple[dict[str, Moments], float]] = []
        pictures: list[tuple[Tensor, float]] = []
        for style in region.styles:
            long_side = round(max(height, width) * self.config.style_scale)
            size = fit_long_side(style.image.shape[-2], style.image.shape[-1], long_side)
            picture = resize(style.image, *(max(self.smallest, side) for side in size))
            pictures.append((picture, style.weight))
            find = functools.partial(gather_moments, self.features, picture, layers, tile)
            if self.cache is None:
                found = find()
            else:
                how = (self.features, *layers, picture.shape, tile)
                found = self.cache.get(style.image, how, find)
            parts.append((found, style.weight))
        targets = {k: blend([(seen[k], weight) for seen, weight in parts]) for k in layers}
        palette = PaletteLoss(pictures, region.mask)
        return Region(targets, palette, region.mask, region.share)


def term_weights(config: StylizeConfig) -> Weights:
    """The weights that a strength stands for, times the expert factors.

    The style's weight against the content's grows as s / (1 - s): 0.5 is the balance, 1 the style
    alone. Below 0.5 a term on the pixels themselves grows from nothing, because the content loss
    does not see colors and a strength of 0 means the photo.
    """
    s = config.strength
    ratio = s / max(1 - s, 1e-3)
    return Weights(
        content=config.content_weight if s < 1 else 0.0,
        style=STYLE_TO_CONTENT * MORE_STYLE.get(config.preset, 1.0) * ratio * config.style_weight,
        palette=PALETTE_TO_CONTENT * ratio * config.palette_weight,
        tv=TV_TO_CONTENT * config.tv_weight,
        pixel=PIXEL_TO_CONTENT * max(0.0, 0.5 - s) / max(s, 1e-3),
        content_layers=config.content_layers,
        style_layers=config.style_layers,
        temporal=TEMPORAL_TO_CONTENT,
        kept_content=FACE_CONTENT * faces_kept(config),
        kept_pixel=FACE_PIXEL * faces_kept(config),
    )


def faces_kept(config: StylizeConfig) -> float:
    """How much faces are kept: 1 up to the usual strength, 0 from 0.7 on.

    Who asks for so much style wants it everywhere.
    """
    if config.faces != "keep":
        return 0.0
    return min(1.0, max(0.0, (NO_FACES_KEPT - config.strength) / 0.2))


def _on(device: torch.device, style: StyleImage) -> StyleImage:
    mask = None if style.mask is None else style.mask.to(device)
    return replace(style, image=style.image.to(device), mask=mask)


def schedule(
    config: StylizeConfig,
    height: int,
    width: int,
    smallest: int = SMALLEST_SIDE,
    *,
    split: bool = True,
) -> list[PyramidLevel]:
    """The levels of a run as its preset says; see ``schedule_of``."""
    sizes = level_sizes(height, width, smallest)
    return schedule_of(PRESETS[config.preset], sizes, config.steps, split=split)
