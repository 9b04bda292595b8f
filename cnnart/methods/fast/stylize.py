"""One photo, or several of one size, through trained networks: strength, stroke, colors, masks."""

from __future__ import annotations

import contextlib
import copy
import logging
import math
import threading
import time
import zlib
from collections import OrderedDict
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING, Any, cast
from weakref import WeakKeyDictionary

import torch
import torch.nn.functional as F
from torch import Tensor

from cnnart.errors import OutOfMemory, UsageError, is_out_of_memory
from cnnart.image.picture import fit_long_side, output_size, resize
from cnnart.methods.fast.architecture import Architecture
from cnnart.methods.fast.carried import CarriedPass, CarriedStatistics
from cnnart.methods.fast.checkpoint import Checkpoint
from cnnart.methods.fast.config import FastConfig
from cnnart.methods.fast.layers import AffinePair
from cnnart.methods.fast.network import StyleNetwork, make_noise, mean_network
from cnnart.methods.fast.styled import RepeatedPasses, StyledNetwork
from cnnart.optim.capture import sent
from cnnart.optim.detail import MOST_GAIN, OCTAVES, doubled, halved, match_detail
from cnnart.optim.memory import (
    FREE_SHARE,
    Limits,
    free_memory,
    gigabytes,
    held_bytes,
    idle_memory,
    release_memory,
)
from cnnart.optim.regions import StyledRegion, StyleImage, coverage, style_regions
from cnnart.optim.steps import MemoryPlan, Step

if TYPE_CHECKING:
    from cnnart.optim.steps import PyramidLevel

STRIPS = (1024, 512, 256, 128, 64)  # rows

# What a pass keeps at once, for the memory plan.
PICTURES = 6  # float32 pictures
LAYERS = 4  # activations of each resolution
STORED = 3  # activations of the coarsest resolution, in strips
HALO = 64  # rows that a strip computes beyond its own, at the most
FIXED = 64 << 20  # bytes

TIMED = 384  # long side of a picture by which a pass is timed

STYLED_ON = ("cpu", "cuda")  # elsewhere torch's kernels for the statistics are not there
STYLES = 4  # whose passes are kept ready

# A network is tried in half precision before it is used.
TOLERANCE = 0.1  # of pixels, by which half precision may differ from float32
TRIAL = 64  # side of the picture

# Strokes.
STROKE_SIDE = 512  # long side of a picture whose strokes are those of training
NEARLY = 1.1  # times as large, or as small: painted at its own size
NEARLY_A_FRAME = 2**0.5  # the same of a clip, which has no time for more
LARGEST_FACTOR = 4.0  # by which a small photo is enlarged to be painted
COARSER = 2.0  # than a level: what the next one takes from it

SEEDED_BY = 8  # levels of a color, that a photo's noise is seeded by


