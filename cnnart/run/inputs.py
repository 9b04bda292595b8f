"""Which pictures come in: files, folders, globs, standard input, or a picture in memory.

Names are settled before torch is loaded, so nothing here imports it; ``Source.read`` does.
"""

from __future__ import annotations

import glob
import io
import os
import stat
import sys
from collections import Counter
from collections.abc import Collection, Iterable, Iterator
from concurrent.futures import Future
from dataclasses import dataclass, field
from itertools import chain
from pathlib import Path
from threading import Thread, Timer
from typing import TYPE_CHECKING, Any, BinaryIO

from cnnart.errors import ImageError, UsageError, did_you_mean, reason
from cnnart.files import (
    MOST_PIPED,
    Scratch,
    as_path,
    is_file,
    is_folder,
    is_pipe,
    is_there,
    key_of,
    natural_key,
    obstacle,
    open_pipe,
)
from cnnart.image.formats import Kind, kind_by_suffix, readable_suffixes

if TYPE_CHECKING:
    from cnnart.image.picture import Picture

PREVIEW_SUFFIX = ".preview.jpg"
CHUNK = 1 << 20  # bytes that are read at a time
PATIENCE = 10.0  # seconds after which it is said that standard input is waited for

# Folders of network drives and systems, in lower case: thumbnails, deleted and rescued files. Those
# that begin with a dot are hidden anyway.
NO_PHOTOS = (
    *("@eadir", "@tmp", "@recycle", "@recently-snapshot", "#recycle", "#snapshot", "__macosx"),
    *("$recycle.bin", "recycler", "recycled", "system volume information", "found.000"),
    *("lost+found", "lost.dir"),
)
# What cameras, phones, editors and systems put beside photos, by suffix: no pictures.
SIDECARS = (
    *(".aae", ".xmp", ".json", ".xml", ".thm", ".lrv", ".pp3", ".dop", ".cos", ".txt", ".md5"),
    *(".db", ".ini", ".dat", ".lnk", ".url", ".tmp", ".part", ".crdownload"),
)


@dataclass(frozen=True)
class Source:
    """One picture to read: a file, standard input or a pipe (then ``data`` holds its bytes), or
    ``picture``, whatever ``cnnart.image.read.to_picture`` takes.

    ``folder`` is where it lies below a folder that was given whole (``Path(".")`` at its top), or
    None for a file that was named itself; ``root`` is that folder. ``kept``: what keeps ``path``, a
    clip that came through standard input or a pipe.
    """

    path: Path | None
    given: str
    root: Path | None = None
    folder: Path | None = None
    data: bytes | None = None
    picture: Any = None
    kept: Scratch | None = field(default=None, compare=False, repr=False)
    being_read: list[Future[Picture]] = field(default_factory=list, compare=False, repr=False)

    @property
    def name(self) -> str:
        return self._called.name

    @property
    def stem(self) -> str:
        """What the file is called without its suffix; numbered pictures, what their folder is."""
        if "%" in self._called.name and _leads_to_frames(self._called):
            return self._called.parent.name or "frames"
        return self._called.stem

    @property
    def _called(self) -> Path:
        if self.path and not self.kept:
            return self.path
        is_pipe = self.given != "-" and (self.kept or self.data is not None)
        return Path(self.given if is_pipe else "stdin")

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


