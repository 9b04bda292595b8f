"""A proof, without a GPU, that work never makes the host wait for a device, and stays on it."""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor
from torch.utils._python_dispatch import TorchDispatchMode
from torch.utils._pytree import tree_flatten

META = torch.device("meta")


class NoWaits(TorchDispatchMode):
    """Refuses to tell the host a tensor's value, or a size that depends on values."""

    def __torch_dispatch__(self, func: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        assert func is not torch.ops.aten._local_scalar_dense.default
        assert "nonzero" not in str(func)
        return func(*args, **(kwargs or {}))


class Elsewhere(TorchDispatchMode):
    """torch's device ``meta``, which computes nothing, in the place of a graphics card.

    Refuses, as a card does, what mixes its tensors with the host's. Once ``strict``, also what
    makes the host wait: values read, copies in either direction that do not go on by themselves
    (``non_blocking``). Until then every value read is 1.
    """

    strict = False
    SIZED_BY_VALUES = ("nonzero", "masked_select", "bincount", "_unique2", "equal")

    def __torch_dispatch__(self, func: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        kwargs = kwargs or {}
        name = func.overloadpacket.__name__
        given = [t for t in tree_flatten((args, kwargs))[0] if isinstance(t, Tensor)]
        here = [t for t in given if t.device.type == "cpu"]
        there = [t for t in given if t.device == META]
        if name in ("_to_copy", "copy_"):
            target = kwargs.get("device") or given[0].device
            if {target.type, *(t.device.type for t in given)} == {"cpu", "meta"}:
                return self._copied(func, name, target, args, kwargs)
        if there:
            assert not any(t.dim() for t in here), f"{name}: tensors of two devices"
            if self.strict:
                assert name != "_local_scalar_dense", "a value is read"
                assert name not in self.SIZED_BY_VALUES, f"{name} waits"
            elif name == "_local_scalar_dense":
                return {torch.bool: True}.get(there[0].dtype, 1.0)
            if name == "batch_norm_update_stats":  # which torch does not know of ``meta``
                return tuple(torch.empty(2, there[0].shape[1], device=META).unbind())
        return func(*args, **kwargs)

    def _copied(self, func: Any, name: str, target: torch.device, args: Any, kwargs: Any) -> Any:
        blocking = not (kwargs.get("non_blocking") or (name == "copy_" and args[2:] == (True,)))
        assert not (self.strict and blocking), f"{name}: a copy that is waited for"
        if name == "_to_copy" and target.type == "cpu":
            return torch.ones(args[0].shape, dtype=kwargs.get("dtype") or args[0].dtype)
        return func(*args, **kwargs)
