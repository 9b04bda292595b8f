"""Files: their names; read by their kind, written whole or not at all; told apart, and by content.

Nothing here imports torch or Pillow.
"""

from __future__ import annotations

import hashlib
import io
import json
import math
import os
import re
import select
import shutil
import stat
import sys
import tempfile
import time
import unicodedata
import uuid
import weakref
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any, BinaryIO

from cnnart.errors import UsageError, reason

# What is read and written, by suffix.
READABLE = (
    *(".png", ".jpg", ".jpeg", ".jpe", ".jfif", ".webp", ".tif", ".tiff", ".bmp", ".gif"),
    *(".ppm", ".pgm", ".pnm", ".avif", ".jp2"),
)

# Suffix -> format name, for every picture cnnart writes.
WRITABLE = {
    ".png": "png",
    ".jpg": "jpg",
    ".jpeg": "jpg",
    ".webp": "webp",
    ".tif": "tiff",
    ".tiff": "tiff",
    ".avif": "avif",
    ".heic": "heic",
    ".heif": "heic",
    ".jxl": "jxl",
}
FORMATS = ("png", "jpg", "webp", "tiff", "avif", "heic", "jxl")

ANIMATIONS = (".webp", ".gif", ".mp4")


# What a name can lead to beside a file, and what to do then.
KINDS = (
    (stat.S_ISDIR, "it is a folder"),
    (stat.S_ISFIFO, "it is a pipe, which can be read only once: write it to a file first"),
    (stat.S_ISSOCK, "it is a socket, not a file"),
    (stat.S_ISCHR, "it is a device, not a file"),
    (stat.S_ISBLK, "it is a device, not a file"),
)
LONGEST_NAME = 255  # bytes, where the file system does not tell
SHOWN = 30  # characters of either end of such a name, in a message
UNOPENED = 10.0  # seconds to wait for somebody who writes into a pipe
SILENT = 600.0  # seconds without a byte from somebody who does
MOST_PIPED = 1 << 30  # bytes; no picture within ``max_pixels`` is larger in a usual format


# Names


def as_path(name: str | os.PathLike[str]) -> Path:
    """The path that a name means. ``~`` is the home folder, unless a file is called so, or there is
    no such home. Raises UsageError for a name that no file can have.
    """
    text = os.fspath(name)
    if not text or "\0" in text:
        why = "holds a NUL character" if text else "is empty"
        raise UsageError(f"A name {why}: {text!r}. Name a file or a folder.")
    path = Path(text)
    if text.startswith("~") and not os.path.lexists(path):
        with suppress(RuntimeError, KeyError):  # nobody knows a home
            return path.expanduser()
    return path


def is_file(path: Path) -> bool:
    """Whether a regular file is there, perhaps behind a link; False where that cannot be told."""
    return not _is_nowhere(path) and os.path.isfile(path)  # noqa: PTH113  # the method raises before Python 3.14


def natural_key(path: Path) -> list[tuple[int, int, str]]:
    """Sort key that puts ``photo10`` after ``photo9``."""
    parts = re.split(r"(\d+)", str(path).casefold())
    return [(0, int(part), "") if part.isdecimal() else (1, 0, part) for part in parts]


def is_folder(path: Path) -> bool:
    """Whether a folder is there, perhaps behind a link; False where that cannot be told."""
    return not _is_nowhere(path) and os.path.isdir(path)  # noqa: PTH112


def is_there(path: Path) -> bool:
    """Whether anything is there; False where that cannot be told."""
    return not _is_nowhere(path) and os.path.exists(path)  # noqa: PTH110


def obstacle(path: Path) -> str:
    """Why there is no file to read, in a clause; empty where there is one."""
    try:
        mode = path.stat().st_mode
    except (OSError, ValueError) as error:
        if isinstance(error, FileNotFoundError) and path.is_symlink():
            return f"it is a link to {os.readlink(path)}, which is not there"  # noqa: PTH115
        if isinstance(error, FileNotFoundError) and not path.is_absolute():
            with suppress(UsageError):
                current_folder()
                return reason(error)
            return "the current folder does not exist any more"
        return reason(error)
    for is_kind, what in KINDS:
        if is_kind(mode):
            return what
    return "" if os.access(path, os.R_OK) else "no permission to read it"


