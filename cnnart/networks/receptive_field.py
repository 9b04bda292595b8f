"""Layer discovery: a module's layers and their receptive fields.

One forward pass on the "meta" device, which computes nothing, tells which layers there are; beside
it runs the arithmetic of receptive fields (Araujo et al. 2019, "Computing Receptive Fields of
Convolutional Neural Networks", Distill), exact through branches, padding on one side and attention.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from contextlib import AbstractContextManager, nullcontext
from dataclasses import dataclass, replace
from typing import Any

import torch
from torch import Tensor, nn
from torch.func import functional_call
from torch.overrides import TorchFunctionMode

from cnnart.errors import UsageError
from cnnart.networks.activations import ActivationCall, hearing_activations
from cnnart.networks.base import LayerGeometry, ReceptiveField

LOGITS = "logits"
KINDS = {"Conv2d": "conv", "BatchNorm2d": "norm", "Linear": "linear", "Sequential": "group"}
# Modules that do nothing in evaluation mode.
PASS_THROUGH = {"Identity", "Dropout", "Dropout1d", "Dropout2d", "Dropout3d", "AlphaDropout"}
PASS_THROUGH |= {"StochasticDepth", "DropPath"}
# Parameters of a network that is rather run once than only traced: the first tensor of torch's
# "meta" device imports all of sympy, which takes seconds.
SMALL = 10_000_000


@dataclass(frozen=True)
class Layer:
    """A discovered layer.

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

    def from_map(self, found: Tensor) -> Tensor:
        """What ``as_map`` was made from, computed from the map."""
        return found.permute(0, 2, 3, 1) if self.channels_last else found


def discover_layers(
    name: str,
    model: nn.Module,
    side: int,
    channels: int = 3,
    running: Callable[[], AbstractContextManager[Any]] = nullcontext,
) -> dict[str, Layer]:
    """Every layer of ``model`` whose output is a tensor, in the order in which they finish.

    ``side`` and ``channels``: of the picture it is looked at with; ``running`` is entered for each
    pass. The last is "logits" if the model's own output is ``BxK``. Raises UsageError, with torch's
    first line, if the model cannot take a picture.
    """
    shape = (1, channels, side, side)
    try:
        if sum(p.numel() for p in model.parameters()) < SMALL:
            return _discover(model, shape, "cpu", running)
        return _discover(model, shape, "meta", running)
    except Exception:  # some modules make tensors on the CPU, or look at values: then for real
        device = next(iter(model.parameters()), torch.empty(0)).device
        try:
            return _discover(model, shape, str(device), running)
        except Exception as error:
            reason = (str(error).strip() or type(error).__name__).splitlines()[0]
            raise UsageError(
                f"{name} cannot take a picture of 1x{channels}x{side}x{side} ({reason}): give it an"
                " attribute input_size, or wrap it in a module that can."
            ) from error


def _discover(
    model: nn.Module,
    shape: tuple[int, int, int, int],
    device: str,
    running: Callable[[], AbstractContextManager[Any]],
) -> dict[str, Layer]:
    layers: dict[str, Layer] = {}
    image, side = torch.zeros(shape, device=device), shape[-1]
    mode = ReceptiveFieldMode(image)

    called: dict[str, Tensor] = {}  # the last results of activations that are functions

    def add(path: str, kind: str, out: object) -> None:
        if isinstance(out, Tensor) and out.ndim >= 2:
            calls = layers.pop(path).calls + 1 if path in layers else 1
            found = _layer(kind, out, mode.of(out) or WHOLE_PICTURE, side)
            layers[path] = replace(found, calls=calls)

    def note(path: str, module: nn.Module, out: object) -> None:
        for name in [name for name, result in called.items() if result is out]:
            del layers[name], called[name]  # the module's own output: one layer, not two
        if type(module).__name__ not in PASS_THROUGH:
            add(path, _kind(module), out)

    def hear(call: ActivationCall) -> Tensor:
        out = call.plain()
        add(call.layer, "relu" if "relu" in call.kind else call.kind, out)
        if call.layer in layers:
            called[call.layer] = out
        return out

    handles = [
        module.register_forward_hook(lambda m, _, out, path=path: note(path, m, out))
        for path, module in model.named_modules()
        if path
    ]
    state = {k: v.to(device) for k, v in tensors_of(model).items()}
    try:
        # Its hooks come first, and leave a module before the module's own layer is noted.
        with torch.no_grad(), mode, hearing_activations(model, hear), running():
            output = functional_call(model, state, (image,), tie_weights=False)
    finally:
        for handle in handles:
            handle.remove()
    scores = scores_in(output)
    if scores is not None and scores.ndim == 2 and scores.shape[1]:
        layers[LOGITS] = _layer("output", scores, mode.of(scores) or WHOLE_PICTURE, side)
    return layers


