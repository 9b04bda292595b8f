"""Presets of the user's own: options of a command, each preset a TOML file in the config folder.

``ink.toml``, to be read and edited::

    command = "stylize"

    [options]
    style = ["ink-wash"]
    strength = 0.7
"""

from __future__ import annotations

import json
import re
import sys
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from cnnart.errors import CnnartError, UsageError, did_you_mean, reason
from cnnart.files import config_folder, is_file, open_file, write_atomically

NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9_-]{0,63}")
HEADER = """\
# A preset of cnnart, used by `cnnart {command} --preset {name}`. Options are called as on the
# command line, without the dashes; those that are given there win.
"""

Value = str | int | float | bool | Sequence[str | int | float]


@dataclass(frozen=True)
class OwnPreset:
    """``options``: values by the options' names, as the file has them."""

    name: str
    command: str
    options: Mapping[str, Any]


def presets_folder() -> Path:
    """Where they lie."""
    return config_folder() / "presets"


def preset_path(name: str) -> Path:
    """The file of the preset called so, there or not. Raises UsageError for what is no name."""
    if not NAME.fullmatch(name):
        raise UsageError(
            f"{name!r} is no name for a preset: use letters, digits, - and _, 64 at most."
        )
    return presets_folder() / f"{name}.toml"


def preset_names() -> list[str]:
    """The names of all, damaged ones too."""
    try:
        paths = sorted(presets_folder().glob("*.toml"))
    except OSError:
        return []
    return [path.stem for path in paths if NAME.fullmatch(path.stem) and is_file(path)]


def builtin_names() -> set[str]:
    """The names that cnnart's own presets have, of any command."""
    from cnnart.methods.dream.presets import DREAMS
    from cnnart.methods.stylize.config import PRESETS
    from cnnart.methods.texture.config import TEXTURE_PRESETS

    return {*PRESETS, *TEXTURE_PRESETS, *DREAMS}


def read_preset(name: str) -> OwnPreset:
    """The preset called so. Raises UsageError if there is none, CnnartError for a damaged one."""
    path = preset_path(name)
    if not is_file(path):
        names = preset_names()
        there = f"There is {', '.join(names)}." if names else "`save_preset` keeps one."
        raise UsageError(
            f"There is no preset {name!r} of your own.{did_you_mean(name, names)} {there}"
        )
    try:
        with open_file(path) as file:
            found = _parse(file.read().decode())
        command, options = found["command"], found.get("options", {})
    except (OSError, ValueError, RecursionError) as error:  # of TOML and of UTF-8, too
        raise _damaged(name, path, reason(error)) from None
    except KeyError:
        raise _damaged(name, path, "it does not say of which command it is") from None
    if not isinstance(command, str) or not isinstance(options, dict):
        raise _damaged(name, path, "command is to be a text and [options] a table")
    return OwnPreset(name, command, options)


def _parse(text: str) -> dict[str, Any]:
    if sys.version_info >= (3, 11):
        import tomllib
    else:
        import tomli as tomllib
    return tomllib.loads(text)


def _damaged(name: str, path: Path, why: str) -> CnnartError:
    return CnnartError(
        f"The preset {name!r} is damaged ({why.rstrip('.')}): mend {path}, or remove it by "
        f"`cnnart presets remove {name}`."
    )


def check_name(name: str) -> None:
    """Raise UsageError for a name that a preset of one's own cannot have."""
    preset_path(name)
    if name.lower() in builtin_names():
        raise UsageError(f"{name!r} is the name of a preset that comes with cnnart: use another.")


def save_preset(preset: OwnPreset) -> Path:
    """Write a preset, over an earlier one of its name; returns its path.

    Raises UsageError for its name or a file's that is no text, CnnartError if it cannot be written.
    """
    check_name(preset.name)
    path = preset_path(preset.name)
    lines = [f"{key} = {_toml(value)}" for key, value in preset.options.items()]
    header = HEADER.format(command=preset.command, name=preset.name)
    head = f'{header}command = "{preset.command}"\n\n[options]\n'
    try:
        data = (head + "\n".join(lines) + "\n").encode()
    except UnicodeEncodeError:
        raise UsageError(
            "A preset cannot keep a name that is not UTF-8: rename the file."
        ) from None
    try:
        write_atomically(path, data)
    except OSError as error:
        raise CnnartError(
            f"Cannot write {path} ({reason(error)}): set CNNART_CONFIG to a folder that you can "
            "write to."
        ) from error
    return path


def remove_preset(name: str) -> Path:
    """Remove a preset, damaged or not; returns where it was.

    Raises UsageError if there is none, CnnartError if it cannot be removed.
    """
    path = preset_path(name)
    if not is_file(path):
        read_preset(name)  # which says so
    try:
        path.unlink()
    except OSError as error:
        raise CnnartError(f"Cannot remove {path}: {reason(error)}.") from error
    return path


def _toml(value: Value) -> str:
    """A value as TOML has it. JSON's texts are TOML's, but for one control character."""
    if isinstance(value, bool):
        return "true" if value else "false"
    if isinstance(value, str):
        return json.dumps(value, ensure_ascii=False).replace("\x7f", "\\u007f")
    if isinstance(value, int | float):
        return repr(value)
    return f"[{', '.join(map(_toml, value))}]"
