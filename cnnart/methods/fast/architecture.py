"""The shape of a transformer network, as a checkpoint remembers it. Nothing here imports torch."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict, dataclass, fields, replace
from typing import Any

from cnnart.errors import UsageError, did_you_mean


@dataclass(frozen=True)
class Architecture:
    """An encoder, residual blocks at its coarsest resolution, and a decoder; no skip past them.

    ``widths``: channels at each resolution, each half the one before. ``stem``: the first of them
    is that much smaller than the picture; the last convolution's channels become pixels (see
    ``ConvSpec``). ``direct``: the encoder is one convolution, of pixels gathered into channels, to
    the coarsest resolution at once. ``separable``: residual blocks of depthwise and pointwise
    convolutions; in the decoder, which upsamples by repeating pixels (Odena et al. 2016), these
    would leave a grid. ``inner``: side of the residual blocks' kernels; ``outer``: of the last
    convolution's and, unless ``direct``, of the first's. ``noise``: channels of noise that the
    first convolution sees beside the photo (Ulyanov et al. 2016): without, a clear sky has nothing
    in it from which strokes could grow.
    """

    name: str
    widths: tuple[int, ...]
    blocks: int = 5
    stem: int = 1
    direct: bool = False
    separable: bool = False
    inner: int = 3
    outer: int = 9
    noise: int = 0

    @property
    def cell(self) -> int:
        """Side in pixels of the squares of the picture that become channels before the first
        convolution.
        """
        return self.stride if self.direct else self.stem

    @property
    def stride(self) -> int:
        """Pixels of the picture per pixel of the coarsest resolution, along each axis."""
        return int(self.stem * 2 ** (len(self.widths) - 1))

    def as_dict(self) -> dict[str, Any]:
        return asdict(self)


SWITCHES = ("direct", "separable")
MOST_NOISE = 16

# johnson: Johnson et al. 2016 as in pytorch/examples.
ARCHITECTURES = {
    "johnson": Architecture("johnson", (32, 64, 128)),
    "small": Architecture(
        "small", (32, 64), stem=2, direct=True, separable=True, inner=5, outer=3, noise=2
    ),
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
        return {"yes": True, "no": False}[value] if key in SWITCHES else int(value)
    except (ValueError, KeyError):
        raise UsageError(f"Architecture {text!r}: {key} cannot be {value!r}.") from None


def architecture_from(facts: Mapping[str, Any]) -> Architecture:
    """From ``as_dict``'s values, as a checkpoint holds them. Raises UsageError, TypeError."""
    return checked(Architecture(**{**facts, "widths": tuple(facts["widths"])}))


def checked(arch: Architecture) -> Architecture:
    """``arch``, if a network can have it. Raises UsageError."""
    kernels = (arch.inner, arch.outer)
    numbers = (*arch.widths, arch.stem, *kernels, arch.noise + 1)
    whole = all(isinstance(n, int) and n > 0 for n in numbers) and 0 <= arch.blocks <= 64
    whole = whole and arch.noise <= MOST_NOISE
    sane = whole and max(arch.widths) <= 1024 and arch.stem <= 8 and len(arch.widths) <= 5
    if not arch.widths or not sane or any(k % 2 == 0 or k > 15 for k in kernels):
        raise UsageError(
            f"Architecture {arch.name!r}: widths of 1 to 1024, odd kernels, up to 64 blocks and "
            f"{MOST_NOISE} channels of noise."
        )
    return arch
