"""The record inside every picture: with what it was made, as JSON, enough to make it again.

It holds file names and paths as they were given, and nothing else about the machine.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import fields
from pathlib import Path
from typing import Any, TypeVar

from cnnart.errors import CnnartError
from cnnart.files import sha256_of
from cnnart.run.inputs import Source
from cnnart.version import __version__

FORMAT = 1

Config = TypeVar("Config")


def describe_source(source: Source) -> dict[str, str]:
    """Name, path as given and SHA-256 of a photo."""
    return describe_file(source.given, source.path or (source.data or b""))


def describe_file(given: str, content: Path | bytes) -> dict[str, str]:
    """Name, path as given and SHA-256 of any input. Reads it: belongs before a long run."""
    name = content.name if isinstance(content, Path) else "stdin"
    return {"name": name, "path": given, "sha256": sha256_of(content)}


def build_record(
    command: str,
    photo: Mapping[str, str],
    made_of: Mapping[str, Any],
    run: Mapping[str, Any],
    *,
    interrupted_at: int | None = None,
) -> str:
    """The JSON text for a picture made by a command.

    Args:
        command: ``stylize``, ``texture``, ...: the name of the command that can make it again.
        photo: from ``describe_source``.
        made_of: all else, from the command's ``record()``, as its ``from_record`` reads it back.
        run: what it ran on: ``backbone``, ``weights_sha256``, ``device``, ``precision``, ``torch``,
            ``size`` (height, width), ``quality``.
        interrupted_at: the step after which it was stopped; None for a whole run.
    """
    record = {
        "cnnart": __version__,
        "format": FORMAT,
        "command": command,
        "photo": dict(photo),
        **made_of,
        "run": dict(run),
    }
    if interrupted_at is not None:
        record["interrupted_at"] = interrupted_at
    return json.dumps(record)


def read_record_of(path: Path) -> dict[str, Any]:
    """The record in a picture or animation.

    Raises CnnartError when there is none or it is of no use here.
    """
    if path.suffix.lower() == ".mp4":
        from cnnart.image.animation import read_mp4_record

        text = read_mp4_record(path)
    else:
        from cnnart.image.read import read_record

        text = read_record(path)
    if text is None:
        raise CnnartError(
            f"{path}: no cnnart record in it (made elsewhere, edited, or with `no_metadata`)."
        )
    try:
        record = dict(json.loads(text))
        usable = record["format"] == FORMAT and isinstance(record["command"], str)
    except (ValueError, KeyError, TypeError):
        raise CnnartError(f"{path}: its cnnart record is damaged.") from None
    if not usable:
        raise not_for_this_version(path, record)
    return record


def not_for_this_version(path: Path, record: Mapping[str, Any]) -> CnnartError:
    """The error for a record that another version of cnnart has written."""
    made = f"cnnart {record.get('cnnart')}, command {record['command']!r}"
    return CnnartError(f"{path}: its record ({made}) cannot be run by cnnart {__version__}.")


def is_unfinished(path: Path) -> bool:
    """Whether a run was interrupted before it had finished this picture."""
    try:
        return "interrupted_at" in read_record_of(path)
    except CnnartError:
        return False


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
