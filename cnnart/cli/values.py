"""Values that a command line spells in its own way."""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Any

import click

from cnnart.config import SMALLEST_SIDE
from cnnart.errors import UsageError
from cnnart.jobs.recipe import layer_weights


class SizeType(click.ParamType):
    """``512`` (the long side) or ``1024x768`` (width x height) -> int or (height, width)."""

    name = "N|WxH"

    def convert(self, value: Any, param: Any, ctx: Any) -> int | tuple[int, int]:
        """Fails as wrong usage for anything else, and for what is too small to stylize."""
        found = re.fullmatch(r"(\d+)(?:\s*[xX\u00d7]\s*(\d+))?(?:\s*px)?", str(value).strip())
        if not found or 0 in (sides := [int(side) for side in found.groups() if side]):
            self.fail(f"{value!r} is no size: write 1024 (the long side) or 1024x768.", param, ctx)
        if min(sides) < SMALLEST_SIDE:
            self.fail(f"{value!r} is too small: {SMALLEST_SIDE} pixels at least.", param, ctx)
        return (sides[1], sides[0]) if len(sides) == 2 else sides[0]


class RepeatsType(click.ParamType):
    """``3x2`` (across x down) -> (rows, columns)."""

    name = "NxM"

    def convert(self, value: Any, param: Any, ctx: Any) -> tuple[int, int]:
        """Fails as wrong usage for anything else, and for more than 16 each way."""
        found = re.fullmatch(r"(\d+)\s*[xX\u00d7]\s*(\d+)", str(value).strip())
        if not found or not all(1 <= int(count) <= 16 for count in found.groups()):
            self.fail(f"{value!r} is no number of repeats: write 3x3, at most 16x16.", param, ctx)
        return int(found[2]), int(found[1])


class LayersType(click.ParamType):
    """``relu4_2,relu5_1:0.5`` -> weights by layer name."""

    name = "LAYER[:WEIGHT],..."

    def convert(self, value: Any, param: Any, ctx: Any) -> dict[str, float]:
        """Fails as wrong usage where ``layer_weights`` does."""
        try:
            return layer_weights(value)
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
        if not found or found[2] not in self._units or not float(found[1]):
            self.fail(f"{value!r} is no {self.name.lower()}: write {self._example}.", param, ctx)
        return float(found[1]) * self._units[found[2]]


BYTES = {"b": 1, "kb": 1 << 10, "mb": 1 << 20, "gb": 1 << 30, "tb": 1 << 40}
SECONDS = {"": 1, "s": 1, "sec": 1, "m": 60, "min": 60, "h": 3600}

MEMORY = UnitType(
    "MEMORY",
    BYTES | {u[0] + "i" + u[1]: n for u, n in BYTES.items() if len(u) == 2},
    "4GB or 800MB",
)
DURATION = UnitType("DURATION", SECONDS, "90s, 5m or 1h")
SIZE = SizeType()
REPEATS = RepeatsType()
LAYERS = LayersType()
