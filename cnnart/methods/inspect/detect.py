"""Detection: boxes around the things on a photo, their names, and the instances' masks."""

from __future__ import annotations

from collections import Counter
from typing import Any

import torch
from torch import Tensor

from cnnart.image.picture import resize
from cnnart.methods.inspect.boxes import Box, Mark, color_of, draw_marks
from cnnart.methods.inspect.config import DetectConfig
from cnnart.methods.inspect.report import Beneath
from cnnart.methods.inspect.series import Finding
from cnnart.networks.detection import Detection, Detector

OPACITY = 0.5  # of an instance's mask over the photo


def detect(detector: Detector, photo: Tensor, config: DetectConfig) -> list[Detection]:
    """What is on ``photo`` (``1x3xHxW`` in [0, 1]) and sure enough, surest first."""
    found = sorted(detector.find(photo), key=lambda thing: -thing.score)
    return [thing for thing in found if thing.score >= config.score][: config.most]


def detection_finding(
    detector: Detector, config: DetectConfig, name: str, photo: Tensor, shown: Tensor
) -> Finding:
    """What ``detect`` finds on a photo, for people and programs; see ``PhotoSeries.look``."""
    found = detect(detector, photo, config)
    counts = Counter(thing.name for thing in found)
    label = ", ".join(f"{count} {kind}" for kind, count in counts.most_common()) or "nothing found"
    things = ", ".join(f"{thing.name} {thing.score:.0%}" for thing in found)
    rows = [_numbers(thing) for thing in found]
    height, width = photo.shape[-2:]
    return Finding(
        f"{name}: {things or 'nothing found'}",
        {"width": width, "height": height, "found": len(found), "detections": rows},
        [(label, draw_detections(photo, shown, found))],
        {0: Beneath(shown)},
    )


def draw_detections(photo: Tensor, shown: Tensor, found: list[Detection]) -> Tensor:
    """Boxes, names and masks on the photo as it is shown; a color for each kind of thing.

    Of two instances that lie one over the other, the surer one is drawn last.
    """
    down, across = (a / b for a, b in zip(shown.shape[-2:], photo.shape[-2:], strict=True))
    kinds = list(dict.fromkeys(thing.name for thing in found))
    picture, marks = shown.clone(), []
    for number, thing in reversed(list(enumerate(found))):
        # Instances of one kind are told apart by their masks' colors, their names say the kind.
        color = number if thing.mask is not None else kinds.index(thing.name)
        if thing.mask is not None:
            mask = resize(thing.mask[None, None].float(), *shown.shape[-2:], mode="bilinear")
            ink = torch.tensor(color_of(color)).view(1, 3, 1, 1) / 255
            picture = picture * (1 - OPACITY * mask) + ink * OPACITY * mask
        box = Box(*thing.box).scaled(down, across)
        marks.append(Mark(box, f"{thing.name} {thing.score:.0%}", color))
    return draw_marks(picture, marks)


def _numbers(thing: Detection) -> dict[str, Any]:
    share = {} if thing.mask is None else {"mask_share": round(float(thing.mask.float().mean()), 4)}
    return {
        "name": thing.name, "score": round(thing.score, 4), **Box(*thing.box).numbers(), **share
    }  # fmt: skip
