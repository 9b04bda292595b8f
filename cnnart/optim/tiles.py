"""Cutting a picture into tiles whose activations are exactly those of the whole picture.

A tile's core is what it contributes; its region adds the halo that the core's activations depend
on. Regions start at multiples of the network's deepest stride, so that pooling grids agree, and
stop at the picture's border, so that padding happens there and nowhere else. On an axis along which
the picture repeats there is no border: regions go on at the other side.
"""

from __future__ import annotations

import itertools
import math
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace

import torch
from torch import Tensor

from cnnart.errors import OutOfMemory
from cnnart.networks.base import Network
from cnnart.networks.convolution import SIDE
from cnnart.networks.vgg import FeatureExtractor, kept_bytes
from cnnart.optim.losses import Moments, moments
from cnnart.optim.memory import (
    DEVICE_FACTORS,
    DEVICE_FIXED,
    FIXED,
    PICTURES,
    TILES,
    gigabytes,
    spare_bytes,
)
from cnnart.optim.steps import LBFGS_HISTORY, MemoryPlan

SECOND_PASS = 1.45  # of an evaluation in tiles, for running the network forward twice
MANY = 1 << 24  # values of a photo's activations (64 MiB in float32, of 2 megapixels at relu4_2)
HALF_MOST = torch.finfo(torch.float16).max
PIXEL_TERMS = 240  # bytes a pixel, of what is computed without the network
HALF_HISTORY_COST, ADAM_COST = 1.05, 2.0  # evaluations that L-BFGS in float32 would save


