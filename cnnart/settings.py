"""Settings: a field of a config dataclass that says its default, range, choices and help once.

The check, the Python API's "did you mean", the command line's option and the docs' table are all
made from that one place::

    @dataclass(frozen=True)
    class StylizeConfig(Settings):
        strength: float = setting(0.5, "How far from the photo.", low=0, high=1)

Nothing here imports torch or Click.
"""

from __future__ import annotations

import math
import re
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import MISSING, Field, dataclass, field, fields
from numbers import Integral, Real
from typing import Any, TypeVar, cast

from cnnart.errors import UsageError, did_you_mean

S = TypeVar("S", bound="Settings")

# What settings of several methods have in common.
COARSEST = 96  # pixels: the long side of the first pyramid level is at least this
LARGEST_SIDE = 10**6  # pixels: no format holds pictures of such a size
SMALLEST_SIDE = 16  # pixels: below it the network has nothing left to see at relu5_1
OPTIMIZERS = ("lbfgs", "adam")
STATISTICS = ("covariance", "gram", "wasserstein")
NAMED_MASKS = ["subject", "background", "person", "face"]  # found in each photo
CLASS_MASK = "class:"  # before the name of an ImageNet class: what there is of it
POOLINGS = ("max", "avg")
COLOR_MODES = ("style", "keep", "luma", "histogram")
PRECISIONS = ("auto", "fp32", "bf16", "fp16")

LARGEST_SEED = 2**63 - 1  # what torch and NumPy both take
MOST = 10**6  # of steps and the like, where nothing else limits them: more is a slip of the finger

KIND = "setting"  # the key of a field's metadata


@dataclass(frozen=True)
class Setting:
    """What a field of a config is.

    ``low``, ``high``: the range, both ends in it; ``above``, ``below``: the same, the ends not in
    it. ``ends``: what the two ends of the range mean, in a word each. ``choices``: every value.
    ``kind``: ``size``, ``layers`` or ``channels`` where the type alone does not tell how a command
    line spells it. ``shown``: the default as people are told, where it is computed. ``what``: the
    field's name in sentences, unless it is its own.
    """

    help: str
    low: float | None = None
    high: float | None = None
    above: float | None = None
    below: float | None = None
    ends: tuple[str, str] | None = None
    choices: tuple[str, ...] = ()
    kind: str = ""
    metavar: str | None = None
    shown: str | None = None
    what: str | None = None


def setting(default: Any, help: str, **facts: Any) -> Any:
    """A dataclass field with a ``Setting``; a default that is a dict is copied for each config."""
    metadata = {KIND: Setting(help, **facts)}
    if isinstance(default, dict):
        return field(default_factory=lambda: dict(default), metadata=metadata)
    return field(default=default, metadata=metadata)


class Settings:
    """The base of every config dataclass: one that is out of range cannot be made."""

    def __post_init__(self) -> None:
        """Raise UsageError for a value that is out of its range or unknown."""
        for each, known in settings_of(type(self)):
            value = getattr(self, each.name)
            if value is not None:
                what = known.what or each.name.replace("_", " ")
                check_type(what, value, str(each.type), known)
                check_value(what, value, known)


def settings_of(config: type) -> Iterator[tuple[Field[Any], Setting]]:
    """The fields of a config that are settings."""
    for each in fields(config):
        if KIND in each.metadata:
            yield each, each.metadata[KIND]


def setting_of(config: type, name: str) -> tuple[Any, Setting]:
    """A setting's default and what it is."""
    each, known = next(pair for pair in settings_of(config) if pair[0].name == name)
    made = each.default_factory
    return (each.default if made is MISSING else made()), known


def seed_setting() -> Any:
    """The field of a seed: one rule for all of them."""
    return setting(0, "Seed of all randomness.", low=0, high=LARGEST_SEED)


def size_setting(shown: str = "the photo's own") -> Any:
    """The field of a picture's size, which may be one for print: one rule for all of them."""
    return setting(
        None,
        "Long side of the result in pixels, or width x height; for print 60x40cm@300dpi, 8x10in, "
        "A4 or 24MP.",
        kind="size",
        shown=shown,
    )


