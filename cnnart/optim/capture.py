"""Work that repeats, told to the device once: a CUDA graph in place of thousands of launches.

At 512 pixels and below a graphics card computes an evaluation faster than the host can ask for it,
kernel by kernel. A graph is asked for at once. What it needs: the same tensors at the same places
each time, and no step at which the host waits for a number.
"""

from __future__ import annotations

import logging
from collections.abc import Callable
from typing import Any, Protocol, TypeVar

import torch
from torch import Tensor

from cnnart.errors import is_out_of_memory
from cnnart.optim.steps import Evaluation, Objective

T = TypeVar("T")
WARM_UP = 2  # calls before the recording: libraries choose their algorithms and take work space


class Recorder(Protocol):
    """How a device runs and records work."""

    def run(self, function: Callable[[], T]) -> T:
        """Call it as it will be recorded."""
        ...

    def record(self, function: Callable[[], T]) -> tuple[T, Callable[[], None]]:
        """Call it without computing; gives its result's tensors and what fills them."""
        ...


class CudaRecorder:
    """Records into a CUDA graph, on a stream of its own as recording asks for."""

    def __init__(self, device: torch.device) -> None:
        self.device = device
        self.stream = torch.cuda.Stream(device)

    def run(self, function: Callable[[], T]) -> T:
        current = torch.cuda.current_stream(self.device)
        self.stream.wait_stream(current)
        with torch.cuda.stream(self.stream):
            result = function()
        current.wait_stream(self.stream)
        return result

    def record(self, function: Callable[[], T]) -> tuple[T, Callable[[], None]]:
        graph = torch.cuda.CUDAGraph()
        # Other threads read and write pictures meanwhile, and may use the device.
        with torch.cuda.graph(graph, stream=self.stream, capture_error_mode="thread_local"):
            result = function()
        return result, graph.replay


class Replay:
    """Calls a function; after a warm-up repeats, on a device that records, what it did.

    The function takes nothing, reads and writes tensors that stay where they are, and gives back
    the same tensors each time: the next call overwrites them. Where it cannot be recorded (it
    waits for the device), it is called as before. Raises what it raises, and for want of memory.

    Args:
        device: where it computes.
        recorder: None: the device's own, if there is one.
    """

    def __init__(self, device: torch.device, recorder: Recorder | None = None) -> None:
        if recorder is None and device.type == "cuda":
            recorder = CudaRecorder(device)
        self._recorder = recorder
        self._calls = 0
        self._recorded: tuple[Any, Callable[[], None]] | None = None

    @property
    def records(self) -> bool:
        """Whether it will repeat what the function did, and not ask it again."""
        return self._recorder is not None

    def __call__(self, function: Callable[[], T]) -> T:
        if self._recorder is None:
            return function()
        self._calls += 1
        if self._calls <= WARM_UP:
            return self._recorder.run(function)
        if self._recorded is None:
            try:
                self._recorded = self._recorder.record(function)
            except RuntimeError as error:
                if is_out_of_memory(error):
                    raise
                logging.getLogger(__name__).debug("Not recorded: %s", error)
                self._recorder = None
                return function()
        result, replay = self._recorded
        replay()
        return result


class ReplayedObjective:
    """An objective whose evaluations are recorded once and repeated, where the device can.

    Its evaluations share their tensors: use one, or copy it, before asking for the next.
    """

    def __init__(self, objective: Objective, replay: Replay) -> None:
        self._objective = objective
        self._replay = replay
        self._image: Tensor | None = None

    def __call__(self, image: Tensor) -> Evaluation:
        if self._image is None:
            self._image = image.detach().clone()
        else:
            self._image.copy_(image)
        static = self._image
        found = self._replay(lambda: self._objective(static))
        return Evaluation(found.terms, found.gradient)


def replayed(objective: Objective, device: torch.device) -> Objective:
    """The same objective, recorded where the device can: it must do the same at every call."""
    return ReplayedObjective(objective, Replay(device)) if device.type == "cuda" else objective
