"""What cnnart's safetensors files say of themselves. Nothing here imports torch."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

from cnnart.errors import WeightsError

KIND = "cnnart-style"
PICKLES = (b"PK\x03\x04", b"\x80\x02", b"\x80\x03", b"\x80\x04", b"\x80\x05")  # of torch.save
MOST_HEADER = 1 << 26


def read_facts(data: bytes, name: str, kind: str) -> dict[str, Any]:
    """The JSON under ``kind`` in a safetensors file's metadata. Raises WeightsError without it.

    It is the only key there: several are written in any order, and files would not be reproducible.
    """
    if data.startswith(PICKLES):
        raise WeightsError(
            f"{name}: this is a PyTorch pickle, not a cnnart checkpoint; one of pytorch/examples "
            "is read when its name ends in .pth, .pt or .model."
        )
    try:
        length = int.from_bytes(data[:8], "little")
        if not 0 < length <= len(data) - 8:
            raise ValueError
        header = json.loads(data[8 : 8 + length])
        found = header.get("__metadata__", {})
        if kind in found:
            return dict(json.loads(found[kind]))
    except (ValueError, AttributeError, KeyError, TypeError):
        raise WeightsError(
            f"{name}: this is not a style checkpoint, or it is damaged; train one with "
            "`cnnart train-style`."
        ) from None
    raise WeightsError(f"{name}: a safetensors file, but no {kind} of cnnart's.")


def style_names(path: Path) -> list[str]:
    """The styles in a checkpoint of cnnart's, from its header alone. Raises WeightsError."""
    try:
        with path.open("rb") as stream:
            start = stream.read(8)
            length = min(int.from_bytes(start, "little"), MOST_HEADER)
            data = start + stream.read(length)
    except OSError as error:
        raise WeightsError(f"{path}: cannot be read ({error.strerror or error}).") from error
    return [str(style["name"]) for style in read_facts(data, str(path), KIND).get("styles", [])]
