"""A long pass over pictures that can be taken up again: its state in a JSON file."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

from cnnart.errors import CnnartError
from cnnart.image.writing import write_atomically


def read_state(path: Path) -> dict[str, Any] | None:
    """The state in a file, or None if there is none. Raises CnnartError if it is damaged."""
    try:
        state = json.loads(path.read_text(encoding="utf-8"))
    except FileNotFoundError:
        return None
    except (OSError, ValueError) as error:
        raise CnnartError(f"{path}: the unfinished run is damaged ({error}); delete it.") from error
    if not isinstance(state, dict) or "settings" not in state:
        raise CnnartError(f"{path}: this is no unfinished run of cnnart; choose another -o.")
    return state


def write_state(path: Path, state: dict[str, Any]) -> None:
    """Write a state, whole or not at all. Raises CnnartError if it cannot be written."""
    try:
        write_atomically(path, json.dumps(state).encode("utf-8"))
    except OSError as error:
        raise CnnartError(f"{path}: cannot be written ({error.strerror or error}).") from error