@dataclass(frozen=True)
class FastStyle:
    """A style of a checkpoint and its part in the blend; ``mask``: see ``StyleImage``.

    ``described``: of a style that the network was not trained for, the description of its picture
    (``describe_painting``), for the checkpoint's predictor. ``name`` is only what it is called,
    then. ``painting_detail``: how much fine detail that picture has, ``1x4``; None: not known.
    """

    checkpoint: Checkpoint
    name: str
    weight: float = 1.0
    mask: Tensor | None = None
    described: Tensor | None = None
    painting_detail: Tensor | None = None

    @property
    def family(self) -> str | int:
        """The same for networks that were made of one: the hash of its file."""
        return self.checkpoint.sha256 or id(self.checkpoint)

    def pair(self, strength: float) -> AffinePair:
        """Its affine pair of all layers, ``1xC`` each, on the CPU."""
        bank, network = self.checkpoint.bank, self.checkpoint.network
        with torch.no_grad():
            if self.described is None:
                return network.mixed_pair(bank.style_vector({self.name: 1.0}, strength))
            predictor = self.checkpoint.predictor
            assert predictor is not None
            position = torch.tensor([bank.position(strength)])
            predicted: AffinePair = predictor(self.described.cpu(), position)
            return predicted

    def colors(self) -> tuple[Tensor, Tensor] | None:
        """Mean (``1x3``) and covariance (``1x3x3``) that its pictures' colors are brought to, on
        the CPU; None: the network paints in its colors.
        """
        numbers = self.described
        if numbers is None:
            bank, styles = self.checkpoint.bank, self.checkpoint.styles
            found = styles[bank.index(self.name)].colors
            if not found:
                return None
            numbers = torch.tensor([found])
        from cnnart.methods.fast.predictor import colors_of

        return colors_of(numbers.cpu())

    def detail(self) -> Tensor | None:
        """How much fine detail its pictures are brought to (``1x4``, on the CPU; see
        ``match_detail``); None: as much as the network paints.
        """
        if self.described is not None:
            return self.painting_detail
        bank, styles = self.checkpoint.bank, self.checkpoint.styles
        found = styles[bank.index(self.name)].detail
        return torch.tensor([found]) if found else None


@dataclass(frozen=True)
class NetworkFacts:
    """What a record says of the network that made a picture."""

    sha256: str
    device: torch.device
    dtype: torch.dtype


