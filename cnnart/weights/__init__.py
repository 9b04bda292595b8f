"""The networks' weights, and the one door to them: load, list, fetch, import, verify."""

from cnnart.weights.backbones import VGGWeights
from cnnart.weights.cache import cached_path
from cnnart.weights.classifiers import classifier_names, fetch_classifier
from cnnart.weights.embedded import (
    EMBEDDED,
    embedded_names,
    embedded_path,
    embedded_state,
    imagenet_ids,
)
from cnnart.weights.store import (
    backbone_names,
    fetch,
    import_file,
    load_vgg,
    missing,
    network_names,
    status,
    verify,
)

__all__ = [
    "EMBEDDED",
    "VGGWeights",
    "backbone_names",
    "cached_path",
    "classifier_names",
    "embedded_names",
    "embedded_path",
    "embedded_state",
    "fetch",
    "fetch_classifier",
    "imagenet_ids",
    "import_file",
    "load_vgg",
    "missing",
    "network_names",
    "status",
    "verify",
]