def check_type(what: str, value: Any, annotation: str, known: Setting) -> None:
    """Raise UsageError for what is no number where one is needed, as ``annotation`` says."""
    if known.choices or known.kind or not set(annotation.split(" | ")) <= {"int", "float", "None"}:
        return
    if annotation.startswith("int"):
        if isinstance(value, bool) or not isinstance(value, Integral):
            raise UsageError(f"{_capital(what)} must be a whole number, not {value!r}.")
    elif isinstance(value, bool) or not isinstance(value, Real):
        raise UsageError(f"{_capital(what)} must be a number, not {value!r}.")
    if annotation.startswith("int") and known.high is known.below is None and value > MOST:
        raise UsageError(f"{_capital(what)} {value} is out of range: use up to {MOST}.")


def check_value(what: str, value: Any, known: Setting) -> None:
    """Raise UsageError for a value that ``known`` does not allow; ``what`` is its name."""
    if known.choices:
        one_of(what, value, known.choices)
        return
    if known.kind == "size":
        if isinstance(value, str):
            from cnnart.print_sizes import parse_print_size

            value = round(parse_print_size(value).largest_side)
        sides = value if isinstance(value, tuple | list) else (value,)
        if not all(isinstance(s, Integral) and not isinstance(s, bool) for s in sides):
            raise UsageError(f"Size must be a whole number or two of them, not {value!r}.")
        if known.low is not None and min(sides) < known.low:
            raise UsageError(f"Size {min(sides)} is too small: {known.low:g} pixels at least.")
        if max(sides) > LARGEST_SIDE:
            raise UsageError(f"Size {max(sides)} is too large: {LARGEST_SIDE} pixels at most.")
        return
    if isinstance(value, Real) and not _within(number := cast("float", value), known):
        raise UsageError(_out_of_range(what, number, known))


def _within(value: float, known: Setting) -> bool:
    """Whether a number is in its range; NaN and infinity never are."""
    return (
        math.isfinite(value)
        and (known.low is None or value >= known.low)
        and (known.high is None or value <= known.high)
        and (known.above is None or value > known.above)
        and (known.below is None or value < known.below)
    )


def _out_of_range(what: str, value: float, known: Setting) -> str:
    """The sentence for a number out of its range."""
    least = known.low if known.low is not None else known.above
    most = known.high if known.high is not None else known.below
    if least is not None and most is not None:
        first, last = (f" ({word})" for word in known.ends) if known.ends else ("", "")
        more = "more than " if known.low is None else ""
        to = "to " if known.high is not None else "less than "
        comma = "," if known.high is None else ""
        return (
            f"{_capital(what)} {_exactly(value)} is out of range: use {more}{_exactly(least)}"
            f"{first}{comma} {to}{_exactly(most)}{last}."
        )
    if not math.isfinite(value):
        return f"{_capital(what)} must be a number, not {value}."
    if known.low == 0:
        return f"The {what} must not be negative."
    if known.above == 0:
        return f"The {what} must be above zero, not {value:g}."
    return f"{_capital(what)} must be at least {least:g}, not {value:g}."


def _exactly(value: float) -> str:
    """A number for people; a whole one with all of its digits."""
    return str(value) if isinstance(value, Integral) else f"{value:g}"


def _capital(text: str) -> str:
    return text[:1].upper() + text[1:]


def one_of(what: str, value: object, known: Sequence[str] | Mapping[str, object]) -> None:
    """Raise UsageError, with the likeliest name meant, for a value that is not known."""
    if value not in known:
        hint = did_you_mean(str(value), list(known))
        raise UsageError(f"Unknown {what} {value!r}: use {', '.join(known)}.{hint}")


