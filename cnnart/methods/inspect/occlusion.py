"""Occlusion: how a network's answer changes while a gray square hides part of the picture.

Zeiler and Fergus 2014, "Visualizing and Understanding Convolutional Networks", section 4.2.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator
from dataclasses import dataclass

import torch
from torch import Tensor

from cnnart.errors import UsageError
from cnnart.methods.inspect.colormap import blurred, normalized_map, overlay
from cnnart.methods.inspect.crop import DISPLAY_SCALE, Crop
from cnnart.methods.inspect.report import Beneath, Inspection
from cnnart.methods.inspect.target import Target

GRAY = 0.5
WINDOW, STRIDE = 1 / 5, 1 / 4  # by default: of the short side, of the window
BATCH = 16
Score = Callable[[Tensor], Tensor]


@dataclass(frozen=True)
class Occlusion:
    """What hiding each place does.

    base: the score of the whole picture. scores: rows x columns, the score with the window at each
    place. tops, lefts: the window's places in pixels. window, stride: in pixels.
    """

    base: float
    scores: Tensor
    tops: list[int]
    lefts: list[int]
    window: int
    stride: int

    def drops(self, height: int, width: int) -> Tensor:
        """1x1xHxW: per pixel, the mean drop of the score over the windows that hide it."""
        total, count = torch.zeros(height, width), torch.zeros(height, width)
        for i, top in enumerate(self.tops):
            for j, left in enumerate(self.lefts):
                hidden = (slice(top, top + self.window), slice(left, left + self.window))
                total[hidden] += self.base - float(self.scores[i, j])
                count[hidden] += 1
        return (total / count.clamp_min(1))[None, None]

    def largest(self) -> tuple[int, int, float]:
        """(top, left, drop) of the window whose hiding costs most."""
        place = int(self.scores.argmin())
        i, j = divmod(place, len(self.lefts))
        return self.tops[i], self.lefts[j], self.base - float(self.scores[i, j])


def window_places(side: int, window: int, stride: int) -> list[int]:
    """Where a window starts: every ``stride`` pixels at most, evenly, from edge to edge."""
    free = side - window
    count = -(-free // stride) + 1
    return [round(i * free / max(count - 1, 1)) for i in range(count)]


class Occluder:
    """The scores of ``image`` (1x3xHxW in [0, 1]) with a gray square at every place of a grid.

    Args:
        score: pictures Bx3xHxW -> B numbers, a class's probability for one.
        window, stride: in pixels of ``image``; None: a fifth of its short side, a quarter of the
            window. The grid covers the picture from edge to edge.
        batch: pictures per evaluation: memory, not results.

    ``parts()`` does the work, yielding how many places are done; then ``result()`` tells. By
    hand and not captum's ``Occlusion``: that one leaves uneven windows at the far edges, and
    returns what each pixel was credited with, but not the score at each place.

    Raises:
        UsageError: for a window larger than the picture, or a stride that skips pixels.
    """

    def __init__(
        self,
        score: Score,
        image: Tensor,
        window: int | None = None,
        stride: int | None = None,
        *,
        batch: int = BATCH,
    ) -> None:
        height, width = image.shape[-2:]
        window = max(1, int(min(height, width) * WINDOW)) if window is None else window
        stride = max(1, int(window * STRIDE)) if stride is None else stride
        if not 1 <= window <= min(height, width):
            raise UsageError(
                f"A window of {window} pixels does not fit the picture the network sees, "
                f"{width}x{height}: use 1 to {min(height, width)}."
            )
        if not 1 <= stride <= window:
            raise UsageError(
                f"A stride of {stride} is out of range: use 1 to {window} (the window), "
                "or places between the windows are never hidden."
            )
        self.score, self.image, self.batch = score, image, batch
        self.window, self.stride = window, stride
        self.tops = window_places(height, window, stride)
        self.lefts = window_places(width, window, stride)
        self._scores: list[Tensor] = []

    @property
    def rounds(self) -> int:
        """How many parts the work has."""
        return math.ceil(len(self.tops) * len(self.lefts) / self.batch)

    def parts(self) -> Iterator[int]:
        places = [(top, left) for top in self.tops for left in self.lefts]
        for start in range(0, len(places), self.batch):
            chunk = places[start : start + self.batch]
            hidden = self.image.expand(len(chunk), -1, -1, -1).clone()
            for picture, (top, left) in zip(hidden, chunk, strict=True):
                picture[:, top : top + self.window, left : left + self.window] = GRAY
            with torch.no_grad():
                self._scores.append(self.score(hidden).float().cpu())
            yield start + len(chunk)

    def result(self) -> Occlusion:
        with torch.no_grad():
            base = float(self.score(self.image))
        scores = torch.cat(self._scores).view(len(self.tops), len(self.lefts))
        return Occlusion(base, scores, self.tops, self.lefts, self.window, self.stride)


def occlusion_report(found: Occlusion, crop: Crop, target: Target) -> Inspection:
    """The photo, the heat map over it, and the place whose hiding costs most."""
    # Squares of many places overlap in steps: the blur takes the steps out of the picture.
    drops = blurred(found.drops(*crop.input.shape[-2:]), found.stride / 2)
    heat = normalized_map(drops)
    top, left, drop = found.largest()
    there = found.base - drop
    y, x = crop.in_photo(top, left)
    bottom, right = crop.in_photo(top + found.window, left + found.window)
    return Inspection(
        f"Occlusion: {target.name}",
        [
            (f"{target.name}: {target.text(found.base)}", crop.display),
            ("what hiding each place costs", overlay(crop.display, heat)),
            (f"hidden here: {target.text(there)}", covered(crop.display, top, left, found.window)),
        ],
        {
            **target.facts(),
            "base": found.base,
            "largest_drop": {
                "drop": drop,
                "value": there,
                "box": {"left": x, "top": y, "right": right, "bottom": bottom},
            },
            "window": found.window,
            "stride": found.stride,
            "tops": found.tops,
            "lefts": found.lefts,
            "values": found.scores.tolist(),
        },
        columns=3,
        beneath={1: Beneath(crop.display, drops[0, 0])},
    )


def covered(shown: Tensor, top: int, left: int, window: int) -> Tensor:
    """The picture to be looked at with the gray square in it."""
    picture = shown.clone()
    rows = slice(top * DISPLAY_SCALE, (top + window) * DISPLAY_SCALE)
    picture[:, :, rows, left * DISPLAY_SCALE : (left + window) * DISPLAY_SCALE] = GRAY
    return picture
