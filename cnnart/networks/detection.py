"""Networks that find things on a photo: faces, embedded, and torchvision's detectors by name."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import torch
from torch import Tensor

from cnnart.errors import UsageError, did_you_mean
from cnnart.image.picture import fit_long_side, resize
from cnnart.networks import blazeface
from cnnart.weights.classifiers import classifier_weights, detector_names, fetch_classifier

# What people call them, and the one of each family that is meant.
DETECTORS = {
    "fasterrcnn": "fasterrcnn_resnet50_fpn_v2",
    "retinanet": "retinanet_resnet50_fpn_v2",
    "ssdlite": "ssdlite320_mobilenet_v3_large",
    "maskrcnn": "maskrcnn_resnet50_fpn_v2",
}
LONG_SIDE = 1333  # torchvision's detectors shrink what is larger themselves
INSIDE = 0.5  # of an instance's mask, from which on a pixel belongs to it


@dataclass(frozen=True)
class Detection:
    """A thing on a photo: its class, how surely (0 to 1), and where.

    ``box``: left, top, right, bottom in pixels of the photo; ``mask``: ``HxW`` of truth values at
    the photo's size, from a network that gives one.
    """

    name: str
    score: float
    box: tuple[float, float, float, float]
    mask: Tensor | None = None


@dataclass(frozen=True)
class Detector:
    """``find``: from ``1x3xHxW`` in [0, 1] to what is there, surest first."""

    name: str
    find: Callable[[Tensor], list[Detection]]


def open_detector(
    name: str, *, device: torch.device | str = "cpu", offline: bool = False
) -> Detector:
    """The detector called ``name``: ``blazeface`` (faces, part of cnnart), one of ``DETECTORS``, or
    torchvision's own name of one.

    Raises UsageError for an unknown name, WeightsError as ``fetch_classifier`` does.
    """
    device = torch.device(device)
    if name == blazeface.NAME:
        return Detector(name, lambda photo: _faces(photo, device))
    full = DETECTORS.get(name, name)
    if full not in (known := detector_names()):
        hint = did_you_mean(name, [blazeface.NAME, *DETECTORS, *known])
        raise UsageError(
            f"Unknown detector {name!r}.{hint} There are {blazeface.NAME} (faces, part of cnnart), "
            f"{', '.join(DETECTORS)}, and torchvision's others by name."
        )
    fetch_classifier(full, offline=offline)
    from torchvision.models import get_model

    weights = classifier_weights(full)
    model = get_model(full, weights=weights, progress=False).eval().requires_grad_(False)
    model.to(device)
    classes = list(weights.meta["categories"])

    def find(photo: Tensor) -> list[Detection]:
        height, width = photo.shape[-2:]
        small = photo
        if max(height, width) > LONG_SIDE:
            small = resize(photo, *fit_long_side(height, width, LONG_SIDE))
        with torch.no_grad():
            found = model([small[0].to(device)])[0]
        across, down = width / small.shape[-1], height / small.shape[-2]
        scale = torch.tensor([across, down, across, down])
        masks = found.get("masks")
        return [
            Detection(
                classes[int(label)],
                float(score),
                tuple((box.cpu() * scale).tolist()),
                None if masks is None else _at_size(masks[n], height, width),
            )
            for n, (box, label, score) in enumerate(
                zip(found["boxes"], found["labels"], found["scores"], strict=True)
            )
        ]

    return Detector(name, find)


def _at_size(mask: Tensor, height: int, width: int) -> Tensor:
    return resize(mask[None].float().cpu(), height, width, mode="bilinear")[0, 0] >= INSIDE


def _faces(photo: Tensor, device: torch.device) -> list[Detection]:
    height, width = photo.shape[-2:]
    found = []
    for face in blazeface.find_faces(photo, device):
        left, top, right, bottom = face.box
        box = (max(0.0, left), max(0.0, top), min(float(width), right), min(float(height), bottom))
        found.append(Detection("face", face.score, box))
    return sorted(found, key=lambda face: -face.score)
