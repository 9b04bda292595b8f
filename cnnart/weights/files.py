"""Read a weights file of unknown origin without running what it holds, or say what it is."""

from __future__ import annotations

import pickle
import re
import warnings
from collections.abc import Mapping
from pathlib import Path

import torch
from safetensors import SafetensorError
from safetensors.torch import load_file
from torch import Tensor

from cnnart.errors import WeightsError, reason
from cnnart.files import open_file

# A tensor name (or a part of one) that gives a family of networks away, and what to call it.
FAMILIES = (
    ("layer1.0.conv1", "a ResNet-like state dict"),
    ("denseblock", "a DenseNet-like state dict"),
    ("inception3a", "a GoogLeNet-like state dict"),
    ("Mixed_5b", "an Inception-like state dict"),
    ("squeeze.weight", "a SqueezeNet-like state dict"),
    ("encoder.layers", "a vision-transformer-like state dict"),
    ("deconv1.conv2d", "a fast-style-transfer state dict (pytorch/examples)"),
    ("conv1_1", "a VGG in the layout of Gatys' vgg_conv.pth"),
)


def read_tensors(path: Path) -> dict[str, Tensor]:
    """The state dict in ``path`` (safetensors or torch.save), on the CPU, whatever its name.

    Nothing in the file is executed: pickles go through torch's weights-only reader. Raises
    WeightsError with one line that names what the file is when it is no readable state dict.
    """
    head = _head(path)
    refuse_disguise(path.name, head)
    if head[8:9] == b"{":
        state: object = _read_safetensors(path)
    elif head.startswith((b"PK\x03\x04", b"\x80")):
        state = _read_torch(path)
    else:
        raise WeightsError(
            f"{path.name} is not a weights file: neither safetensors nor written by torch.save."
        )
    return _state_dict(path.name, state)


def _head(path: Path) -> bytes:
    try:
        with open_file(path) as file:
            return file.read(1024)
    except (OSError, ValueError) as error:
        raise WeightsError(f"Cannot read {path}: {reason(error)}.") from error


def refuse_disguise(name: str, head: bytes) -> None:
    """Raise WeightsError for what downloads leave in place of weights; ``head`` is its start."""
    text = head.lstrip(b"\xef\xbb\xbf \t\r\n").lower()
    if not head:
        raise WeightsError(f"{name} is empty: the download did not arrive. Download it again.")
    if head.startswith(b"version https://git-lfs"):
        raise WeightsError(
            f"{name} is a git-lfs pointer, not the weights: run `git lfs pull` where it came from."
        )
    if text.startswith((b"<!doctype", b"<html", b"<?xml", b"<head")):
        raise WeightsError(
            f"{name} is a web page saved as weights: download the file itself, not its page."
        )


def _read_safetensors(path: Path) -> dict[str, Tensor]:
    try:
        return load_file(path)
    except (SafetensorError, OSError) as error:
        raise WeightsError(
            f"{path.name} is a damaged or truncated safetensors file ({reason(error)}). "
            "Download it again."
        ) from error


def _read_torch(path: Path) -> object:
    try:
        with warnings.catch_warnings():  # torch warns about what is then refused anyway
            warnings.simplefilter("ignore")
            return torch.load(path, map_location="cpu", weights_only=True)
    except pickle.UnpicklingError as error:
        found = re.search(r"GLOBAL ([\w.]+)", str(error))
        holds = f"asks to run {found[1]}" if found else "holds more than tensors, or is damaged"
        raise WeightsError(
            f"{path.name} {holds}: refused, because loading it could run code. "
            "Use a plain state dict (torch.save(model.state_dict(), ...)) or safetensors."
        ) from error
    except MemoryError:
        raise
    except Exception as error:  # torch's reader raises anything on damaged bytes
        if "TorchScript" in str(error):
            raise WeightsError(
                f"{path.name} is a TorchScript program, not a state dict: cnnart does not run it."
            ) from error
        raise WeightsError(
            f"{path.name} is truncated or damaged (a download that stopped?). Download it again."
        ) from error


def _state_dict(name: str, content: object) -> dict[str, Tensor]:
    """The named tensors of ``content``, out of the usual wrappings of a training checkpoint."""
    for wrapping in ("state_dict", "model"):
        if isinstance(content, Mapping) and isinstance(content.get(wrapping), Mapping):
            content = content[wrapping]
    tensors = {
        str(key).removeprefix("module."): value
        for key, value in (content.items() if isinstance(content, Mapping) else ())
        if isinstance(value, Tensor)
    }
    if not tensors:
        kind = type(content).__name__
        raise WeightsError(f"{name} holds a {kind} without named tensors, not a network.")
    return tensors


def describe(state: Mapping[str, Tensor]) -> str:
    """What a state dict looks like, for a message: 'a ResNet-like state dict with 320 tensors'."""
    what = "a state dict of an unknown network"
    first = state.get("features.0.weight")
    if first is not None:
        alexnet = tuple(first.shape) == (64, 3, 11, 11)
        what = "an AlexNet-like state dict" if alexnet else "a VGG-like state dict of other shapes"
    for part, family in FAMILIES:
        if any(part in key for key in state):
            what = family
            break
    return f"{what} with {len(state)} tensors"