class FastStylization:
    """Photos of one size (``Bx3xHxW`` in [0, 1]) in one style or a blend of several.

    Styles of one network, and of networks that were made of one, are blended within it; of others
    the pictures are averaged.

    Args:
        runner: runs networks on a device.
        limits: of memory; time it does not need.
        seeds: of each photo's noise; None: each has its own, so that no ornament comes at the same
            place of every photo.
        carried: of a clip: the statistics of the frames before, which this one goes on with; None:
            each photo has its own.
        memory: as it was planned for photos of this size; None: by what is free now.
        frame: of a clip: painted at once where a picture would not be, and its fine detail is not
            raised, which would flicker.

    Raises UsageError for settings that make no sense, OutOfMemory for what cannot fit.
    """

    def __init__(
        self,
        photos: Tensor,
        styles: Sequence[FastStyle],
        config: FastConfig,
        runner: NetworkRunner,
        limits: Limits | None = None,
        seeds: Sequence[int] | None = None,
        carried: CarriedStatistics | None = None,
        memory: MemoryPlan | None = None,
        frame: bool = False,
    ) -> None:
        if not styles:
            raise UsageError("No style given: name at least one.")
        self.config, self.styles = config, list(styles)
        self.warnings: list[str] = []
        self.schedule: list[PyramidLevel] = []  # one pass has no scales
        self._runner, self._limits, self._carried = runner, limits or Limits(), carried
        self.seeds = list(seeds) if seeds else [seed_of(photo) for photo in photos]
        size = output_size(photos.shape[-2], photos.shape[-1], config.size)
        self.photo = resize(sent(photos, runner.device), *size)
        nearly = NEARLY_A_FRAME if frame else NEARLY
        self.levels = stroke_levels(size, config.stroke_scale, nearly, in_pixels=config.in_pixels)
        self._most_gain = 1.0 if frame else MOST_GAIN
        masks = [None if s.mask is None else s.mask.to(runner.device) for s in styles]
        # Regions know styles by their pictures; here a style is where it stands in the list.
        self.regions = style_regions(
            [
                StyleImage(torch.tensor(i), style.weight, mask)
                for i, (style, mask) in enumerate(zip(styles, masks, strict=True))
            ],
            *size,
        )
        if not self.regions:
            raise UsageError("The masks are empty: no style applies anywhere in the picture.")
        dtypes = [runner.prepared(s.checkpoint, self.warnings).dtype for s in styles]
        self.features = NetworkFacts(styles[0].checkpoint.sha256, runner.device, dtypes[0])
        self.memory = memory or plan_strips(
            max((s.checkpoint.network.arch for s in styles), key=lambda a: _per_pixel(a, 4)),
            len(photos),
            1 if runner.one_by_one else len(photos),
            self.levels[-1],
            runner.device,
            max(torch.finfo(dtype).bits // 8 for dtype in dtypes),
            self._limits,
            held_bytes(photos, runner.device),
        )

    @property
    def pixels(self) -> int:
        """Those that are computed, at all levels of all regions."""
        return len(self.regions) * sum(height * width for height, width in self.levels)

    def trial(self) -> FastStylization:
        """The same for the photo at a small size, at one level."""
        height, width = self.photo.shape[-2:]
        size = fit_long_side(height, width, min(TIMED, max(height, width)))
        config = replace(self.config, size=None)
        small = resize(self.photo, *size)
        made = FastStylization(small, self.styles, config, self._runner, self._limits, self.seeds)
        made.levels = [(small.shape[-2], small.shape[-1])]
        return made

    def can_join(self, other: FastStylization) -> bool:
        """Whether the photos of the two can be computed as one batch: the same but for pixels."""
        own, theirs = (
            [(id(s.checkpoint), s.name, s.weight, id(s.described)) for s in work.styles]
            for work in (self, other)
        )
        return (
            self.photo.shape[1:] == other.photo.shape[1:]
            and own == theirs
            and self.config == other.config
            and self._runner is other._runner
            and all(s.mask is None for s in (*self.styles, *other.styles))
            and self._carried is other._carried is None
        )

    def joined(self, works: Sequence[FastStylization]) -> FastStylization:
        """All their photos in one batch, for works that can be joined. Raises OutOfMemory."""
        photos = torch.cat([work.photo for work in works])
        seeds = [seed for work in works for seed in work.seeds]
        whole = FastStylization(photos, self.styles, self.config, self._runner, self._limits, seeds)
        whole.warnings[:0] = [line for work in works for line in work.warnings]
        return whole

    def steps(self) -> Iterator[Step]:
        """Run; a Step for each region, the last of which holds the picture."""
        begun, count = time.monotonic(), len(self.regions)
        if self._carried:
            self._carried.next_frame()
        photos = [resize(self.photo, *self.levels[-1])]
        for level in reversed(self.levels[:-1]):
            photos.insert(0, resize(photos[0], *level))
        size = (self.photo.shape[-2], self.photo.shape[-1])
        result: Tensor | None = None
        for index, region in enumerate(self.regions, start=1):
            with torch.no_grad():
                picture = self.photo
                if self.config.strength > 0:
                    painted = self._coarse_to_fine(photos, region)
                    picture = self._at_output_size(painted, photos[-1])
                if region.mask is not None:
                    picture = picture * region.mask
                result = picture if result is None else result + picture
            yield Step(index, count, {}, result, size, time.monotonic() - begun)

    def _coarse_to_fine(self, photos: Sequence[Tensor], region: StyledRegion) -> Tensor:
        """The photos, given at each level, in a region's blend, at the last one's size.

        Strokes grow with the picture: what is coarse comes from the pass before, colors and large
        forms; on it, a pass paints the photo's details and finer strokes, sharp at this size.
        """
        result = self._painted(photos[0], region)
        for photo in photos[1:]:
            size = photo.shape[-2], photo.shape[-1]
            coarse = [max(1, round(side / COARSER)) for side in result.shape[-2:]]
            below = _smaller(result, coarse)
            seen = photo + _larger(below - _smaller(photo, coarse), size)
            result = self._painted(seen.clamp_(0, 1), region, finer=True)
            result = result + _larger(below - _smaller(result, coarse), size)
            result.clamp_(0, 1)
        return result

    def finish(self, image: Tensor) -> Tensor:
        """The last step's picture as it is to be written: colors as asked, on the device, so that
        the next photo need not wait for the copy.
        """
        result = image.clamp(0, 1)
        if self.config.color != "style":
            pairs = zip(result.split(1), self.photo.split(1), strict=True)
            result = torch.cat([self._colored(picture, photo) for picture, photo in pairs])
        if (cover := coverage(self.regions)) is not None:
            result = result * cover + self.photo * (1 - cover)
        return result

    def pictures(self) -> Tensor:
        """All at once: ``Bx3xHxW`` on the CPU."""
        for step in self.steps():
            image = step.image
        return self.finish(image).cpu()

    def _painted(self, photo: Tensor, region: StyledRegion, *, finer: bool = False) -> Tensor:
        """The photos in a region's blend, at the size the network works at.

        ``finer``: it is larger than the one at which strokes are right.
        """
        chosen = [(self.styles[int(s.image)], s.weight) for s in region.styles]
        total = sum(weight for _, weight in chosen)
        result: Tensor | None = None
        for relatives in {s.family: None for s, _ in chosen}:
            blend = [(style, w) for style, w in chosen if style.family == relatives]
            strength, own = self.config.strength, sum(weight for _, weight in blend)
            checkpoint = self._runner.mean([(style.checkpoint, w / own) for style, w in blend])
            share, opacity = own / total, checkpoint.bank.opacity(strength)
            picture = photo
            if opacity > 0:
                pairs = [style.pair(strength) for style, _ in blend]
                weights = [weight / own for _, weight in blend]
                colors = Colors.of([(style.colors(), w / own) for style, w in blend])
                detail = Detail.of([(style.detail(), w / own) for style, w in blend], strength)
                picture = colors(photo)
                picture = self._through(checkpoint, picture, blended(pairs, weights))
                picture = colors(picture).clamp_(0, 1)
                picture = detail(picture, self._most_gain, finer=finer)
            # Only what has to be mixed: each pass over a picture costs a part of the network's.
            if 0 < opacity < 1:
                picture = photo.lerp(picture, opacity)
            if share < 1:
                picture = share * picture
            result = picture if result is None else result + picture
        assert result is not None
        return result

    def _through(self, checkpoint: Checkpoint, photo: Tensor, pair: AffinePair) -> Tensor:
        """One network's pictures; in strips, or smaller ones, when memory runs out."""
        noise = make_noise(checkpoint.network.arch, photo.shape[-2], photo.shape[-1], self.seeds)
        carried = self._carried.next_pass() if self._carried else None
        while True:
            rows = self.memory.tile
            try:
                return self._runner.run(
                    checkpoint, photo, pair, noise, rows, self.warnings, carried
                )
            except (MemoryError, RuntimeError) as error:
                if not is_out_of_memory(error):
                    raise
            # Outside the handler: the error's traceback keeps the tensors of the attempt alive.
            recorded = self._runner.forget_passes()
            release_memory(self._runner.device)
            if recorded:
                continue  # what they held may be enough
            smaller = [s for s in STRIPS if s < (rows or photo.shape[-2])]
            if not smaller:
                raise OutOfMemory("Out of memory even in strips: choose a smaller `size`.")
            self.memory = MemoryPlan(tile=smaller[0], peak=self.memory.peak)
            self.warnings.append(f"Out of memory: going on in strips of {smaller[0]} rows.")

    def _at_output_size(self, picture: Tensor, photo: Tensor) -> Tensor:
        """At the output's size, which strokes in pixels are not painted at; the weaker the style,
        the more of the photo's finer details.
        """
        size = (self.photo.shape[-2], self.photo.shape[-1])
        if picture.shape[-2:] == self.photo.shape[-2:]:
            return picture
        result = resize(picture, *size)
        if max(size) > max(photo.shape[-2:]):
            detail = self.photo - resize(photo, *size)
            result = (result + (1 - self.config.strength) * detail).clamp(0, 1)
        return result

    def _colored(self, picture: Tensor, photo: Tensor) -> Tensor:
        """The color mode; ``keep`` moves the palette as a whole, ``histogram`` fits it exactly."""
        from cnnart.optim.color import color_gaussian, color_result, recolor

        if self.config.color == "keep":
            return recolor(picture, color_gaussian(picture), color_gaussian(photo))
        return color_result(self.config.color, picture, photo)


@dataclass(frozen=True)
class Colors:
    """Brings pictures to the colors of the styles that the network does not know to paint in.

    ``gaussian``: mean (``1x3``) and covariance (``1x3x3``) of these; None: no style needs it.
    ``share``: these styles' part of the blend.
    """

    gaussian: tuple[Tensor, Tensor] | None
    share: float

    @staticmethod
    def of(blend: Sequence[tuple[tuple[Tensor, Tensor] | None, float]]) -> Colors:
        """For a blend of styles: each one's colors, if it has any, and its weight."""
        known = [(colors[0][0], colors[1][0], weight) for colors, weight in blend if colors]
        share = sum(weight for *_, weight in known)
        if not share:
            return Colors(None, 0.0)
        from cnnart.optim.color import blend_gaussians

        mean, covariance = blend_gaussians(known)
        return Colors((mean[None], covariance[None]), share)

    def __call__(self, pictures: Tensor) -> Tensor:
        """``Bx3xHxW`` -> the same, recolored, what was recolored in [0, 1].

        Pictures from the network are not to be clamped before: in training, nothing holds those of
        predicted styles to [0, 1] but this.
        """
        if self.gaussian is None:
            return pictures
        from cnnart.optim.color import recolor_batch

        mean, covariance = (sent(value, pictures.device) for value in self.gaussian)
        count = len(pictures)
        moved = recolor_batch(pictures, mean.expand(count, -1), covariance.expand(count, -1, -1))
        return pictures.lerp(moved.clamp_(0, 1), self.share)


@dataclass(frozen=True)
class Detail:
    """Brings pictures to the fine detail of the styles' paintings.

    ``wanted``: how much that is (``1x4``, see ``match_detail``); None: it is not known of any.
    ``share``: how much of the way; a weak style leaves the photo's own.
    """

    wanted: Tensor | None
    share: float

    @staticmethod
    def of(blend: Sequence[tuple[Tensor | None, float]], strength: float) -> Detail:
        """For a blend of styles: how much each one's painting has, if that is known, and its
        weight.
        """
        known = [(detail, weight) for detail, weight in blend if detail is not None]
        total = sum(weight for _, weight in known)
        parts = [weight / total * detail for detail, weight in known]
        wanted = torch.cat(parts).sum(0, keepdim=True) if parts else None
        return Detail(wanted, min(1.0, 2 * strength))

    def __call__(
        self, pictures: Tensor, most_gain: float = MOST_GAIN, *, finer: bool = False
    ) -> Tensor:
        """``Bx3xHxW`` in [0, 1] -> the same.

        ``finer``: what they have is finer than anything the style has. That may be too much, and it
        is never too little.
        """
        if self.wanted is None:
            return pictures
        wanted = sent(self.wanted, pictures.device)
        if finer:
            wanted, most_gain = wanted[:, :2].repeat(1, OCTAVES), 1.0
        return match_detail(pictures, wanted, most_gain, self.share).clamp_(0, 1)


def stroke_levels(
    size: tuple[int, int], scale: float, nearly: float = NEARLY, *, in_pixels: bool = False
) -> list[tuple[int, int]]:
    """Heights and widths that the network paints at, from the one at which its strokes are right
    to the picture's own, each about twice the one before.

    Args:
        size: height and width of the picture.
        scale: of the strokes.
        nearly: by what factor a size may be off, and be the only level.
        in_pixels: strokes are as large as in training: a single level.
    """
    if in_pixels:
        factors = [1 / scale]
    else:
        first = min(STROKE_SIDE / scale / max(size), LARGEST_FACTOR)
        doublings = max(int(first < 1 / nearly), round(-math.log2(first)))
        own = first if first > nearly else 1.0
        factors = [first ** (i / doublings) for i in range(doublings, 0, -1)] + [own]
    return [(max(1, round(size[0] * f)), max(1, round(size[1] * f))) for f in factors]


def _smaller(pictures: Tensor, size: Sequence[int]) -> Tensor:
    """Means of areas: quick, and all that is needed of what is coarse."""
    if list(pictures.shape[-2:]) == [2 * side for side in size]:
        return halved(pictures)  # the same in less time
    return F.interpolate(pictures, size=tuple(size), mode="area")


def _larger(pictures: Tensor, size: Sequence[int]) -> Tensor:
    if [2 * side for side in pictures.shape[-2:]] == list(size):
        return doubled(pictures, size)
    return F.interpolate(pictures, size=tuple(size), mode="bilinear", align_corners=False)


def seed_of(photo: Tensor) -> int:
    """A number that differs from photo to photo (``3xHxW`` in [0, 1]), and is the same for the same
    photo at (almost) any size: of the colors of its quarters, roughly.
    """
    quarters = F.interpolate(photo[None].float(), size=(2, 2), mode="area").clamp(0, 1)
    levels = (quarters * SEEDED_BY).floor().byte()
    return zlib.crc32(levels.cpu().numpy().tobytes())


def blended(pairs: Sequence[AffinePair], weights: Sequence[float]) -> AffinePair:
    """The mean of affine pairs by weights that sum to 1."""
    gamma, beta = torch.zeros_like(pairs[0].gamma), torch.zeros_like(pairs[0].beta)
    for weight, pair in zip(weights, pairs, strict=True):
        gamma, beta = gamma + weight * pair.gamma, beta + weight * pair.beta
    return AffinePair(gamma, beta)


def plan_strips(
    arch: Architecture,
    photos: int,
    together: int,
    size: tuple[int, int],
    device: torch.device,
    item: int,
    limits: Limits,
    held: int = 0,
) -> MemoryPlan:
    """The whole picture at once if memory allows, else the highest strips that fit.

    ``together``: how many of the photos go through the network at once. ``size``: height and width;
    ``item``: bytes of an activation; ``held``: of the photos as they were given. ``tile`` of the
    plan counts rows; 0: no strips. Raises OutOfMemory when nothing fits.
    """
    idle = idle_memory(device, held) + held
    limit = limits.memory or idle + int(FREE_SHARE * free_memory(device))
    pixels = together * size[0] * size[1]
    picture = idle + FIXED + PICTURES * 3 * 4 * photos * size[0] * size[1]
    whole = picture + int(_per_pixel(arch, item) * pixels)
    if limits.tile is None and whole <= limit:
        return MemoryPlan(peak=whole)
    stored = STORED * arch.widths[-1] * item * pixels // arch.stride**2
    peak = 0
    for rows in STRIPS if limits.tile is None else (limits.tile,):
        strip = _per_pixel(arch, item) * together * size[1] * (rows + HALO)
        peak = picture + stored + int(strip)
        if peak <= limit or limits.tile is not None:
            return MemoryPlan(tile=rows, peak=peak)
    raise OutOfMemory(
        f"{size[1]}x{size[0]} needs about {gigabytes(peak)}, and the limit leaves "
        f"{gigabytes(limit)}. Ask for a smaller `size` or allow more with `max_memory`."
    )


def _per_pixel(arch: Architecture, item: int) -> float:
    """Bytes per pixel of the picture that a pass keeps at once."""
    areas = [width / (arch.stem * 2**i) ** 2 for i, width in enumerate(arch.widths)]
    return LAYERS * item * sum(areas)


@dataclass
class PreparedNetwork:
    """A network on a device, in the precision it computes right in.

    ``compiled``: it, compiled. ``styled``: its passes in the styles last used, by affine pair.
    """

    network: StyleNetwork
    dtype: torch.dtype
    compiled: Callable[..., Tensor] | None = None
    styled: OrderedDict[bytes, RepeatedPasses] = field(default_factory=OrderedDict)

    def passes(self, pair: AffinePair, device: torch.device) -> RepeatedPasses:
        """Its passes in a style, made ready if it is not among the last."""
        key = b"".join(value.numpy().tobytes() for value in pair)
        if key not in self.styled:
            while len(self.styled) >= STYLES:
                self.styled.popitem(last=False)
            styled = StyledNetwork(self.network, on_device(pair, device), self.dtype)
            self.styled[key] = RepeatedPasses(styled)
        self.styled.move_to_end(key)
        return self.styled[key]


def on_device(pair: AffinePair, device: torch.device) -> AffinePair:
    return AffinePair(*(sent(value, device) for value in pair))


def no_compiler(error: Exception) -> str:
    """The line for a torch.compile that does not work."""
    lines = [line.strip() for line in str(error).splitlines() if line.strip()]
    why = f"{type(error).__name__}: {lines[0][:100]}" if lines else type(error).__name__
    return f"torch.compile does not work here ({why}): running without it."


@contextlib.contextmanager
def without_logs() -> Iterator[None]:
    """Keep torch's compiler from logging pages about what is then told in a line."""
    before = logging.root.manager.disable
    logging.disable(logging.CRITICAL)
    try:
        yield
    finally:
        logging.disable(before)


class NetworkRunner:
    """Runs checkpoints' networks; each is brought to the device once, and kept as long as its
    checkpoint is.

    Args:
        device, dtype: of the activations; float32 for a network that half precision breaks.
        compiled: let torch.compile make them faster, where that works.
    """

    def __init__(self, device: torch.device, dtype: torch.dtype, *, compiled: bool = False) -> None:
        self.device, self.dtype, self.compiled = device, dtype, compiled
        self._prepared: WeakKeyDictionary[StyleNetwork, PreparedNetwork] = WeakKeyDictionary()
        # Of the blends last used, by checkpoints and shares, with what they are the mean of.
        self._means: OrderedDict[tuple[Any, ...], tuple[list[Checkpoint], Checkpoint]]
        self._means = OrderedDict()
        self._lock = threading.Lock()  # photos are read, and works begun, by several threads

    @property
    def one_by_one(self) -> bool:
        """Whether the photos of a batch go through a network one after the other."""
        return not self.compiled and self.device.type in STYLED_ON

    def run(
        self,
        checkpoint: Checkpoint,
        photos: Tensor,
        pair: AffinePair,
        noise: Tensor | None,
        rows: int,
        warnings: list[str],
        carried: CarriedPass | None = None,
    ) -> Tensor:
        """``Bx3xHxW`` stylized, float32, about [0, 1] and not clamped; tensors of their own.

        Args:
            pair: of all layers, ``1xC`` each, on the CPU: of all the photos.
            noise: what the network sees beside each photo, on the CPU; see ``make_noise``.
            rows: of a strip, 0: the whole picture at once.
            warnings: gets a line for what is found not to work.
            carried: of a frame, the statistics to go on with. In strips, compiled, and on devices
                that have no styled passes, a frame has its own.
        """
        own = self.prepared(checkpoint, warnings)
        grains = [None] * len(photos) if noise is None else noise.split(1)
        each = list(zip(photos.split(1), grains, strict=True))
        here = on_device(pair, self.device)
        if rows:
            from cnnart.methods.fast.strips import in_strips

            return torch.cat(
                [
                    in_strips(own.network, photo, here, own.dtype, grain, rows)
                    for photo, grain in each
                ]
            )
        if own.compiled is None and self.device.type in STYLED_ON:
            passes = own.passes(pair, self.device)
            # One by one: the statistics are each photo's own, and a recorded pass costs no launch.
            pictures = [passes(photo, grain, carried) for photo, grain in each]
            return pictures[0] if len(pictures) == 1 else torch.cat(pictures)
        here = AffinePair(*(value.expand(len(photos), -1) for value in here))
        if noise is not None:
            noise = sent(noise, self.device)
        if own.compiled is not None:
            try:
                with without_logs():
                    return own.compiled(photos, here, own.dtype, noise).clone()
            except Exception as error:  # no compiler, an unknown platform: it fails in many ways
                warnings.append(no_compiler(error))
                own.compiled = None
                return self.run(checkpoint, photos, pair, noise, rows, warnings)
        result: Tensor = own.network(photos, here, own.dtype, noise)
        return result

    def mean(self, parts: Sequence[tuple[Checkpoint, float]]) -> Checkpoint:
        """The network that paints a blend of relatives, for shares that sum to 1."""
        shares: dict[int, float] = {}
        for checkpoint, share in parts:
            shares[id(checkpoint)] = shares.get(id(checkpoint), 0.0) + share
        checkpoints = list({id(checkpoint): checkpoint for checkpoint, _ in parts}.values())
        if len(checkpoints) == 1:
            return checkpoints[0]
        with self._lock:
            if (key := tuple(shares.items())) not in self._means:
                while len(self._means) >= STYLES:
                    self._means.popitem(last=False)
                network = mean_network([c.network for c in checkpoints], list(shares.values()))
                self._means[key] = checkpoints, replace(checkpoints[0], network=network)
            self._means.move_to_end(key)
            return self._means[key][1]

    def forget_passes(self) -> bool:
        """Give the memory of recorded passes back; returns whether there were any."""
        prepared = list(self._prepared.values())
        recorded = any(passes.recording for own in prepared for passes in own.styled.values())
        for own in prepared:
            own.styled.clear()
        return recorded

    def prepared(self, checkpoint: Checkpoint, warnings: list[str]) -> PreparedNetwork:
        """The network on the device, its convolutions in the precision it is run in.

        ``warnings`` gets a line, the first time, where half precision does not work.
        """
        with self._lock:
            if checkpoint.network not in self._prepared:
                self._prepared[checkpoint.network] = self._prepare(checkpoint.network, warnings)
            return self._prepared[checkpoint.network]

    def _prepare(self, original: StyleNetwork, warnings: list[str]) -> PreparedNetwork:
        network = copy.deepcopy(original).to(self.device).eval()
        network.requires_grad_(False)
        dtype = self.dtype
        if (
            self.device.type != "cpu"
            and dtype != torch.float32
            and not self._exact_in_half(network)
        ):
            warnings.append("Half precision is not computed right on this device: using fp32.")
            dtype = torch.float32
        for block in network.conv_blocks():
            for name in ("weight", "bias", "depthwise"):
                if (value := getattr(block, name)) is not None:
                    value.data = value.data.to(dtype)
        return PreparedNetwork(network, dtype, self._compile(network, warnings))

    def _compile(self, network: StyleNetwork, warnings: list[str]) -> Callable[..., Tensor] | None:
        """The network, to be compiled by its first pass; None where that is not to be had."""
        if not self.compiled:
            return None
        try:
            return cast("Callable[..., Tensor]", torch.compile(network))
        except Exception as error:  # a cache folder that cannot be, an unknown platform
            warnings.append(no_compiler(error))
            return None

    def _exact_in_half(self, network: StyleNetwork) -> bool:
        """False where half precision overflows or is computed wrongly."""
        photo = torch.rand(1, 3, TRIAL, TRIAL, generator=torch.Generator().manual_seed(0))
        photo = photo.to(self.device)
        even = torch.full((1, network.pairs), 1 / network.pairs, device=self.device)
        with torch.no_grad():
            found, exact = network(photo, even, self.dtype), network(photo, even)
        return bool(float((found - exact).abs().mean()) < TOLERANCE)
