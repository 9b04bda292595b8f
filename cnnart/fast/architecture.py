"""The shape of a transformer network, as a checkpoint remembers it. Nothing here imports torch."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict, dataclass, fields, replace
from typing import Any

from cnnart.errors import UsageError, did_you_mean

UPSCALES = ("resize", "shuffle")
PADDINGS = ("reflect", "zeros")


@dataclass(frozen=True)
class Architecture:
    """An encoder, residual blocks at its coarsest resolution, and a decoder; no skip past them.

    ``widths``: channels at each resolution, each half the one before. ``stem``: the first of them
    is that much smaller than the picture (pixel-unshuffle in, pixel-shuffle or resizing out).
    ``separable``: blocks of depthwise and pointwise convolutions. ``up``: enlarge by resizing and
    convolving, or by convolving and shuffling pixels, which starts as the same map (ICNR, Aitken
    et al. 2017) and is smoothed so that no grid can be learned (see ``Shape``). ``outer``: side of
    the first and the last kernel.
    """

    name: str
    widths: tuple[int, ...]
    blocks: int = 5
    stem: int = 1
    separable: bool = False
    up: str = "resize"
    outer: int = 9
    padding: str = "reflect"

    @property
    def stride(self) -> int:
        """Pixels of the picture per unit of the coarsest resolution, along each axis."""
        return int(self.stem * 2 ** (len(self.widths) - 1))

    def as_dict(self) -> dict[str, Any]:
        return asdict(self)


# johnson: Johnson et al. 2016 as in pytorch/examples.
ARCHITECTURES = {
    "johnson": Architecture("johnson", (32, 64, 128)),
    "small": Architecture("small", (32, 64), stem=2, up="shuffle", outer=5),
    "layout16": Architecture("layout16", (16, 32, 64)),
    "quarter": Architecture("quarter", (64,), stem=4, up="shuffle", outer=3),
}


def make_architecture(text: str) -> Architecture:
    """``small``, or a variation: ``small,blocks=7,widths=32-96,separable=yes``.

    Raises UsageError for an unknown name or field and for values that make no network.
    """
    name, *changes = text.split(",")
    if name not in ARCHITECTURES:
        known = list(ARCHITECTURES)
        hint = did_you_mean(name, known)
        raise UsageError(f"Unknown architecture {name!r}: use {', '.join(known)}.{hint}")
    found: dict[str, Any] = {}
    for change in changes:
        key, _, value = change.partition("=")
        found[key] = _value(key, value, text)
    if found:
        found["name"] = text
    return checked(replace(ARCHITECTURES[name], **found))


def _value(key: str, value: str, text: str) -> Any:
    known = [f.name for f in fields(Architecture) if f.name != "name"]
    if key not in known:
        raise UsageError(f"Architecture {text!r}: no field {key!r}.{did_you_mean(key, known)}")
    try:
        if key == "widths":
            return tuple(int(width) for width in value.split("-"))
        if key == "separable":
            return {"yes": True, "no": False}[value]
        return value if key in ("up", "padding") else int(value)
    except (ValueError, KeyError):
        raise UsageError(f"Architecture {text!r}: {key} cannot be {value!r}.") from None


def architecture_from(facts: Mapping[str, Any]) -> Architecture:
    """From ``as_dict``'s values, as a checkpoint holds them. Raises UsageError, TypeError."""
    return checked(Architecture(**{**facts, "widths": tuple(facts["widths"])}))


def checked(arch: Architecture) -> Architecture:
    """``arch``, if a network can have it. Raises UsageError."""
    numbers = (*arch.widths, arch.stem, arch.outer)
    whole = all(isinstance(n, int) and n > 0 for n in numbers) and 0 <= arch.blocks <= 64
    sane = whole and max(arch.widths) <= 1024 and arch.stem <= 8 and len(arch.widths) <= 5
    if not arch.widths or not sane or arch.outer % 2 == 0 or arch.outer > 15:
        raise UsageError(
            f"Architecture {arch.name!r}: widths of 1 to 1024, an odd kernel and up to 64 blocks."
        )
    if arch.up not in UPSCALES or arch.padding not in PADDINGS:
        raise UsageError(
            f"Architecture {arch.name!r}: up is {' or '.join(UPSCALES)}, "
            f"padding {' or '.join(PADDINGS)}."
        )
    return arch
