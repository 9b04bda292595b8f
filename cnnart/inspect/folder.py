"""The pictures of folders as ``Item``s: names, stamps, and labels read from the names."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable, Sequence
from functools import partial
from pathlib import Path, PurePosixPath

from torch import Tensor

from cnnart.errors import UsageError
from cnnart.image import read_image
from cnnart.inspect.streaming import Item
from cnnart.jobs.files import Source, expand, identity

WORDNET_ID = re.compile(r"n\d{8}(?=\D|$)")


def find_items(given: Iterable[str], *, recursive: bool = True) -> list[Item]:
    """The pictures of folders, files and globs, in natural order; none is read yet.

    A picture is called what it is called below its folder; where several were given, by its whole
    name. Raises UsageError for a name that leads to nothing, and for standard input.
    """
    names = list(given)
    if "-" in names:
        raise UsageError("Standard input (-) holds one picture: name a folder.")
    sources = expand(names, recursive=recursive)
    return [item_of(source, whole=len(names) > 1) for source in sources]


def item_of(source: Source, *, whole: bool = True) -> Item:
    """A file as an Item; ``whole``: with its path as it was given for a name."""
    assert source.path is not None
    path = source.path
    name = path.as_posix()
    if not whole and source.folder is not None:
        name = (source.folder / path.name).as_posix()
    try:
        facts = path.stat()
        stamp = (facts.st_size, facts.st_mtime_ns)
    except OSError:  # a dangling link, say: reading it will tell
        stamp = (0, 0)
    return Item(name, partial(_read, path), stamp, identity(path))


def _read(path: Path) -> Tensor:
    return read_image(path).rgb


def label_of(name: str) -> str | None:
    """The label that a picture's name carries: a WordNet id at its start, or else its folder's."""
    path = PurePosixPath(name)
    if found := WORDNET_ID.match(path.name):
        return found[0]
    return path.parent.as_posix() if path.parent != PurePosixPath(".") else None


def labels_of(
    names: Sequence[str], label: Callable[[str], str | None] = label_of
) -> list[str | None]:
    """The labels of pictures. Raises UsageError where no two have one in common."""
    labels = [label(name) for name in names]
    known = [found for found in labels if found is not None]
    if len(known) == len(set(known)):
        raise UsageError(
            "No two pictures have a label in common: put each class into a folder of its own, or "
            "begin the file names with WordNet ids (n02084071-dog.jpg)."
        )
    return labels
