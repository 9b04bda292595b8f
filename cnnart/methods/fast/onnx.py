"""A style as an ONNX file: one style or blend at one strength, pictures of any size."""

from __future__ import annotations

import io
import warnings
from collections.abc import Sequence
from pathlib import Path

import torch
from torch import Tensor, nn

from cnnart.errors import CnnartError, UsageError, reason
from cnnart.files import write_atomically
from cnnart.methods.fast.architecture import Architecture
from cnnart.methods.fast.layers import AffinePair
from cnnart.methods.fast.network import (
    StyleNetwork,
    make_noise,
    mean_network,
    reflect_pad_to_stride,
    smallest_side,
)
from cnnart.methods.fast.stylize import Colors, Detail, FastStyle, blended

EXTRA = "pip install 'cnnart[onnx]'"
INPUT, OUTPUT = "photo", "picture"
OPSET = 18
NOISE_SIDE = 128  # rows and columns of the noise that is kept in a file
TOLERANCE = 2e-3  # of pixels in [0, 1], against torch: half a level of 255
CHECKED = ((64, 96), (77, 50))  # heights and widths


class FixedStyle(nn.Module):
    """A network in one style, as an exported file holds it: photo in, picture in [0, 1] out.

    The noise that the network sees is in the file, repeated over the picture, and the same for
    every photo.

    Args:
        pair: the style's affine pair of all layers.
        opacity: how much of the network's picture is laid over the photo.
        colors: which colors its pictures are brought to; None: those that it paints in.
        detail: how much fine detail they are brought to; None: as much as it paints.
    """

    def __init__(
        self,
        network: StyleNetwork,
        pair: AffinePair,
        opacity: float = 1.0,
        colors: Colors | None = None,
        detail: Detail | None = None,
    ) -> None:
        super().__init__()
        self.network = network
        self.opacity = opacity
        self.colors = colors or Colors(None, 0.0)
        self.detail = detail or Detail(None, 0.0)
        self.register_buffer("gamma", pair.gamma.detach())
        self.register_buffer("beta", pair.beta.detach())
        side = NOISE_SIDE * network.arch.cell
        self.register_buffer("noise", make_noise(network.arch, side, side, [0]))

    def forward(self, photo: Tensor) -> Tensor:
        x = self.colors(photo)
        if torch.jit.is_tracing():
            x = traced_reflect_pad(x, self.network.arch)
        else:
            x = reflect_pad_to_stride(x, self.network.arch)
        pair = AffinePair(self.gamma, self.beta)  # type: ignore[arg-type]
        picture: Tensor = self.network(x, pair, torch.float32, self._noise(x))
        picture = self.colors(picture[..., : photo.shape[-2], : photo.shape[-1]]).clamp(0, 1)
        picture = self.detail(picture)
        return picture if self.opacity == 1 else photo + self.opacity * (picture - photo)

    def _noise(self, photo: Tensor) -> Tensor | None:
        """As much noise as the network sees beside a photo of a size that fits."""
        noise: Tensor | None = self.noise  # type: ignore[assignment]
        if noise is not None:
            for axis in (-2, -1):
                cells = torch.as_tensor(photo.shape[axis]) // self.network.arch.cell
                index = torch.arange(cells) % noise.shape[axis]  # type: ignore[call-overload]
                noise = noise.index_select(axis, index)
        return noise


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


def export_onnx(styles: Sequence[FastStyle], path: Path, strength: float) -> float:
    """Write ``photo`` (``1x3xHxW`` float32 in [0, 1]) -> ``picture`` (the same), H and W dynamic,
    in a blend of styles of one checkpoint, or of networks that were made of one.

    Returns the largest difference between torch and onnxruntime, which is checked at two sizes.
    Raises UsageError without the libraries, CnnartError if the two differ.
    """
    runtime = _runtime()
    total = sum(style.weight for style in styles)
    weights = [style.weight / total for style in styles]
    model = FixedStyle(
        mean_network([style.checkpoint.network for style in styles], weights).eval().float(),
        blended([style.pair(strength) for style in styles], weights),
        styles[0].checkpoint.bank.opacity(strength),
        Colors.of([(s.colors(), w) for s, w in zip(styles, weights, strict=True)]),
        Detail.of([(s.detail(), w) for s, w in zip(styles, weights, strict=True)], strength),
    )
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
        raise CnnartError(f"{path}: the export cannot be written ({reason(error)}).") from error
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
