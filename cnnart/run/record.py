"""The record inside every picture: with what it was made, as JSON, enough to make it again.

It holds the names of files, and where they lie as far as that was given relative to the current
folder; with ``metadata`` all their paths as given. It says nothing else about the machine.
"""

from __future__ import annotations

import json
import math
from collections.abc import Mapping, Sequence
from pathlib import Path, PurePath
from types import NoneType, UnionType
from typing import Any, TypeVar, Union, get_args, get_origin, get_type_hints

from cnnart.errors import CnnartError
from cnnart.files import is_file, sha256_of
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
    paths: bool = False,
) -> str:
    """The JSON text for a picture made by a command.

    Args:
        command: ``stylize``, ``texture``, ...: the name of the command that can make it again.
        photo: from ``describe_source``.
        made_of: all else, from the command's ``record()``, as its ``from_record`` reads it back.
        run: what it ran on: ``backbone``, ``weights_sha256``, ``device``, ``precision``, ``torch``,
            ``size`` (height, width), ``quality``.
        interrupted_at: the step after which it was stopped; None for a whole run.
        paths: keep those that lead through the folders of this machine.
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
    return json.dumps(record if paths else without_folders(record))


def without_folders(value: Any) -> Any:
    """A record with ``public_path`` for the path of each file and of the network."""
    if isinstance(value, Mapping):
        return {
            key: public_path(entry)
            if key in ("path", "backbone") and isinstance(entry, str)
            else without_folders(entry)
            for key, entry in value.items()
        }
    return [without_folders(each) for each in value] if isinstance(value, list | tuple) else value


def public_path(given: str) -> str:
    """A path that names no folder above the current one: as given, or the file's name alone."""
    path = PurePath(given)
    tells = path.is_absolute() or bool(path.drive) or ".." in path.parts or given.startswith("~")
    return path.name if tells else given


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
    except (ValueError, KeyError, TypeError, RecursionError):
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
        more: further folders.
    """

    def __init__(self, folder: Path, more: Sequence[Path] = ()) -> None:
        self.warnings: list[str] = []
        self._folders = [folder, *more]

    def find(self, facts: Mapping[str, str], remedy: str) -> Path:
        """The recorded file: the first with its SHA-256, else the one that is where it was.

        Raises CnnartError for a file that is nowhere, with the ``remedy``. A file that only has its
        name, beside the picture perhaps, is another.
        """
        given, name = Path(facts["path"]), Path(facts["name"]).name
        candidates = [given]
        for folder in self._folders:
            candidates += [folder / given, folder / name]
        candidates.append(Path(name))
        present = list(dict.fromkeys(path for path in candidates if is_file(path)))
        for path in present:
            if sha256_of(path) == facts["sha256"]:
                return path
        if given in present:
            self.compare(facts, given)
            return given
        other = f" ({present[0]} is another of its name)" if present else ""
        raise CnnartError(
            f"{facts['path']!r}, which this picture was made from, is not there{other}: "
            f"give {remedy}, or its folder as `inputs`."
        )

    def compare(self, facts: Mapping[str, str], path: Path) -> None:
        """Warn if a file is not the recorded one."""
        if is_file(path) and sha256_of(path) != facts["sha256"]:
            self.warnings.append(
                f"{path} is not the file that was used then (its SHA-256 differs)."
            )

    def config(self, kind: type[Config], settings: Mapping[str, Any]) -> Config:
        """The recorded settings, as far as this version knows them."""
        known = get_type_hints(kind)
        if unknown := sorted(settings.keys() - known):
            self.warnings.append(f"settings this version does not know: {', '.join(unknown)}.")
        kept = {key: value for key, value in settings.items() if key in known}
        if wrong := [key for key, value in kept.items() if not _fits(value, known[key])]:
            raise CnnartError(
                f"The record is damaged: {wrong[0]} cannot be {kept[wrong[0]]!r:.40}."
            )
        # JSON has no tuples; the only lists among settings are such.
        return kind(**{k: tuple(v) if isinstance(v, list) else v for k, v in kept.items()})


def _fits(value: Any, hint: Any) -> bool:
    """Whether a value out of JSON is of a setting's type."""
    origin, parts = get_origin(hint), get_args(hint)
    if origin in (Union, UnionType):
        return any(_fits(value, part) for part in parts)
    if origin is tuple:
        kinds = (
            [parts[0]] * len(value) if isinstance(value, list) and parts[1:] == (...,) else parts
        )
        return (
            isinstance(value, list) and len(value) == len(kinds) and all(map(_fits, value, kinds))
        )
    if isinstance(origin, type) and issubclass(origin, Mapping):
        return isinstance(value, dict) and all(_fits(each, parts[1]) for each in value.values())
    if hint in (int, float):
        numbers = int if hint is int else (int, float)
        return isinstance(value, numbers) and not isinstance(value, bool) and math.isfinite(value)
    return hint is Any or isinstance(value, NoneType if hint is None else hint)