def make_config(
    config: type[S],
    settings: Mapping[str, Any],
    recommended: Sequence[Mapping[str, Any]] = (),
) -> S:
    """The defaults, under what all ``recommended`` say alike, under what was asked for.

    A setting that is None counts as not asked for. Layers may be given as text. Raises UsageError
    for an unknown setting (with the likeliest name meant) or one out of its range.
    """
    shared = {
        key: value
        for key, value in (recommended[0] if recommended else {}).items()
        if all(other.get(key) == value for other in recommended)
    }
    chosen = {**shared, **{key: value for key, value in settings.items() if value is not None}}
    known = {each.name: what for each, what in settings_of(config)}
    for key in chosen:
        if key not in known:
            raise UsageError(f"Unknown setting {key!r}.{did_you_mean(key, list(known))}")
        if known[key].kind == "layers":
            chosen[key] = layer_weights(chosen[key], negative=known[key].low is None)
    return config(**chosen)


def layer_weights(
    layers: str | Mapping[str, float] | Iterable[str], *, negative: bool = False
) -> dict[str, float]:
    """``"relu4_2,relu5_1:0.5"``, a list of such texts or a mapping -> weights by layer name.

    ``negative``: whether a weight may be zero or below. Raises UsageError otherwise, and for what
    is no list of layers.
    """
    if isinstance(layers, Mapping):
        found = dict(layers)
    else:
        items = layers.split(",") if isinstance(layers, str) else list(layers)
        pairs = [item.strip().partition(":") for item in items]
        parse = parse_number if negative else parse_weight
        found = {name: parse(weight or "1", name) for name, _, weight in pairs}
    if not found or "" in found:
        raise UsageError(f"No layer names in {layers!r}: write them like relu4_2,relu5_1:0.5.")
    return found


MOST_DIGITS = 9  # Python refuses to read thousands
MOST_CHANNELS = 1 << 16  # no network has layers with more; a slip of the finger may ask for them


def parse_channels(text: str) -> tuple[int, ...]:
    """``"0-63,70"`` -> 0, 1, ..., 63, 70; each once, in the order given.

    Raises UsageError for anything else.
    """
    channels: dict[int, None] = {}
    for part in text.split(","):
        found = re.fullmatch(r"\s*(\d+)\s*(?:-\s*(\d+)\s*)?", part)
        if not found:
            raise UsageError(f"Channels {text!r}: {part!r} is no number or range; write 0-63,70.")
        if max(map(len, (found[1], found[2] or ""))) > MOST_DIGITS:
            raise UsageError(f"Channels {text[:40]!r}: no layer has so many.")
        first, last = int(found[1]), int(found[2] or found[1])
        if last < first:
            raise UsageError(
                f"Channels {text!r}: {first}-{last} runs backwards; write {last}-{first}."
            )
        if last >= MOST_CHANNELS:
            raise UsageError(f"Channels {text!r}: no layer has a channel {last}.")
        channels.update(dict.fromkeys(range(first, last + 1)))
    return tuple(channels)


def parse_number(text: str, what: str) -> float:
    """A finite weight of any sign; ``what`` is named in the UsageError otherwise."""
    try:
        number = float(text)
    except ValueError:
        number = math.nan
    if not math.isfinite(number):
        raise UsageError(f"The weight {text!r} of {what!r} is not a number.")
    return number


def parse_weight(text: str, what: str) -> float:
    """A weight above zero; ``what`` is named in the UsageError otherwise."""
    try:
        weight = float(text)
    except ValueError:
        raise UsageError(f"The weight {text!r} of {what!r} is not a number.") from None
    if not (math.isfinite(weight) and weight > 0):
        raise UsageError(f"The weight of {what!r} must be above zero, not {text}.")
    return weight


def is_number(text: str) -> bool:
    """Whether ``text`` is one, as a weight after a colon is."""
    try:
        float(text)
    except ValueError:
        return False
    return True


def check_layers(what: str, layers: Mapping[str, float]) -> None:
    """Raise UsageError for negative weights, or where none is positive; ``what``: of what."""
    if any(weight < 0 for weight in layers.values()):
        raise UsageError("Layer weights must not be negative.")
    if not any(weight > 0 for weight in layers.values()):
        raise UsageError(f"No {what} has a positive weight: name at least one, like relu3_1.")
