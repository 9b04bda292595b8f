"""Activation functions that a module calls as functions, heard as if they were modules.

Whether a network says ``self.relu(x)``, ``F.relu(x, inplace=True)`` or ``x.relu_()``, it has the
same layers: a call is the layer ``relu`` of the module that makes it (``features.3.relu``).
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor, nn
from torch.overrides import TorchFunctionMode
from torch.utils.hooks import RemovableHandle

RELUS = (F.relu, F.relu_, torch.relu, torch.relu_, Tensor.relu, Tensor.relu_)
# Sigmoid and tanh are left out: as functions they are gates, not layers.
_OTHERS = (
    *(F.relu6, F.leaky_relu, F.leaky_relu_, F.elu, F.elu_, F.selu, F.selu_, torch.selu),
    *(torch.selu_, F.celu, F.celu_, torch.celu, torch.celu_, F.prelu, torch.prelu),
    *(F.silu, F.gelu, F.mish, F.hardswish, F.hardtanh, F.hardtanh_),
)
ACTIVATIONS = {f: f.__name__.rstrip("_") for f in (*RELUS, *_OTHERS)}


def is_in_place(
    function: Callable[..., Any], args: Sequence[Any], named: Mapping[str, Any]
) -> bool:
    """Whether a call of an activation function changes what it is called with."""
    flag = named.get("inplace", args[-1] if len(args) > 1 else False)
    return function.__name__.endswith("_") or flag is True


@dataclass(frozen=True)
class ActivationCall:
    """A call of an activation function: ``layer`` is what it is called among the layers.

    ``x``: what it is called with; ``in_place``: x itself is changed, and is the result.
    """

    layer: str
    kind: str
    x: Tensor
    in_place: bool
    function: Callable[..., Tensor]
    settings: tuple[Any, ...]
    named: Mapping[str, Any]

    def plain(self) -> Tensor:
        """The result, as the network asked for it."""
        return self.function(self.x, *self.settings, **self.named)

    def apart(self) -> Tensor:
        """The result in a tensor of its own; x stays as it is."""
        x = self.x.clone() if self.in_place else self.x
        return self.function(x, *self.settings, **self.named)


class _Listener(TorchFunctionMode):
    """Gives each activation call to ``hear``, which returns what the network gets."""

    def __init__(self, model: nn.Module, hear: Callable[[ActivationCall], Tensor]) -> None:
        super().__init__()
        self._hear = hear
        self._taken = {name for name, _ in model.named_modules()}
        self.within = [""]  # paths of the modules that are running, innermost last

    def __torch_function__(
        self,
        func: Callable[..., Any],
        types: Sequence[type],
        args: tuple[Any, ...] = (),
        kwargs: Mapping[str, Any] | None = None,
    ) -> Any:
        named = dict(kwargs or {})
        kind = ACTIVATIONS.get(func)
        if kind is None or not (args or "input" in named):
            return func(*args, **named)
        x, settings = (args[0], args[1:]) if args else (named.pop("input"), ())
        in_place = is_in_place(func, args, named)
        return self._hear(
            ActivationCall(self._layer(kind), kind, x, in_place, func, settings, named)
        )

    def _layer(self, kind: str) -> str:
        prefix = f"{self.within[-1]}." if self.within[-1] else ""
        name = f"{prefix}{kind}"
        return f"{name}_call" if name in self._taken else name


@contextmanager
def hearing_activations(
    model: nn.Module, hear: Callable[[ActivationCall], Tensor]
) -> Iterator[None]:
    """While active, ``hear`` gets each activation call of ``model``; the network gets its result.

    ``hear`` is to return what ``ActivationCall.plain`` would.
    """
    listener = _Listener(model, hear)
    handles: list[RemovableHandle] = []
    for path, module in model.named_modules():
        if path:
            handles += [
                module.register_forward_pre_hook(
                    lambda module, inputs, path=path: listener.within.append(path)
                ),
                module.register_forward_hook(
                    lambda module, inputs, out: (listener.within.pop(), None)[1], always_call=True
                ),
            ]
    try:
        with listener:
            yield
    finally:
        for handle in handles:
            handle.remove()