def current_folder() -> Path:
    """The folder that relative names begin at. Raises UsageError if it has been deleted."""
    with suppress(OSError):
        if not _deleted:
            return Path.cwd()
    raise UsageError(
        "The current folder does not exist any more: go to another one (cd), or give whole paths, "
        "for the result too (-o)."
    )


_deleted = False


def _is_nowhere(path: Path) -> bool:
    return _deleted and not path.is_absolute()


def leave_deleted_folder() -> None:
    """Go to the root of the file system, since the current folder is not there any more.

    Libraries (oneMKL) end the process where there is none. Relative names are refused from now on.
    """
    global _deleted
    _deleted = True
    os.chdir(os.sep)


def resolved(path: Path) -> Path:
    """The whole path, links followed as far as they lead somewhere.

    Raises UsageError for a relative path when the current folder has been deleted.
    """
    if not path.is_absolute():
        path = current_folder() / path
    return Path(os.path.realpath(path))  # Path.resolve raises for a link to itself before 3.13


def cache_folder() -> Path:
    """The user's cache; the environment variable CNNART_CACHE moves it.

    For a user without a home (in a container) it is in the folder for temporary files.
    """
    from platformdirs import user_cache_dir

    if chosen := os.environ.get("CNNART_CACHE"):
        return as_path(chosen)
    with suppress(RuntimeError):  # of newer versions of platformdirs
        if (path := Path(user_cache_dir("cnnart", appauthor=False))).is_absolute():
            return path
    user = os.getuid() if hasattr(os, "getuid") else "cache"
    folder = str(Path(os.sep, "tmp"))
    with suppress(FileNotFoundError):  # none can be written: the cache cannot, either
        folder = tempfile.gettempdir()
    return Path(folder, f"cnnart-{user}")


def config_folder() -> Path:
    """The user's settings; the environment variable CNNART_CONFIG moves them.

    For a user without a home they are beside the cache.
    """
    from platformdirs import user_config_dir

    if chosen := os.environ.get("CNNART_CONFIG"):
        return as_path(chosen)
    with suppress(RuntimeError):
        if (path := Path(user_config_dir("cnnart", appauthor=False))).is_absolute():
            return path
    return cache_folder() / "config"


def json_line(value: Any) -> str:
    """JSON on one line that every program reads: see ``readable_values``."""
    return json.dumps(readable_values(value))


def readable_values(value: Any) -> Any:
    """The same with every text in it ``readable``, and None for what JSON has no number for."""
    if isinstance(value, str):
        return readable(value)
    if isinstance(value, float) and not math.isfinite(value):
        return None
    if isinstance(value, dict):
        return {readable(str(key)): readable_values(each) for key, each in value.items()}
    if isinstance(value, list | tuple):
        return [readable_values(each) for each in value]
    return value


def readable(text: str) -> str:
    """A name that can be written as UTF-8: ``\\xff`` for each byte that is none."""
    try:
        text.encode()
    except UnicodeEncodeError:
        return text.encode("utf-8", "surrogateescape").decode("utf-8", "backslashreplace")
    return text


# Reading


def open_file(path: Path, *, pipes: bool = False) -> BinaryIO:
    """A file opened for reading, by its kind: this waits for nothing.

    Raises OSError, for what is no file, too. ``pipes``: take a pipe, too, and read it to its end.
    """
    stream = open(path, "rb", opener=without_waiting)  # noqa: SIM115
    mode = os.fstat(stream.fileno()).st_mode
    if stat.S_ISREG(mode):
        return stream
    with stream:
        if stat.S_ISFIFO(mode) and pipes:
            return io.BytesIO(read_pipe(stream.fileno(), path))
        what = next((what for is_kind, what in KINDS if is_kind(mode)), "it is no file")
        raise OSError(0, what, str(path))


def without_waiting(path: str, flags: int) -> int:
    """An opener that does not wait for whoever is at the other end of a pipe."""
    flags |= getattr(os, "O_NONBLOCK", 0) | getattr(os, "O_NOCTTY", 0)
    return os.open(path, flags, 0o666)


