"""Which pictures come in: files, folders, globs, standard input, or a picture in memory.

Names are settled before torch is loaded, so nothing here imports it; ``Source.read`` does.
"""

from __future__ import annotations

import glob
import io
import os
import re
import sys
from collections.abc import Iterable, Iterator
from concurrent.futures import Future
from dataclasses import dataclass, field
from pathlib import Path
from threading import Thread
from typing import TYPE_CHECKING, Any, BinaryIO

from cnnart.errors import UsageError, did_you_mean
from cnnart.files import READABLE, key_of

if TYPE_CHECKING:
    from cnnart.image.picture import Picture

PREVIEW_SUFFIX = ".preview.jpg"


@dataclass(frozen=True)
class Source:
    """One picture to read: a file, standard input (then ``data`` holds its bytes), or ``picture``,
    whatever ``cnnart.image.read.to_picture`` takes.

    ``folder`` is where it lies below a folder that was given whole (``Path(".")`` at its top), or
    None for a file that was named itself; ``root`` is that folder.
    """

    path: Path | None
    given: str
    root: Path | None = None
    folder: Path | None = None
    data: bytes | None = None
    picture: Any = None
    being_read: list[Future[Picture]] = field(default_factory=list, compare=False, repr=False)

    @property
    def name(self) -> str:
        return self.path.name if self.path else "stdin"

    @property
    def stem(self) -> str:
        return self.path.stem if self.path else "stdin"

    def read(self, max_pixels: int | None = None) -> Picture:
        """The picture. Raises ImageError; ``max_pixels`` None: as many as ``read_image`` allows."""
        if self.being_read:
            return self.being_read.pop().result()  # once: it is not to stay in memory
        return self._read(max_pixels)

    def _read(self, max_pixels: int | None) -> Picture:
        from cnnart.image.read import MAX_PIXELS, read_image, to_picture

        if self.picture is not None:
            return to_picture(self.picture)
        return read_image(self.open(), max_pixels=max_pixels or MAX_PIXELS)

    def read_ahead(self, max_pixels: int | None = None) -> None:
        """Begin to read in another thread, for the next ``read``, which asks for the same."""
        future: Future[Picture] = Future()

        def work() -> None:
            try:
                future.set_result(self._read(max_pixels))
            except BaseException as error:
                future.set_exception(error)

        self.being_read[:] = [future]
        Thread(target=work, name="read photo", daemon=True).start()

    def open(self) -> Path | BinaryIO:
        """The file, or standard input's content from its start."""
        return self.path if self.path else io.BytesIO(self.data or b"")


def natural_key(path: Path) -> list[tuple[int, int, str]]:
    """Sort key that puts ``photo10`` after ``photo9``."""
    parts = re.split(r"(\d+)", str(path).casefold())
    return [(0, int(part), "") if part.isdecimal() else (1, 0, part) for part in parts]


def expand(given: Iterable[str], *, recursive: bool = False) -> list[Source]:
    """The pictures meant by files, folders, globs and ``-``; each file once, in the order given.

    Folders are read in natural order; hidden files, previews and files that are no pictures are
    passed over there. Raises UsageError for a name that leads to nothing.
    """
    sources: dict[str, Source] = {}
    for name in given:
        for source in _expand_one(name, recursive):
            key = key_of(source.path) if source.path else "-"
            if key == "-" and key in sources:
                raise UsageError("Standard input (-) can be given only once.")
            sources.setdefault(key, source)
    return list(sources.values())


def _expand_one(name: str, recursive: bool) -> Iterator[Source]:
    if name == "-":
        yield Source(None, "-", data=sys.stdin.buffer.read())
        return
    path = Path(name).expanduser()
    if path.is_dir():
        found = sorted(_pictures_below(path, recursive), key=natural_key)
        if not found:
            hint = "" if recursive else " Add `recursive` to look into its folders."
            raise UsageError(f"No pictures in the folder {name!r}.{hint}")
        for file in found:
            yield Source(file, str(file), path, file.relative_to(path).parent)
    elif path.exists():
        yield Source(path, name)
    elif any(mark in name for mark in "*?["):
        matches = [Path(match) for match in glob.glob(str(path), recursive=True)]  # noqa: PTH207
        files = sorted((match for match in matches if match.is_file()), key=natural_key)
        if not files:
            raise UsageError(f"No file matches {name!r}.")
        yield from (Source(file, str(file)) for file in files)
    else:
        raise UsageError(f"No such file or folder: {name!r}.{_near(path)}")


def _pictures_below(folder: Path, recursive: bool) -> Iterator[Path]:
    for here, folders, names in os.walk(folder):
        folders[:] = [name for name in folders if recursive and not name.startswith(".")]
        for name in names:
            if name.startswith(".") or name.lower().endswith(PREVIEW_SUFFIX):
                continue
            if Path(name).suffix.lower() in READABLE:
                yield Path(here, name)


def _near(path: Path) -> str:
    try:
        return did_you_mean(path.name, [entry.name for entry in path.parent.iterdir()])
    except OSError:
        return ""
