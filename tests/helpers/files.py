"""Small pictures and a built-in style for the tests that need files."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image

import cnnart
from cnnart.builtin_styles import Style


def save_picture(path: Path | str, width: int = 64, height: int = 48, seed: int = 0) -> Path:
    """A colorful picture of waves and noise; opaque, or with a gradient of alpha in ``*a.png``."""
    rng = np.random.default_rng(seed)
    y, x = np.mgrid[:height, :width]
    waves = [np.sin(x / (3 + seed)), np.cos(y / 4), np.sin((x + y) / 7)]
    rgb = np.stack(waves, -1) * 100 + 128 + rng.normal(0, 10, (height, width, 3))
    pixels = rgb.clip(0, 255).astype(np.uint8)
    if Path(path).stem.endswith("alpha"):
        alpha = np.broadcast_to((x * 255 // width).astype(np.uint8)[..., None], (height, width, 1))
        pixels = np.concatenate([pixels, alpha], -1)
    Path(path).parent.mkdir(parents=True, exist_ok=True)
    Image.fromarray(pixels).save(path)
    return Path(path)


def only_builtin_style(monkeypatch: pytest.MonkeyPatch, folder: Path) -> Path:
    """Make 'mosaic', which recommends strength 0.6, the one built-in style; returns its picture."""
    path = save_picture(folder / "mosaic.png", 56, 56, seed=1)
    style = Style("mosaic", "Mosaic", "Tesserae.", path, "0" * 64, {"strength": 0.6})
    monkeypatch.setattr("cnnart.builtin_styles._manifest", lambda: ([style], []))
    return path


def cnnart_process(*arguments: str, code: str = "", **more: Any) -> subprocess.Popen[bytes]:
    """``python -m cnnart ...`` (or ``python -c code``) of this checkout, from any directory."""
    root = str(Path(cnnart.__file__).parents[1])
    path = os.pathsep.join(filter(None, [root, os.environ.get("PYTHONPATH", "")]))
    start = ["-c", code] if code else ["-m", "cnnart"]
    return subprocess.Popen(
        [sys.executable, *start, *arguments],
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        env={**os.environ, "PYTHONPATH": path, "OMP_NUM_THREADS": "1"},
        **more,
    )
