"""What a style checkpoint says about itself: the metadata of its safetensors file.

Nothing here imports torch, so that styles are found by name before anything slow begins.
"""

from __future__ import annotations

import base64
import json
import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from safetensors import SafetensorError, safe_open

from cnnart.errors import WeightsError, reason
from cnnart.files import open_file

COLORS = 3 + 9  # numbers: a mean and a covariance
DETAIL = 4  # numbers: of gray and of color, in two octaves
KIND = "cnnart-style"  # the metadata's key
VERSION = 1
UNSTATED = "not stated"
LICENSE_KEY = "licence"  # as it is spelled in files
FOREIGN = (".pth", ".pt", ".model")  # suffixes of pytorch/examples' networks, of one style
PICKLES = (b"PK\x03\x04", b"\x80\x02", b"\x80\x03", b"\x80\x04", b"\x80\x05")  # of torch.save
CUT_OFF = "not fully covered"  # of safetensors' message for a file whose end is missing


class NotACheckpoint(WeightsError):
    """The file is something else, or nothing that can be read."""


@dataclass(frozen=True)
class StyleInfo:
    """One style of a checkpoint. ``thumbnail``: a small JPEG of its painting, or empty.

    ``colors``: mean and covariance (row by row) of the RGB that its pictures are brought to, 12
    numbers; none: the network paints in the style's colors itself. ``detail``: how much fine detail
    they are brought to (see ``optim.detail``), 4 numbers; none: as the network paints it.
    """

    name: str
    license: str = UNSTATED
    sha256: str = ""
    thumbnail: bytes = b""
    colors: tuple[float, ...] = ()
    detail: tuple[float, ...] = ()

    def as_json(self) -> dict[str, Any]:
        facts: dict[str, Any] = {
            "name": self.name,
            LICENSE_KEY: self.license,
            "sha256": self.sha256,
            "thumbnail": base64.b64encode(self.thumbnail).decode(),
        }
        facts |= {"colors": list(self.colors)} if self.colors else {}
        return facts | ({"detail": list(self.detail)} if self.detail else {})

    @staticmethod
    def from_json(facts: Mapping[str, Any]) -> StyleInfo:
        """Raises KeyError, TypeError and ValueError for what ``as_json`` has not made."""
        return StyleInfo(
            str(facts["name"]),
            str(facts.get(LICENSE_KEY, UNSTATED)),
            str(facts.get("sha256", "")),
            base64.b64decode(facts.get("thumbnail", "")),
            _colors(facts.get("colors", ())),
            _detail(facts.get("detail", ())),
        )


def _colors(numbers: Sequence[Any]) -> tuple[float, ...]:
    found = tuple(map(float, numbers))
    if not found:
        return found
    if len(found) != COLORS or not all(map(math.isfinite, found)):
        raise ValueError(f"a style's colors are {COLORS} numbers")
    if np.linalg.eigvalsh(np.reshape(found[3:], (3, 3))).min() < -1e-4:
        raise ValueError("a covariance has no negative variances")
    return found


def _detail(numbers: Sequence[Any]) -> tuple[float, ...]:
    found = tuple(map(float, numbers))
    if found and not (len(found) == DETAIL and all(0 <= n < math.inf for n in found)):
        raise ValueError(f"a style's detail is {DETAIL} numbers, none below 0")
    return found


def read_header(path: Path) -> dict[str, Any]:
    """The facts in a checkpoint's file, from its header alone.

    They are the JSON under one key of the metadata: several keys are written in any order, and
    files would not be reproducible. Raises NotACheckpoint, and WeightsError for one that is cut
    off.
    """
    try:
        with open_file(path) as stream:
            start = stream.read(4)
    except OSError as error:
        raise NotACheckpoint(f"{path}: the checkpoint cannot be read ({reason(error)}).") from error
    if start.startswith(PICKLES):
        raise NotACheckpoint(
            f"{path}: this is a PyTorch pickle, not a cnnart checkpoint; one of pytorch/examples "
            "is read when its name ends in .pth, .pt or .model."
        )
    try:
        with safe_open(path, framework="np") as file:
            metadata = file.metadata() or {}
        if KIND in metadata:
            return dict(json.loads(metadata[KIND]))
    except (SafetensorError, OSError, ValueError, TypeError, RecursionError) as error:
        if CUT_OFF in str(error):
            raise damaged(path, error) from None
        raise NotACheckpoint(
            f"{path}: this is not a style checkpoint, or it is damaged; train one with "
            "`cnnart train-style`."
        ) from None
    raise NotACheckpoint(f"{path}: a safetensors file, but no {KIND} of cnnart's.")


def style_names(path: Path) -> list[str]:
    """The styles in a checkpoint of cnnart's. Raises as ``read_header`` does."""
    return [str(style["name"]) for style in read_header(path).get("styles", [])]


def paints_any(path: Path) -> bool:
    """Whether a checkpoint can predict the affine pairs of any picture's style."""
    try:
        return bool(read_header(path).get("predictor"))
    except WeightsError:
        return False


def damaged(path: Path, error: Exception) -> WeightsError:
    """What is said of a checkpoint that cannot be loaded."""
    reason = next(iter(str(error).strip().splitlines()), type(error).__name__)[:120]
    return WeightsError(f"{path}: a damaged style checkpoint ({reason}); get it again.")
