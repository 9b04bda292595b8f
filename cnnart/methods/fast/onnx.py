"""A style as an ONNX file: one style or blend at one strength, pictures of any size."""

from __future__ import annotations

import io
import warnings
from pathlib import Path

import torch
from torch import Tensor, nn

from cnnart.errors import CnnartError, UsageError
from cnnart.files import write_atomically
from cnnart.methods.fast.architecture import Architecture
from cnnart.methods.fast.checkpoint import Checkpoint
from cnnart.methods.fast.network import StyleNetwork, smallest_side

EXTRA = "pip install 'cnnart[onnx]'"
INPUT, OUTPUT = "photo", "picture"
OPSET = 18
TOLERANCE = 2e-3  # of pixels in [0, 1], against torch: half a level of 255
CHECKED = ((64, 96), (77, 50))  # heights and widths


class FixedStyle(nn.Module):
    """A network with one style vector, as an exported file holds it: photo in, picture in [0, 1]
    out.

    ``opacity``: how much of the network's picture is laid over the photo.
    """

    def __init__(self, network: StyleNetwork, style_vector: Tensor, opacity: float = 1.0) -> None:
        super().__init__()
        self.network = network
        self.opacity = opacity
        self.register_buffer("style_vector", style_vector)

    def forward(self, photo: Tensor) -> Tensor:
        x = photo
        if torch.jit.is_tracing():
            x = traced_reflect_pad(x, self.network.arch)
        picture: Tensor = self.network(x, self.style_vector)
        picture = picture[..., : photo.shape[-2], : photo.shape[-1]].clamp(0, 1)
        return picture if self.opacity == 1 else photo + self.opacity * (picture - photo)


def traced_reflect_pad(x: Tensor, arch: Architecture) -> Tensor:
    """``reflect_pad_to_stride`` in operations on tensors alone, so that sizes stay open."""
    for axis in (-2, -1):
        side = torch.as_tensor(x.shape[axis])
        padded = side.clamp(min=smallest_side(arch)) + arch.stride - 1
        padded = padded // arch.stride * arch.stride
        period = (2 * side - 2).clamp(min=1)
        index = torch.arange(padded) % period  # type: ignore[call-overload]
        x = x.index_select(axis, torch.minimum(index, period - index))
    return x


def export_onnx(
    checkpoint: Checkpoint, style_vector: Tensor, path: Path, opacity: float = 1.0
) -> float:
    """Write ``photo`` (``1x3xHxW`` float32 in [0, 1]) -> ``picture`` (the same), H and W dynamic.

    Returns the largest difference between torch and onnxruntime, which is checked at two sizes.
    Raises UsageError without the libraries, CnnartError if the two differ.
    """
    runtime = _runtime()
    model = FixedStyle(checkpoint.network.eval().float(), style_vector, opacity)
    buffer = io.BytesIO()
    axes = {2: "height", 3: "width"}
    with warnings.catch_warnings(), torch.no_grad():
        warnings.simplefilter("ignore")
        torch.onnx.export(
            model,
            (torch.rand(1, 3, *CHECKED[0]),),
            buffer,  # type: ignore[arg-type]
            dynamo=False,  # traces without a further library, and to a single file
            input_names=[INPUT],
            output_names=[OUTPUT],
            dynamic_axes={INPUT: axes, OUTPUT: axes},
            opset_version=OPSET,
        )
    data = buffer.getvalue()
    worst = difference(runtime, model, data)
    if not worst <= TOLERANCE:
        raise CnnartError(
            f"The exported network differs from torch's by {worst:.3g}: nothing was written."
        )
    try:
        write_atomically(path, data)
    except OSError as error:
        raise CnnartError(f"{path}: cannot be written ({error.strerror or error}).") from error
    return worst


def difference(runtime: object, model: nn.Module, data: bytes) -> float:
    """The largest difference of a pixel's values between torch and the exported network."""
    session = runtime.InferenceSession(data, providers=["CPUExecutionProvider"])  # type: ignore[attr-defined]
    worst = 0.0
    for height, width in CHECKED:
        generator = torch.Generator().manual_seed(height)
        photo = torch.rand(1, 3, height, width, generator=generator)
        with torch.no_grad():
            expected = model(photo)
        found = torch.from_numpy(session.run(None, {INPUT: photo.numpy()})[0])
        if found.shape != expected.shape:
            return float("inf")
        worst = max(worst, float((found - expected).abs().max()))
    return worst


def _runtime() -> object:
    try:
        import onnx  # noqa: F401  (torch's exporter needs it)
        import onnxruntime
    except ImportError:
        raise UsageError(f"Export to ONNX needs onnx and onnxruntime: {EXTRA}") from None
    return onnxruntime
