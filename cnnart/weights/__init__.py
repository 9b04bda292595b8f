"""The networks' weights, and the one door to them: load, list, fetch, import, verify."""

from cnnart.weights.backbones import VGGWeights
from cnnart.weights.cache import cached_path
from cnnart.weights.store import (
    EMBEDDED,
    backbone_names,
    embedded_path,
    fetch,
    import_file,
    load_vgg,
    missing,
    status,
    verify,
)

__all__ = [
    "EMBEDDED",
    "VGGWeights",
    "backbone_names",
    "cached_path",
    "embedded_path",
    "fetch",
    "import_file",
    "load_vgg",
    "missing",
    "status",
    "verify",
]
