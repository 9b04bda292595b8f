"""One photo, or several of one size, through trained networks: strength, stroke, colors, masks."""

from __future__ import annotations

import copy
import threading
import time
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING
from weakref import WeakKeyDictionary

import torch
from torch import Tensor

from cnnart.errors import OutOfMemory, UsageError, is_out_of_memory
from cnnart.image.picture import output_size, resize
from cnnart.methods.fast.architecture import Architecture
from cnnart.methods.fast.checkpoint import Checkpoint
from cnnart.methods.fast.config import FastConfig
from cnnart.methods.fast.network import StyleNetwork
from cnnart.optim.memory import (
    FREE_SHARE,
    Limits,
    free_memory,
    gigabytes,
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

# A network is tried in half precision before it is used.
TOLERANCE = 0.1  # of pixels, by which half precision may differ from float32
TRIAL = 64  # side of the picture


@dataclass(frozen=True)
class FastStyle:
    """A style of a checkpoint and its part in the blend; ``mask``: see ``StyleImage``."""

    checkpoint: Checkpoint
    name: str
    weight: float = 1.0
    mask: Tensor | None = None


@dataclass(frozen=True)
class NetworkFacts:
    """What a record says of the network that made a picture."""

    sha256: str
    device: torch.device
    dtype: torch.dtype


class FastStylization:
    """Photos of one size (``Bx3xHxW`` in [0, 1]) in one style or a blend of several.

    Styles of one network are blended within it; of several networks, the pictures are averaged.

    Args:
        runner: runs networks on a device.
        limits: of memory; time it does not need.

    Raises UsageError for settings that make no sense, OutOfMemory for what cannot fit.
    """

    def __init__(
        self,
        photos: Tensor,
        styles: Sequence[FastStyle],
        config: FastConfig,
        runner: NetworkRunner,
        limits: Limits | None = None,
    ) -> None:
        if not styles:
            raise UsageError("No style given: name at least one.")
        self.config, self.styles = config, list(styles)
        self.warnings: list[str] = []
        self.schedule: list[PyramidLevel] = []  # one pass has no scales
        self._runner, self._limits = runner, limits or Limits()
        size = output_size(photos.shape[-2], photos.shape[-1], config.size)
        self.photo = resize(photos.to(runner.device), *size)
        self.working = (
            max(1, round(size[0] / config.stroke)),
            max(1, round(size[1] / config.stroke)),
        )
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
        self.memory = plan_strips(
            max((s.checkpoint.network.arch for s in styles), key=lambda a: _per_pixel(a, 4)),
            len(photos),
            self.working,
            runner.device,
            max(torch.finfo(dtype).bits // 8 for dtype in dtypes),
            self._limits,
        )

    def can_join(self, other: FastStylization) -> bool:
        """Whether the photos of the two can be computed as one batch: the same but for pixels."""
        own, theirs = (
            [(id(s.checkpoint), s.name, s.weight) for s in work.styles] for work in (self, other)
        )
        return (
            self.photo.shape[1:] == other.photo.shape[1:]
            and own == theirs
            and self.config == other.config
            and self._runner is other._runner
            and all(s.mask is None for s in (*self.styles, *other.styles))
        )

    def joined(self, works: Sequence[FastStylization]) -> FastStylization:
        """All their photos in one batch, for works that can be joined. Raises OutOfMemory."""
        photos = torch.cat([work.photo for work in works])
        whole = FastStylization(photos, self.styles, self.config, self._runner, self._limits)
        whole.warnings[:0] = [line for work in works for line in work.warnings]
        return whole

    def steps(self) -> Iterator[Step]:
        """Run; a Step for each region, the last of which holds the picture."""
        begun, count = time.monotonic(), len(self.regions)
        photo = resize(self.photo, *self.working)
        size = (self.photo.shape[-2], self.photo.shape[-1])
        result: Tensor | None = None
        for index, region in enumerate(self.regions, start=1):
            with torch.no_grad():
                picture = self._at_output_size(self._painted(photo, region), photo)
                if region.mask is not None:
                    picture = picture * region.mask
                result = picture if result is None else result + picture
            yield Step(index, count, {}, result, size, time.monotonic() - begun)

    def finish(self, image: Tensor) -> Tensor:
        """The last step's picture as it is to be written: colors as asked, on the CPU."""
        done = [
            self._colored(image[i : i + 1].clamp(0, 1), self.photo[i : i + 1])
            for i in range(len(image))
        ]
        result = done[0] if len(done) == 1 else torch.cat(done)
        if (cover := coverage(self.regions)) is not None:
            result = result * cover + self.photo * (1 - cover)
        return result.cpu()

    def pictures(self) -> Tensor:
        """All at once: ``Bx3xHxW`` on the CPU."""
        for step in self.steps():
            image = step.image
        return self.finish(image)

    def _painted(self, photo: Tensor, region: StyledRegion) -> Tensor:
        """The photos in a region's blend, at the size the network works at."""
        chosen = [(self.styles[int(s.image)], s.weight) for s in region.styles]
        total = sum(weight for _, weight in chosen)
        result: Tensor | None = None
        for checkpoint in {id(s.checkpoint): s.checkpoint for s, _ in chosen}.values():
            weights: dict[str, float] = {}
            for style, weight in chosen:
                if style.checkpoint is checkpoint:
                    weights[style.name] = weights.get(style.name, 0.0) + weight
            bank, strength = checkpoint.bank, self.config.strength
            share, opacity = sum(weights.values()) / total, bank.opacity(strength)
            picture = photo
            if opacity > 0:
                vector = bank.style_vector(weights, strength).to(photo.device)
                picture = self._through(checkpoint, photo, vector.expand(len(photo), -1))
                picture = picture.clamp(0, 1)
            # Only what has to be mixed: each pass over a picture costs a part of the network's.
            if 0 < opacity < 1:
                picture = photo.lerp(picture, opacity)
            if share < 1:
                picture = share * picture
            result = picture if result is None else result + picture
        assert result is not None
        return result

    def _through(self, checkpoint: Checkpoint, photo: Tensor, style_weights: Tensor) -> Tensor:
        """One network's pictures; in strips, or smaller ones, when memory runs out."""
        while True:
            rows = self.memory.tile
            try:
                return self._runner.run(checkpoint, photo, style_weights, rows, self.warnings)
            except (MemoryError, RuntimeError) as error:
                if not is_out_of_memory(error):
                    raise
            # Outside the handler: the error's traceback keeps the tensors of the attempt alive.
            release_memory(self._runner.device)
            smaller = [s for s in STRIPS if s < (rows or photo.shape[-2])]
            if not smaller:
                raise OutOfMemory("Out of memory even in strips: choose a smaller `size`.")
            self.memory = MemoryPlan(tile=smaller[0], peak=self.memory.peak)
            self.warnings.append(f"Out of memory: going on in strips of {smaller[0]} rows.")

    def _at_output_size(self, picture: Tensor, photo: Tensor) -> Tensor:
        """At the output's size; the weaker the style, the more of the photo's finer details."""
        size = (self.photo.shape[-2], self.photo.shape[-1])
        if picture.shape[-2:] == self.photo.shape[-2:]:
            return picture
        result = resize(picture, *size)
        if self.config.stroke > 1:
            detail = self.photo - resize(photo, *size)
            result = (result + (1 - self.config.strength) * detail).clamp(0, 1)
        return result

    def _colored(self, picture: Tensor, photo: Tensor) -> Tensor:
        """The color mode; ``keep`` moves the palette as a whole, ``histogram`` fits it exactly."""
        if self.config.color == "style":
            return picture
        from cnnart.optim.color import color_gaussian, color_result, recolor

        if self.config.color == "keep":
            return recolor(picture, color_gaussian(picture), color_gaussian(photo))
        return color_result(self.config.color, picture, photo)


def plan_strips(
    arch: Architecture,
    batch: int,
    size: tuple[int, int],
    device: torch.device,
    item: int,
    limits: Limits,
) -> MemoryPlan:
    """The whole picture at once if memory allows, else the highest strips that fit.

    ``size``: height and width; ``item``: bytes of an activation. ``tile`` of the plan counts rows;
    0: no strips. Raises OutOfMemory when nothing fits.
    """
    idle = idle_memory(device)
    limit = limits.memory or idle + int(FREE_SHARE * free_memory(device))
    pixels = batch * size[0] * size[1]
    picture = idle + FIXED + PICTURES * 3 * 4 * pixels
    whole = picture + int(_per_pixel(arch, item) * pixels)
    if limits.tile is None and whole <= limit:
        return MemoryPlan(peak=whole)
    stored = STORED * arch.widths[-1] * item * pixels // arch.stride**2
    peak = 0
    for rows in STRIPS if limits.tile is None else (limits.tile,):
        strip = _per_pixel(arch, item) * batch * size[1] * (rows + HALO)
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
    """A network on a device, in the precision it computes right in; ``compiled``: it, compiled."""

    network: StyleNetwork
    dtype: torch.dtype
    compiled: Callable[..., Tensor] | None = None


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
        self._lock = threading.Lock()  # photos are read, and works begun, by several threads

    def run(
        self,
        checkpoint: Checkpoint,
        photos: Tensor,
        style_weights: Tensor,
        rows: int,
        warnings: list[str],
    ) -> Tensor:
        """``Bx3xHxW`` stylized, float32, not clamped.

        Args:
            style_weights: ``Bxpairs``, on the device.
            rows: of a strip, 0: the whole picture at once.
            warnings: gets a line for what is found not to work.
        """
        own = self.prepared(checkpoint, warnings)
        if rows:
            from cnnart.methods.fast.strips import in_strips

            pictures = [
                in_strips(own.network, photos[i : i + 1], style_weights[i : i + 1], own.dtype, rows)
                for i in range(len(photos))
            ]
            return torch.cat(pictures)
        if own.compiled is not None:
            try:
                return own.compiled(photos, style_weights, own.dtype)
            except Exception as error:  # no compiler, an unknown platform: it fails in many ways
                reason = type(error).__name__
                warnings.append(f"torch.compile does not work here ({reason}): running without it.")
                own.compiled = None
        result: Tensor = own.network(photos, style_weights, own.dtype)
        return result

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
        return PreparedNetwork(network, dtype, torch.compile(network) if self.compiled else None)

    def _exact_in_half(self, network: StyleNetwork) -> bool:
        """False where half precision overflows or is computed wrongly."""
        photo = torch.rand(1, 3, TRIAL, TRIAL, generator=torch.Generator().manual_seed(0))
        photo = photo.to(self.device)
        even = torch.full((1, network.pairs), 1 / network.pairs, device=self.device)
        with torch.no_grad():
            found, exact = network(photo, even, self.dtype), network(photo, even)
        return bool(float((found - exact).abs().mean()) < TOLERANCE)
