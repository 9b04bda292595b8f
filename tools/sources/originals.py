"""What the published networks say themselves, to compare cnnart's modules with."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import numpy as np
import torch
from torch import nn

from cnnart.weights.embedded import as_state

CLOSE = 1e-3  # the most that an output may differ


def probe(side: int) -> np.ndarray:
    """A fixed picture 1x3xSxS, RGB in [0, 1]: a disk before waves of another length per channel."""
    y, x = np.mgrid[0:side, 0:side].astype(np.float64) * (64 / side)
    waves = (np.sin(0.11 * x + 0.05 * y), np.cos(0.31 * y), np.sin(0.02 * x * y))
    picture = 0.5 + 0.5 * np.stack(waves)
    disk = (x - 30) ** 2 + (y - 34) ** 2 < 17**2
    picture[:, disk] = 0.3 * picture[:, disk] + np.array([[0.6], [0.4], [0.3]])
    return picture[None].astype(np.float32)


def onnx_outputs(content: bytes, pictures: np.ndarray) -> list[np.ndarray]:
    """The first output of an ONNX file, by onnxruntime."""
    import onnxruntime

    session = onnxruntime.InferenceSession(content, providers=["CPUExecutionProvider"])
    return session.run(None, {session.get_inputs()[0].name: pictures})[:1]


def tflite_outputs(content: bytes, pictures: np.ndarray) -> list[np.ndarray]:
    """The outputs of a TFLite file, by LiteRT; maps as torch has them."""
    from ai_edge_litert.interpreter import Interpreter

    interpreter = Interpreter(model_content=content)
    interpreter.allocate_tensors()
    interpreter.set_tensor(
        interpreter.get_input_details()[0]["index"], pictures.transpose(0, 2, 3, 1)
    )
    interpreter.invoke()
    found = [interpreter.get_tensor(each["index"]) for each in interpreter.get_output_details()]
    return [each.transpose(0, 3, 1, 2) if each.ndim == 4 else each for each in found]


def refuse_difference(
    name: str,
    module: nn.Module,
    state: Mapping[str, np.ndarray],
    pictures: np.ndarray,
    originals: Sequence[np.ndarray],
) -> None:
    """End the script unless a module gives what the original gave, in that order.

    ``state``: the tensors as they are to be stored.
    """
    module.eval().load_state_dict(as_state({k: torch.tensor(v) for k, v in state.items()}))
    with torch.no_grad():
        found = module(torch.from_numpy(pictures))
    found = found if isinstance(found, tuple) else (found,)
    worst = max(
        float(np.abs(ours.numpy().reshape(theirs.shape) - theirs).max())
        for ours, theirs in zip(found, originals, strict=True)
    )
    print(f"{name}: differs from the original by at most {worst:.1e}")
    if not worst < CLOSE:
        raise SystemExit(f"{name} differs from the original by {worst:.2g}, more than {CLOSE}.")
