"""Photos to train on: a folder as it is, checked before, and read so that any step can be repeated.

What step ``n`` sees depends on the seed and on ``n`` alone: nothing needs to be remembered to
continue a run, and any number of processes sees the same. Threads read ahead instead of torch's
``DataLoader``: its worker processes would each decode and keep every photo of their own, take
seconds to start where processes are spawned, and have fixed the size of crops before a time budget
changes it.
"""

from __future__ import annotations

import math
import random
import threading
from collections.abc import Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path

import torch
from PIL import Image
from torch import Tensor

from cnnart.errors import CnnartError, UsageError
from cnnart.image.picture import fit_long_side, resize
from cnnart.image.read import read_image

MAX_CROP_SCALE = 1.5  # a crop covers up to that many times its side of the photo
HELD_OUT = 12  # one photo in so many is for validation, at most MAX_HELD_OUT
MAX_HELD_OUT = 6
CACHE = 1 << 30  # bytes of decoded photos to keep
CHECKERS = 4  # threads


@dataclass(frozen=True)
class Photos:
    """``train`` and ``held_out`` files; ``skipped``: (path, why) of those that are of no use."""

    train: tuple[Path, ...]
    held_out: tuple[Path, ...]
    skipped: tuple[tuple[Path, str], ...] = ()


@dataclass(frozen=True)
class Sample:
    """One photo of a batch: which, in which style, how strongly; ``key`` seeds its crop."""

    photo: int
    style: int
    strength: float
    key: str


