"""Localization: the class of a photo, and one box around what the network took for it.

The box is that of Zhou et al. 2016, "Learning Deep Features for Discriminative Localization": a
map of how much each place adds to the class, and the largest region of it above a share of its
maximum. The map is Grad-CAM at the network's last map (Selvaraju et al. 2017), which for a network
that ends in a mean over places and one linear layer, as EfficientNet-Lite0 does, is their class
activation map; or what hiding each place costs (Zeiler and Fergus 2014).
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import PurePosixPath
from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor

from cnnart.errors import ImageError, UsageError, is_out_of_memory
from cnnart.image.picture import fit_long_side, resize
from cnnart.methods.inspect.boxes import Box, Mark, box_of, draw_marks, largest_region
from cnnart.methods.inspect.classify import Guess, true_class
from cnnart.methods.inspect.colormap import blurred, normalized_map, overlay
from cnnart.methods.inspect.config import LocalizeConfig
from cnnart.methods.inspect.occlusion import Occluder
from cnnart.methods.inspect.report import Beneath
from cnnart.methods.inspect.saliency import grad_cam
from cnnart.methods.inspect.series import Finding
from cnnart.methods.inspect.target import class_target, last_map, percent, probabilities_of
from cnnart.networks.base import Classifier
from cnnart.networks.imagenet import class_name

# Short sides that a photo is seen at, in those of the square that the network was trained on: the
# second is what shows where small things end.
SCALES = (1.0, 10 / 7)
STEP = 32  # sides are multiples of it: the stride of most networks
MOST_ALONG = 4  # a photo that is longer than so many times its short side is seen shortened
THRESHOLDS = {"cam": 0.3, "occlusion": 0.1}
MAP_SIDE = 256  # long side of the map that boxes are found on
WINDOW, STRIDE = 1 / 4, 1 / 2  # occlusion: of the short side, of the window
GUESSES = 5
TRUE = 1  # the color of a box that somebody drew, in the palette
GOOD = 0.5  # the IoU from which on a box is taken for right (ILSVRC)


@dataclass(frozen=True)
class Localization:
    """What a photo shows, and where.

    ``guesses``: the likeliest classes, in order; ``guess``: the one that was looked for; ``map``:
    ``1x1xhxw`` in [0, 1], of the whole photo; ``size``: the photo's (height, width) in pixels.
    """

    guess: Guess
    guesses: list[Guess]
    box: Box
    map: Tensor
    size: tuple[int, int]


def localize(
    network: Classifier, photo: Tensor, config: LocalizeConfig, index: int | None = None
) -> Localization:
    """Where class ``index`` (None: the likeliest) is on ``photo``, ``1x3xHxW`` in [0, 1].

    The network is given the whole photo, in its proportions if it takes pictures of any size, else
    squeezed into the square it was trained on.
    """
    height, width = photo.shape[-2:]
    views, probabilities = look(network, photo)
    best = probabilities.topk(min(GUESSES, len(probabilities))).indices.tolist()
    chosen = best[0] if index is None else index
    guesses = {
        i: Guess(i, class_name(network.classes, i), float(probabilities[i]))
        for i in [*best, chosen]
    }
    side = fit_long_side(height, width, MAP_SIDE)
    unit = class_map(network, views, chosen, config.method, side)
    share = config.threshold or THRESHOLDS[config.method]
    region = largest_region(unit[0, 0] >= share * max(float(unit.max()), 1e-9))
    # Of a map that is 0 everywhere nothing is chosen: then it is all of the photo.
    box = box_of(region if region.any() else torch.ones_like(region))
    return Localization(
        guesses[chosen],
        [guesses[i] for i in best],
        box.scaled(height / side[0], width / side[1]),
        unit,
        (height, width),
    )


def look(network: Classifier, photo: Tensor) -> tuple[list[Tensor], Tensor]:
    """The whole photo in the sizes that it is seen at, on the network's device; what is on it.

    The second are the classes' probabilities, the mean over the sizes, on the CPU.
    """
    height, width = photo.shape[-2:]
    views, found = [], []
    for scale in SCALES:
        short = network.input_size * scale
        sides = [short * min(n / min(height, width), MOST_ALONG) for n in (height, width)]
        tall, wide = (max(STEP, round(side / STEP) * STEP) for side in sides)
        view = resize(photo, tall, wide).to(network.device)
        try:
            found.append(_probabilities(network, view))
        except (UsageError, RuntimeError, AssertionError, ValueError) as error:  # of one size only
            if is_out_of_memory(error):
                raise
            square = resize(photo, network.input_size, network.input_size).to(network.device)
            return [square], _probabilities(network, square)
        views.append(view)
    return views, torch.stack(found).mean(0)


def _probabilities(network: Classifier, view: Tensor) -> Tensor:
    return probabilities_of(network, view)[0].cpu()


def class_map(
    network: Classifier, views: Sequence[Tensor], index: int, method: str, size: tuple[int, int]
) -> Tensor:
    """``1x1xHxW`` of a size, in [0, 1]: how much each place speaks for a class, on the CPU."""
    target = class_target(network, index)
    maps = []
    for view in views if method == "cam" else views[:1]:
        if method == "cam":
            found = grad_cam(network, target, view, last_map(network)).cpu()
            found = found / found.max().clamp_min(1e-9)
        else:
            window = max(1, round(min(view.shape[-2:]) * WINDOW))
            work = Occluder(target.value, view, window, max(1, round(window * STRIDE)))
            for _ in work.parts():
                pass
            drops = work.result().drops(view.shape[-2], view.shape[-1])
            found = normalized_map(blurred(drops, work.stride / 2))
        maps.append(F.interpolate(found, size=size, mode="bilinear", align_corners=False))
    return torch.stack(maps).mean(0)


# Boxes that people drew


@dataclass(frozen=True)
class Truth:
    """A box that somebody drew around the object on a photo, and its class in words, if given."""

    box: Box
    label: str | None = None


@dataclass
class LocalizationScore:
    """How well the boxes agree with ``truths``, by the photo's name.

    Of several boxes of a photo the one that agrees best counts, as in ILSVRC.
    """

    truths: Mapping[str, Sequence[Truth]]
    overlaps: list[float] = field(default_factory=list)
    centers: int = 0
    named: int = 0
    right: int = 0

    def of(self, name: str) -> Sequence[Truth]:
        """The boxes of a photo: by its whole name, or else its file's."""
        return self.truths.get(name) or self.truths.get(PurePosixPath(name).name, ())

    def add(self, name: str, found: Localization, classes: list[str] | None) -> dict[str, Any]:
        """Count a photo; the numbers to tell of it, none where it has no box."""
        truths = self.of(name)
        if not truths:
            return {}
        overlap = max(found.box.overlap(truth.box) for truth in truths)
        center = any(found.box.holds(*truth.box.center) for truth in truths)
        self.overlaps.append(overlap)
        self.centers += center
        facts: dict[str, Any] = {"iou": round(overlap, 4), "center_inside": center}
        labels = [truth.label for truth in truths if truth.label]
        if labels:
            wanted = [true_class(classes, label, len(classes or ())) for label in labels]
            right = found.guesses[0].index in wanted
            self.named += 1
            self.right += right
            facts["correct"] = right
        return facts

    def numbers(self) -> dict[str, Any]:
        """Shares of the photos that have a box; ``class_right`` of those that have a class."""
        count = len(self.overlaps)
        if not count:
            return {"boxes": 0}
        good = sum(overlap >= GOOD for overlap in self.overlaps)
        return {
            "boxes": count,
            "center_inside": round(self.centers / count, 4),
            "mean_iou": round(sum(self.overlaps) / count, 4),
            "iou_over_half": round(good / count, 4),
            "class_right": round(self.right / self.named, 4) if self.named else None,
        }

    def text(self) -> str:
        """One line for people."""
        found = self.numbers()
        text = (
            f"center of the object inside the box: {found['center_inside']:.1%}, IoU "
            f"{found['mean_iou']:.2f} on average, over 0.5: {found['iou_over_half']:.1%} of "
            f"{found['boxes']} photos"
        )
        return text + (f"; class right: {found['class_right']:.1%}" if self.named else "")


