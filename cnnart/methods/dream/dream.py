"""DeepDream: a photo in which a network sees more and more of what it looks for.

After Mordvintsev, Olah and Tyka ("Inceptionism: Going Deeper into Neural Networks", 2015): gradient
ascent on the activations of chosen layers, from a small size to the photo's own, each size starting
from the photo plus what the one before has dreamed into it.
"""

from __future__ import annotations

import functools
import math
from collections.abc import Iterator, Sequence
from dataclasses import replace
from typing import TYPE_CHECKING

import torch
import torch.nn.functional as F
from torch import Tensor

from cnnart.errors import OutOfMemory, UsageError
from cnnart.image.picture import chosen_size, fit_long_side, resize
from cnnart.methods.dream.ascent import Ascent, Move, blur, mean_abs, smooth
from cnnart.methods.dream.config import DreamConfig, resolve_preset
from cnnart.methods.dream.objective import (
    DreamObjective,
    ObjectiveSpec,
    guide_vectors,
    reference_rms,
)
from cnnart.methods.dream.presets import DreamPreset
from cnnart.networks.base import Network
from cnnart.networks.vgg import FeatureExtractor
from cnnart.optim.color import color_gaussian, color_result, recolor
from cnnart.optim.memory import Limits
from cnnart.optim.multiscale import CoarseToFine, MultiscaleSynthesis
from cnnart.optim.steps import PyramidLevel, State, Step
from cnnart.weights.backbones import EMBEDDED

if TYPE_CHECKING:
    from cnnart.optim.objective import Held

GUIDE_SIZE = 384  # pixels: the guide's long side; its features at this size are what is looked for
STEPS_AT = 1024  # pixels: the long side of the octave that gets the steps a preset names
HELD_STEPS = 3  # times as long, and as many times fewer, are the steps of a frame that is held
SMALLEST_OCTAVE = 32  # pixels: a smaller short side shows the network nothing


class DeepDream(MultiscaleSynthesis[Network]):
    """One photo, dreamed on by a network.

    Args:
        photo: ``1x3xHxW`` in [0, 1].
        config: see ``DreamConfig``.
        network: any of ``cnnart.networks``; its device and precision are the run's.
        guide: ``1x3xHxW``, any size: the photo's features are pulled toward this picture's.
        mask: ``1x1xHxW`` in [0, 1], any size: where to dream; the rest stays as it is.
        limits: of memory and time.
        held: of a frame of a clip: the last one's result, moved to meet it, and how much of that it
            starts from. There it dreams by so much less: in a clip that stands still, it only makes
            up for what of the dream the frame has taken away.

    Nothing long happens before the first step. Raises UsageError for settings that make no sense,
    and OutOfMemory for a picture that cannot fit.
    """

    def __init__(
        self,
        photo: Tensor,
        config: DreamConfig,
        network: Network,
        *,
        guide: Tensor | None = None,
        mask: Tensor | None = None,
        limits: Limits | None = None,
        held: Held | None = None,
    ) -> None:
        self.config = config
        self.preset = resolve_preset(config, guided=guide is not None)
        self.layers = [name for name, weight in self.preset.layers.items() if weight]
        network.check_layers(self.layers)
        check_channels(self.preset.channels, self.layers, network)
        size = chosen_size(photo.shape[-2], photo.shape[-1], config.size)
        least = network.smallest_side(self.layers)
        if min(size) < least:
            raise UsageError(
                f"{size[1]}x{size[0]} is too small for these layers: the short side needs at least "
                f"{least} pixels. Ask for more with `size`."
            )
        scales = dream_schedule(*size, self.preset, least)
        if held is not None:
            scales = [
                replace(each, iterations=math.ceil(each.iterations / HELD_STEPS)) for each in scales
            ]
        self._generator = torch.Generator().manual_seed(config.seed)
        update = Ascent(self.move, self._generator)
        self.run = CoarseToFine(network, self.layers, scales, update=update, limits=limits)
        foreign = network.name not in (EMBEDDED, "vgg19-oxford")
        if foreign and self.preset.channels and config.layers is config.channels is None:
            self.warnings.append(
                f"The channels of the preset {config.preset} are those of {EMBEDDED}: in "
                f"{network.name} they want to see other things."
            )
        self.photo = self._begin = resize(photo.to(network.device), *size)
        self._fresh: Tensor | None = None  # how much is to be dreamed anew
        if held is not None:
            trust = resize(held.trust.to(network.device), *size)
            self._begin = self.photo.lerp(resize(held.picture.to(network.device), *size), trust)
            self._fresh = 1 - trust
        self.guide = None if guide is None else guide.to(network.device)
        self.mask = None if mask is None else self._feathered(mask.to(network.device))

    def _feathered(self, mask: Tensor) -> Tensor:
        """The mask at the photo's size, fading out toward its border and nothing beyond it."""
        mask = resize(mask, *self.photo.shape[-2:]).clamp(0, 1)
        width = round(self.config.feather * max(mask.shape[-2:]))
        if not width:
            return mask
        eroded = -F.max_pool2d(-mask, 2 * width + 1, stride=1, padding=width)
        feathered = torch.minimum(mask, blur(eroded, width / 2))
        return feathered if float(feathered.max()) > 0.5 * float(mask.max()) else mask

    def steps(self, state: State | None = None) -> Iterator[Step]:
        """Run, yielding a Step for every evaluation of the network; its values rise."""
        self._generator.manual_seed(self.config.seed)
        return self.run.steps(self, state)

    def start(self, height: int, width: int) -> Tensor:
        """The photo, or what a frame starts from, at the coarsest octave."""
        return resize(self._begin, height, width)

    def enlarged(self, image: Tensor, size: tuple[int, int]) -> Tensor:
        """What it starts from at a size, with what has been dreamed into it at another."""
        if image.shape[-2:] == size:
            return image
        before = resize(self._begin, *image.shape[-2:])
        detail = resize(image - before, *size)
        return (resize(self._begin, *size) + detail).clamp_(0, 1)

    def objective(self, scale: PyramidLevel, tile: int) -> DreamObjective:
        """What to raise at an octave. Raises OutOfMemory for tiles of a network that has none."""
        if tile and not isinstance(self.features, FeatureExtractor):
            raise OutOfMemory(
                f"Out of memory, and {self.features.name} cannot work in tiles: choose a smaller "
                "`size`, or a VGG as `backbone`."
            )
        return DreamObjective(
            self.features,
            self._spec,
            (scale.height, scale.width),
            self._rms,
            jitter=self.config.jitter,
            generator=self._generator,
            tile=tile,
        )

    @functools.cached_property
    def _spec(self) -> ObjectiveSpec:
        preset, guides = self.preset, None
        if self.guide is not None:
            height, width = self.guide.shape[-2:]
            size = fit_long_side(height, width, GUIDE_SIZE)
            least = self.features.smallest_side(self.layers)
            picture = resize(self.guide, *(max(least, side) for side in size))
            guides = guide_vectors(self.features, picture, self.layers)
        return ObjectiveSpec(
            preset.layers, preset.channels, self.config.neuron, preset.objective, guides
        )

    @functools.cached_property
    def _rms(self) -> dict[str, float]:
        coarsest = self.schedule[0]
        picture = resize(self.photo, coarsest.height, coarsest.width)
        return reference_rms(self.features, picture, self.layers)

    def move(self, scale: PyramidLevel) -> Move:
        """Steps of the configured mean length along the smoothed gradient, inside the mask."""
        count, stride = octave_steps(max(scale.height, scale.width), self.preset)
        length = 2 * self.config.strength * self.preset.step_size * stride
        mask = fresh = None
        if self.mask is not None:
            mask = resize(self.mask, scale.height, scale.width).clamp(0, 1)
        if self._fresh is not None:
            length *= count / scale.iterations
            fresh = resize(self._fresh, scale.height, scale.width).clamp(0, 1)

        def move(heading: Tensor) -> tuple[Tensor, Tensor]:
            if self.config.color == "luma":  # what only color can do would be lost in the end
                heading = heading.mean(1, keepdim=True).expand_as(heading)
            step = smooth(heading, self.preset.smoothing)
            step = step if mask is None else step * mask
            change = mean_abs(step, mask)
            moved = change != 0
            if fresh is not None:
                step = step * fresh
            return step * torch.where(moved, length / change, 0.0), moved

        return move

    def finish(self, image: Tensor) -> Tensor:
        """Any Step's picture as it is to be written: output size, colors as asked, on the CPU."""
        result = self.enlarged(image.detach(), (self.photo.shape[-2], self.photo.shape[-1]))
        if self.config.color == "keep":
            colors = color_gaussian(result), color_gaussian(self.photo)
            result = recolor(result, *colors).clamp(0, 1)
        result = color_result(self.config.color, result, self.photo)
        if self.mask is not None:
            result = torch.where(
                self.mask > 0, torch.lerp(self.photo, result, self.mask), self.photo
            )
        return result.cpu()


