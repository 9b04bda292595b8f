"""Files: which are read and written, written whole or not at all, told apart, and named by content.

Nothing here imports torch or Pillow.
"""

from __future__ import annotations

import hashlib
import os
import stat
import sys
import uuid
from pathlib import Path

from cnnart.errors import UsageError

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
}
FORMATS = ("png", "jpg", "webp", "tiff")

ANIMATIONS = (".webp", ".gif", ".mp4")


def cache_folder() -> Path:
    """The user's cache; the environment variable CNNART_CACHE moves it."""
    from platformdirs import user_cache_dir

    return Path(os.environ.get("CNNART_CACHE") or user_cache_dir("cnnart", appauthor=False))


def write_atomically(target: Path, data: bytes) -> None:
    """Put data into a new file beside target, then rename it over target."""
    target = Path(os.path.realpath(target))  # write through a link instead of replacing it
    if target.exists() and not (target.is_file() or target.is_dir()):
        target.write_bytes(data)  # a pipe or a device must not be replaced by a file
        return
    if target.is_dir():
        raise IsADirectoryError(0, "it is a folder")
    if target.exists() and not target.stat().st_mode & stat.S_IWUSR:
        raise PermissionError(0, "the file is read-only")
    target.parent.mkdir(parents=True, exist_ok=True)
    part = target.parent / f".cnnart-{uuid.uuid4().hex}.part"
    try:
        part.write_bytes(data)
        part.replace(target)
    finally:
        part.unlink(missing_ok=True)


def check_writable(target: Path) -> None:
    """Raise UsageError where nothing can be written: a folder, or a place without permission."""
    folder = target.parent
    while not folder.exists():
        folder = folder.parent
    if not folder.is_dir():
        raise UsageError(f"Cannot write {str(target)!r}: {str(folder)!r} is a file, not a folder.")
    if target.is_dir():
        raise UsageError(f"Cannot write {str(target)!r}: that is a folder.")
    if not os.access(folder, os.W_OK):
        raise UsageError(
            f"Cannot write {str(target)!r}: no permission to write in {str(folder)!r}."
        )


def identity(path: Path) -> tuple[int, int] | str:
    """Equal for two names of one file: through links, and whatever the case on this file system."""
    try:
        found = path.stat()
    except OSError:
        return key_of(path)
    return (found.st_dev, found.st_ino)


def key_of(path: Path) -> str:
    """The path itself, equal for two spellings of it; works for files that do not exist."""
    text = str(path.resolve())
    return text.casefold() if sys.platform in ("win32", "darwin") else text


def sha256_of(content: Path | bytes) -> str:
    """The SHA-256 of a file or of bytes, in hexadecimal."""
    if isinstance(content, bytes):
        return hashlib.sha256(content).hexdigest()
    return file_sha256(content)


def file_sha256(path: Path) -> str:
    """The SHA-256 of a file, in hexadecimal."""
    digest = hashlib.sha256()
    with path.open("rb") as file:
        while chunk := file.read(1 << 20):
            digest.update(chunk)
    return digest.hexdigest()
