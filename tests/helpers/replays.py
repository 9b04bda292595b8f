"""A CUDA graph's stand-in on the CPU."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import torch
from torch import Tensor
from torch.utils._python_dispatch import TorchDispatchMode
from torch.utils._pytree import tree_flatten


def tensors(*values: Any) -> list[Tensor]:
    return [t for t in tree_flatten(values)[0] if isinstance(t, Tensor)]


def place(tensor: Tensor) -> int | None:
    """Where its memory is; of weights packed for a processor, which never change: None."""
    return None if tensor.is_mkldnn else tensor.untyped_storage().data_ptr()


class OperationRecorder(TorchDispatchMode):
    """A CUDA graph on the CPU: the operations that ran, run again on the very same tensors.

    Whatever the host decided or computed meanwhile is not asked again, as in a graph. Other than a
    graph it computes while it records, so its first replay has been done.
    """

    def __init__(self) -> None:
        super().__init__()
        self.program: list[Any] = []
        self.replays = 0

    def __torch_dispatch__(self, func: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        kwargs = kwargs or {}
        result = func(*args, **kwargs)
        known = {place(t) for t in tensors(args, kwargs)}
        # What is a view, or was written in place, is there already.
        new = [place(t) not in known for t in tensors(result)]
        self.program.append((func, args, kwargs, tensors(result), new))
        return result

    def run(self, function: Callable[[], Any]) -> Any:
        return function()

    def record(self, function: Callable[[], Any]) -> tuple[Any, Callable[[], None]]:
        with self:
            result = function()
        return result, self.replay

    @torch.no_grad()
    def replay(self) -> None:
        self.replays += 1
        if self.replays == 1:
            return
        for func, args, kwargs, results, new in self.program:
            again = tensors(func(*args, **kwargs))
            for before, now, is_new in zip(results, again, new, strict=True):
                if is_new and not before.is_mkldnn:
                    before.copy_(now)


def recording(monkeypatch: Any) -> list[OperationRecorder]:
    """The CPU records from now on, as a card does; the recorders it is given, one for each thing
    that repeats.
    """
    given: list[OperationRecorder] = []

    def recorder_of(device: torch.device) -> OperationRecorder:
        given.append(OperationRecorder())
        return given[-1]

    monkeypatch.setattr("cnnart.optim.capture.recorder_of", recorder_of)
    return given
