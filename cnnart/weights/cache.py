"""The user's cache of networks: one safetensors file each, with its checksum inside."""

from __future__ import annotations

import contextlib
import hashlib
import json
import uuid
from collections.abc import Mapping
from pathlib import Path

from safetensors import SafetensorError, safe_open
from safetensors.torch import save_file
from torch import Tensor

from cnnart.errors import WeightsError, reason
from cnnart.files import cache_folder
from cnnart.weights import backbones
from cnnart.weights.backbones import Backbone, VGGWeights

CACHE_FORMAT = "cnnart-vgg-1"


def cached_path(name: str) -> Path:
    """Where an imported or fetched network lies."""
    return cache_folder() / "weights" / f"{name}.safetensors"


def store(backbone: Backbone, state: Mapping[str, Tensor], *, source_sha256: str) -> Path:
    """Write the convolutions to the user's cache: whole or not at all."""
    source = backbones.published(backbone)
    convs = backbones.to_convs(backbone, state)
    convs, mean, std = backbones.unit_std(convs, source.mean, source.std)
    tensors = {}
    for layer, (weight, bias) in convs.items():
        if not (weight.isfinite().all() and bias.isfinite().all()):
            raise WeightsError(
                f"{layer} of {backbone.name} holds values that are not finite: the file is damaged."
            )
        tensors[f"{layer}.weight"], tensors[f"{layer}.bias"] = weight, bias
    metadata = {
        "format": CACHE_FORMAT,
        "name": backbone.name,
        "mean": json.dumps(mean),
        "std": json.dumps(std),
        "sha256": convs_sha256(convs),
        "licence": backbone.license,
        "source_sha256": source_sha256,
    }
    target = cached_path(backbone.name)
    part = target.with_suffix(f".{uuid.uuid4().hex}.part")  # two containers may share the folder
    try:
        target.parent.mkdir(parents=True, exist_ok=True)
        save_file(tensors, part, metadata)
        part.replace(target)
    except (OSError, SafetensorError) as error:
        raise WeightsError(
            f"Cannot write {target} ({reason(error)}): set CNNART_CACHE to a folder that you can "
            "write to."
        ) from error
    finally:
        with contextlib.suppress(OSError):
            part.unlink()
    return target


def load_cached(backbone: Backbone) -> VGGWeights:
    """The stored network, verified; WeightsError when it is damaged."""
    path = cached_path(backbone.name)
    damaged = f"{path} is damaged: delete it, then run `cnnart weights fetch {backbone.name}`"
    try:
        with safe_open(path, framework="pt") as file:
            metadata = file.metadata() or {}
            convs = {
                layer: (file.get_tensor(f"{layer}.weight"), file.get_tensor(f"{layer}.bias"))
                for layer, *_ in backbones.layers(backbone)
            }
    except (SafetensorError, OSError) as error:
        raise WeightsError(f"{damaged} ({reason(error)}).") from error
    if metadata.get("format") != CACHE_FORMAT or convs_sha256(convs) != metadata.get("sha256"):
        raise WeightsError(f"{damaged} (its checksum differs).")
    try:
        mean, std = tuple(json.loads(metadata["mean"])), tuple(json.loads(metadata["std"]))
    except (KeyError, ValueError, TypeError) as error:
        raise WeightsError(f"{damaged} (its mean is missing).") from error
    return VGGWeights(backbone.name, convs, mean, std, metadata["sha256"])


def convs_sha256(convs: Mapping[str, tuple[Tensor, Tensor]]) -> str:
    """A checksum of the numbers themselves, the same whatever file they came in."""
    digest = hashlib.sha256()
    for layer, tensors in convs.items():
        digest.update(layer.encode("ascii"))
        for tensor in tensors:
            digest.update(tensor.contiguous().numpy().data)
    return digest.hexdigest()
