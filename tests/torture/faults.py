"""One act of writing that fails, as on a full or broken disk, whichever it is."""

from __future__ import annotations

import builtins
import io
import os
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

ACTS = ("mkdir", "replace", "rename", "link", "symlink", "fsync", "truncate", "ftruncate")
WRITING = os.O_WRONLY | os.O_RDWR


@contextmanager
def failing_acts(number: int, errno: int) -> Iterator[list[str]]:
    """While active, act ``number`` (from 1; 0: none) fails; the list it yields names all acts.

    Acts are creating a file, each write into it, flushing, closing and renaming it, and folders.
    What other libraries write in C (safetensors, PyAV) goes through no function of Python's; cnnart
    has them give bytes where it can.
    """
    acts: list[str] = []

    def act(what: str) -> None:
        acts.append(what)
        if len(acts) == number:
            raise OSError(errno, os.strerror(errno))

    class File:
        """A file opened for writing."""

        def __init__(self, file: Any, name: str) -> None:
            self._file, self._name = file, name

        def write(self, data: Any) -> Any:
            act(f"write {self._name}")
            return self._file.write(data)

        def flush(self) -> None:
            act(f"flush {self._name}")
            self._file.flush()

        def close(self) -> None:
            if not self._file.closed:
                self._file.close()
                act(f"close {self._name}")

        def __enter__(self) -> File:
            return self

        def __exit__(self, *_: object) -> None:
            self.close()

        def __getattr__(self, name: str) -> Any:
            return getattr(self._file, name)

        def __iter__(self) -> Iterator[Any]:
            return iter(self._file)

    real_open, real_write = io.open, os.write

    def open_(file: Any, mode: str = "r", *args: Any, **more: Any) -> Any:
        if isinstance(file, int) or not set(mode) & set("wax+") or str(file) == os.devnull:
            return real_open(file, mode, *args, **more)
        act(f"open {Path(os.fsdecode(file)).name}")
        return File(real_open(file, mode, *args, **more), Path(os.fsdecode(file)).name)

    def write(descriptor: int, data: Any) -> int:
        if descriptor > 2:
            act("os.write")
        return real_write(descriptor, data)

    def failing(name: str, function: Callable[..., Any]) -> Callable[..., Any]:
        def call(*args: Any, **more: Any) -> Any:
            if name != "mkdir" or not os.path.isdir(args[0]):  # noqa: PTH112
                act(name)
            return function(*args, **more)

        return call

    before = {name: getattr(os, name) for name in ACTS if hasattr(os, name)}
    opens = builtins.open, io.open
    for name, function in before.items():
        setattr(os, name, failing(name, function))
    builtins.open, io.open, os.write = open_, open_, write  # type: ignore[assignment]
    try:
        yield acts
    finally:
        builtins.open, io.open = opens
        os.write = real_write
        for name, function in before.items():
            setattr(os, name, function)
