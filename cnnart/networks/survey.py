"""What layers a module has: found by one forward pass that computes nothing."""

from __future__ import annotations

from dataclasses import dataclass, replace

import torch
from torch import Tensor, nn
from torch.func import functional_call

from cnnart.errors import UsageError
from cnnart.features import LayerGeometry, ReceptiveField
from cnnart.networks.spans import WHOLE, Span, SpanMode

KINDS = {"Conv2d": "conv", "BatchNorm2d": "norm", "Linear": "linear", "Sequential": "group"}
# They do nothing in evaluation mode.
UNSEEN = {"Identity", "Dropout", "Dropout1d", "Dropout2d", "Dropout3d", "AlphaDropout"}
UNSEEN |= {"StochasticDepth", "DropPath"}


@dataclass(frozen=True)
class Layer:
    """A layer as the survey found it.

    ``calls``: how often the module runs in a pass; ``channels_last``: its maps come ``BxhxwxC``.
    """

    kind: str
    geometry: LayerGeometry
    field: ReceptiveField
    calls: int = 1
    channels_last: bool = False

    def as_map(self, out: Tensor) -> Tensor:
        """``out`` with its channels second."""
        return out.permute(0, 3, 1, 2) if self.channels_last else out


def survey(name: str, model: nn.Module, side: int, channels: int = 3) -> dict[str, Layer]:
    """Every layer of ``model`` whose output is a tensor, in the order in which they finish.

    ``side`` and ``channels``: of the picture it is looked at with. The last is "logits" if the
    model's own output is ``BxK``. Raises UsageError, with torch's first line, if the model cannot
    take a picture.
    """
    try:
        return _survey(model, (1, channels, side, side), "meta")
    except Exception:  # some modules make tensors on the CPU, or look at values: then for real
        device = next(iter(model.parameters()), torch.empty(0)).device
        try:
            return _survey(model, (1, channels, side, side), str(device))
        except Exception as error:
            reason = (str(error).strip() or type(error).__name__).splitlines()[0]
            raise UsageError(
                f"{name} cannot take a picture of 1x{channels}x{side}x{side} ({reason}): give it an"
                " attribute input_size, or wrap it in a module that can."
            ) from error


def _survey(model: nn.Module, shape: tuple[int, int, int, int], device: str) -> dict[str, Layer]:
    layers: dict[str, Layer] = {}
    image, side = torch.zeros(shape, device=device), shape[-1]
    mode = SpanMode(image)

    def note(path: str, module: nn.Module, out: object) -> None:
        if isinstance(out, Tensor) and type(module).__name__ not in UNSEEN and out.ndim >= 2:
            calls = layers.pop(path).calls + 1 if path in layers else 1
            found = _layer(_kind(module), out, mode.of(out) or WHOLE, side)
            layers[path] = replace(found, calls=calls)

    handles = [
        module.register_forward_hook(lambda m, _, out, path=path: note(path, m, out))
        for path, module in model.named_modules()
        if path
    ]
    state = {k: v.to(device) for k, v in model.state_dict().items()}
    try:
        with torch.no_grad(), mode:
            output = functional_call(model, state, (image,))
    finally:
        for handle in handles:
            handle.remove()
    if isinstance(output, Tensor) and output.ndim == 2:
        layers["logits"] = _layer("output", output, mode.of(output) or WHOLE, side)
    return layers


def _kind(module: nn.Module) -> str:
    name = type(module).__name__
    if name in KINDS:
        return KINDS[name]
    for word in ("ReLU", "Pool"):
        if word in name:
            return word.lower()
    return name.lower()


def _layer(kind: str, out: Tensor, span: Span, side: int) -> Layer:
    last = span.dims is not None and span.dims == (1, 2) and out.ndim == 4
    if span.dims is None or not (last or span.dims == (2, 3)):
        channels = out.shape[1] if out.ndim in (2, 4) else out.shape[-1]
        whole = ReceptiveField(side, side, 0, local=False)
        return Layer(kind, LayerGeometry(side, 0, channels), whole)
    stride = max(axis.stride for axis in span.axes)
    offset = max(axis.offset for axis in span.axes)
    end = max(axis.size - axis.offset for axis in span.axes)
    reach = max(offset, end - stride, 0)
    channels = out.shape[-1] if last else out.shape[1]
    field = ReceptiveField(offset + end, stride, offset, span.local)
    return Layer(kind, LayerGeometry(stride, reach, channels), field, channels_last=last)
