"""Classification networks of torchvision, with its weights and its own preparation of pictures."""

from __future__ import annotations

import torch

from cnnart.files import file_sha256
from cnnart.networks.module import ModuleNetwork, Preprocessing
from cnnart.weights.classifiers import classifier_weights, fetch_classifier


def torchvision_network(
    name: str, device: torch.device, dtype: torch.dtype, *, offline: bool = False
) -> ModuleNetwork:
    """The network with its default weights, downloaded and verified if they are not here.

    Raises as ``cnnart.weights.classifiers.fetch_classifier`` does.
    """
    from torchvision.models import get_model

    path = fetch_classifier(name, offline=offline)
    weights = classifier_weights(name)
    preset = weights.transforms()
    preprocessing = Preprocessing(
        mean=tuple(preset.mean),
        std=tuple(preset.std),
        input_size=preset.crop_size[0],
        resize=preset.resize_size[0],
        interpolation=preset.interpolation.value,
        classes=list(weights.meta["categories"]),
    )
    model = get_model(name, weights=weights, progress=False)
    return ModuleNetwork(
        name, model, preprocessing, device=device, dtype=dtype, sha256=file_sha256(path)
    )
