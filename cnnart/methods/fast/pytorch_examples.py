"""Networks of pytorch/examples' fast_neural_style (``.pth``, ``.pt``, ``.model``)."""

from __future__ import annotations

import warnings
from collections.abc import Mapping
from pathlib import Path

import torch
from torch import Tensor

from cnnart.errors import WeightsError, reason
from cnnart.methods.fast.architecture import ARCHITECTURES
from cnnart.methods.fast.network import StyleNetwork

LEVELS = 255  # the range of that network's pictures

# Its names -> ours. Biases of normalized convolutions are left out: normalization undoes them.
BLOCKS = {
    **{f"conv{i}": (f"encoder.{i - 1}", f"in{i}") for i in (1, 2, 3)},
    **{f"deconv{i}": (f"decoder.{i - 1}", f"in{i + 3}") for i in (1, 2)},
    **{
        f"res{b}.conv{i}": (f"blocks.{b - 1}.{part}", f"res{b}.in{i}")
        for b in range(1, 6)
        for i, part in ((1, "first"), (2, "second"))
    },
}
HEAD = "deconv3.conv2d"
OLD_NAMES = {"scale": "weight", "shift": "bias"}  # older versions' in normalizations


def read_network(path: Path) -> StyleNetwork:
    """Read such a file; nothing in it is executed. Raises WeightsError.

    The network becomes one for pictures in [0, 1], and computes the same.
    """
    state = read_state(path)
    network = StyleNetwork(ARCHITECTURES["johnson"])
    try:
        network.load_state_dict(translated(state))
    except (KeyError, RuntimeError) as error:
        reason = str(error).strip().splitlines()[-1].strip()[:120]
        raise WeightsError(
            f"{path}: not a network of pytorch/examples' fast_neural_style ({reason})."
        ) from None
    return network


def read_state(path: Path) -> Mapping[str, Tensor]:
    """The tensors of a pickled state dict, by torch's own reader that allows nothing else."""
    try:
        with warnings.catch_warnings():  # torch warns about what is then refused anyway
            warnings.simplefilter("ignore")
            state = torch.load(path, map_location="cpu", weights_only=True)
    except OSError as error:
        raise WeightsError(f"{path}: the pickle cannot be read ({reason(error)}).") from error
    except MemoryError:
        raise
    except Exception as error:  # torch's reader raises anything on damaged bytes
        if "weights_only" in str(error).lower() or "unsupported" in str(error).lower():
            why = "it holds more than tensors, which may be a program; nothing was executed"
        else:
            why = "damaged, or not a checkpoint"
        raise WeightsError(f"{path}: refused ({why}).") from None
    if not isinstance(state, Mapping) or not all(isinstance(v, Tensor) for v in state.values()):
        raise WeightsError(f"{path}: not a state dict of tensors, which is what can be imported.")
    return state


def translated(state: Mapping[str, Tensor]) -> dict[str, Tensor]:
    """A state dict of ours for pictures in [0, 1]. Raises KeyError for a tensor it lacks."""
    found = {_modern(key): value.float() for key, value in state.items()}
    result: dict[str, Tensor] = {}
    for theirs, (ours, norm) in BLOCKS.items():
        result[f"{ours}.weight"] = found[f"{theirs}.conv2d.weight"]
        result[f"{ours}.norm.gamma"] = found[f"{norm}.weight"][None]
        result[f"{ours}.norm.beta"] = found[f"{norm}.bias"][None]
    result["encoder.0.weight"] = result["encoder.0.weight"] * LEVELS
    result["head.weight"] = found[f"{HEAD}.weight"] / LEVELS
    result["head.bias"] = found[f"{HEAD}.bias"] / LEVELS
    return result


def _modern(key: str) -> str:
    stem, _, last = key.rpartition(".")
    return f"{stem}.{OLD_NAMES.get(last, last)}"