def scores_in(output: Any) -> Tensor | None:
    """A network's scores among what its pass returns; None if there are none.

    The tensor itself; ``logits`` of a dict, a dataclass or a named tuple, or the only tensor in it;
    the first tensor of a tuple or list.
    """
    if isinstance(output, Tensor):
        return output
    for name in (LOGITS, "out", "output"):
        named = output.get(name) if isinstance(output, Mapping) else getattr(output, name, None)
        if isinstance(named, Tensor):
            return named
    if isinstance(output, tuple | list):
        return next((item for item in output if isinstance(item, Tensor)), None)
    values = (
        output.values() if isinstance(output, Mapping) else getattr(output, "__dict__", {}).values()
    )
    tensors = [value for value in values if isinstance(value, Tensor)]
    return tensors[0] if len(tensors) == 1 else None


def tensors_of(model: nn.Module) -> dict[str, Tensor]:
    """A module's parameters and buffers as ``state_dict`` names them, without what is no tensor."""
    return {k: v for k, v in model.state_dict().items() if isinstance(v, Tensor)}


def _kind(module: nn.Module) -> str:
    name = type(module).__name__
    if name in KINDS:
        return KINDS[name]
    for word in ("ReLU", "Pool"):
        if word in name:
            return word.lower()
    return name.lower()


def _layer(kind: str, out: Tensor, field: UnitField, side: int) -> Layer:
    last = field.dims is not None and field.dims == (1, 2) and out.ndim == 4
    if field.dims is None or not (last or field.dims == (2, 3)):
        channels = out.shape[1] if out.ndim in (2, 4) else out.shape[-1]
        whole = ReceptiveField(side, side, 0, local=False)
        return Layer(kind, LayerGeometry(side, 0, channels), whole)
    stride = max(axis.stride for axis in field.axes)
    offset = max(axis.offset for axis in field.axes)
    end = max(axis.size - axis.offset for axis in field.axes)
    reach = max(offset, end - stride, 0)
    channels = out.shape[-1] if last else out.shape[1]
    seen = ReceptiveField(offset + end, stride, offset, field.local)
    return Layer(kind, LayerGeometry(stride, reach, channels), seen, channels_last=last)


@dataclass(frozen=True)
class AxisField:
    """A receptive field along one axis.

    Unit i depends on the pixels [i * stride - offset, i * stride - offset + size).
    """

    stride: int = 1
    offset: int = 0
    size: int = 1

    def window(self, kernel: int, stride: int, padding: int, dilation: int) -> AxisField:
        """The field of a sliding window over these units."""
        return AxisField(
            self.stride * stride,
            self.offset + padding * self.stride,
            self.size + (kernel - 1) * dilation * self.stride,
        )

    def around(self, other: AxisField) -> AxisField:
        """The smallest field that contains both, which must have one stride."""
        offset = max(self.offset, other.offset)
        end = max(self.size - self.offset, other.size - other.offset)
        return AxisField(self.stride, offset, offset + end)


@dataclass(frozen=True)
class UnitField:
    """The receptive field of a tensor's units.

    ``dims``: the tensor's (vertical, horizontal) dimensions, along which ``axes`` hold; None: every
    value depends on the whole picture. ``local`` False: besides what the axes say,
    all units depend on the whole picture through a common factor or sum.
    """

    dims: tuple[int, int] | None
    axes: tuple[AxisField, AxisField] = (AxisField(), AxisField())
    local: bool = True

    def around(self, other: UnitField) -> UnitField:
        """Both together; ``other`` must have the same dims and strides."""
        vertical, horizontal = (a.around(b) for a, b in zip(self.axes, other.axes, strict=True))
        return UnitField(self.dims, (vertical, horizontal), self.local and other.local)


