"""What a run takes while it goes on: memory, open files, results so far."""

from __future__ import annotations

import os
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

EVERY = 0.05  # seconds


@contextmanager
def watched(folder: Path) -> Iterator[list[list[float]]]:
    """While active, the list it yields grows by (results, seconds, bytes in memory, open files).

    ``folder``: whose folder ``out`` the results go to.
    """
    samples: list[list[float]] = []
    over = threading.Event()

    def watch() -> None:
        began = time.monotonic()
        while not over.wait(EVERY):
            try:
                done = sum(not name.startswith(".") for name in os.listdir(folder / "out"))  # noqa: PTH208
            except FileNotFoundError:
                continue
            pages = int(Path("/proc/self/statm").read_text().split()[1])
            memory = pages * os.sysconf("SC_PAGE_SIZE")
            files = len(os.listdir("/proc/self/fd"))  # noqa: PTH208
            samples.append([done, time.monotonic() - began, memory, files])

    thread = threading.Thread(target=watch, daemon=True)
    thread.start()
    try:
        yield samples
    finally:
        over.set()
        thread.join()
