"""Segmentation: the class of every pixel, in colors over the photo, with a legend."""

from __future__ import annotations

from dataclasses import dataclass

import torch
from PIL import Image, ImageDraw, ImageFont
from torch import Tensor

from cnnart.image.picture import resize
from cnnart.methods.inspect.boxes import as_tensor, color_of
from cnnart.methods.inspect.report import Beneath
from cnnart.methods.inspect.series import Finding
from cnnart.networks.segmentation import Segmenter

OPACITY = 0.6  # of the colors over the photo
LEAST = 0.001  # a class with a smaller share of the photo is not named
FIRST = 8  # the palette's magenta, which photos hardly have
PAPER, INK = (255, 255, 255), (32, 32, 32)


@dataclass(frozen=True)
class Region:
    """A class on a photo: its place in the network's list, and its share of the photo, 0 to 1."""

    index: int
    name: str
    share: float


@dataclass(frozen=True)
class Segmentation:
    """``labels``: ``HxW``, the class of each pixel of what is shown; ``regions``: largest first,
    without the background, which is class 0.
    """

    labels: Tensor
    regions: list[Region]


def segment(segmenter: Segmenter, photo: Tensor, size: tuple[int, int]) -> Segmentation:
    """The classes of ``photo`` (``1x3xHxW`` in [0, 1]), a label for each pixel of a size."""
    sure = resize(segmenter.look(photo), *size, mode="bilinear")
    labels = sure[0].argmax(0)
    counts = labels.flatten().bincount(minlength=len(segmenter.classes)).tolist()
    regions = [
        Region(index, segmenter.classes[index], count / labels.numel())
        for index, count in enumerate(counts)
        if index and count >= max(1, LEAST * labels.numel())
    ]
    return Segmentation(labels, sorted(regions, key=lambda region: -region.share))


def segmentation_finding(segmenter: Segmenter, name: str, photo: Tensor, shown: Tensor) -> Finding:
    """What ``segment`` finds on a photo, for people and programs; see ``PhotoSeries.look``."""
    height, width = shown.shape[-2:]
    found = segment(segmenter, photo, (height, width))
    parts = [f"{region.name} {region.share:.1%}" for region in found.regions]
    told = ", ".join(parts) or "nothing found"
    numbers = {
        "width": photo.shape[-1],
        "height": photo.shape[-2],
        "regions": [
            {"name": region.name, "class": region.index, "share": round(region.share, 4)}
            for region in found.regions
        ],
    }
    picture = draw_segmentation(shown, found)
    if found.regions:
        picture = torch.cat((picture, draw_legend(found, width)), 2)
    beneath = {0: Beneath(shown, found.labels, segmenter.classes)}
    return Finding(f"{name}: {told}", numbers, [(told, picture)], beneath)


def colors_of(found: Segmentation) -> dict[int, tuple[int, int, int]]:
    """The color of each class, the largest region's first; a small one has one of its own, too."""
    return {region.index: color_of(FIRST + place) for place, region in enumerate(found.regions)}


def draw_segmentation(shown: Tensor, found: Segmentation) -> Tensor:
    """The photo with its regions in color; the background as it is."""
    picture = shown.clone()
    for index, color in colors_of(found).items():
        ink = torch.tensor(color).view(1, 3, 1, 1) / 255
        opacity = (found.labels == index) * OPACITY
        picture = picture * (1 - opacity) + ink * opacity
    return picture


def draw_legend(found: Segmentation, width: int) -> Tensor:
    """A field of each color and its class's name, in lines on white, ``1x3xhxW``."""
    size = max(11, min(20, width // 24))
    font = ImageFont.load_default(size=size)
    places, x, y = [], 0, 0
    for region in found.regions:
        name = f"{region.name} {region.share:.1%}"
        needed = 2 * size + round(font.getlength(name))
        if x and x + needed > width:
            x, y = 0, y + 2 * size
        places.append((x, y, name))
        x += needed + 2 * size
    picture = Image.new("RGB", (width, y + 2 * size), PAPER)
    draw = ImageDraw.Draw(picture)
    for (x, y, name), color in zip(places, colors_of(found).values(), strict=True):
        draw.rectangle((x, y + size // 2, x + size + size // 2, y + 2 * size - 2), fill=color)
        draw.text((x + 2 * size, y + size // 2), name, INK, font)
    return as_tensor(picture)
