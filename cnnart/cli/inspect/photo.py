"""The one photo a command looks at."""

from __future__ import annotations

from pathlib import Path

from cnnart.errors import UsageError
from cnnart.jobs.files import Source, expand


def one_photo(given: str) -> tuple[Source, list[Path]]:
    """The picture that a file, a glob or ``-`` means, and the files that no result may overwrite.

    Raises UsageError for a name that leads to nothing, and for one that leads to several.
    """
    found = expand([given])
    if len(found) > 1:
        raise UsageError(f"{given!r} is {len(found)} pictures: this command takes one, name it.")
    return found[0], [source.path for source in found if source.path]
