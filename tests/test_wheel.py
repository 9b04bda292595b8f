"""The wheel: built twice, it has the same bytes; nothing but the package is in it."""

from __future__ import annotations

import os
import subprocess
import sys
import zipfile
from pathlib import Path

import pytest

from cnnart.files import file_sha256

ROOT = Path(__file__).parents[1]


@pytest.mark.slow
def test_a_wheel_built_twice_has_the_same_bytes(tmp_path):
    pytest.importorskip("hatchling")
    found = []
    for number in range(2):
        subprocess.run(
            [
                sys.executable,
                "-m",
                "hatchling",
                "build",
                "-t",
                "wheel",
                "-d",
                tmp_path / str(number),
            ],
            check=True,
            capture_output=True,
            cwd=ROOT,
            env={
                **os.environ,
                "SOURCE_DATE_EPOCH": "1700000000",
                "TZ": ("UTC", "Asia/Tokyo")[number],
            },
        )
        found += (tmp_path / str(number)).glob("*.whl")
    first, second = found
    assert file_sha256(first) == file_sha256(second)
    with zipfile.ZipFile(first) as wheel:
        assert {name.split("/")[0].split("-")[0] for name in wheel.namelist()} == {"cnnart"}
