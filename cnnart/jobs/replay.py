"""A record turned back into what a picture is made of: for ``cnnart rerun``.

What the commands have in common is here; each reads its own part of the record itself, in its
``replay(record, files)``, found through ``record.REPLAYS``.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import fields
from importlib import import_module
from pathlib import Path
from typing import Any, TypeVar

from cnnart import __version__
from cnnart.errors import CnnartError
from cnnart.jobs.craft import Recipe
from cnnart.jobs.record import REPLAYS, sha256_of

Config = TypeVar("Config")


class RecordedFiles:
    """Finds the files that a record names; what does not fit any more is told in ``warnings``.

    Args:
        folder: where the picture lies; files are looked for as given, then there.
    """

    def __init__(self, folder: Path) -> None:
        self.warnings: list[str] = []
        self._folder = folder

    def find(self, facts: Mapping[str, str], remedy: str) -> Path:
        """The recorded file: the first candidate with its SHA-256, else the first that exists.

        Raises CnnartError for a file that is nowhere, with the ``remedy``.
        """
        given, name = Path(facts["path"]), Path(facts["name"]).name
        candidates = [given, self._folder / given, self._folder / name, Path(name)]
        present = [path for path in candidates if path.is_file()]
        if not present:
            raise CnnartError(
                f"{facts['path']!r}, which this picture was made from, is not there: give {remedy}."
            )
        exact = [path for path in present if sha256_of(path) == facts["sha256"]]
        if not exact:
            self.compare(facts, present[0])
        return (exact or present)[0]

    def compare(self, facts: Mapping[str, str], path: Path) -> None:
        """Warn if a file is not the recorded one."""
        if path.is_file() and sha256_of(path) != facts["sha256"]:
            self.warnings.append(
                f"{path} is not the file that was used then (its SHA-256 differs)."
            )

    def config(self, kind: type[Config], settings: Mapping[str, Any]) -> Config:
        """The recorded settings, as far as this version knows them."""
        known = {f.name for f in fields(kind)}  # type: ignore[arg-type]  # a dataclass
        if unknown := sorted(settings.keys() - known):
            self.warnings.append(f"settings this version does not know: {', '.join(unknown)}.")
        kept = {key: value for key, value in settings.items() if key in known}
        # JSON has no tuples; the only lists among settings are such.
        return kind(**{k: tuple(v) if isinstance(v, list) else v for k, v in kept.items()})


class Replay:
    """The recipe of a recorded picture, and its photo: None if it was made from nothing.

    Args:
        record: from ``read_record_of``.
        folder: where the picture lies.
        photo: given anew, it replaces the one that the record names.
        anew: further inputs given anew, as the command's ``replay`` takes them.

    Raises CnnartError for a file that is nowhere, or a damaged record.
    """

    def __init__(
        self, record: Mapping[str, Any], folder: Path, *, photo: str | None = None, **anew: Any
    ) -> None:
        files = RecordedFiles(folder)
        self.warnings = files.warnings
        if record["cnnart"] != __version__:
            self.warnings.append(
                f"made by cnnart {record['cnnart']}, this is {__version__}: it may differ."
            )
        try:
            self.photo = photo
            if photo:
                files.compare(record["photo"], Path(photo))
            elif record["photo"]:
                self.photo = str(files.find(record["photo"], "--photo FILE"))
            home = import_module(REPLAYS[record["command"]])
            self.recipe: Recipe = home.replay(record, files, **anew)
        except (KeyError, TypeError, AttributeError) as error:
            raise CnnartError(f"The record is damaged ({error}).") from None
