"""Code that is not ours, run in this process: what it does to the process is undone after it."""

from __future__ import annotations

import contextlib
import io
import os
import sys
import threading
import weakref
from collections.abc import Callable, Iterator
from typing import Any

import torch
import torch.utils.checkpoint

from cnnart.errors import CnnartError, UsageError, is_out_of_memory, on_one_line
from cnnart.networks.base import Network

LONGEST = 300  # characters of somebody else's message
# Threads that guests have begun: the process is not to wait for them at its end.
begun: weakref.WeakSet[threading.Thread] = weakref.WeakSet()


@contextlib.contextmanager
def guest(what: str) -> Iterator[None]:
    """Run code of the user's: ``told`` and ``undone``."""
    with undone, told(what):
        yield


@contextlib.contextmanager
def told(what: str, but: type[Exception] | tuple[()] = ()) -> Iterator[None]:
    """What the user's code raises, sys.exit too, is ``what``, in one line.

    ``but``: errors to let through, as well as ours, Ctrl-C, and lack of memory, which has ways out.
    """
    try:
        with _eager():
            yield
    except CnnartError:
        raise
    except BaseException as error:
        # What inspections raise to end a pass, and what tells that a pass cannot be recorded.
        ours = type(error).__module__.startswith("cnnart.") or type(error) is KeyboardInterrupt
        recording = torch.cuda.is_available() and torch.cuda.is_current_stream_capturing()
        if ours or recording or is_out_of_memory(error) or isinstance(error, but):
            raise
        raise broken(what, error) from error


def going_back(network: Network) -> contextlib.AbstractContextManager[None]:
    """Around a gradient: what a network of the user's raises there is told as its failure."""
    if getattr(network, "is_guest", False):
        return guest(f"{network.name} failed on the way back to the picture")
    return contextlib.nullcontext()


def broken(what: str, error: BaseException) -> UsageError:
    """The error that tells of somebody else's."""
    try:
        said = str(error)
    except Exception:  # it is their code, too
        said = ""
    said = on_one_line(" ".join(said.split())).replace("`", "'")  # see ``as_flags``
    said = said if len(said) <= LONGEST else f"{said[: LONGEST - 3]}..."
    return UsageError(f"{what} ({type(error).__name__}{f': {said}' if said else ''}).")


def _eager() -> contextlib.AbstractContextManager[Any]:
    """Functions under torch.compile run as they are written: compiled ones pass over hooks."""
    stance = getattr(torch.compiler, "set_stance", None)  # torch 2.6 and later
    if stance is None or "torch._dynamo" not in sys.modules:
        return contextlib.nullcontext()
    return stance("force_eager")


def _folder() -> str | None:
    try:
        return os.getcwd()  # noqa: PTH109
    except OSError:  # deleted
        return None


def _go_back(folder: str | None) -> None:
    if folder:
        os.chdir(folder)


def _set_device(device: torch.device) -> None:
    torch.set_default_device(None if device.type == "cpu" else device)


# What belongs to the process and not to a guest, and how it is read and set.
KEPT: tuple[tuple[Callable[[], Any], Callable[[Any], Any]], ...] = (
    (_folder, _go_back),
    (sys.getrecursionlimit, sys.setrecursionlimit),
    (torch.get_num_threads, torch.set_num_threads),
    (torch.get_default_dtype, torch.set_default_dtype),
    (torch.get_default_device, _set_device),
    (torch.is_grad_enabled, torch.set_grad_enabled),
    *(
        (lambda name=name: getattr(sys, name), lambda stream, name=name: setattr(sys, name, stream))
        for name in ("stdin", "stdout", "stderr")
    ),
)


class _Undone:
    """While it is entered, guests have streams of their own: standard output belongs to results.

    When it is left, all of ``KEPT`` is as before. It may be entered again inside, and by several
    threads at a time; what the first that entered it has found is what each that leaves puts back.
    """

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._depth = 0
        self._before: list[Any] = []
        self._threads: set[threading.Thread] = set()
        self._checkpoints = contextlib.ExitStack()

    def __enter__(self) -> None:
        with self._lock:
            self._depth += 1
            if self._depth == 1:
                self._threads = {*threading.enumerate()}
                self._before = [read() for read, _ in KEPT]
                self._checkpoints.enter_context(_without_checkpoints())
                sys.stdout, sys.stderr = aside(sys.stderr), aside(sys.stderr)

    def __exit__(self, *error: object) -> None:
        with self._lock:
            self._depth -= 1
            for (read, write), value in zip(KEPT, self._before, strict=True):
                found = read()
                if found is not value and found != value:
                    with contextlib.suppress(OSError):  # a folder that has gone
                        write(value)
            if self._depth:
                sys.stdout, sys.stderr = aside(sys.stderr), aside(sys.stderr)
                return
            begun.update({*threading.enumerate()} - self._threads)
            self._checkpoints.close()


undone = _Undone()


@contextlib.contextmanager
def _without_checkpoints() -> Iterator[None]:
    """torch.utils.checkpoint computes at once, and keeps what it would compute again.

    That saves memory in training; here it hides layers from hooks, and its older kind refuses
    gradients by a chosen tensor.
    """
    module: Any = torch.utils.checkpoint
    at_once = {
        "CheckpointFunction": _AtOnce,
        "_checkpoint_without_reentrant_generator": _nothing,
        "_checkpoint_without_reentrant_generator_impl": _nothing,  # torch 2.14
    }
    before = {name: getattr(module, name) for name in at_once if hasattr(module, name)}
    try:
        for name in before:
            setattr(module, name, at_once[name])
        yield
    finally:
        for name, value in before.items():
            setattr(module, name, value)


class _AtOnce:
    @staticmethod
    def apply(function: Callable[..., Any], preserve: bool, *args: Any) -> Any:
        return function(*args)


def _nothing(*args: Any, **named: Any) -> Iterator[None]:
    """What is done around a function that is to be computed again: before it, and after it."""
    yield


def aside(stream: Any) -> io.TextIOWrapper:
    """A stream that writes to ``stream``, and may be closed, detached or wrapped without harm."""
    return io.TextIOWrapper(
        _Aside(stream),  # type: ignore[arg-type]
        encoding="utf-8",
        errors="surrogateescape",
        write_through=True,
    )


class _Aside(io.RawIOBase):
    """Bytes that become text on another stream."""

    def __init__(self, stream: Any) -> None:
        self._stream = stream

    def writable(self) -> bool:
        return True

    def write(self, data: Any) -> int:
        text = bytes(data).decode("utf-8", "surrogateescape")
        with contextlib.suppress(OSError, ValueError, AttributeError):  # nobody hears it
            self._stream.write(text)
        return len(data)

    def fileno(self) -> int:
        number: int = self._stream.fileno()
        return number

    def isatty(self) -> bool:
        return bool(self._stream.isatty())
