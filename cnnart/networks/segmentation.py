"""Networks that give each pixel a class: the subject and people, embedded, and torchvision's."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import torch
from torch import Tensor

from cnnart.errors import UsageError, did_you_mean
from cnnart.image.picture import resize
from cnnart.networks.selfie_segmenter import person_map
from cnnart.networks.u2net import subject_map
from cnnart.weights.classifiers import classifier_weights, fetch_classifier, segmenter_names

EMBEDDED = {"subject": subject_map, "person": person_map}
# What people call them, and the one of each family that is meant.
SEGMENTERS = {
    "deeplabv3": "deeplabv3_resnet50",
    "fcn": "fcn_resnet50",
    "lraspp": "lraspp_mobilenet_v3_large",
}
BACKGROUND = "background"
MOST_ALONG = 4  # a photo that is longer than so many times its short side is seen shortened


@dataclass(frozen=True)
class Segmenter:
    """``look``: from ``1x3xHxW`` in [0, 1] to ``1xKxhxw``: how surely each part of the photo is of
    each of the ``classes``, of which the first is the background; on the CPU.
    """

    name: str
    classes: list[str]
    look: Callable[[Tensor], Tensor]


def open_segmenter(
    name: str, *, device: torch.device | str = "cpu", offline: bool = False
) -> Segmenter:
    """The segmenter called ``name``: ``subject`` and ``person`` (part of cnnart), one of
    ``SEGMENTERS``, or torchvision's own name of one.

    Raises UsageError for an unknown name, WeightsError as ``fetch_classifier`` does.
    """
    device = torch.device(device)
    if name in EMBEDDED:

        def look(photo: Tensor) -> Tensor:
            found = EMBEDDED[name](photo, device)
            return torch.cat((1 - found, found), 1)

        return Segmenter(name, [BACKGROUND, name], look)
    full = SEGMENTERS.get(name, name)
    if full not in (known := segmenter_names()):
        hint = did_you_mean(name, [*EMBEDDED, *SEGMENTERS, *known])
        raise UsageError(
            f"Unknown segmenter {name!r}.{hint} There are {', '.join(EMBEDDED)} (part of cnnart), "
            f"{', '.join(SEGMENTERS)}, and torchvision's others by name."
        )
    return _torchvision(name, full, device, offline)


def _torchvision(name: str, full: str, device: torch.device, offline: bool) -> Segmenter:
    fetch_classifier(full, offline=offline)
    from torchvision.models import get_model

    weights = classifier_weights(full)
    model = get_model(full, weights=weights, progress=False).eval().requires_grad_(False)
    model.to(device)
    preset = weights.transforms()
    mean, std = (torch.tensor(v, device=device).view(1, 3, 1, 1) for v in (preset.mean, preset.std))
    short = preset.resize_size[0]

    def look(photo: Tensor) -> Tensor:
        least = min(photo.shape[-2:])
        height, width = (round(short * min(n / least, MOST_ALONG)) for n in photo.shape[-2:])
        small = resize(photo, height, width, mode="bilinear").to(device)
        with torch.no_grad():
            scores = model((small - mean) / std)["out"]
        return scores.float().softmax(1).cpu()

    classes = [BACKGROUND, *weights.meta["categories"][1:]]
    return Segmenter(name, classes, look)