WHOLE_PICTURE = UnitField(None, local=False)

# What carries values from one place of a map to another, though its shape may stay the same.
MIXERS = {
    *("softmax", "log_softmax", "matmul", "bmm", "einsum", "roll", "flip", "rot90", "sort"),
    *("cumsum", "cumprod", "scaled_dot_product_attention", "multi_head_attention_forward"),
    *("interpolate", "grid_sample", "conv_transpose2d"),
}
POOLS = {"max_pool2d", "avg_pool2d", "max_pool2d_with_indices", "_max_pool2d", "lp_pool2d"}


class ReceptiveFieldMode(TorchFunctionMode):
    """While active, notes the field of every tensor that is computed from ``image``."""

    def __init__(self, image: Tensor) -> None:
        super().__init__()
        # The tensors are kept, so that no id is given out twice.
        self._fields: dict[int, tuple[Tensor, UnitField]] = {id(image): (image, UnitField((2, 3)))}

    def of(self, tensor: Tensor) -> UnitField | None:
        """The field of a tensor; None if it does not depend on the image."""
        found = self._fields.get(id(tensor))
        return found[1] if found else None

    def __torch_function__(
        self, func: Callable[..., Any], types: Any, args: Any = (), kwargs: Any = None
    ) -> Any:
        kwargs = kwargs or {}
        seen = [(t, s) for t in _tensors([*args, *kwargs.values()]) if (s := self.of(t))]
        result = func(*args, **kwargs)
        if seen:
            name = getattr(func, "__name__", "")
            for out in _tensors(result if isinstance(result, list | tuple) else [result]):
                if out.ndim:
                    self._fields[id(out)] = (out, _known_field(name, out, seen, args, kwargs))
        return result


def _tensors(values: Iterable[Any]) -> list[Tensor]:
    found: list[Tensor] = []
    for value in values:
        if isinstance(value, Tensor):
            found.append(value)
        elif isinstance(value, list | tuple):
            found += [item for item in value if isinstance(item, Tensor)]
    return found


def _known_field(
    name: str, out: Tensor, seen: Sequence[tuple[Tensor, UnitField]], args: Any, kwargs: Any
) -> UnitField:
    """As ``_field``; the whole picture for a function called in a way that is not foreseen."""
    try:
        return _field(name, out, seen, args, kwargs)
    except (KeyError, IndexError, TypeError, ValueError):
        return WHOLE_PICTURE


def _field(
    name: str, out: Tensor, seen: Sequence[tuple[Tensor, UnitField]], args: Any, kwargs: Any
) -> UnitField:
    """The field of one result of the torch function ``name``."""
    first, field = seen[0]
    if field.dims is not None and field.dims == (first.ndim - 2, first.ndim - 1):
        if name == "conv2d":
            return _window(field, _convolution(args, kwargs))
        if name in POOLS:
            return _window(field, _pool(args, kwargs))
        if name == "pad":
            return _padded(field, out, args, kwargs)
    if name in MIXERS or name.startswith("fft_"):
        return WHOLE_PICTURE
    if name in ("permute", "transpose", "swapaxes", "movedim"):
        return _moved(first, field, out)
    if field.dims and _last_dims(name, first, args, kwargs) & {*field.dims}:
        return WHOLE_PICTURE
    joined = _joined(out, seen)
    if name in ("group_norm", "instance_norm"):  # their mean and deviation are the picture's
        joined = replace(joined, local=False)
    return joined


def _joined(out: Tensor, seen: Sequence[tuple[Tensor, UnitField]]) -> UnitField:
    """Element by element: each operand whose map has the size of the result's counts."""
    fields: list[UnitField] = []
    for tensor, field in seen:
        if field.dims is None:
            continue
        shift = out.ndim - tensor.ndim  # broadcasting, or a view with other leading dims
        last = field.dims == (tensor.ndim - 2, tensor.ndim - 1)
        if shift and not last:
            continue
        dims = (field.dims[0] + shift, field.dims[1] + shift)
        if min(dims) >= 1 and all(
            out.shape[d] == tensor.shape[s] for d, s in zip(dims, field.dims, strict=True)
        ):
            fields.append(replace(field, dims=dims))
    alike = [s for s in fields if s.dims == fields[0].dims and _strides(s) == _strides(fields[0])]
    if not alike or len(alike) < len(fields):
        return WHOLE_PICTURE
    result = alike[0]
    for field in alike[1:]:
        result = result.around(field)
    return replace(result, local=result.local and len(fields) == len(seen))


