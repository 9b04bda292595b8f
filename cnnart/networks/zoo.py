"""From a network's name to the network."""

from __future__ import annotations

from typing import Literal, overload

import torch

from cnnart.errors import UsageError, did_you_mean
from cnnart.networks.alexnet import alexnet_convolutions
from cnnart.networks.base import Classifier, Network
from cnnart.networks.custom import custom_network
from cnnart.networks.efficientnet_lite import EfficientNetLite0
from cnnart.networks.module import ModuleNetwork, Preprocessing
from cnnart.networks.torchvision_models import torchvision_network
from cnnart.networks.vgg import POOLING_SCALE, FeatureExtractor
from cnnart.weights.backbones import BACKBONES, backbone_names
from cnnart.weights.classifiers import classifier_names
from cnnart.weights.embedded import embedded_state, imagenet_classes
from cnnart.weights.vgg import load_vgg

ALEXNET, EFFICIENTNET = "alexnet", "efficientnet-lite0"


@overload
def open_network(
    name: str,
    *,
    device: torch.device | str = ...,
    dtype: torch.dtype = ...,
    offline: bool = ...,
    pooling: str = ...,
    classifier: Literal[True],
) -> Classifier: ...


@overload
def open_network(
    name: str,
    *,
    device: torch.device | str = ...,
    dtype: torch.dtype = ...,
    offline: bool = ...,
    pooling: str = ...,
    classifier: bool = ...,
) -> Network: ...


def open_network(
    name: str,
    *,
    device: torch.device | str = "cpu",
    dtype: torch.dtype = torch.float32,
    offline: bool = False,
    pooling: str = "max",
    classifier: bool = False,
) -> Network:
    """The network called ``name``, frozen, on ``device``, computing in ``dtype``.

    Args:
        name: ``vgg19``, ``alexnet`` (convolutions only) or ``efficientnet-lite0``, which are part
            of cnnart; another VGG of ``cnnart weights list``; any classification network of
            torchvision; or ``module:function``, the user's own, that returns an ``nn.Module``.
        offline: never download; CNNART_OFFLINE=1 means the same.
        pooling: ``max``, or ``avg`` for a VGG.
        classifier: it must have ``logits``. A VGG, and AlexNet, is then torchvision's whole
            network, with its layers under torchvision's names.

    Raises UsageError for an unknown name and for what the network cannot do, WeightsError where the
    weights are missing or damaged.
    """
    if ":" not in name and name in backbone_names() and not classifier:
        weights = load_vgg(name, offline=offline)
        return FeatureExtractor(weights, pooling=pooling, device=device, dtype=dtype)
    if pooling not in POOLING_SCALE:
        raise UsageError(f"Unknown pooling {pooling!r}: use max or avg.")
    if pooling != "max":
        raise UsageError(f"Pooling {pooling} is for the VGGs: {name} keeps its own.")
    network = _open_module(name, torch.device(device), dtype, offline, classifier)
    if classifier and not network.is_classifier:
        raise UsageError(f"{name} has no classes: its output is not one row of numbers a picture.")
    return network


def network_kinds() -> dict[str, list[str]]:
    """Every name there is, by where the network comes from."""
    return {
        "embedded": ["vgg19", ALEXNET, EFFICIENTNET],
        "vgg": [n for n in backbone_names() if n != "vgg19"],
        "torchvision": classifier_names(),
    }


def _open_module(
    name: str, device: torch.device, dtype: torch.dtype, offline: bool, classifier: bool
) -> ModuleNetwork:
    if ":" in name:
        return custom_network(name, device, dtype)
    if name == EFFICIENTNET:
        return _efficientnet(device, dtype)
    if name == ALEXNET and not classifier:
        return _alexnet(device, dtype)
    whole = _whole_network(name)
    if whole not in classifier_names():
        known = list(dict.fromkeys(n for names in network_kinds().values() for n in names))
        raise UsageError(
            f"Unknown network {name!r}.{did_you_mean(name, known)} There are vgg19, {ALEXNET}, "
            f"{EFFICIENTNET}, torchvision's networks by name, and your own as MODULE:FUNCTION."
        )
    return torchvision_network(whole, device, dtype, offline=offline)


def _whole_network(name: str) -> str:
    """torchvision's name for a network with classes. UsageError for a VGG without."""
    if name not in BACKBONES:
        return name
    weights = BACKBONES[name].weights
    if weights is None or weights[1] != "IMAGENET1K_V1":
        raise UsageError(f"{name} has no classes: take {EFFICIENTNET}, vgg16 or resnet50.")
    return weights[0]


def _alexnet(device: torch.device, dtype: torch.dtype) -> ModuleNetwork:
    state, digest = embedded_state(ALEXNET)
    model = alexnet_convolutions()
    model.load_state_dict(state)
    return ModuleNetwork(ALEXNET, model, Preprocessing(), device=device, dtype=dtype, sha256=digest)


def _efficientnet(device: torch.device, dtype: torch.dtype) -> ModuleNetwork:
    state, digest = embedded_state(EFFICIENTNET)
    model = EfficientNetLite0()
    model.load_state_dict(state)
    preprocessing = Preprocessing(
        mean=(127 / 255,) * 3,
        std=(128 / 255,) * 3,
        interpolation="bicubic",
        classes=imagenet_classes(),
    )
    return ModuleNetwork(
        EFFICIENTNET, model, preprocessing, device=device, dtype=dtype, sha256=digest
    )
