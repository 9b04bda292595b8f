"""Which pixels the values of a tensor depend on, followed through any forward pass of torch.

The rules for convolutions and pools are those of Araujo et al., "Computing Receptive Fields of
Convolutional Neural Networks" (Distill 2019), with branches joined to the smallest span around
them. Everything torch does is watched, so that no module needs to be known or traceable.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, replace
from typing import Any

from torch import Tensor
from torch.overrides import TorchFunctionMode


@dataclass(frozen=True)
class Axis:
    """Unit i sees pixels [i * stride - offset, i * stride - offset + size)."""

    stride: int = 1
    offset: int = 0
    size: int = 1

    def window(self, kernel: int, stride: int, padding: int, dilation: int) -> Axis:
        """What a sliding window over these units sees."""
        return Axis(
            self.stride * stride,
            self.offset + padding * self.stride,
            self.size + (kernel - 1) * dilation * self.stride,
        )

    def around(self, other: Axis) -> Axis:
        """The smallest axis that contains both, which must have one stride."""
        offset = max(self.offset, other.offset)
        end = max(self.size - self.offset, other.size - other.offset)
        return Axis(self.stride, offset, offset + end)


@dataclass(frozen=True)
class Span:
    """What a tensor's units see: along ``dims`` (vertical, horizontal) by ``axes``.

    ``dims`` None: every value sees the whole picture. ``local`` False: besides what the axes say,
    all units depend on the whole picture through a common factor or sum.
    """

    dims: tuple[int, int] | None
    axes: tuple[Axis, Axis] = (Axis(), Axis())
    local: bool = True

    def around(self, other: Span) -> Span:
        """Both together; ``other`` must have the same dims and strides."""
        vertical, horizontal = (a.around(b) for a, b in zip(self.axes, other.axes, strict=True))
        return Span(self.dims, (vertical, horizontal), self.local and other.local)


WHOLE = Span(None, local=False)

# What carries values from one place of a map to another, though its shape may stay the same.
MIXERS = {
    *("softmax", "log_softmax", "matmul", "bmm", "einsum", "roll", "flip", "rot90", "sort"),
    *("cumsum", "cumprod", "scaled_dot_product_attention", "multi_head_attention_forward"),
    *("interpolate", "grid_sample", "conv_transpose2d"),
}
POOLS = {"max_pool2d", "avg_pool2d", "max_pool2d_with_indices", "_max_pool2d", "lp_pool2d"}


class SpanMode(TorchFunctionMode):
    """While active, notes the span of every tensor that is computed from ``image``."""

    def __init__(self, image: Tensor) -> None:
        super().__init__()
        # The tensors are kept, so that no id is given out twice.
        self._spans: dict[int, tuple[Tensor, Span]] = {id(image): (image, Span((2, 3)))}

    def of(self, tensor: Tensor) -> Span | None:
        """The span of a tensor; None if it does not depend on the image."""
        found = self._spans.get(id(tensor))
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
                    self._spans[id(out)] = (out, _known_span(name, out, seen, args, kwargs))
        return result


def _tensors(values: Iterable[Any]) -> list[Tensor]:
    found: list[Tensor] = []
    for value in values:
        if isinstance(value, Tensor):
            found.append(value)
        elif isinstance(value, list | tuple):
            found += [item for item in value if isinstance(item, Tensor)]
    return found


def _known_span(
    name: str, out: Tensor, seen: Sequence[tuple[Tensor, Span]], args: Any, kwargs: Any
) -> Span:
    """As ``_span``; the whole picture for a function called in a way that is not foreseen."""
    try:
        return _span(name, out, seen, args, kwargs)
    except (KeyError, IndexError, TypeError, ValueError):
        return WHOLE


def _span(
    name: str, out: Tensor, seen: Sequence[tuple[Tensor, Span]], args: Any, kwargs: Any
) -> Span:
    """The span of one result of the torch function ``name``."""
    first, span = seen[0]
    if span.dims is not None and span.dims == (first.ndim - 2, first.ndim - 1):
        if name == "conv2d":
            return _window(span, _convolution(args, kwargs))
        if name in POOLS:
            return _window(span, _pool(args, kwargs))
        if name == "pad":
            return _padded(span, out, args, kwargs)
    if name in MIXERS or name.startswith("fft_"):
        return WHOLE
    if name in ("permute", "transpose", "swapaxes", "movedim"):
        return _moved(first, span, out)
    if span.dims and _last_dims(name, first, args, kwargs) & {*span.dims}:
        return WHOLE
    joined = _joined(out, seen)
    if name in ("group_norm", "instance_norm"):  # their mean and deviation are the picture's
        joined = replace(joined, local=False)
    return joined


def _joined(out: Tensor, seen: Sequence[tuple[Tensor, Span]]) -> Span:
    """Element by element: each operand whose map has the size of the result's counts."""
    spans: list[Span] = []
    for tensor, span in seen:
        if span.dims is None:
            continue
        shift = out.ndim - tensor.ndim  # broadcasting, or a view with other leading dims
        last = span.dims == (tensor.ndim - 2, tensor.ndim - 1)
        if shift and not last:
            continue
        dims = (span.dims[0] + shift, span.dims[1] + shift)
        if min(dims) >= 1 and all(
            out.shape[d] == tensor.shape[s] for d, s in zip(dims, span.dims, strict=True)
        ):
            spans.append(replace(span, dims=dims))
    alike = [s for s in spans if s.dims == spans[0].dims and _strides(s) == _strides(spans[0])]
    if not alike or len(alike) < len(spans):
        return WHOLE
    result = alike[0]
    for span in alike[1:]:
        result = result.around(span)
    return replace(result, local=result.local and len(spans) == len(seen))


