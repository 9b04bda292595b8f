"""The record inside every picture: with what it was made, as JSON, enough to make it again.

It holds file names and paths as they were given, and nothing else about the machine.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from cnnart import __version__
from cnnart.errors import CnnartError
from cnnart.jobs.files import Source
from cnnart.weights.cache import file_sha256

FORMAT = 1

# Commands whose pictures can be made again: where their function ``replay(record, files)`` is.
REPLAYS = {
    "stylize": "cnnart.jobs.stylizing",
    "texture": "cnnart.jobs.texturing",
    "dream": "cnnart.jobs.dreaming",
    "noise": "cnnart.jobs.noise_dreams",
    "sheet": "cnnart.jobs.sheets",
    "fast-stylize": "cnnart.jobs.fast_stylizing",
}


def sha256_of(content: Path | bytes) -> str:
    """The SHA-256 of a file or of bytes, in hexadecimal."""
    if isinstance(content, bytes):
        return hashlib.sha256(content).hexdigest()
    return file_sha256(content)


def describe_photo(source: Source) -> dict[str, str]:
    """Name, path as given and SHA-256 of a photo."""
    return describe_file(source.given, source.path or (source.data or b""))


def describe_file(given: str, content: Path | bytes) -> dict[str, str]:
    """Name, path as given and SHA-256 of any input. Reads it: belongs before a long run."""
    name = content.name if isinstance(content, Path) else "stdin"
    return {"name": name, "path": given, "sha256": sha256_of(content)}


def build_record(
    command: str,
    photo: Mapping[str, str],
    recipe: Mapping[str, Any],
    run: Mapping[str, Any],
    *,
    interrupted_at: int | None = None,
) -> str:
    """The JSON text for a picture made by a command.

    Args:
        command: ``stylize``, ``texture``, ...: who can replay it.
        photo: from ``describe_photo``.
        recipe: all else it is made of, as the command's own ``replay`` reads it back.
        run: what it ran on: ``backbone``, ``weights_sha256``, ``device``, ``precision``, ``torch``,
            ``size`` (height, width), ``quality``.
        interrupted_at: the step after which it was stopped; None for a whole run.
    """
    record = {
        "cnnart": __version__,
        "format": FORMAT,
        "command": command,
        "photo": dict(photo),
        **recipe,
        "run": dict(run),
    }
    if interrupted_at is not None:
        record["interrupted_at"] = interrupted_at
    return json.dumps(record)


def read_record_of(path: Path) -> dict[str, Any]:
    """The record in a picture. Raises CnnartError when there is none or it is of no use here."""
    from cnnart.image import read_record

    text = read_record(path)
    if text is None:
        raise CnnartError(
            f"{path}: no cnnart record in it (made elsewhere, edited, or with --no-metadata)."
        )
    try:
        record = json.loads(text)
        usable = record["format"] == FORMAT and record["command"] in REPLAYS
    except (ValueError, KeyError, TypeError):
        raise CnnartError(f"{path}: its cnnart record is damaged.") from None
    if not usable:
        made = f"cnnart {record.get('cnnart')}, command {record['command']!r}"
        raise CnnartError(f"{path}: its record ({made}) cannot be run by cnnart {__version__}.")
    return dict(record)


def is_unfinished(path: Path) -> bool:
    """Whether a run was interrupted before it had finished this picture."""
    try:
        return "interrupted_at" in read_record_of(path)
    except CnnartError:
        return False
