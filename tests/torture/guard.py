"""Proof that reading a file starts no process, opens no socket and writes nothing.

Python tells an audit hook (PEP 578) of each such act before it happens, also from within libraries.
"""

from __future__ import annotations

import os
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

# Starting something, talking to something, and unpickling whatever a file names.
FORBIDDEN = (
    *("subprocess.Popen", "os.system", "os.exec", "os.posix_spawn", "os.spawn", "os.fork"),
    *("os.forkpty", "os.startfile", "pty.spawn", "webbrowser.open"),
    *("socket.__new__", "socket.connect", "socket.bind", "socket.getaddrinfo", "urllib.Request"),
    *("pickle.find_class", "code.__new__", "ctypes.dlopen"),
)
CHANGING = ("os.remove", "os.rename", "os.rmdir", "os.mkdir", "os.link", "os.symlink", "os.chmod")
WRITING = os.O_WRONLY | os.O_RDWR | os.O_CREAT | os.O_TRUNC

_allowed: Path | None = None
_seen: list[str] = []
_installed = False


@contextmanager
def guarded(folder: Path) -> Iterator[list[str]]:
    """While active, the list it yields gets what was done against the rules.

    ``folder``: where files may be written.
    """
    global _allowed, _installed
    if not _installed:
        sys.addaudithook(_hear)  # for good: none can be removed
        _installed = True
    _seen.clear()
    _allowed = folder
    try:
        yield _seen
    finally:
        _allowed = None


def _hear(event: str, args: tuple[Any, ...]) -> None:
    if _allowed is None:
        return
    if event in FORBIDDEN or (event in CHANGING and not _is_allowed(args[0])):
        _seen.append(f"{event} {args!r}"[:200])
    elif event == "open":
        path, mode, flags = args
        written = any(c in mode for c in "wax+") if isinstance(mode, str) else flags & WRITING
        if written and not _is_allowed(path):
            _seen.append(f"open {path!r} for writing")


def _is_allowed(path: Any) -> bool:
    if isinstance(path, int):  # a file that is open already
        return True
    name = os.path.abspath(os.fsdecode(path))  # noqa: PTH100  # follows no links
    return name == os.devnull or name.startswith(f"{_allowed}{os.sep}")
