"""The networks inside the package: what the manifest says of them, and their tensors.

Torch is imported when a tensor is asked for, not before: ``expand_ahead`` works while it loads.
"""

from __future__ import annotations

import functools
import json
from collections.abc import Mapping
from concurrent.futures import Future
from pathlib import Path
from threading import Thread
from typing import TYPE_CHECKING

import numpy as np
from safetensors import safe_open

from cnnart.errors import WeightsError, reason
from cnnart.files import file_sha256
from cnnart.weights import backbones
from cnnart.weights.backbones import BACKBONES, EMBEDDED, VGGWeights

if TYPE_CHECKING:
    import torch
    from torch import Tensor, nn

Expanded = tuple[str, dict[str, tuple[np.ndarray, np.ndarray]]]

DATA = Path(__file__).parent.parent / "data"


def manifest() -> dict[str, dict]:
    """What is known of each embedded file: source, license, SHA-256, size."""
    content: dict[str, dict] = json.loads((DATA / "manifest.json").read_text(encoding="utf-8"))
    return content


def embedded_names() -> list[str]:
    """The embedded networks, the default one first."""
    return list(manifest())


def embedded_path(name: str = EMBEDDED) -> Path:
    return DATA / str(manifest()[name]["file"])


def embedded_digest(name: str) -> str:
    """An embedded file's SHA-256, after comparing it with the manifest."""
    try:
        digest = file_sha256(embedded_path(name))
    except OSError as error:
        raise WeightsError(
            f"The embedded {name} is missing ({reason(error)}): reinstall cnnart."
        ) from error
    if digest != manifest()[name]["sha256"]:
        raise WeightsError(
            f"The embedded {name} ({embedded_path(name)}) is damaged: reinstall cnnart."
        )
    return digest


def embedded_state(name: str) -> tuple[dict[str, Tensor], str]:
    """The float32 state dict of a network other than the VGG, and its file's SHA-256."""
    from safetensors.torch import load_file

    digest = embedded_digest(name)
    return as_state(load_file(embedded_path(name))), digest


def as_state(stored: Mapping[str, Tensor]) -> dict[str, Tensor]:
    """The float32 tensors of a file; what it has in 24 bits (``.high``, ``.low``, ``.step``) is put
    together.
    """
    state = {}
    for key, tensor in stored.items():
        name, _, part = key.rpartition(".")
        if part == "high":
            whole = tensor.double() * 256 + stored[f"{name}.low"]
            state[name] = (whole * stored[f"{name}.step"]).float()
        elif part not in ("low", "step"):
            state[key] = tensor.float()
    return state


@functools.cache
def embedded_module(kind: type[nn.Module], name: str, device: torch.device) -> nn.Module:
    """The module of class ``kind`` with an embedded file's weights, for looking alone; it is read
    once. Raises WeightsError where the file is missing or damaged.
    """
    import torch

    network = kind().eval().requires_grad_(False)
    network.load_state_dict(embedded_state(name)[0])
    return network.to(device).to(memory_format=torch.channels_last)


_ahead: list[Future[Expanded]] = []


def expand_ahead() -> None:
    """Begin to expand the VGG-19 in another thread, for the next ``embedded_vgg19``."""
    future: Future[Expanded] = Future()

    def work() -> None:
        try:
            future.set_result(_expanded_vgg19())
        except BaseException as error:
            future.set_exception(error)

    _ahead[:] = [future]
    Thread(target=work, name="expand weights", daemon=True).start()


def embedded_vgg19() -> VGGWeights:
    """The Oxford VGG-19. Raises WeightsError where its file is missing or damaged."""
    import torch

    digest, arrays = _ahead.pop().result() if _ahead else _expanded_vgg19()
    convs = {
        layer: (torch.from_numpy(weight), torch.from_numpy(bias))
        for layer, (weight, bias) in arrays.items()
    }
    convs, mean, std = backbones.unit_std(
        backbones.bgr_to_rgb(convs), backbones.OXFORD_MEAN, (1 / 255,) * 3
    )
    return VGGWeights(EMBEDDED, convs, mean, std, digest)


def _expanded_vgg19() -> Expanded:
    """The file's SHA-256, and weights and biases by layer.

    Each weight is an 8-bit index into its layer's table of 256 values (a codebook).
    """
    digest = embedded_digest(EMBEDDED)
    convs = {}
    with safe_open(embedded_path(), framework="numpy") as file:
        for layer, *_ in backbones.layers(BACKBONES["vgg19-oxford"]):
            table, index = file.get_tensor(f"{layer}.table"), file.get_tensor(f"{layer}.index")
            convs[layer] = (np.take(table, index), file.get_tensor(f"{layer}.bias"))
    return digest, convs


def imagenet_ids() -> list[str]:
    """The WordNet id of each of ImageNet's 1000 classes: ``n01440764`` for class 0."""
    return _lines("imagenet_ids.txt")


def imagenet_classes() -> list[str]:
    """The name of each of ImageNet's 1000 classes, as torchvision gives them: ``tench``."""
    return _lines("imagenet_names.txt")


def _lines(file: str) -> list[str]:
    text = (DATA / file).read_text(encoding="ascii")
    return [line for line in text.splitlines() if not line.startswith("#")]