def _strides(span: Span) -> tuple[int, int]:
    return span.axes[0].stride, span.axes[1].stride


def _window(span: Span, window: Sequence[tuple[int, int]]) -> Span:
    """``window``: (vertical, horizontal) pairs of kernel, stride, padding and dilation."""
    vertical, horizontal = (
        axis.window(*(pair[i] for pair in window)) for i, axis in enumerate(span.axes)
    )
    return replace(span, axes=(vertical, horizontal))


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


def _padded(span: Span, out: Tensor, args: Any, kwargs: Any) -> Span:
    """Padding moves the units; other modes than constant also mirror pixels from inside."""
    amounts = [int(n) for n in (args[1] if len(args) > 1 else kwargs["pad"])] + [0] * 4
    left, right, top, _ = amounts[:4]
    if any(amounts[4:]):
        return WHOLE if out.ndim != 4 else _shifted(span, top, left)
    mode = args[2] if len(args) > 2 else kwargs.get("mode", "constant")
    return WHOLE if mode == "circular" and (left or right) else _shifted(span, top, left)


def _shifted(span: Span, top: int, left: int) -> Span:
    vertical, horizontal = (
        replace(axis, offset=axis.offset + by * axis.stride)
        for axis, by in zip(span.axes, (top, left), strict=True)
    )
    return replace(span, axes=(vertical, horizontal))


def _moved(tensor: Tensor, span: Span, out: Tensor) -> Span:
    """After a permutation: found by the strides in memory, which move with their dims."""
    if span.dims is None:
        return WHOLE
    places = [
        [d for d in range(out.ndim) if (out.stride(d), out.shape[d]) == key]
        for key in ((tensor.stride(s), tensor.shape[s]) for s in span.dims)
    ]
    if any(len(place) != 1 for place in places):
        return WHOLE
    return replace(span, dims=(places[0][0], places[1][0]))


def _last_dims(name: str, tensor: Tensor, args: Any, kwargs: Any) -> set[int]:
    """The dims along which a function takes all values together."""
    if name == "linear":
        return {tensor.ndim - 1}
    if name == "layer_norm":
        shape = args[1] if len(args) > 1 else kwargs["normalized_shape"]
        return set(range(tensor.ndim - len(shape), tensor.ndim))
    return set()
