"""The networks inside the package: what the manifest says of them, and their tensors."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import torch
from safetensors import safe_open
from safetensors.torch import load_file
from torch import Tensor

from cnnart.errors import WeightsError
from cnnart.files import file_sha256
from cnnart.weights import backbones
from cnnart.weights.backbones import BACKBONES, EMBEDDED, Convs, VGGWeights

DATA = Path(__file__).parent.parent / "data"


def manifest() -> dict[str, dict]:
    """What is known of each embedded file: source, license, SHA-256, size."""
    content: dict[str, dict] = json.loads((DATA / "manifest.json").read_text(encoding="utf-8"))
    return content


def embedded_names() -> list[str]:
    """The embedded networks, the default one first."""
    return list(manifest())


def embedded_path(name: str = EMBEDDED) -> Path:
    return DATA / str(manifest()[name]["file"])


def embedded_digest(name: str) -> str:
    """An embedded file's SHA-256, after comparing it with the manifest."""
    try:
        digest = file_sha256(embedded_path(name))
    except OSError as error:
        raise WeightsError(
            f"The embedded {name} is missing ({error}): reinstall cnnart."
        ) from error
    if digest != manifest()[name]["sha256"]:
        raise WeightsError(
            f"The embedded {name} ({embedded_path(name)}) is damaged: reinstall cnnart."
        )
    return digest


def embedded_state(name: str) -> tuple[dict[str, Tensor], str]:
    """The float32 state dict of ``alexnet`` or ``efficientnet-lite0``, and its file's SHA-256."""
    digest = embedded_digest(name)
    return {key: tensor.float() for key, tensor in load_file(embedded_path(name)).items()}, digest


def embedded_vgg19() -> VGGWeights:
    """Expand the codebook: each weight is an 8-bit index into its layer's table of 256 values."""
    digest = embedded_digest(EMBEDDED)
    convs: Convs = {}
    with safe_open(embedded_path(), framework="numpy") as file:
        for layer, *_ in backbones.layers(BACKBONES["vgg19-oxford"]):
            table, index = file.get_tensor(f"{layer}.table"), file.get_tensor(f"{layer}.index")
            bias = file.get_tensor(f"{layer}.bias")
            convs[layer] = (torch.from_numpy(np.take(table, index)), torch.from_numpy(bias))
    convs, mean, std = backbones.unit_std(
        backbones.bgr_to_rgb(convs), backbones.OXFORD_MEAN, (1 / 255,) * 3
    )
    return VGGWeights(EMBEDDED, convs, mean, std, digest)


def imagenet_ids() -> list[str]:
    """The WordNet id of each of ImageNet's 1000 classes: ``n01440764`` for class 0."""
    text = (DATA / "imagenet_ids.txt").read_text(encoding="ascii")
    return [line for line in text.splitlines() if not line.startswith("#")]