def is_pipe(path: Path) -> bool:
    """Whether a name leads to a pipe: a named one, or ``<(command)`` of a shell."""
    try:
        return stat.S_ISFIFO(path.stat().st_mode)
    except (OSError, ValueError):
        return False


def open_pipe(path: Path) -> Iterator[bytes]:
    """What comes through a named pipe or from ``<(command)``, as it comes. Raises OSError."""
    with open(path, "rb", opener=without_waiting) as stream:
        yield from pipe_chunks(stream.fileno(), path)


def read_pipe(descriptor: int, path: Path) -> bytes:
    """All that comes through a pipe that was opened without waiting.

    Raises OSError when nobody writes, or too much comes.
    """
    data = bytearray()
    for chunk in pipe_chunks(descriptor, path):
        data += chunk
        if len(data) > MOST_PIPED:
            raise OSError(0, "more comes through the pipe than a picture holds", str(path))
    return bytes(data)


def pipe_chunks(descriptor: int, path: Path) -> Iterator[bytes]:
    """The same as it comes, however much. Raises OSError when nobody writes."""
    found, waiting_since = False, time.monotonic()
    while True:
        try:
            chunk = os.read(descriptor, 1 << 20)
        except BlockingIOError:  # somebody is there and has not written yet
            if not select.select([descriptor], [], [], SILENT)[0]:
                why = f"nothing came through the pipe for {SILENT:.0f} s"
                raise OSError(0, why, str(path)) from None
            continue
        if chunk:
            found = True
            yield chunk
            continue
        if found:
            return
        if time.monotonic() - waiting_since > UNOPENED:
            raise OSError(0, f"nobody wrote into the pipe for {UNOPENED:.0f} s", str(path))
        time.sleep(0.02)


# Writing


def write_atomically(target: Path, data: bytes) -> None:
    """Put data into a new file beside target, then rename it over target. Raises OSError."""
    where = resolved(target)
    if is_there(where) and not (is_file(where) or is_folder(where) or where.is_symlink()):
        _write_to_other(where, data)
        return
    with new_file(target) as part, part.open("wb") as file:
        file.write(data)


@contextmanager
def new_file(target: Path) -> Iterator[Path]:
    """The path of a file beside target, to be written; in the end it is renamed over target.

    It is removed where the writing fails. Raises OSError.
    """
    target = resolved(target)  # write through a link instead of replacing it
    if target.is_symlink():
        raise OSError(0, "it is a link that leads back to itself", str(target))
    if is_folder(target):
        raise IsADirectoryError(0, "it is a folder", str(target))
    if is_file(target) and not target.stat().st_mode & stat.S_IWUSR:
        raise PermissionError(0, "the file is read-only", str(target))
    target.parent.mkdir(parents=True, exist_ok=True)
    part = target.parent / f".cnnart-{uuid.uuid4().hex}.part"
    try:
        yield part
        with part.open("rb+") as file:
            os.fsync(file.fileno())  # or a power cut could leave an empty file under the name
        part.replace(target)
    finally:
        with suppress(OSError):
            part.unlink(missing_ok=True)


class Scratch:
    """A folder among the temporary files (``TMPDIR`` moves them). It is removed when nothing holds
    this any more, and when Python ends. Raises OSError.
    """

    def __init__(self) -> None:
        self.folder = Path(tempfile.mkdtemp(prefix="cnnart-"))
        weakref.finalize(self, shutil.rmtree, self.folder, ignore_errors=True)


def _write_to_other(target: Path, data: bytes) -> None:
    """Write to a pipe or a device, which must not be replaced by a file."""
    try:
        stream = open(target, "wb", buffering=0, opener=without_waiting)  # noqa: SIM115
    except OSError as error:
        if is_pipe(target):  # opened for writing without a reader
            raise OSError(0, "nobody reads from the pipe", str(target)) from error
        raise
    with stream:
        os.set_blocking(stream.fileno(), True)
        view = memoryview(data)
        while view:
            view = view[stream.write(view) :]


