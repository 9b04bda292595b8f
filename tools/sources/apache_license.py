"""The text of the Apache License 2.0, from a wheel on PyPI that has it in full.

The packages that some networks come in name the license without its text.
"""

from __future__ import annotations

import zipfile
from pathlib import Path

from sources.packing import checked, download

REQUIREMENT = "efficientnet-lite-pytorch==0.1.0"
WHEEL_SHA256 = "ce0fe869b0e829aceafc32f84275a40c0e3418d19216401b03f695f5f20cbc41"
INNER_FILE = "efficientnet_lite_pytorch-0.1.0.dist-info/LICENSE"


def apache_license(folder: Path) -> str:
    wheel = next(folder.glob("efficientnet_lite_pytorch-*.whl"), None) or download(
        REQUIREMENT, folder
    )
    checked(wheel.read_bytes(), WHEEL_SHA256, wheel.name)
    with zipfile.ZipFile(wheel) as archive:
        return archive.read(INNER_FILE).decode("utf-8").replace("\r\n", "\n")