def expand(
    given: Iterable[str],
    *,
    recursive: bool = False,
    notes: list[str] | None = None,
    clips: bool = False,
) -> list[Source]:
    """The pictures meant by files, folders, globs and ``-``; each file once, in the order given.

    Folders are read in natural order; hidden files, previews, files that are no pictures and the
    folders of ``NO_PHOTOS`` are passed over there. What cannot be read (a folder without
    permission, a link that leads nowhere) is among the sources, and fails when its turn comes.
    Raises UsageError for a name that leads to nothing, ImageError for a pipe that nobody writes to.

    Args:
        notes: gets a line for each kind of photo that is passed over because it cannot be read.
        clips: take these out of folders, too, and numbered pictures (``frames/%04d.png``) as one.
    """
    suffixes: Collection[str] = readable_suffixes()
    if clips:
        from cnnart.video.formats import CLIPS

        suffixes = {*suffixes, *CLIPS}
    names = list(given)
    sources: dict[str, Source] = {}
    empty: list[str] = []
    beside = [name for name in names if len(names) > 1 and _is_sidecar(name)]  # as from photos/*
    if beside and notes is not None:
        notes.append(f"{len(beside)} files beside the photos passed over, {beside[0]} for one.")
    for name in names:
        if name in beside:
            continue
        try:
            if clips and "%" in name and _leads_to_frames(as_path(name)):
                found = [Source(as_path(name), name)]
            else:
                found = list(_expand_one(name, recursive, len(names) > 1, notes, suffixes, clips))
        except EmptyFolder as error:  # among others no reason to stop
            empty.append(str(error))
            continue
        for source in found:
            key = key_of(source.path) if source.path else source.given
            if key == "-" and key in sources:
                raise UsageError("Standard input (-) can be given only once.")
            sources.setdefault(key, source)
    if empty and not sources:
        raise UsageError(empty[0])
    if notes is not None:
        notes += empty
    return list(sources.values())


def _is_sidecar(name: str) -> bool:
    """Whether a name leads to a file that goes with photos, and is none."""
    return name.lower().endswith(SIDECARS) and is_file(as_path(name))


def _leads_to_frames(path: Path) -> bool:
    from cnnart.video.formats import leads_to_frames  # which most runs do without

    return leads_to_frames(path)


class EmptyFolder(UsageError):
    """A folder without a picture that can be read."""


def _expand_one(
    name: str,
    recursive: bool,
    is_one_of_many: bool,
    notes: list[str] | None,
    suffixes: Collection[str],
    clips: bool,
) -> Iterator[Source]:
    if name == "-":
        yield _streamed(_standard_input(), name, clips)
        return
    path = as_path(name)
    if is_folder(path) and not (is_one_of_many and path.name.lower() in NO_PHOTOS):
        yield from _pictures_of(path, name, recursive, notes, suffixes)
    elif is_folder(path):
        if notes is not None:
            notes.append(f"{name} is passed over: it is no folder of photos; name it alone.")
    elif is_pipe(path):
        yield _streamed(_piped(path), name, clips)
    elif is_there(path) or os.path.islink(path):  # noqa: PTH114  # the method may raise
        yield Source(path, name)
    elif any(mark in name for mark in "*?["):
        files = sorted((match for match in _matches(path) if is_file(match)), key=natural_key)
        if not files:
            raise UsageError(f"No file matches {name!r}.")
        yield from (Source(file, str(file)) for file in files)
    else:
        why = obstacle(path)
        if "no such file" not in why:
            raise UsageError(f"The input {name!r} cannot be read: {why}.")
        raise UsageError(f"No such file or folder: {name!r}.{_near(path)}")


def _streamed(chunks: Iterator[bytes], given: str, clips: bool) -> Source:
    """A picture that comes in chunks is held in memory; a clip, if ``clips`` are taken, goes into a
    temporary file: it may be long, and have its index at its end. Raises ImageError.
    """
    what = "standard input" if given == "-" else f"the pipe {given}"
    data = bytearray()
    if clips:
        from cnnart.video.formats import HEAD, suffix_by_content

        while len(data) < HEAD and (chunk := next(chunks, b"")):
            data += chunk
        if suffix := suffix_by_content(bytes(data[:HEAD])):
            try:
                kept = Scratch()
                path = kept.folder / f"clip{suffix}"
                with path.open("wb") as file:
                    for chunk in chain([bytes(data)], chunks):
                        file.write(chunk)
            except OSError as error:
                raise ImageError(
                    f"The clip from {what} cannot be kept among the temporary files "
                    f"({reason(error)}): name another folder by TMPDIR."
                ) from error
            return Source(path, given, kept=kept)
    for chunk in chunks:
        data += chunk
        if len(data) > MOST_PIPED:
            break
    if len(data) > MOST_PIPED:
        raise ImageError(f"More comes through {what} than a picture holds.")
    return Source(None, given, data=bytes(data))