@dataclass(frozen=True)
class Span:
    """One axis of a tile, in pixels: the core ``[start, stop)`` in the region ``[low, high)``.

    ``period``: the length of an axis along which the picture repeats, else 0. There the region may
    begin below 0 and end beyond the length.
    """

    start: int
    stop: int
    low: int
    high: int
    period: int = 0

    @property
    def length(self) -> int:
        """Of the core."""
        return self.stop - self.start

    @property
    def is_closed(self) -> bool:
        """Whether the region is the whole of a repeating axis: its ends are neighbors."""
        return self.period > 0 and self.high - self.low == self.period

    @property
    def crosses(self) -> bool:
        """Whether the region goes on at the other side of the picture."""
        return self.period > 0 and (self.low < 0 or self.high > self.period)

    def stretches(self) -> list[tuple[int, int]]:
        """The picture's rows (or columns) that the region consists of, in order: (start, count)."""
        if not self.crosses:
            return [(self.low, self.high - self.low)]
        # It is shorter than the axis, so it crosses one border only, and meets nothing twice.
        start, stop = self.low % self.period, self.high % self.period
        return [(start, self.period - start), (0, stop)]

    def core_at(self, stride: int) -> slice:
        """The core's units within the region's activations, for a layer of that stride."""
        return slice((self.start - self.low) // stride, self.stop // stride - self.low // stride)

    def whole_at(self, stride: int) -> slice:
        """The core's units within the whole picture's activations."""
        return slice(self.start // stride, self.stop // stride)


@dataclass(frozen=True)
class Tile:
    rows: Span
    columns: Span

    @property
    def is_whole(self) -> bool:
        """Whether the core is all of the region: nothing around it belongs to other tiles."""
        return all((s.start, s.stop) == (s.low, s.high) for s in (self.rows, self.columns))

    @property
    def pixels(self) -> int:
        """Those of the region."""
        return (self.rows.high - self.rows.low) * (self.columns.high - self.columns.low)

    @property
    def wrap(self) -> tuple[bool, bool]:
        """The axes along which the region itself repeats."""
        return self.rows.is_closed, self.columns.is_closed

    @property
    def region(self) -> tuple[slice, slice]:
        """The region's pixels, where it does not cross the picture's border."""
        return slice(self.rows.low, self.rows.high), slice(self.columns.low, self.columns.high)


def spans(length: int, tile: int, halo: int, align: int, wrap: bool = False) -> list[Span]:
    """Cover ``[0, length)`` with even cores of at most ``tile`` pixels.

    Inner borders are multiples of ``align``; the last core takes a remainder below ``align``, which
    is too short to have activations of its own. With ``wrap`` the axis repeats, and its length must
    be a multiple of ``align``.
    """
    halo = -(-halo // align) * align
    units = max(1, length // align)
    count = -(-units // max(1, tile // align))
    borders = [round(i * units / count) * align for i in range(count)] + [length]
    pairs = list(itertools.pairwise(borders))
    if not wrap:
        return [Span(a, b, max(0, a - halo), min(length, b + halo)) for a, b in pairs]
    if length % align:
        raise ValueError(f"A repeating axis of {length} pixels is no multiple of {align}.")
    return [
        # No region needs to show anything twice: the whole axis closes on itself.
        Span(a, b, 0, length, length)
        if b - a + 2 * halo >= length
        else Span(a, b, a - halo, b + halo, length)
        for a, b in pairs
    ]


def tiles(
    height: int,
    width: int,
    tile: int,
    halo: int,
    align: int,
    *,
    wrap: tuple[bool, bool] = (False, False),
) -> Iterator[Tile]:
    """The tiles of a picture, row by row. ``tile`` <= 0, or large enough, gives a single one.

    ``wrap``: the axes (vertical, horizontal) along which the picture repeats.
    """
    if tile <= 0 or max(height, width) <= tile:
        halo, tile = 0, max(height, width)
        yield Tile(
            Span(0, height, 0, height, height * wrap[0]), Span(0, width, 0, width, width * wrap[1])
        )
        return
    for rows in spans(height, tile, halo, align, wrap[0]):
        for columns in spans(width, tile, halo, align, wrap[1]):
            yield Tile(rows, columns)


def picture_tiles(
    features: Network,
    layers: Sequence[str],
    size: Sequence[int],
    tile: int,
    wrap: tuple[bool, bool] = (False, False),
) -> list[Tile]:
    """The tiles of a picture for evaluating ``layers``; it repeats along the axes ``wrap``."""
    halo = features.halo(layers) if layers else 0
    align = max((features.geometry[name].stride for name in layers), default=1)
    return list(tiles(size[0], size[1], tile, halo, align, wrap=wrap))


def crop(image: Tensor, tile: Tile) -> Tensor:
    """The tile's region of a picture."""
    for axis, span in ((-2, tile.rows), (-1, tile.columns)):
        parts = [image.narrow(axis, start, count) for start, count in span.stretches()]
        image = parts[0] if len(parts) == 1 else torch.cat(parts, axis)
    return image


def add_crop(image: Tensor, tile: Tile, piece: Tensor) -> None:
    """Add to a picture, in place, what was found for the tile's region of it."""
    rows, columns = tile.rows.stretches(), tile.columns.stretches()
    bands = piece.split([count for _, count in rows], -2)
    for (top, height), band in zip(rows, bands, strict=True):
        parts = band.split([count for _, count in columns], -1)
        for (left, width), part in zip(columns, parts, strict=True):
            image[..., top : top + height, left : left + width] += part


def activations(
    features: FeatureExtractor, region: Tensor, tile: Tile, layers: Sequence[str]
) -> dict[str, Tensor]:
    """Activations of a tile's region."""
    if any(tile.wrap):
        return features(region, layers, wrap=tile.wrap)
    return features(region, layers)


def core_of(features: Tensor, tile: Tile, stride: int) -> Tensor:
    """The tile's own units among the activations of its region."""
    if tile.is_whole:  # slicing everything would still cost a copy on the way back
        return features
    return features[..., tile.rows.core_at(stride), tile.columns.core_at(stride)]


def whole_core(features: Tensor, tile: Tile, stride: int) -> Tensor:
    """The tile's own units among the activations of the whole picture."""
    return features[..., tile.rows.whole_at(stride), tile.columns.whole_at(stride)]


def gather_features(
    features: FeatureExtractor, image: Tensor, layers: Sequence[str], grid: Sequence[Tile]
) -> dict[str, Tensor]:
    """Activations of a whole picture computed tile by tile, without gradient."""
    if not layers:
        return {}
    height, width = image.shape[-2:]
    result = {}
    for layer in layers:
        g = features.geometry[layer]
        shape = (1, g.channels, height // g.stride, width // g.stride)
        dtype = kept_dtype(features.dtype, math.prod(shape))
        result[layer] = torch.empty(shape, dtype=dtype, device=image.device)
    with torch.no_grad():
        for tile in grid:
            found = activations(features, crop(image, tile), tile, layers)
            for layer in layers:
                stride = features.geometry[layer].stride
                core = core_of(found[layer], tile, stride)
                if result[layer].dtype == torch.float16:
                    core = core.clamp(-HALF_MOST, HALF_MOST)
                whole_core(result[layer], tile, stride).copy_(core)
    return result


def gather_moments(
    features: FeatureExtractor,
    image: Tensor,
    layers: Sequence[str],
    tile: int,
    masks: Mapping[str, Tensor] | None = None,
) -> dict[str, Moments]:
    """Moments of a whole picture at ``layers``, computed tile by tile, without gradient.

    ``masks``: how much each position of a layer counts (``1x1xhxw``, see ``layer_masks``).
    """
    result: dict[str, Moments] = {}
    with torch.no_grad():
        for part in picture_tiles(features, layers, image.shape[-2:], tile):
            found = features(crop(image, part), layers)
            for layer in layers:
                stride = features.geometry[layer].stride
                core = core_of(found[layer], part, stride)
                m = moments(core, None if masks is None else whole_core(masks[layer], part, stride))
                result[layer] = result[layer].plus(m) if layer in result else m
    return result


def evaluation_bytes(
    features: FeatureExtractor,
    layers: Iterable[str],
    pixels: int,
    *,
    core: int | None = None,
    wrap: bool = False,
) -> int:
    """Bytes that one forward and backward pass over ``pixels`` at these layers holds at the most.

    That is either when all of it is about to go back, each activation that was asked for with its
    gradient, or in the first block, whose activations are the largest.

    Args:
        core: the pixels of a tile that are its own, if not all: they are copied out of the rest.
        wrap: the region repeats; then a convolution sees a padded copy.
    """
    wanted = list(layers)
    if not wanted:
        return 0
    item = features.dtype.itemsize

    def size(names: Iterable[str]) -> float:
        geometry = [features.geometry[name] for name in names]
        return sum(g.channels / g.stride**2 for g in geometry) * item

    asked, first = size(wanted), size(["conv1_1"])
    early = size(name for name in wanted if features.geometry[name].stride == 1)
    whole = max(2 * asked, 2 * early + (3 if wrap else 2) * first)
    whole += sum(kept_bytes(features, wanted).values()) + PIXEL_TERMS
    return int(pixels * whole + (0 if core is None else core * asked))


def plan_memory(
    features: FeatureExtractor,
    layers: Iterable[str],
    size: tuple[int, int],
    scheme: MemoryPlan,
    limit: int,
) -> MemoryPlan:
    """The fastest way to optimize a picture of this size in ``limit`` bytes.

    Chooses among the whole picture and tiles of several sizes, and for L-BFGS among a history in
    float32, one in bfloat16, and Adam in its place, which needs two pictures' worth of state.

    Args:
        scheme: what to start from: its optimizer and number of evaluations.

    Raises:
        OutOfMemory: when nothing fits.
    """
    wanted = list(layers)
    ways = [(1.0, scheme)]
    if scheme.optimizer == "lbfgs":
        ways.append((HALF_HISTORY_COST, replace(scheme, history_dtype=torch.bfloat16)))
        ways.append((ADAM_COST, replace(scheme, optimizer="adam")))
    least: MemoryPlan | None = None
    best: tuple[float, MemoryPlan] | None = None
    for way_cost, way in ways:
        for tile in (0, *(t for t in TILES if t < max(size))):
            plan = replace(way, tile=tile)
            plan = replace(plan, peak=predict_peak(features, wanted, size, plan))
            cost = way_cost * evaluation_cost(features, wanted, size, tile, way.wrap)
            if plan.peak <= limit and (best is None or cost < best[0]):
                best = cost, plan
            least = plan if least is None or plan.peak < least.peak else least
    if best:
        return best[1]
    assert least is not None
    raise OutOfMemory(
        f"{size[1]}x{size[0]} needs about {gigabytes(least.peak)}, and the limit leaves "
        f"{gigabytes(max(0, limit))}. Ask for a smaller `size` or allow more with `max_memory`."
    )


def predict_peak(
    features: FeatureExtractor, layers: Iterable[str], size: tuple[int, int], plan: MemoryPlan
) -> int:
    """Bytes that a run needs at this size beyond the idle process with its network."""
    wanted = list(layers)
    pixels = size[0] * size[1]
    grid = picture_tiles(features, wanted, size, plan.tile, plan.wrap)
    shapes = {
        (t.pixels, None if t.is_whole else t.rows.length * t.columns.length, any(t.wrap))
        for t in grid
    }
    most = max(
        evaluation_bytes(features, wanted, seen, core=core, wrap=wrap)
        for seen, core, wrap in shapes
    )
    device = features.device
    return int(
        DEVICE_FIXED.get(device.type, FIXED)
        + (most + spare_bytes(most, device)) * DEVICE_FACTORS.get(device.type, 1.0)
        + weight_bytes(features, wanted)
        + PICTURES * pixels * 3 * 4
        + state_bytes(plan, pixels * 3)
        + content_bytes(features, plan.content, pixels)
    )


def evaluation_cost(
    features: Network,
    layers: Iterable[str],
    size: tuple[int, int],
    tile: int,
    wrap: tuple[bool, bool] = (False, False),
) -> float:
    """The work of an evaluation in tiles, relative to one of the whole picture at once."""
    regions = [t.pixels for t in picture_tiles(features, list(layers), size, tile, wrap)]
    return (SECOND_PASS if len(regions) > 1 else 1.0) * sum(regions) / (size[0] * size[1])


def state_bytes(plan: MemoryPlan, values: int) -> int:
    """Bytes of the optimizer's state for that many values."""
    if plan.optimizer == "adam":
        return 2 * 4 * values
    item = torch.finfo(plan.history_dtype).bits // 8
    pairs = min(LBFGS_HISTORY, plan.iterations)
    return (2 * pairs * item + 3 * 4) * values


def content_bytes(features: FeatureExtractor, layers: Iterable[str], pixels: int) -> int:
    """Bytes of a photo's own activations, kept at these layers."""
    total = 0
    for name in layers:
        g = features.geometry[name]
        values = g.channels * pixels // g.stride**2
        total += values * kept_dtype(features.dtype, values).itemsize
    return total


def kept_dtype(dtype: torch.dtype, values: int) -> torch.dtype:
    """In which so many activations of a photo are kept for the content loss.

    float32 ones in half precision where they are many: the largest error is 5e-4 of a value, 2e-4
    in the mean, and the content's gradient changes as much.
    """
    return torch.float16 if dtype == torch.float32 and values > MANY else dtype


def weight_bytes(features: FeatureExtractor, layers: Iterable[str]) -> int:
    """Bytes of the weights made for these layers when they are first computed, for both ways."""
    names = list(features.geometry)
    deepest = max((names.index(name) for name in layers), default=-1)
    total, seen = 0, 3
    for name in names[: deepest + 1]:
        if features.kind(name) == "conv":
            channels = features.geometry[name].channels
            winograd = features.device.type == "cpu" and features.dtype == torch.float32
            pairs = seen * channels
            total += pairs * (SIDE**2 * 4 if winograd else 2 * 9 * features.dtype.itemsize)
            seen = channels
    return total
