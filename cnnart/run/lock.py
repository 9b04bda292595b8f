"""One run at a time makes a result: a file beside it, ``.cnnart-KEY.lock``, is locked meanwhile.

The system frees it when the process ends, however that comes about: what a killed run has left of
it keeps nobody out. Where a file system has no locks, or takes no such file, a run goes without.
"""

from __future__ import annotations

import os
import sys
from contextlib import suppress
from pathlib import Path
from typing import IO

from cnnart.errors import CnnartError
from cnnart.files import is_folder, sha256_of, without_waiting

TRIES = 20  # to lock a file that its last holder does not remove at that moment


def hidden_beside(target: Path, suffix: str) -> Path:
    """``out/a.png`` -> ``out/.cnnart-KEY.suffix``. Of the name alone: the folder may be moved with
    all that is in it.
    """
    name = sha256_of(os.fsencode(target.name))[:12]
    return target.parent / f".cnnart-{name}.{suffix}"


class Lock:
    """Held while a result is made; to be entered.

    Entering raises CnnartError where another run holds it.
    """

    def __init__(self, target: Path) -> None:
        self._target = target
        self.path = hidden_beside(target, "lock")
        self._file: IO[bytes] | None = None
        self._made_folders: list[Path] = []

    def __enter__(self) -> Lock:
        try:
            self._make_folder()
            for _ in range(TRIES):
                self._file = _open(self.path)
                _lock_file(self._file)
                if self._is_in_place():
                    break
                self._close()
        except BlockingIOError:
            self._close()
            raise self._busy() from None
        except OSError:  # no permission, or no locks on this file system
            self._close()
        return self

    def __exit__(self, *_: object) -> None:
        if self._file:
            if sys.platform == "win32":
                self._close()
            with suppress(OSError):
                self.path.unlink(missing_ok=True)
            self._close()
        for folder in self._made_folders:
            with suppress(OSError):
                folder.rmdir()  # where nothing came into it

    def look(self) -> None:
        """Raise CnnartError as entering does, without making anything."""
        try:
            if self.path.exists():
                with _open(self.path) as file:
                    _lock_file(file)
        except BlockingIOError:
            raise self._busy() from None
        except OSError:  # nobody has one
            pass

    def _make_folder(self) -> None:
        folder = self.path.parent
        while not is_folder(folder) and folder != folder.parent:
            self._made_folders.append(folder)
            folder = folder.parent
        self.path.parent.mkdir(parents=True, exist_ok=True)

    def _is_in_place(self) -> bool:
        """Whether the file that is locked is the one that others would find there."""
        assert self._file
        with suppress(FileNotFoundError):
            return os.path.samestat(os.fstat(self._file.fileno()), self.path.stat())
        return False

    def _close(self) -> None:
        if self._file:
            with suppress(OSError):  # nothing was written into it
                self._file.close()
            self._file = None

    def _busy(self) -> CnnartError:
        return CnnartError(
            f"Another run of cnnart is at work on {str(self._target)!r}: wait for it, or choose "
            "another `output`."
        )


def _open(path: Path) -> IO[bytes]:
    def without_following(path: str, flags: int) -> int:
        return without_waiting(path, flags | getattr(os, "O_NOFOLLOW", 0))

    try:
        return open(path, "ab", opener=without_following)
    except PermissionError:  # it is another user's, who shares the folder
        return open(path, "rb", opener=without_following)


def _lock_file(file: IO[bytes]) -> None:
    """Lock an open file until it is closed. Raises BlockingIOError if another process has."""
    if sys.platform == "win32":
        import msvcrt

        try:
            msvcrt.locking(file.fileno(), msvcrt.LK_NBLCK, 1)
        except OSError as error:
            raise BlockingIOError from error
    else:
        import fcntl

        fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
