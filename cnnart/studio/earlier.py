"""Results of earlier sessions, where the folder was kept: found by the records in them."""

from __future__ import annotations

import secrets
import shlex
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from cnnart.errors import CnnartError, UsageError
from cnnart.run.record import read_record_of
from cnnart.studio.paintings import KEPT_INPUTS
from cnnart.studio.pictures import Pictures
from cnnart.studio.request import CONFIGS, option_words

MOST_EARLIER = 60  # the latest
RESULTS = (".png", ".mp4")


def earlier_results(folder: Path, pictures: Pictures) -> list[dict[str, Any]]:
    """The facts of what lies in a folder of results, as ``Painting.facts`` has them, oldest first.

    Files without a record, or of commands that the studio does not run, are passed over.
    """
    try:
        paths = [path for path in folder.iterdir() if path.suffix in RESULTS]
        paths.sort(key=lambda path: path.stat().st_mtime)
    except OSError:
        return []
    found = []
    for path in paths[-MOST_EARLIER:]:
        try:
            record = read_record_of(path)
            if record["command"] in CONFIGS:
                found.append(_facts(path, record, pictures))
        except (CnnartError, OSError, KeyError, TypeError, ValueError):
            continue  # not one of ours, or damaged
    return found


def _facts(path: Path, record: Mapping[str, Any], pictures: Pictures) -> dict[str, Any]:
    height, width = record["run"]["size"]
    seconds = 0.0 if path.suffix == ".mp4" else None
    known = pictures.know(path, given=str(path), size=(width, height), seconds=seconds)
    again = path.with_name(f"{path.stem}-again{path.suffix}")
    inputs = ["--inputs", str(path.parent / KEPT_INPUTS)]
    inputs = inputs if (path.parent / KEPT_INPUTS).is_dir() else []
    return {
        "id": secrets.token_hex(8),
        "state": "stopped" if "interrupted_at" in record else "done",
        "command": record["command"],
        "label": _label(record),
        "command_line": shlex.join(["cnnart", "rerun", str(path), *inputs, "-o", str(again)]),
        "asked": None,
        "result": known.facts(),
        "latest": {},
    }


def _label(record: Mapping[str, Any]) -> str:
    """Its styles or its preset, and the settings that are not as usual."""
    settings, config = record["settings"], CONFIGS[record["command"]]
    styles = [str(each.get("style") or each["name"]) for each in record.get("styles", [])]
    words = ["+".join(styles)] if styles else []
    for name, value in settings.items():
        value = tuple(value) if isinstance(value, list) else value
        if isinstance(value, bool | int | float | str | tuple):
            try:
                words += option_words(config, {name: value})
            except UsageError:
                continue  # of another version
    return " ".join(words) or record["photo"]["name"]
