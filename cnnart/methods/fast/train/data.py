"""Photos to train on: checked before, decoded once, and cut into crops where the network is.

What step ``n`` sees depends on the seed and on ``n`` alone: nothing needs to be remembered to
continue a run, and any number of processes sees the same. Threads decode ahead (Pillow and torch
let go of Python's lock); what they bring lies as bytes on the training device, in a ring that holds
all photos if a share of its memory does. Crops are cut out of it there, a batch at once.
"""

from __future__ import annotations

import functools
import math
import random
from collections.abc import Iterable, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path
from typing import NamedTuple

import torch
from torch import Tensor

from cnnart.errors import CnnartError, UsageError
from cnnart.image.picture import resize
from cnnart.image.read import MAX_PIXELS, decode, opened, recognized, unpacked
from cnnart.optim.capture import sent

MAX_CROP_SCALE = 1.5  # a crop covers up to that many times its side of the photo
HELD_OUT = 12  # one photo in so many is for validation, at most MAX_HELD_OUT
MAX_HELD_OUT = 6
CHECKERS = 4  # threads
POOL_SHARE = 0.25  # of the device's free memory, what decoded photos may take
CROPS_EACH = 4  # from a photo before another takes its place, where the ring cannot hold all
DRAFT = 2  # a JPEG is decoded at that many times the size that is needed, and then reduced


@dataclass(frozen=True)
class Photos:
    """``train`` and ``held_out`` files; ``skipped``: (path, why) of those that are of no use.

    ``sizes``: the height and width of each one of ``train``.
    """

    train: tuple[Path, ...]
    held_out: tuple[Path, ...]
    skipped: tuple[tuple[Path, str], ...] = ()
    sizes: tuple[tuple[int, int], ...] = ()

    def decoded_bytes(self, side: int) -> list[int]:
        """What each one of ``train`` takes at most when ``read_photo`` has decoded it for crops of
        that side.
        """
        # Decoded at a fraction of its size, a photo's sides are rounded once more.
        return [math.ceil(3.03 * math.prod(reduced_size(*size, side))) for size in self.sizes]


@dataclass(frozen=True)
class Sample:
    """One photo of a batch: which, in which style, how strongly; ``key`` seeds its crop."""

    photo: int
    style: int
    strength: float
    key: str