def check_writable(target: Path) -> None:
    """Raise UsageError where nothing can be written: a folder, a name that is too long, or a place
    without permission.
    """
    name, where = str(target), target
    if not target.is_absolute():
        current_folder()
    if os.path.islink(target):  # noqa: PTH114
        where = resolved(target)
    if os.path.islink(where):  # noqa: PTH114
        raise UsageError(f"Cannot write {name!r}: it is a link that leads back to itself.")
    if is_folder(where):
        raise UsageError(f"Cannot write {name!r}: that is a folder.")
    folder = where.parent
    made = [where.name]  # what is to be created
    while not is_there(folder) and folder != folder.parent:
        made.append(folder.name)
        folder = folder.parent
    if not is_folder(folder):
        raise UsageError(f"Cannot write {name!r}: {str(folder)!r} is a file, not a folder.")
    longest = _longest_name(folder)
    if (most := max(len(os.fsencode(part)) for part in made)) > longest:
        shown = name if len(name) < 2 * SHOWN else f"{name[:SHOWN]}...{name[-SHOWN:]}"
        raise UsageError(
            f"The result's name is too long ({most} bytes, the file system allows {longest}): "
            f"give a shorter one, or a pattern, with -o ({shown!r})."
        )
    if is_there(where) and not (
        os.access(where, os.W_OK) and where.stat().st_mode & stat.S_IWUSR  # the first is root's yes
    ):
        raise UsageError(f"Cannot write {name!r}: no permission to change that file.")
    if is_there(where) and not is_file(where):
        return  # a pipe or a device: nothing is created
    if not os.access(folder, os.W_OK | os.X_OK):
        raise UsageError(f"Cannot write {name!r}: no permission to write in {str(folder)!r}.")


def _longest_name(folder: Path) -> int:
    """Bytes that a file's name may have there."""
    try:
        return os.pathconf(folder, "PC_NAME_MAX")
    except (AttributeError, OSError, ValueError):  # Windows, some network drives
        return LONGEST_NAME


# Which is which


def identity(path: Path) -> tuple[int, int] | str:
    """Equal for two names of one file: through links, and whatever the case on this file system."""
    try:
        found = path.stat()
    except (OSError, ValueError):
        return key_of(path)
    return (found.st_dev, found.st_ino)


def key_of(path: Path) -> str:
    """The path itself, equal for two spellings of it; works for files that do not exist."""
    text = str(resolved(path))
    if sys.platform == "darwin":
        return spelled_alike(text)
    return text.casefold() if sys.platform == "win32" else text


def spelled_alike(text: str) -> str:
    """Equal for texts that differ in case, or in how they compose their accents, at the most.

    So far some disks do not tell names apart: of macOS, of Windows, of most USB sticks, and shares.
    """
    return unicodedata.normalize("NFC", unicodedata.normalize("NFD", text).casefold())


def is_one_file(one: Path, other: Path) -> bool:
    """Whether the disk on which they are to be takes two names for one; tried out there.

    ``one`` and ``other`` differ in their spelling only (``spelled_alike``), and need not exist.
    """
    pairs = zip(resolved(one).parts, resolved(other).parts, strict=True)
    first, second = next(pair for pair in pairs if pair[0] != pair[1])
    folder = next((each for each in resolved(one).parents if is_folder(each)), Path())
    try:
        with tempfile.TemporaryDirectory(prefix=".cnnart-", dir=folder) as room:
            (Path(room) / first).touch()
            return (Path(room) / second).exists()
    except OSError:  # nothing can be written there, which is told elsewhere
        return sys.platform in ("win32", "darwin")


def sha256_of(content: Path | bytes) -> str:
    """The SHA-256 of a file or of bytes, in hexadecimal."""
    if isinstance(content, bytes):
        return hashlib.sha256(content).hexdigest()
    return file_sha256(content)


def file_sha256(path: Path) -> str:
    """The SHA-256 of a file, in hexadecimal."""
    digest = hashlib.sha256()
    with open_file(path) as file:
        while chunk := file.read(1 << 20):
            digest.update(chunk)
    return digest.hexdigest()
