"""An object of an ImageNet class cut out of a photo: the classifier says where, GrabCut how far."""

from __future__ import annotations

import functools

import torch
from torch import Tensor

from cnnart.errors import ImageError
from cnnart.image.picture import resize
from cnnart.methods.inspect.grabcut import mask_from_saliency
from cnnart.methods.inspect.saliency import grad_cam
from cnnart.methods.inspect.target import class_target, find_class, last_map, likeliest, percent
from cnnart.methods.masks.refine import refined
from cnnart.networks.base import Classifier
from cnnart.networks.zoo import EFFICIENTNET, open_network

SHORT_SIDE, LONG_SIDE = 256, 512  # of the photo as the classifier sees it, whole
LEAST = 0.01  # a class less likely than this is not there


@functools.cache
def _classifier() -> Classifier:
    return open_network(EFFICIENTNET, classifier=True)


def class_mask(photo: Tensor, named: str, shown: str) -> Tensor:
    """The object of a class in a photo (``1x3xHxW`` in [0, 1]), ``1x1xHxW`` in [0, 1].

    Args:
        named: the class by its name, number or WordNet id.
        shown: the photo's name, for the message.

    Raises ImageError where the classifier sees no such thing, UsageError for an unknown class and
    without the extra [inspect].
    """
    network = _classifier()
    target = class_target(network, find_class(network, named))
    picture = _seen(photo)
    with torch.no_grad():
        probability = float(target.value(picture))
    heat = grad_cam(network, target, picture, last_map(network))
    if probability < LEAST or float(heat.max()) <= float(heat.min()):
        names = [(class_target(network, n).name, p) for n, p in likeliest(network, picture)]
        instead = ", ".join(f"{name} {percent(p)}" for name, p in names)
        raise ImageError(
            f"{shown}: no {target.name} found in it for `mask`; the classifier sees {instead}."
        )
    return refined(mask_from_saliency(picture, heat), photo)


def _seen(photo: Tensor) -> Tensor:
    """The photo at a short side of 256 px; a panorama at a long side of 512."""
    height, width = photo.shape[-2:]
    scale = min(SHORT_SIDE / min(height, width), LONG_SIDE / max(height, width))
    return resize(photo, *(max(32, round(side * scale)) for side in (height, width)))
