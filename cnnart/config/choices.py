"""What the settings of several methods have in common."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from cnnart.errors import UsageError, did_you_mean

COARSEST = 96  # the first scale's long side is at least this

SMALLEST_SIDE = 16  # below it the network has nothing left to see at relu5_1

OPTIMIZERS = ("lbfgs", "adam")

STATISTICS = ("covariance", "gram", "wasserstein")

POOLINGS = ("max", "avg")

COLOR_MODES = ("style", "keep", "luma", "histogram")


@dataclass(frozen=True)
class Preset:
    """How much work to spend: evaluations per scale, from the coarsest to the finest.

    Scales beyond the last entry get as many as that.
    """

    evaluations: tuple[int, ...]


def one_of(what: str, value: str, known: Sequence[str] | Mapping[str, object]) -> None:
    """Raise UsageError, with the likeliest name meant, for a value that is not known."""
    if value not in known:
        hint = did_you_mean(value, list(known))
        raise UsageError(f"Unknown {what} {value!r}: use {', '.join(known)}.{hint}")
