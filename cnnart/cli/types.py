"""Values that a command line spells in its own way, and options made from settings."""

from __future__ import annotations

import math
import re
from collections.abc import Mapping, Sequence
from typing import Any

import click
import cloup
from click.shell_completion import CompletionItem

from cnnart.errors import UsageError, as_flags
from cnnart.settings import (
    LARGEST_SIDE,
    SMALLEST_SIDE,
    Setting,
    is_number,
    layer_weights,
    parse_channels,
    setting_of,
)


class SizeType(click.ParamType):
    """``512`` (the long side) or ``1024x768`` (width x height) -> int or (height, width).

    ``printed``: sizes for print, too (``cnnart.print_sizes``), which stay text.
    """

    def __init__(self, *, printed: bool = False) -> None:
        self.name = "N|WxH|PRINT" if printed else "N|WxH"
        self._printed = printed

    def convert(self, value: Any, param: Any, ctx: Any) -> int | tuple[int, int] | str:
        """Fails as wrong usage for anything else, and for what is too small to stylize."""
        found = re.fullmatch(r"(\d+)(?:\s*[xX\u00d7]\s*(\d+))?(?:\s*px)?", str(value).strip())
        sides = [int(side[:10]) for side in found.groups() if side] if found else []
        if not found and self._printed:
            from cnnart.print_sizes import parse_print_size

            try:
                parse_print_size(str(value))
            except UsageError as error:
                self.fail(str(error), param, ctx)
            return str(value).strip()
        if not found or 0 in sides:
            self.fail(f"{value!r} is no size: write 1024 (the long side) or 1024x768.", param, ctx)
        if min(sides) < SMALLEST_SIDE:
            self.fail(
                f"{value!r} is too small a size: {SMALLEST_SIDE} pixels at least.", param, ctx
            )
        if max(sides) > LARGEST_SIDE:
            self.fail(f"{value!r} is too large: {LARGEST_SIDE} pixels at most.", param, ctx)
        return (sides[1], sides[0]) if len(sides) == 2 else sides[0]


class RepeatsType(click.ParamType):
    """``3x2`` (across x down) -> (rows, columns)."""

    name = "NxM"

    def convert(self, value: Any, param: Any, ctx: Any) -> tuple[int, int]:
        """Fails as wrong usage for anything else, and for more than 16 each way."""
        found = re.fullmatch(r"(\d+)\s*[xX\u00d7]\s*(\d+)", str(value).strip())
        if not found or not all(1 <= int(count[:9]) <= 16 for count in found.groups()):
            self.fail(f"{value!r} is no number of repeats: write 3x3, at most 16x16.", param, ctx)
        return int(found[2]), int(found[1])


class LayersType(click.ParamType):
    """``relu4_2,relu5_1:0.5`` -> weights by layer name; ``negative``: zero and below, too."""

    name = "LAYER[:WEIGHT],..."

    def __init__(self, *, negative: bool = False) -> None:
        self._negative = negative

    def convert(self, value: Any, param: Any, ctx: Any) -> dict[str, float]:
        """Fails as wrong usage where ``layer_weights`` does."""
        try:
            return layer_weights(value, negative=self._negative)
        except UsageError as error:
            self.fail(str(error), param, ctx)


class ChannelsType(click.ParamType):
    """``0-63,70`` -> 0, 1, ..., 63, 70."""

    name = "N,A-B,..."

    def convert(self, value: Any, param: Any, ctx: Any) -> tuple[int, ...]:
        """Fails as wrong usage where ``parse_channels`` does."""
        try:
            return value if isinstance(value, tuple) else parse_channels(value)
        except UsageError as error:
            self.fail(str(error), param, ctx)


class UnitType(click.ParamType):
    """A number with a unit -> a number of the smallest unit."""

    def __init__(self, name: str, units: Mapping[str, float], example: str) -> None:
        self.name = name
        self._units = units
        self._example = example

    def convert(self, value: Any, param: Any, ctx: Any) -> float:
        """Fails as wrong usage for an unknown unit, and for what is not above zero."""
        found = re.fullmatch(r"(\d+(?:\.\d+)?)\s*([a-z]*)", str(value).strip().lower())
        number = float(found[1]) if found else 0.0
        if not found or found[2] not in self._units or not 0 < number < math.inf:
            self.fail(f"{value!r} is no {self.name.lower()}: write {self._example}.", param, ctx)
        return number * self._units[found[2]]


BYTES = {"b": 1, "kb": 1 << 10, "mb": 1 << 20, "gb": 1 << 30, "tb": 1 << 40}
SECONDS = {"": 1, "s": 1, "sec": 1, "m": 60, "min": 60, "h": 3600}

MEMORY = UnitType(
    "MEMORY",
    BYTES | {u[0] + "i" + u[1]: n for u, n in BYTES.items() if len(u) == 2},
    "4GB or 800MB",
)
DURATION = UnitType("DURATION", SECONDS, "90s, 5m or 1h")
SIZE = SizeType()
PRINT_SIZE = SizeType(printed=True)
REPEATS = RepeatsType()
LAYERS = LayersType()
METAVARS = {"layers": LAYERS.name, "channels": ChannelsType.name, "time": "TIME"}


