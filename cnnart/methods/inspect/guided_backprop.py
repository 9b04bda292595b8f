"""Guided backpropagation's rule for ReLUs, for any network, however it calls them.

Springenberg et al. 2015, "Striving for Simplicity: The All Convolutional Net". captum's
``GuidedBackprop`` hooks ``nn.ReLU`` modules only: neither ReLU6 (EfficientNet-Lite) nor ReLUs that
are called as functions would be guided, so the calls themselves are replaced here. Our VGG computes
layers in a row as one function; it is asked for each ReLU's output, whose gradient is guided.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping, Sequence
from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor
from torch.overrides import TorchFunctionMode

from cnnart.networks.activations import RELUS, is_in_place
from cnnart.networks.base import Network
from cnnart.networks.vgg import FeatureExtractor


class _GuidedReLU(torch.autograd.Function):
    """min(max(x, 0), ceiling), through which only positive gradients pass backwards."""

    @staticmethod
    def forward(ctx: Any, x: Tensor, ceiling: float) -> Tensor:
        ctx.save_for_backward((x > 0) & (x < ceiling))
        return x.clamp(0, ceiling)

    @staticmethod
    def backward(ctx: Any, *gradients: Tensor) -> tuple[Tensor, None]:
        (open_,) = ctx.saved_tensors
        return gradients[0].clamp_min(0) * open_, None


class GuidedReLUs(TorchFunctionMode):
    """While active (``with GuidedReLUs() as guided``), every ReLU and ReLU6 computed is guided.

    The network is not changed. ``guided.count`` tells how many were met: none means that the
    network has no ReLUs, and that its gradient would be an ordinary one.
    """

    active: list[GuidedReLUs] = []  # noqa: RUF012  # innermost last

    def __init__(self) -> None:
        super().__init__()
        self.count = 0

    def __enter__(self) -> GuidedReLUs:
        super().__enter__()
        self.active.append(self)
        return self

    def __exit__(self, *error: Any) -> None:
        self.active.pop()
        super().__exit__(*error)

    def __torch_function__(
        self,
        func: Callable[..., Any],
        types: Sequence[type],
        args: tuple[Any, ...] = (),
        kwargs: Mapping[str, Any] | None = None,
    ) -> Any:
        named = dict(kwargs or {})
        ceiling = _ceiling(func, args, named)
        if ceiling is None:
            return func(*args, **named)
        self.count += 1
        x = args[0] if args else named["input"]
        result = _GuidedReLU.apply(x, ceiling)
        # In place means that whoever holds x goes on with the result.
        return x.copy_(result) if is_in_place(func, args, named) else result


def activations_at(network: Network, pictures: Tensor, layer: str) -> Tensor:
    """``network``'s activations at a layer, their ReLUs guided where ``GuidedReLUs`` is active."""
    if not (GuidedReLUs.active and isinstance(network, FeatureExtractor)):
        return network(pictures, [layer])[layer]
    names = list(network.geometry)
    relus = [k for k in names[: names.index(layer) + 1] if network.kind(k) == "relu"]
    found = network(pictures, [*relus, layer])
    for name in relus:
        found[name].register_hook(lambda slope: slope.clamp_min(0))
    GuidedReLUs.active[-1].count += len(relus)
    return found[layer]


def _ceiling(func: Any, args: tuple[Any, ...], named: Mapping[str, Any]) -> float | None:
    """Where this ReLU levels off; None for any other function."""
    if func in RELUS:
        return math.inf
    if func is F.relu6:
        return 6.0
    if func in (F.hardtanh, F.hardtanh_):  # what nn.ReLU6 calls
        low = args[1] if len(args) > 1 else named.get("min_val", -1.0)
        high = args[2] if len(args) > 2 else named.get("max_val", 1.0)
        return float(high) if low == 0 else None
    return None