def find_photos(paths: Sequence[Path], smallest_side: int) -> Photos:
    """The photos among files; each is decoded once, to know that it can be.

    Args:
        smallest_side: the shortest side a photo may have, in pixels.

    Raises UsageError when none is left to train on.
    """
    with ThreadPoolExecutor(CHECKERS) as pool:
        reasons = list(pool.map(lambda path: unfit(path, smallest_side), paths))
    good = [path for path, reason in zip(paths, reasons, strict=True) if reason is None]
    skipped = [(p, r) for p, r in zip(paths, reasons, strict=True) if r is not None]
    count = min(MAX_HELD_OUT, len(good) // HELD_OUT) or min(1, len(good) // 2)
    if len(good) - count < 1:
        raise UsageError(
            f"No photo of {len(paths)} can be trained on: give a few hundred whole ones of at "
            f"least {smallest_side} x {smallest_side} pixels as `photos`."
        )
    every = len(good) // count if count else len(good) + 1
    held_out = good[every // 2 :: every][:count]
    left = set(held_out)
    return Photos(tuple(p for p in good if p not in left), tuple(held_out), tuple(skipped))


def unfit(path: Path, smallest_side: int) -> str | None:
    """Why a file cannot be trained on, or None. JPEGs are decoded at a reduced size: quick."""
    try:
        with Image.open(path) as image:
            side = min(image.size)
            if side >= smallest_side:
                image.draft("RGB", (1, 1))
                image.load()
    except Exception as error:  # decoders raise anything on damaged bytes
        return f"not readable ({' '.join(str(error).split())[:80]})"
    if side < smallest_side:
        return f"too small ({side} pixels, {smallest_side} needed)"
    return None


class Sampler:
    """Which photo, style and strength each sample of a run has: a function of seed and number."""

    def __init__(
        self, photos: int, styles: int, seed: int, strength_range: tuple[float, float] | None
    ) -> None:
        self._photos, self._styles = photos, styles
        self._seed, self._strength_range = seed, strength_range
        self._order: tuple[int, list[int]] = (-1, [])

    def __call__(self, number: int) -> Sample:
        """Sample ``number`` of the run. Every photo comes once before any comes again."""
        epoch, place = divmod(number, self._photos)
        if self._order[0] != epoch:
            order = list(range(self._photos))
            random.Random(f"{self._seed}/photos/{epoch}").shuffle(order)
            self._order = epoch, order
        turn, index = divmod(number, self._styles)
        styles = list(range(self._styles))
        random.Random(f"{self._seed}/styles/{turn}").shuffle(styles)
        key = f"{self._seed}/sample/{number}"
        rng = random.Random(f"{key}/strength")
        # Half of them at the strength that most pictures are made with, and the others at the ends:
        # what lies between mixes the two, and they part only as far as they are seen apart.
        strength = 0.5
        if self._strength_range and rng.random() < 0.5:
            strength = rng.choice(self._strength_range)
        return Sample(self._order[1][place], styles[index], strength, key)


class Crops:
    """Random crops of photos as tensors; decoded photos are kept while they fit into a budget.

    ``largest``: the side of the largest crops that will be asked for, in pixels.
    """

    def __init__(self, paths: Sequence[Path], largest: int, cache: int = CACHE) -> None:
        self._paths = list(paths)
        self._side = math.ceil(MAX_CROP_SCALE * largest)
        self._left = cache
        self._kept: dict[int, Tensor] = {}
        self._lock = threading.Lock()

    def photo(self, index: int) -> Tensor:
        """A photo, ``1x3xHxW`` uint8, its short side no longer than a crop needs."""
        with self._lock:
            if index in self._kept:
                return self._kept[index]
        rgb = read_image(self._paths[index]).rgb
        height, width = rgb.shape[-2:]
        if (short := min(height, width)) > self._side:
            rgb = resize(
                rgb, *fit_long_side(height, width, round(self._side * max(height, width) / short))
            )
        pixels = (rgb * 255).round().byte()
        with self._lock:
            if pixels.numel() <= self._left:
                self._left -= pixels.numel()
                self._kept[index] = pixels
        return pixels

    def random(self, index: int, side: int, key: str) -> Tensor:
        """A crop of ``side`` pixels at a random place and scale, perhaps mirrored, float32."""
        rng = random.Random(key)
        photo = self.photo(index)
        height, width = photo.shape[-2:]
        most = min(height, width, MAX_CROP_SCALE * side)
        span = round(rng.uniform(min(side, most), most))
        top, left = rng.randint(0, height - span), rng.randint(0, width - span)
        crop = photo[..., top : top + span, left : left + span].float() / 255
        crop = resize(crop, side, side)
        return crop.flip(-1) if rng.random() < 0.5 else crop

    def center(self, index: int, side: int) -> Tensor:
        """The center of a photo, ``side`` x ``side``, scaled so that all of one axis is in it."""
        photo = self.photo(index).float() / 255
        height, width = photo.shape[-2:]
        scale = side / min(height, width)
        photo = resize(photo, max(side, round(height * scale)), max(side, round(width * scale)))
        top, left = (photo.shape[-2] - side) // 2, (photo.shape[-1] - side) // 2
        return photo[..., top : top + side, left : left + side]


class ValidationPhotos:
    """The photos that networks are judged on: centers of those held out, always the same crops.

    Args:
        crops: of all photos, those held out last.
        photos: how ``crops`` came about.
        side: of a crop in pixels.
        device: where they are wanted.
    """

    def __init__(self, crops: Crops, photos: Photos, side: int, device: torch.device) -> None:
        self._crops, self._side, self._device = crops, side, device
        held_out = range(len(photos.train), len(photos.train) + len(photos.held_out))
        self._indices = list(held_out) or list(range(min(2, len(photos.train))))

    def __len__(self) -> int:
        return len(self._indices)

    def __getitem__(self, number: int) -> Tensor:
        """``1x3xsidexside`` in [0, 1]."""
        return self._crops.center(self._indices[number], self._side).to(self._device)


class Loader:
    """Batches by their samples, prepared by threads while others compute (Pillow and torch let go
    of Python's lock). ``workers`` 0: prepared when asked for.
    """

    def __init__(self, crops: Crops, workers: int) -> None:
        self._crops = crops
        self._pool = ThreadPoolExecutor(workers) if workers else None
        self._ahead: dict[tuple[Sample, int], Future[Tensor]] = {}

    def prepare(self, samples: Sequence[Sample], side: int) -> None:
        """Begin to read what will be asked for soon."""
        if self._pool:
            for s in samples:
                self._ahead[s, side] = self._pool.submit(self._crops.random, s.photo, side, s.key)

    def batch(self, samples: Sequence[Sample], side: int) -> Tensor:
        """``Bx3xsidexside``. Raises CnnartError for a photo that cannot be read any more."""
        crops = []
        for s in samples:
            future = self._ahead.pop((s, side), None)
            try:
                crops.append(
                    future.result() if future else self._crops.random(s.photo, side, s.key)
                )
            except CnnartError as error:
                raise CnnartError(f"{error} (it could be read when training began)") from error
        return torch.cat(crops)

    def close(self) -> None:
        """Stop the threads."""
        if self._pool:
            self._pool.shutdown(wait=True, cancel_futures=True)