class TimeType(click.ParamType):
    """``0:10``, ``1:02:03.5``, ``90`` or ``90s`` -> seconds."""

    name = "TIME"

    def convert(self, value: Any, param: Any, ctx: Any) -> float:
        """Fails as wrong usage for anything else."""
        text = str(value).strip().lower()
        found = re.fullmatch(r"(?:(?:(\d{1,4}):)?(\d{1,6}):)?(\d{1,9}(?:\.\d+)?)\s*s?", text)
        if not found:
            self.fail(f"{value!r} is no time in a clip: write 0:10, 1:02:03.5 or 90.", param, ctx)
        hours, minutes, seconds = (float(part or 0) for part in found.groups())
        return 3600 * hours + 60 * minutes + seconds


class FiniteFloat(click.FloatRange):
    """A float range that NaN is not in: each comparison with it is False, and Click's are not."""

    def convert(self, value: Any, param: Any, ctx: Any) -> float:
        """Fails as wrong usage for what is no number, and out of the range."""
        number: float = super().convert(value, param, ctx)
        if math.isnan(number):
            self.fail(f"{value!r} is not in the range {self._describe_range()}.", param, ctx)
        return number


class StrokeType(click.ParamType):
    """A number, or text that the setting itself checks: ``pixels=2``."""

    name = "stroke"

    def convert(self, value: Any, param: Any, ctx: Any) -> float | str:
        return float(value) if is_number(str(value)) else str(value)


class PresetType(click.ParamType):
    """The name of a preset: one of ``known``, or of the user's own, which gives the one that it
    says in turn, or None.
    """

    name = "NAME"

    def __init__(self, known: Sequence[str] = ()) -> None:
        self.known = tuple(known)

    def convert(self, value: Any, param: Any, ctx: Any) -> str | None:
        """Raises UsageError for a name that is neither."""
        if value in self.known:
            return str(value)
        from cnnart.cli.own_presets import builtin_of

        return builtin_of(str(value), self.known, ctx.command.name if ctx else "such")

    def shell_complete(self, ctx: click.Context, param: Any, incomplete: str) -> list[Any]:
        """The names that there are."""
        from cnnart.commands.own_presets import preset_names

        names = (*self.known, *preset_names())
        return [CompletionItem(name) for name in names if name.startswith(incomplete)]


TIME = TimeType()


def setting_option(config: type, name: str, *flags: str, **more: Any) -> Any:
    """The option for a field of a config: its type, range, choices, default and help.

    Its value is None where the user did not give it, so that a style's own recommendation holds.

    Args:
        flags: further spellings (``-l``), or instead of ``--{name}`` if one begins with ``--``.
        more: takes the place of what the setting says: ``help``, ``type``, ``metavar``, ...
    """
    default, known = setting_of(config, name)
    spelled = (
        () if any(flag.startswith("--") for flag in flags) else (f"--{name.replace('_', '-')}",)
    )
    help = more.pop("help", known.help)
    annotation = str(config.__annotations__[name])
    if annotation.startswith("bool"):
        on = f"--{name.replace('_', '-')}"
        shown = on if default else on.replace("--", "--no-", 1)
        flag = f"{on}/{on.replace('--', '--no-', 1)}"
        return cloup.option(flag, name, default=None, help=_told(help, shown[2:]), **more)
    shown = known.shown or _shown(default)
    kind = _type_of(known, annotation)
    metavar = kind.name if isinstance(kind, SizeType) else METAVARS.get(known.kind)
    options: dict[str, Any] = {"type": kind, "metavar": known.metavar or metavar} | more
    return cloup.option(*flags, *spelled, name, default=None, help=_told(help, shown), **options)


def _type_of(known: Setting, annotation: str) -> Any:
    """The Click type of a setting."""
    if known.choices:
        return click.Choice(known.choices)
    if known.kind == "size":
        return PRINT_SIZE if "str" in annotation else SIZE
    if known.kind == "layers":
        return LayersType(negative=known.low is None)
    if known.kind == "channels":
        return ChannelsType()
    if known.kind == "stroke":
        return StrokeType()
    if known.kind == "time":
        return TIME
    least = known.low if known.low is not None else known.above
    most = known.high if known.high is not None else known.below
    ranged = least is not None or most is not None
    if annotation.startswith("int"):
        if not ranged:
            return int
        return click.IntRange(
            None if least is None else int(least), None if most is None else int(most)
        )
    if annotation.startswith("float"):
        if not ranged:
            return float
        return FiniteFloat(
            least, most, min_open=known.above is not None, max_open=known.below is not None
        )
    return str


def _shown(default: Any) -> str:
    """A default as the help shows it."""
    if isinstance(default, Mapping):
        return ",".join(key if value == 1 else f"{key}:{value:g}" for key, value in default.items())
    return str(default)


def _told(help: str, shown: str) -> str:
    return as_flags(f"{help}  [default: {shown}]")