def check_channels(channels: Sequence[int], layers: Sequence[str], network: Network) -> None:
    """Raise UsageError for a channel that one of the layers does not have."""
    for name in layers:
        count = network.geometry[name].channels
        if channels and max(channels) >= count:
            raise UsageError(
                f"{name} has {count} channels, 0 to {count - 1}: there is no {max(channels)}."
            )


def octave_sizes(
    height: int, width: int, preset: DreamPreset, smallest: int
) -> list[tuple[int, int]]:
    """``(height, width)`` of each octave from coarse to fine; the last is the picture's own.

    Octaves go down by ``preset.octave_scale`` as often as ``preset.octaves`` says, or to a long
    side of ``preset.base`` pixels, but not below a short side of ``smallest``.
    """
    smallest = max(smallest, SMALLEST_OCTAVE)
    sizes = [(height, width)]
    while preset.octaves is None or len(sizes) < preset.octaves:
        long_side = round(max(height, width) / preset.octave_scale ** len(sizes))
        size = fit_long_side(height, width, max(1, long_side))
        if min(size) < smallest or size == sizes[0]:
            break
        if preset.octaves is None and long_side < preset.base:
            break
        sizes.insert(0, size)
    return sizes


def octave_steps(long_side: int, preset: DreamPreset) -> tuple[int, float]:
    """The steps at an octave of this long side, and how many of ``step_size`` each is long."""
    if preset.every_octave is not None:
        return preset.every_octave, 1.0
    planned = max(1, round(preset.steps * STEPS_AT / max(long_side, preset.base)))
    count = math.ceil(planned / preset.stride)
    return count, planned / count


def dream_schedule(
    height: int, width: int, preset: DreamPreset, smallest: int
) -> list[PyramidLevel]:
    """The octaves of a dream with their steps, from coarse to fine."""
    sizes = octave_sizes(height, width, preset, smallest)
    return [PyramidLevel(*size, octave_steps(max(size), preset)[0]) for size in sizes]