def _strides(field: UnitField) -> tuple[int, int]:
    return field.axes[0].stride, field.axes[1].stride


def _window(field: UnitField, window: Sequence[tuple[int, int]]) -> UnitField:
    """``window``: (vertical, horizontal) pairs of kernel, stride, padding and dilation."""
    vertical, horizontal = (
        axis.window(*(pair[i] for pair in window)) for i, axis in enumerate(field.axes)
    )
    return replace(field, axes=(vertical, horizontal))


def _convolution(args: Any, kwargs: Any) -> list[tuple[int, int]]:
    names = ("input", "weight", "bias", "stride", "padding", "dilation", "groups")
    given = {**dict(zip(names, args, strict=False)), **kwargs}
    kernel = tuple(given["weight"].shape[-2:])
    stride, dilation = _pair(given.get("stride", 1)), _pair(given.get("dilation", 1))
    padding = given.get("padding", 0)
    if padding == "valid":
        padding = 0
    if padding == "same":
        padding = tuple(d * (k - 1) // 2 for k, d in zip(kernel, dilation, strict=True))
    return [kernel, stride, _pair(padding), dilation]


def _pool(args: Any, kwargs: Any) -> list[tuple[int, int]]:
    given = {**dict(zip(("input", "kernel_size", "stride", "padding"), args, strict=False))}
    given |= kwargs
    kernel = _pair(given["kernel_size"])
    stride = given.get("stride")
    return [
        kernel,
        _pair(stride) if stride not in (None, []) else kernel,
        _pair(given.get("padding", 0)),
        _pair(given.get("dilation", 1)),
    ]


def _pair(value: Any) -> tuple[int, int]:
    if isinstance(value, int):
        return value, value
    values = tuple(int(v) for v in value)
    return (values[0], values[-1])


def _padded(field: UnitField, out: Tensor, args: Any, kwargs: Any) -> UnitField:
    """Padding moves the units; other modes than constant also mirror pixels from inside."""
    amounts = [int(n) for n in (args[1] if len(args) > 1 else kwargs["pad"])] + [0] * 4
    left, right, top, _ = amounts[:4]
    if any(amounts[4:]):
        return WHOLE_PICTURE if out.ndim != 4 else _shifted(field, top, left)
    mode = args[2] if len(args) > 2 else kwargs.get("mode", "constant")
    return WHOLE_PICTURE if mode == "circular" and (left or right) else _shifted(field, top, left)


def _shifted(field: UnitField, top: int, left: int) -> UnitField:
    vertical, horizontal = (
        replace(axis, offset=axis.offset + by * axis.stride)
        for axis, by in zip(field.axes, (top, left), strict=True)
    )
    return replace(field, axes=(vertical, horizontal))


def _moved(tensor: Tensor, field: UnitField, out: Tensor) -> UnitField:
    """After a permutation: found by the strides in memory, which move with their dims."""
    if field.dims is None:
        return WHOLE_PICTURE
    places = [
        [d for d in range(out.ndim) if (out.stride(d), out.shape[d]) == key]
        for key in ((tensor.stride(s), tensor.shape[s]) for s in field.dims)
    ]
    if any(len(place) != 1 for place in places):
        return WHOLE_PICTURE
    return replace(field, dims=(places[0][0], places[1][0]))


def _last_dims(name: str, tensor: Tensor, args: Any, kwargs: Any) -> set[int]:
    """The dims along which a function takes all values together."""
    if name == "linear":
        return {tensor.ndim - 1}
    if name == "layer_norm":
        shape = args[1] if len(args) > 1 else kwargs["normalized_shape"]
        return set(range(tensor.ndim - len(shape), tensor.ndim))
    return set()
