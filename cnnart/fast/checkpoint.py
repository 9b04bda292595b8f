"""A style checkpoint: one safetensors file that describes itself. Loading never unpickles."""

from __future__ import annotations

import base64
import io
import json
from collections.abc import Mapping
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

import torch
from safetensors import SafetensorError
from safetensors.torch import load as load_tensors
from safetensors.torch import save as save_tensors
from torch import Tensor

from cnnart.errors import CnnartError, WeightsError
from cnnart.fast.architecture import architecture_from
from cnnart.fast.header import KIND, read_facts
from cnnart.fast.network import StyleNetwork
from cnnart.fast.table import StyleTable

VERSION = 1
THUMBNAIL = 96  # long side in pixels
LICENCE = "not stated"
STORAGE = {"fp32": torch.float32, "fp16": torch.float16, "bf16": torch.bfloat16}


@dataclass(frozen=True)
class StyleInfo:
    """One style of a checkpoint. ``thumbnail``: a small JPEG of its painting, or empty."""

    name: str
    licence: str = LICENCE
    sha256: str = ""
    thumbnail: bytes = b""


@dataclass
class Checkpoint:
    """A trained network with all that is to be known about it.

    ``training``: settings and the end of the loss history, as JSON can hold them.
    ``sha256``: of the file it was read from.
    """

    network: StyleNetwork
    styles: tuple[StyleInfo, ...]
    range: tuple[float, float] | None = None
    training: dict[str, Any] = field(default_factory=dict)
    sha256: str = ""

    @property
    def table(self) -> StyleTable:
        return StyleTable(tuple(style.name for style in self.styles), self.range)


def pack(checkpoint: Checkpoint, storage: str = "fp16") -> bytes:
    """The bytes of a checkpoint's file; ``storage``: fp32, fp16 or bf16."""
    styles = [
        asdict(s) | {"thumbnail": base64.b64encode(s.thumbnail).decode()} for s in checkpoint.styles
    ]
    facts = {
        "version": VERSION,
        "architecture": checkpoint.network.arch.as_dict(),
        "styles": styles,
        "range": checkpoint.range,
        "training": checkpoint.training,
    }
    dtype = STORAGE[storage]
    tensors = {
        name: value.detach().cpu().to(dtype).contiguous()
        for name, value in checkpoint.network.state_dict().items()
    }
    return save_tensors(tensors, {KIND: json.dumps(facts)})


def unpack(data: bytes, name: str, sha256: str = "") -> Checkpoint:
    """The checkpoint in a file's bytes. Raises WeightsError, whose line begins with ``name``."""
    facts = read_facts(data, name, KIND)
    try:
        if facts["version"] > VERSION:
            raise WeightsError(
                f"{name}: a checkpoint of format {facts['version']}, made by a newer cnnart; "
                "update cnnart."
            )
        styles = tuple(
            StyleInfo(**{**s, "thumbnail": base64.b64decode(s["thumbnail"])})
            for s in facts["styles"]
        )
        span = facts["range"] and (float(facts["range"][0]), float(facts["range"][1]))
        table = StyleTable(tuple(s.name for s in styles), span or None)
        network = StyleNetwork(architecture_from(facts["architecture"]), table.entries)
        tensors = {key: value.float() for key, value in load_tensors(data).items()}
        network.load_state_dict(tensors)
        return Checkpoint(network, styles, span or None, dict(facts["training"]), sha256)
    except WeightsError:
        raise
    except (CnnartError, SafetensorError, KeyError, TypeError, ValueError, RuntimeError) as error:
        raise WeightsError(
            f"{name}: a damaged style checkpoint ({_first_line(error)}); get it again."
        ) from None


def load_checkpoint(path: Path) -> Checkpoint:
    """Read a checkpoint of cnnart's, or of pytorch/examples by its suffix. Raises WeightsError."""
    from cnnart.fast.importing import SUFFIXES, import_checkpoint
    from cnnart.weights.cache import file_sha256

    if path.suffix.lower() in SUFFIXES:
        return import_checkpoint(path)
    return unpack(_bytes(path), str(path), file_sha256(path))


def save_checkpoint(path: Path, checkpoint: Checkpoint, storage: str = "fp16") -> None:
    """Write a checkpoint, whole or not at all. Raises WeightsError."""
    from cnnart.image.writing import write_atomically

    try:
        write_atomically(path, pack(checkpoint, storage))
    except OSError as error:
        raise WeightsError(f"{path}: cannot be written ({error.strerror or error}).") from error


def thumbnail(picture: Tensor) -> bytes:
    """A small JPEG of a painting, ``1x3xHxW``."""
    from cnnart.image import fit_long_side, resize, to_pil

    height, width = picture.shape[-2:]
    small = resize(picture, *fit_long_side(height, width, min(THUMBNAIL, max(height, width))))
    buffer = io.BytesIO()
    to_pil(small).save(buffer, "JPEG", quality=80)
    return buffer.getvalue()


def _bytes(path: Path) -> bytes:
    try:
        return path.read_bytes()
    except OSError as error:
        raise WeightsError(f"{path}: cannot be read ({error.strerror or error}).") from error


def _first_line(error: Exception) -> str:
    return next(iter(str(error).strip().splitlines()), type(error).__name__)[:120]


def facts_of(values: Mapping[str, Any]) -> dict[str, Any]:
    """``values`` as JSON gives them back: tuples become lists."""
    return dict(json.loads(json.dumps(dict(values))))
