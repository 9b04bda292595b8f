"""``--preset NAME`` and ``--save-preset NAME`` for presets of the user's own.

A preset stands for options before those of the command line: what is given there comes later and
wins. It is kept as it was typed, not as Click understood it.
"""

from __future__ import annotations

import os
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import click

from cnnart.commands.own_presets import (
    OwnPreset,
    check_name,
    preset_names,
    preset_path,
    read_preset,
    save_preset,
)
from cnnart.errors import CnnartError, UsageError, did_you_mean
from cnnart.files import as_path, is_file
from cnnart.settings import is_number

# What belongs to one run and not to its look, and is not kept.
OF_ONE_RUN = {
    *("preset", "save_preset", "output", "save_style", "fresh", "skip_existing", "dry_run"),
    *("quiet", "json", "debug"),
}
# What may name files: they are kept by their whole paths, to be found from other folders.
FILES = {
    *("styles", "mask", "masks", "init", "guide", "guides", "guide_target", "inpaint"),
    "companions",
}


def expand(command: click.Command, ctx: click.Context, args: Sequence[str]) -> list[str]:
    """The arguments, with the options of the user's preset before them if ``--preset`` names one.

    Raises CnnartError for one that is damaged, of another command, or says what cannot be.
    """
    given = typed(command, ctx, args)
    name = given.get("preset")
    if not isinstance(name, str) or not _is_own(name, command):
        return list(args)
    preset, names = read_preset(name), _by_spelling(command)
    if preset.command != command.name:
        raise UsageError(
            f"The preset {name!r} is one of `cnnart {preset.command}`, not of "
            f"`cnnart {command.name}`."
        )
    words: list[str] = []
    for key, value in preset.options.items():
        where = f"The preset {name!r} ({preset_path(name)})"
        param = names.get(key.replace("_", "-"))
        if param is None:
            raise UsageError(
                f"{where}: there is no option {key!r}.{did_you_mean(key, list(names))}"
            )
        try:
            made = _words(param, key, value, ctx)
        except click.BadParameter as error:
            raise UsageError(f"{where}: {key} = {value!r}: {error.message}") from None
        except CnnartError as error:
            raise UsageError(f"{where}: {key} = {value!r}: {error}") from None
        if param.name != "preset" and not (param.multiple and param.name in given):
            words += made
    return [*words, *args]


def builtin_of(name: str, known: Sequence[str], command: str) -> str | None:
    """The built-in preset that one of the user's own says; None if it says none.

    Raises UsageError, with what there is, where there is none of that name.
    """
    if name in preset_names():
        said = read_preset(name).options.get("preset")
        return None if said is None else str(said)
    own = [str(row["name"]) for row in listed() if row.get("command") == command]
    names = [*known, *own]
    there = f"There is {', '.join(names)}." if names else "`save_preset` keeps one."
    raise UsageError(f"No {command} preset {name!r}.{did_you_mean(name, names)} {there}")


def keep(ctx: click.Context, args: Sequence[str], name: str) -> Path:
    """Keep the options among the arguments as the preset of this name; returns its path."""
    check_name(name)
    given, options = typed(ctx.command, ctx, args), {}
    if (builtin := ctx.params.get("preset")) is not None:
        options["preset"] = builtin
    for spelling, param in _by_spelling(ctx.command).items():
        if param.name in given and param.name not in OF_ONE_RUN:
            value = given.pop(param.name)
            if param.name in FILES:
                value = [whole(v) for v in value] if param.multiple else whole(value)
            options[spelling] = _plain(value, param)
    if not options:
        raise UsageError("`save_preset` keeps the options that are given, and there are none.")
    return save_preset(OwnPreset(name, str(ctx.command.name), options))


def typed(command: click.Command, ctx: click.Context, args: Sequence[str]) -> dict[str, Any]:
    """The options among the arguments by their parameters' names, as they were typed."""
    given, _, _ = command.make_parser(ctx).parse_args(list(args))
    options = {param.name for param in command.params if isinstance(param, click.Option)}
    return {name: value for name, value in given.items() if name in options}


def whole(text: str) -> str:
    """``STYLE:WEIGHT``, ``inverse:MASK``, ``CHECKPOINT:PICTURE`` with whole paths of the files."""
    path = as_path(text) if text and "\0" not in text else Path()
    if is_file(path) and (path.suffix or len(path.parts) > 1):  # as no name of a style looks
        return os.path.abspath(path)  # noqa: PTH100  # as it is called: links stay
    head, colon, tail = text.rpartition(":")
    if not colon:
        return text
    return f"{whole(head)}:{tail if is_number(tail) else whole(tail)}"


def _is_own(name: str, command: click.Command) -> bool:
    """Whether a preset's name is not one of this command's, and there is one of the user's."""
    of_command = next(param.type for param in command.params if param.name == "preset")
    return name not in getattr(of_command, "known", ()) and name in preset_names()


def _by_spelling(command: click.Command) -> dict[str, click.Option]:
    """The options that a preset may have, by each name without dashes, the usual one first."""
    found: dict[str, click.Option] = {}
    for param in command.params:
        if not isinstance(param, click.Option) or param.name == "save_preset":
            continue
        if not param.expose_value or (param.is_flag and not isinstance(_on(param), bool)):
            continue  # --help and its like; --no-metadata is said by --metadata
        for flag in sorted(param.opts, key=len, reverse=True):
            if flag.startswith("--"):
                found.setdefault(flag[2:], param)
    return found


def _on(param: click.Option) -> Any:
    """What a flag stands for."""
    return True if param.is_bool_flag else param.flag_value


def _words(param: click.Option, key: str, value: Any, ctx: click.Context) -> list[str]:
    """A value of a preset as words of a command line. Raises BadParameter, CnnartError."""
    flag = max(param.opts, key=len)
    if param.is_flag:
        if not isinstance(value, bool):
            raise UsageError("write true or false.")
        off = max(param.secondary_opts, key=len, default=None)
        return [flag] if value else [off] if off else []
    several = value if isinstance(value, list) else [value]
    if isinstance(value, list) and not param.multiple:
        raise UsageError("one value is needed, not a list.")
    words = []
    for each in several:
        if isinstance(each, bool) or not isinstance(each, str | int | float):
            raise UsageError("write a number or a text.")
        if param.name == "preset" and each not in getattr(param.type, "known", ()):
            raise UsageError("only a preset that comes with cnnart can be in another.")
        param.type.convert(str(each), param, ctx)
        words.append(f"{flag}={each}")
    return words


def _plain(value: Any, param: click.Option) -> Any:
    """A typed value as TOML is to have it: numbers as such."""
    if isinstance(value, list | tuple):
        return [str(each) for each in value]
    if isinstance(value, bool) or param.name in FILES:
        return value
    if param.is_flag:
        return bool(value)
    text = str(value)
    if text.isascii() and text.isdigit() and str(int(text[:15])) == text:
        return int(text)
    return float(text) if isinstance(param.type, click.types.FloatParamType) else text


def listed() -> list[Mapping[str, Any]]:
    """All of the user's presets: name, path, and command and options, or what is wrong."""
    rows: list[Mapping[str, Any]] = []
    for name in preset_names():
        row: dict[str, Any] = {"name": name, "path": str(preset_path(name))}
        try:
            preset = read_preset(name)
            rows.append(row | {"command": preset.command, "options": dict(preset.options)})
        except CnnartError as error:
            rows.append(row | {"error": str(error)})
    return rows