def find_photos(paths: Sequence[Path], side: int, *, hold_out: bool = True) -> Photos:
    """The photos among files; each is decoded once, to know that it can be.

    Args:
        side: of the largest crops in pixels, which is the shortest a photo's may be.
        hold_out: keep some from training, to validate by.

    Raises UsageError when none is left to train on.
    """
    with ThreadPoolExecutor(CHECKERS) as pool:
        found = list(pool.map(lambda path: examine(path, side), paths))
    sizes = {p: f for p, f in zip(paths, found, strict=True) if not isinstance(f, str)}
    skipped = [(p, f) for p, f in zip(paths, found, strict=True) if isinstance(f, str)]
    good = list(sizes)
    count = min(MAX_HELD_OUT, len(good) // HELD_OUT) or min(1, len(good) // 2)
    count = count if hold_out else 0
    if len(good) - count < 1:
        raise UsageError(
            f"No photo of {len(paths)} can be trained on: give a few hundred whole ones of at "
            f"least {side} x {side} pixels as `photos`."
        )
    every = len(good) // count if count else len(good) + 1
    held_out = good[every // 2 :: every][:count]
    left = set(held_out)
    train = tuple(p for p in good if p not in left)
    return Photos(train, tuple(held_out), tuple(skipped), tuple(sizes[p] for p in train))


def examine(path: Path, smallest_side: int) -> tuple[int, int] | str:
    """A photo's height and width, or why it cannot be trained on.

    By the steps of ``read_photo``, so that what passes here can be read there. JPEGs are decoded at
    a reduced size: quick.
    """
    try:
        with opened(path) as (stream, name), recognized(stream, name, MAX_PIXELS) as image:
            width, height = image.size
            if min(height, width) < smallest_side:
                return f"too small ({min(height, width)} pixels, {smallest_side} needed)"
            image.draft(image.mode, (1, 1))
            decode(image, name, stream)
            unpacked(image, name)
    except CnnartError as error:
        return str(error).removeprefix(f"{path}: ").rstrip(".")
    return height, width


def reduced_size(height: int, width: int, side: int) -> tuple[int, int]:
    """A photo's height and width where crops are cut out of it: its short side is no longer than
    the largest crops of ``side`` pixels need.
    """
    short, most = min(height, width), math.ceil(MAX_CROP_SCALE * side)
    if short <= most:
        return height, width
    return max(most, round(height * most / short)), max(most, round(width * most / short))


def read_photo(path: Path, side: int) -> Tensor:
    """A photo as crops of up to ``side`` pixels need it: ``3xHxW`` uint8.

    As ``read_image`` reads it, but for its lock around decoding, since many threads are to decode
    at once, and for large JPEGs, which are decoded at a fraction of their size. Raises ImageError.
    """
    with opened(path) as (stream, name), recognized(stream, name, MAX_PIXELS) as image:
        height, width = reduced_size(image.height, image.width, side)
        image.draft(image.mode, (DRAFT * width, DRAFT * height))
        decode(image, name, stream)
        rgb = unpacked(image, name).rgb
    rgb = resize(rgb, *reduced_size(rgb.shape[-2], rgb.shape[-1], side))
    return (rgb[0] * 255).round().byte()


def center_crop(photo: Tensor, side: int) -> Tensor:
    """The center of a photo (``3xHxW`` uint8), scaled so that all of one axis is in it:
    ``1x3xsidexside`` in [0, 1].
    """
    pixels = photo[None].float() / 255
    height, width = pixels.shape[-2:]
    scale = side / min(height, width)
    pixels = resize(pixels, max(side, round(height * scale)), max(side, round(width * scale)))
    top, left = (pixels.shape[-2] - side) // 2, (pixels.shape[-1] - side) // 2
    return pixels[..., top : top + side, left : left + side]


class Sampler:
    """Which photo, style and strength each sample of a run has: a function of seed and number.

    Args:
        styles: the first ones, that have affine pairs of their own.
        window: how many photos a sample is chosen among where memory does not hold all of them;
            0: every photo comes once before any comes again.
        arbitrary: styles after those, whose pairs are predicted; every other sample has one.
    """

    def __init__(
        self,
        photos: int,
        styles: int,
        seed: int,
        strength_range: tuple[float, float] | None,
        window: int = 0,
        arbitrary: int = 0,
    ) -> None:
        self._photos, self._styles, self._arbitrary = photos, styles, arbitrary
        self._seed, self._strength_range = seed, strength_range
        self.window = window
        self._order = functools.lru_cache(2)(self._shuffled)  # a window may lie in two epochs

    def __call__(self, number: int) -> Sample:
        """Sample ``number`` of the run."""
        key = f"{self._seed}/sample/{number}"
        epoch, place = divmod(self._entry(number, key), self._photos)
        style = self._style(number)
        rng = random.Random(f"{key}/strength")
        # Half of them at the strength that most pictures are made with, and the others at the ends:
        # what lies between mixes the two, and they part only as far as they are seen apart.
        strength = 0.5
        if self._strength_range and rng.random() < 0.5:
            strength = rng.choice(self._strength_range)
        return Sample(self._order(epoch)[place], style, strength, key)

    def _style(self, number: int) -> int:
        """Each of a kind comes once before any comes again."""
        kind, first, count = "styles", 0, self._styles
        if self._arbitrary:
            number, odd = divmod(number, 2)
            if odd:
                kind, first, count = "arbitrary", self._styles, self._arbitrary
        turn, index = divmod(number, count)
        return first + self._shuffled_styles(kind, turn, count)[index]

    def _shuffled_styles(self, kind: str, turn: int, count: int) -> list[int]:
        styles = list(range(count))
        random.Random(f"{self._seed}/{kind}/{turn}").shuffle(styles)
        return styles

    def _entry(self, number: int, key: str) -> int:
        """A sample's place in the endless row of photos, one shuffled epoch after the other.

        With a window, the row goes on by one photo in ``CROPS_EACH`` samples, and a sample is any
        of the latest ones: reading may be so many times slower than training.
        """
        if not self.window or number < self.window:
            return number
        latest = self.window + (number - self.window) // CROPS_EACH
        return latest - random.Random(f"{key}/photo").randrange(self.window)

    def _shuffled(self, epoch: int) -> list[int]:
        order = list(range(self._photos))
        random.Random(f"{self._seed}/photos/{epoch}").shuffle(order)
        return order


class Place(NamedTuple):
    """Where a photo lies in the ring, ``3xHxW`` bytes from ``start`` on."""

    start: int
    height: int
    width: int

    @property
    def stop(self) -> int:
        return self.start + 3 * self.height * self.width


class PhotoPool:
    """Decoded photos on the training device, a ring of bytes: the latest takes the oldest's place.

    Threads decode what is going to be needed; a photo that is not there yet is waited for. So what
    comes out depends neither on the threads nor on how much the ring holds.

    Args:
        photos: ``train`` of them.
        side: of the largest crops that will be asked for, in pixels.
        batch: the most crops that will be asked for at once.
        device: where they are wanted.
        capacity: bytes that the ring may take, unless a batch needs more.
        workers: threads that decode; 0: decoded when asked for.
    """

    def __init__(
        self,
        photos: Photos,
        side: int,
        batch: int,
        device: torch.device,
        *,
        capacity: int,
        workers: int = 0,
    ) -> None:
        self._paths, self._side, self.device = photos.train, side, device
        taken = photos.decoded_bytes(side)
        self._largest, everything = max(taken), sum(taken)
        self.holds_all = everything <= capacity
        size = everything if self.holds_all else max(capacity, 2 * (batch + 1) * self._largest)
        self._ring = torch.empty(min(size, everything), dtype=torch.uint8, device=device)
        self._head = 0
        self._places: dict[int, Place] = {}  # from the oldest to the latest
        self._threads = ThreadPoolExecutor(workers) if workers else None
        self._coming: dict[int, Future[Tensor]] = {}
        self._pinned = device.type == "cuda"

    @property
    def nbytes(self) -> int:
        """Of the ring."""
        return len(self._ring)

    def prepare(self, photos: Iterable[int]) -> None:
        """Begin to read what will be asked for soon."""
        for index in photos:
            if self._threads and index not in self._places and index not in self._coming:
                self._coming[index] = self._threads.submit(self._read, index)

    def crops(self, samples: Sequence[Sample], side: int) -> Tensor:
        """A crop of each photo at a random place and scale, perhaps mirrored: ``Bx3xsidexside``.

        The place is drawn from the sample's key. Raises CnnartError for a photo that cannot be
        read any more.
        """
        wanted = {sample.photo for sample in samples}
        for _ in range(2):  # those that come may take the place of others
            for index in sorted(wanted - self._places.keys()):
                self._put(index, self._arrived(index))
        table = torch.tensor([self._draw(sample, side) for sample in samples])
        return cut(self._ring, sent(table, self.device), side)

    def close(self) -> None:
        """Stop the threads."""
        if self._threads:
            self._threads.shutdown(wait=True, cancel_futures=True)
        self._coming.clear()

    def _read(self, index: int) -> Tensor:
        pixels = read_photo(self._paths[index], self._side)
        return pixels.pin_memory() if self._pinned else pixels

    def _arrived(self, index: int) -> Tensor:
        future = self._coming.pop(index, None)
        try:
            return future.result() if future else self._read(index)
        except CnnartError as error:
            raise CnnartError(f"{error} (it could be read when training began)") from error

    def _put(self, index: int, pixels: Tensor) -> None:
        """Write a photo behind the latest one, over the oldest ones if need be."""
        size = pixels.numel()
        if size > self._largest:
            raise CnnartError(f"{self._paths[index]}: not as large as when training began.")
        if self._head + size > len(self._ring):
            self._forget(self._head, len(self._ring))
            self._head = 0
        self._forget(self._head, self._head + size)
        self._places[index] = place = Place(self._head, *pixels.shape[-2:])
        self._ring[place.start : place.stop].copy_(pixels.flatten(), non_blocking=True)
        self._head += size

    def _forget(self, start: int, stop: int) -> None:
        """Drop the photos that lie there: the oldest, for the ring is filled in order."""
        for index, place in list(self._places.items()):
            if place.start >= stop or place.stop <= start:
                break
            del self._places[index]

    def _draw(self, sample: Sample, side: int) -> tuple[int, ...]:
        """A row of ``cut``'s table."""
        rng = random.Random(sample.key)
        start, height, width = self._places[sample.photo]
        most = min(height, width, MAX_CROP_SCALE * side)
        span = round(rng.uniform(min(side, most), most))
        top, left = rng.randint(0, height - span), rng.randint(0, width - span)
        return start, height, width, span, top, left, rng.random() < 0.5


def cut(ring: Tensor, table: Tensor, side: int) -> Tensor:
    """Crops of photos that lie in one tensor of bytes: ``Bx3xsidexside`` float32 in [0, 1].

    ``table``: int64, a row per crop: where its photo (``3xHxW``) begins, its height and width, the
    side of the square to cut, its first row and column, and whether to mirror it. What
    ``image.resize`` makes of each square, but of all of them at once, as two matrix products, and
    without the host knowing anything of them.
    """
    start, height, width, span, top, left, mirrored = table.T[..., None]
    reach = torch.arange(math.ceil(MAX_CROP_SCALE * side), device=ring.device)
    rows = torch.minimum(top + reach, height - 1)
    columns = torch.minimum(left + reach, width - 1)
    planes = start + torch.arange(3, device=ring.device) * height * width
    index = planes[..., None, None] + (rows * width)[:, None, :, None] + columns[:, None, None]
    pixels = ring.index_select(0, index.flatten()).view(index.shape).float() / 255
    down = resampling(span, side, len(reach))
    across = torch.where(mirrored[..., None] > 0, down.flip(1), down)
    narrow = (pixels.flatten(1, 2) @ across.mT).unflatten(1, (3, -1))
    return (down[:, None] @ narrow).clamp(0, 1)


def resampling(span: Tensor, side: int, reach: int) -> Tensor:
    """What bringing ``span`` pixels (``Bx1``) to ``side`` weighs each by: ``Bxsidexreach``.

    Bicubic (Keys 1981, with -0.5), as wide as one new pixel, cut off at the ends: torch's
    antialiased interpolation. ``span`` is at least ``side``.
    """
    step = span[..., None] / side
    places = torch.arange(reach, device=span.device) + 0.5
    centers = (torch.arange(side, device=span.device) + 0.5)[:, None] * step
    x = ((places - centers) / step).abs()
    near = (1.5 * x - 2.5) * x * x + 1
    far = ((-0.5 * x + 2.5) * x - 4) * x + 2
    weights = torch.where(x < 1, near, torch.where(x < 2, far, 0.0))
    weights = torch.where(places < span[..., None], weights, 0.0)
    return weights / weights.sum(-1, keepdim=True)


class ValidationPhotos:
    """The photos that networks are judged on: centers of those held out, always the same crops.

    Args:
        photos: what is held out of them; a few of the others where nothing is.
        side: of a crop in pixels.
        device: where they are wanted.
    """

    def __init__(self, photos: Photos, side: int, device: torch.device) -> None:
        chosen = photos.held_out or photos.train[:2]
        self._crops = [center_crop(read_photo(path, side), side).to(device) for path in chosen]

    def __len__(self) -> int:
        return len(self._crops)

    def __getitem__(self, number: int) -> Tensor:
        """``1x3xsidexside`` in [0, 1]."""
        return self._crops[number]