def _standard_input() -> Iterator[bytes]:
    """What comes through standard input. Raises UsageError where nothing can."""
    if sys.stdin is None:
        raise UsageError(
            "Standard input (-) is closed: pipe a picture in (< photo.jpg), or name it."
        )
    if getattr(sys.stdin, "isatty", bool)():
        raise UsageError("- reads a picture from standard input: pipe one in (< photo.jpg).")
    waiting = Timer(PATIENCE, print, ["cnnart: waiting for standard input"], {"file": sys.stderr})
    waiting.daemon = True
    waiting.start()
    try:
        while chunk := sys.stdin.buffer.read(CHUNK):
            yield chunk
    except OSError as error:
        raise ImageError(f"Standard input cannot be read: {reason(error)}.") from error
    finally:
        waiting.cancel()


def _piped(path: Path) -> Iterator[bytes]:
    """What comes through a named pipe or from ``<(command)``. Raises ImageError."""
    try:
        yield from open_pipe(path)
    except OSError as error:
        raise ImageError(f"The pipe {path} cannot be read: {reason(error)}.") from error


def _matches(pattern: Path) -> Iterable[Path]:
    """What a glob matches. ``**`` does not follow links to folders, which may lead in circles."""
    if "**" not in pattern.parts:
        return [Path(match) for match in glob.glob(str(pattern))]  # noqa: PTH207
    parts = pattern.parts
    start = next(i for i, part in enumerate(parts) if any(mark in part for mark in "*?["))
    folder = Path(*parts[:start])
    wanted = Path(*parts[start:])
    hidden = any(part.startswith(".") for part in wanted.parts)
    return (
        match
        for match in folder.glob(str(wanted))
        if hidden or not any(part.startswith(".") for part in match.relative_to(folder).parts)
    )


def _pictures_of(
    folder: Path, name: str, recursive: bool, notes: list[str] | None, suffixes: Collection[str]
) -> Iterator[Source]:
    """The pictures of a folder. Raises EmptyFolder, telling what else is there."""
    passed_over: Counter[Kind] = Counter()
    found = sorted(_pictures_below(folder, recursive, passed_over, suffixes), key=natural_key)
    what = [_passed_over(kind, count) for kind, count in passed_over.items()]
    if not found:
        if what:
            raise EmptyFolder(
                f"No pictures that can be read in the folder {name!r}: {'; '.join(what)}."
            )
        hint = "" if recursive else " Add `recursive` to look into its folders."
        raise EmptyFolder(f"No pictures in the folder {name!r}.{hint}")
    if notes is not None:
        notes += [f"{name}: passed over {each}." for each in what]
    for file in found:
        yield Source(file, str(file), folder, file.relative_to(folder).parent)


def _passed_over(kind: Kind, count: int) -> str:
    """``3 HEIC photos; export them ...``"""
    if count == 1:
        return f"{kind.one} ({kind.remedy})"
    return f"{count} {kind.many} ({kind.remedy_for_many})"


def _pictures_below(
    folder: Path, recursive: bool, passed_over: Counter[Kind], suffixes: Collection[str]
) -> Iterator[Path]:
    """The pictures below a folder, and what cannot be looked into."""
    folders = [folder]
    while folders:
        here = folders.pop()
        try:
            entries = list(os.scandir(here))
        except OSError as error:
            if here == folder:
                raise UsageError(
                    f"The folder {str(here)!r} cannot be read: {reason(error)}."
                ) from None
            if not isinstance(error, FileNotFoundError):  # else it has been removed meanwhile
                yield here
            continue
        for entry in entries:
            name = entry.name
            if name.startswith(".") or name.lower().endswith(PREVIEW_SUFFIX):
                continue
            path = Path(here, name)
            if entry.is_dir(follow_symlinks=False):
                if recursive and name.lower() not in NO_PHOTOS:
                    folders.append(path)
            elif path.suffix.lower() not in suffixes:
                if kind := kind_by_suffix(path):
                    passed_over[kind] += 1
            elif _is_file_or_broken(entry):
                yield path


def _is_file_or_broken(entry: os.DirEntry[str]) -> bool:
    """Whether an entry is a file, or a link that leads nowhere; no pipe, device or folder."""
    try:
        return entry.is_file(follow_symlinks=False) or stat.S_ISREG(entry.stat().st_mode)
    except OSError:
        return True


def _near(path: Path) -> str:
    try:
        return did_you_mean(path.name, [entry.name for entry in path.parent.iterdir()])
    except OSError:
        return ""
