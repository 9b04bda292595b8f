"""A style checkpoint: one safetensors file that describes itself. Loading never unpickles.

Networks of pytorch/examples are read too (see ``pytorch_examples``).
"""

from __future__ import annotations

import io
import json
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import torch
from safetensors import SafetensorError
from safetensors.torch import load_file
from safetensors.torch import save as save_tensors
from torch import Tensor

from cnnart.errors import CnnartError, WeightsError, reason
from cnnart.files import file_sha256, write_atomically
from cnnart.image.picture import fit_long_side, resize
from cnnart.methods.fast.architecture import architecture_from
from cnnart.methods.fast.header import FOREIGN, KIND, VERSION, StyleInfo, damaged, read_header
from cnnart.methods.fast.network import StyleBank, StyleNetwork
from cnnart.methods.fast.predictor import PredictorShape, StylePredictor

PREDICTOR = "predictor."  # what the names of its tensors begin with
THUMBNAIL = 96  # long side in pixels
# What facts and tensors that do not fit raise on the way to a network.
DAMAGED = (
    *(CnnartError, SafetensorError, RuntimeError, ValueError, TypeError, AttributeError),
    *(LookupError, ArithmeticError),
)
STORAGE = {"fp32": torch.float32, "fp16": torch.float16, "bf16": torch.bfloat16}


@dataclass
class Checkpoint:
    """A trained network with all that is to be known about it.

    ``strength_range``: see ``StyleBank``. ``training``: settings and the end of the loss history,
    as JSON can hold them. ``sha256``: of the file it was read from. ``predictor``: of the affine
    pairs of any other style, if it was trained for that.
    """

    network: StyleNetwork
    styles: tuple[StyleInfo, ...]
    strength_range: tuple[float, float] | None = None
    training: dict[str, Any] = field(default_factory=dict)
    sha256: str = ""
    predictor: StylePredictor | None = None

    @property
    def bank(self) -> StyleBank:
        return StyleBank(tuple(style.name for style in self.styles), self.strength_range)


def load_checkpoint(path: Path) -> Checkpoint:
    """Read a checkpoint of cnnart's, or of pytorch/examples by its suffix. Raises WeightsError."""
    if path.suffix.lower() in FOREIGN:
        from cnnart.methods.fast.pytorch_examples import read_network

        training = {"imported": "pytorch/examples"}
        style = StyleInfo(path.stem)
        return Checkpoint(read_network(path), (style,), None, training, file_sha256(path))
    facts = read_header(path)
    try:
        if facts["version"] > VERSION:
            raise WeightsError(
                f"{path}: a checkpoint of format {facts['version']}, made by a newer cnnart; "
                "update cnnart."
            )
        styles = tuple(StyleInfo.from_json(style) for style in facts["styles"])
        low_high = facts["range"] and (float(facts["range"][0]), float(facts["range"][1]))
        bank = StyleBank(tuple(style.name for style in styles), low_high or None)
        network = StyleNetwork(architecture_from(facts["architecture"]), bank.pairs)
        tensors = {key: value.float() for key, value in load_file(path).items()}
        predictor = None
        if shape := facts.get("predictor"):
            predictor = StylePredictor(PredictorShape.from_dict(shape))
            own = {key: tensors.pop(key) for key in list(tensors) if key.startswith(PREDICTOR)}
            predictor.load_state_dict({k.removeprefix(PREDICTOR): v for k, v in own.items()})
        network.load_state_dict(tensors)
        training = dict(facts["training"])
    except WeightsError:
        raise
    except DAMAGED as error:
        raise damaged(path, error) from None
    sha256 = file_sha256(path)
    return Checkpoint(network, styles, bank.strength_range, training, sha256, predictor)


def save_checkpoint(path: Path, checkpoint: Checkpoint, storage: str = "fp16") -> None:
    """Write a checkpoint, whole or not at all. Raises WeightsError."""
    try:
        write_atomically(path, pack(checkpoint, storage))
    except OSError as error:
        raise WeightsError(f"{path}: the network cannot be written ({reason(error)}).") from error


def pack(checkpoint: Checkpoint, storage: str = "fp16") -> bytes:
    """The bytes of a checkpoint's file; ``storage``: fp32, fp16 or bf16."""
    facts = {
        "version": VERSION,
        "architecture": checkpoint.network.arch.as_dict(),
        "styles": [style.as_json() for style in checkpoint.styles],
        "range": checkpoint.strength_range,
        "training": checkpoint.training,
    }
    state = checkpoint.network.state_dict()
    if predictor := checkpoint.predictor:
        facts["predictor"] = predictor.shape.as_dict()
        state |= {PREDICTOR + name: value for name, value in predictor.state_dict().items()}
    dtype = STORAGE[storage]
    tensors = {name: value.detach().cpu().to(dtype).contiguous() for name, value in state.items()}
    return save_tensors(tensors, {KIND: json.dumps(facts)})


def thumbnail(picture: Tensor) -> bytes:
    """A small JPEG of a painting, ``1x3xHxW`` in [0, 1]."""
    from cnnart.image.write import to_pil

    height, width = picture.shape[-2:]
    small = resize(picture, *fit_long_side(height, width, min(THUMBNAIL, max(height, width))))
    buffer = io.BytesIO()
    to_pil(small).save(buffer, "JPEG", quality=80)
    return buffer.getvalue()