# For people and programs


def finding(
    network: Classifier,
    config: LocalizeConfig,
    index: int | None,
    score: LocalizationScore,
    name: str,
    photo: Tensor,
    shown: Tensor,
) -> Finding:
    """What ``localize`` finds on a photo, counted in ``score``; see ``PhotoSeries.look``.

    Raises ImageError where a true box reaches beyond the photo.
    """
    height, width = photo.shape[-2:]
    truths = [truth.box for truth in score.of(name)]
    if any(box.right > width or box.bottom > height for box in truths):
        raise ImageError(f"{name}: its box reaches beyond the photo, {width}x{height}.")
    found = localize(network, photo, config, index)
    facts = score.add(name, found, network.classes)
    scale = shown.shape[-2] / height, shown.shape[-1] / width
    marks = [Mark(box.scaled(*scale), "", TRUE) for box in truths]
    marks.append(Mark(found.box.scaled(*scale), found.guess.name))
    label = f"{found.guess.name}: {percent(found.guess.probability)}"
    return Finding(
        localization_line(name, found, facts),
        {**localization_numbers(found), **facts},
        [
            (label, draw_marks(shown, marks)),
            ("how much each place adds", overlay(shown, found.map)),
        ],
        {0: Beneath(shown), 1: Beneath(shown, found.map[0, 0])},
    )


def localization_numbers(found: Localization) -> dict[str, Any]:
    """As plain values; the box in the photo's own pixels."""
    return {
        "class": found.guess.name,
        "index": found.guess.index,
        "probability": round(found.guess.probability, 6),
        "box": found.box.numbers(),
        "width": found.size[1],
        "height": found.size[0],
        "guesses": [
            {"class": g.index, "name": g.name, "probability": round(g.probability, 6)}
            for g in found.guesses
        ],
    }


def localization_line(name: str, found: Localization, facts: Mapping[str, Any]) -> str:
    """One line for people."""
    box = found.box
    corners = f"{box.left:.0f},{box.top:.0f} to {box.right:.0f},{box.bottom:.0f}"
    text = f"{name}: {found.guess.name} {percent(found.guess.probability)}, {corners}"
    return text + (f", IoU {facts['iou']:.2f}" if facts else "")
