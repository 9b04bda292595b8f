"""Work that repeats, told to the device once: a CUDA graph in place of thousands of launches.

At 512 pixels and below a graphics card computes an evaluation faster than the host can ask for it,
kernel by kernel. A graph is asked for at once. What it needs: the same tensors at the same places
each time, and no step at which the host waits for a number.
"""

from __future__ import annotations

import contextlib
import functools
import gc
import logging
from collections.abc import Callable, Iterator
from threading import RLock
from typing import Any, Protocol, TypeVar, runtime_checkable

import torch
from torch import Tensor

from cnnart.optim.steps import Evaluation, Objective

T = TypeVar("T")
WARM_UP = 2  # calls before the recording: libraries choose their algorithms and take work space
_recording = RLock()  # one thread at a time: what another asked for would be in the graph, too


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
        self.stream = recording_stream(device)

    def run(self, function: Callable[[], T]) -> T:
        current = torch.cuda.current_stream(self.device)
        with _recording:
            self.stream.wait_stream(current)
            with torch.cuda.stream(self.stream):
                result = function()
            current.wait_stream(self.stream)
        return result

    def record(self, function: Callable[[], T]) -> tuple[T, Callable[[], None]]:
        graph = torch.cuda.CUDAGraph()
        # Around it, because torch leaves the stream as it is where it cannot end a recording.
        with (
            _recording,
            nothing_collected(),
            torch.cuda.stream(torch.cuda.current_stream(self.device)),
            # Other threads read and write pictures meanwhile, and may use the device.
            torch.cuda.graph(graph, stream=self.stream, capture_error_mode="thread_local"),
        ):
            result = function()
        return result, graph.replay


@contextlib.contextmanager
def nothing_collected() -> Iterator[None]:
    """Meanwhile Python looks for no garbage: that may hold an old graph, whose memory cannot be
    freed while another is recorded.
    """
    collects = gc.isenabled()
    gc.disable()
    try:
        yield
    finally:
        if collects:
            gc.enable()


@functools.cache
def recording_stream(device: torch.device) -> torch.cuda.Stream:
    """The one stream on which work is recorded: cuBLAS keeps work space for each that it has seen,
    32 MiB on a large card, until the program ends.
    """
    return torch.cuda.Stream(device)


def recorder_of(device: torch.device) -> Recorder | None:
    """The device's own recorder; None: it has none."""
    return CudaRecorder(device) if device.type == "cuda" else None


def recording_calls(device: torch.device) -> int:
    """How many calls of what is recorded are longer than the repetitions."""
    return 0 if recorder_of(device) is None else WARM_UP + 1


class Replay:
    """Calls a function; after a warm-up repeats, on a device that records, what it did.

    The function takes nothing, reads and writes tensors that stay where they are, and gives back
    the same tensors each time: the next call overwrites them. Where it cannot be recorded (it
    waits for the device, or memory is too short for a recording's own), it is called as before.
    Raises what it raises.

    Args:
        device: where it computes.
        recorder: None: the device's own, if there is one.
    """

    def __init__(self, device: torch.device, recorder: Recorder | None = None) -> None:
        self._recorder = recorder or recorder_of(device)
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
                logging.getLogger(__name__).debug("Not recorded: %s", error)
        if self._recorded is None:  # outside the handler, whose error holds what was recorded
            self._recorder = None
            return function()
        result, replay = self._recorded
        replay()
        return result


@runtime_checkable
class Drawing(Protocol):
    """An objective that is not the same at each call. Its call is ``draw``, then ``evaluate``."""

    def draw(self) -> None:
        """Put what is new into tensors that stay where they are."""
        ...

    def evaluate(self, image: Tensor) -> Evaluation:
        """The objective as it was drawn; does the same each time."""
        ...


class ReplayedObjective:
    """An objective whose evaluations are recorded once and repeated, where the device can.

    Its evaluations share their tensors: use one, or copy it, before asking for the next.
    """

    def __init__(self, objective: Objective, replay: Replay) -> None:
        self._draw: Callable[[], None] | None = None
        self._evaluate = objective
        if isinstance(objective, Drawing):
            self._draw, self._evaluate = objective.draw, objective.evaluate
        self._replay = replay
        self._image: Tensor | None = None

    def __call__(self, image: Tensor) -> Evaluation:
        if self._image is None:
            self._image = image.detach().clone()
        else:
            self._image.copy_(image.detach())
        if self._draw:
            self._draw()
        static = self._image
        found = self._replay(lambda: self._evaluate(static))
        return Evaluation(found.terms, found.gradient)


def replayed(objective: Objective, device: torch.device) -> Objective:
    """The same objective, recorded where the device can: it must do the same at every call, but for
    what it draws (``Drawing``). One that ``waits`` for the device cannot be recorded.
    """
    recorder = recorder_of(device)
    if recorder is None or getattr(objective, "waits", False):
        return objective
    if device.type == "cuda":
        torch.cuda.empty_cache()  # what the last recording held, which nothing else may use
    return ReplayedObjective(objective, Replay(device, recorder))


def sent(values: Tensor, device: torch.device) -> Tensor:
    """A tensor brought to a device without waiting for the device: to a card from pinned memory."""
    if device.type == "cuda" and values.device.type == "cpu":
        values = values.pin_memory()
    return values.to(device, non_blocking=True)
