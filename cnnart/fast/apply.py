"""One photo, or several of one size, through trained networks: strength, stroke, colours, masks."""

from __future__ import annotations

import time
from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import torch
from torch import Tensor

from cnnart.budget import FREE_SHARE, Limits, MemoryPlan, free_memory, gigabytes, idle_memory
from cnnart.color import color_result
from cnnart.config import FastConfig, check_fast_config
from cnnart.errors import OutOfMemory, UsageError, is_out_of_memory
from cnnart.fast.architecture import Architecture
from cnnart.fast.checkpoint import Checkpoint
from cnnart.fast.engine import FastEngine
from cnnart.image import resize
from cnnart.optimize import Step
from cnnart.palette import colour_gaussian, recolour
from cnnart.regions import StyledRegion, StyleImage, coverage, style_regions
from cnnart.resilience import release_memory
from cnnart.stylization import output_size

STRIPS = (1024, 512, 256, 128, 64)  # rows
PICTURES = 6  # float32 pictures alive at once
LAYERS = 4  # of each resolution's activations alive at once
STORED = 3  # of the coarsest ones, in strips
HALO = 64  # rows that a strip computes beyond its own, at the most
FIXED = 64 << 20


@dataclass(frozen=True)
class FastStyle:
    """A style of a checkpoint and its part in the blend; ``mask``: see ``StyleImage``."""

    checkpoint: Checkpoint
    name: str
    weight: float = 1.0
    mask: Tensor | None = None


class FastStylization:
    """Photos of one size (``Bx3xHxW`` in [0, 1]) in one style or a blend of several.

    Styles of one network are blended within it; of several networks, the pictures are averaged.

    Args:
        engine: runs networks on a device.
        limits: of memory; time it does not need.

    Raises UsageError for settings that make no sense, OutOfMemory for what cannot fit.
    """

    def __init__(
        self,
        photos: Tensor,
        styles: Sequence[FastStyle],
        config: FastConfig,
        engine: FastEngine,
        limits: Limits | None = None,
    ) -> None:
        check_fast_config(config)
        if not styles:
            raise UsageError("No style given: name at least one with --style.")
        self.config, self.engine, self.notes = config, engine, engine.notes
        self.styles = list(styles)
        size = output_size(photos.shape[-2], photos.shape[-1], config.size)
        self.photo = resize(photos.to(engine.device), *size)
        self.working = (
            max(1, round(size[0] / config.stroke)),
            max(1, round(size[1] / config.stroke)),
        )
        masks = [None if s.mask is None else s.mask.to(engine.device) for s in styles]
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
        arch = max((s.checkpoint.network.arch for s in styles), key=lambda a: _per_pixel(a, 4))
        self.memory = plan_strips(arch, len(photos), self.working, engine, limits or Limits())

    def steps(self) -> Iterator[Step]:
        """Run; a Step for each region, the last of which holds the picture."""
        begun, count = time.monotonic(), len(self.regions)
        photo = resize(self.photo, *self.working)
        size = (self.photo.shape[-2], self.photo.shape[-1])
        result: Tensor | None = None
        for index, region in enumerate(self.regions, start=1):
            with torch.no_grad():
                picture = self._enlarged(self._painted(photo, region), photo)
                if region.mask is not None:
                    picture = picture * region.mask
                result = picture if result is None else result + picture
            yield Step(index, count, {}, result, size, time.monotonic() - begun)

    def finish(self, image: Tensor) -> Tensor:
        """The last step's picture as it is to be written: colours as asked, on the CPU."""
        done = [
            self._coloured(image[i : i + 1].clamp(0, 1), self.photo[i : i + 1])
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
            table, strength = checkpoint.table, self.config.strength
            share, opacity = sum(weights.values()) / total, table.opacity(strength)
            picture = photo
            if opacity > 0:
                row = table.row(weights, strength).to(photo.device)
                picture = self._through(checkpoint, photo, row.expand(len(photo), -1)).clamp(0, 1)
            # Only what has to be mixed: each pass over a picture costs a part of the network's.
            if 0 < opacity < 1:
                picture = photo.lerp(picture, opacity)
            if share < 1:
                picture = share * picture
            result = picture if result is None else result + picture
        assert result is not None
        return result

    def _through(self, checkpoint: Checkpoint, photo: Tensor, mix: Tensor) -> Tensor:
        """One network's pictures; in strips, or smaller ones, when memory runs out."""
        while True:
            try:
                return self.engine.run(checkpoint, photo, mix, self.memory.tile)
            except (MemoryError, RuntimeError) as error:
                if not is_out_of_memory(error):
                    raise
            release_memory(self.engine.device)
            smaller = [s for s in STRIPS if s < (self.memory.tile or photo.shape[-2])]
            if not smaller:
                raise OutOfMemory("Out of memory even in strips: choose a smaller --size.")
            self.memory = MemoryPlan(tile=smaller[0], peak=self.memory.peak)
            self.notes.append(f"Out of memory: going on in strips of {smaller[0]} rows.")

    def _enlarged(self, picture: Tensor, photo: Tensor) -> Tensor:
        """At the output's size; the weaker the style, the more of the photo's finer details."""
        size = (self.photo.shape[-2], self.photo.shape[-1])
        if picture.shape[-2:] == self.photo.shape[-2:]:
            return picture
        result = resize(picture, *size)
        if self.config.stroke > 1:
            detail = self.photo - resize(photo, *size)
            result = (result + (1 - self.config.strength) * detail).clamp(0, 1)
        return result

    def _coloured(self, picture: Tensor, photo: Tensor) -> Tensor:
        """The colour mode; ``keep`` moves the palette as a whole, ``histogram`` fits it exactly."""
        if self.config.color == "keep":
            return recolour(picture, colour_gaussian(picture), colour_gaussian(photo))
        return color_result(self.config.color, picture, photo)


def plan_strips(
    arch: Architecture, batch: int, size: tuple[int, int], engine: FastEngine, limits: Limits
) -> MemoryPlan:
    """The whole picture at once if memory allows, else the highest strips that fit.

    ``tile`` of the plan counts rows; 0: no strips. Raises OutOfMemory when nothing fits.
    """
    item = torch.finfo(engine.dtype).bits // 8
    idle = idle_memory(engine.device)
    limit = limits.memory or idle + int(FREE_SHARE * free_memory(engine.device))
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
        f"{gigabytes(limit)}. Ask for a smaller --size or allow more with --max-memory."
    )


def _per_pixel(arch: Architecture, item: int) -> float:
    """Bytes per pixel of the picture that a pass keeps at once."""
    areas = [width / (arch.stem * 2**i) ** 2 for i, width in enumerate(arch.widths)]
    return LAYERS * item * sum(areas)
