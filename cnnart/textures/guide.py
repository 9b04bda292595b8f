"""A guide map: which place of the exemplar may serve which place of the result."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from torch import Tensor

from cnnart.errors import UsageError


@dataclass(frozen=True)
class Guide:
    """Two sides of a map: pixels of the result come from pixels of an exemplar guided alike.

    Args:
        source: one map per exemplar, ``1x3xhxw`` in [0, 1], of the exemplar's size.
        target: the wished map of the result, ``1x3xHxW`` in [0, 1], of the result's size.
        weight: 1 lets a difference in the guide count like the same one in colour; 0 ignores it.
    """

    source: Sequence[Tensor]
    target: Tensor
    weight: float = 1.0


def check_guide(guide: Guide, exemplars: Sequence[Tensor], size: tuple[int, int]) -> None:
    """Raise UsageError where the maps do not fit the exemplars or the result."""
    if len(guide.source) != len(exemplars):
        raise UsageError(
            f"{len(guide.source)} guide maps for {len(exemplars)} exemplars: give one for each."
        )
    for index, (source, exemplar) in enumerate(zip(guide.source, exemplars, strict=True), 1):
        _same_size(f"The guide map of exemplar {index}", source.shape[-2:], exemplar.shape[-2:])
    _same_size("The guide map of the result", guide.target.shape[-2:], size)


def _same_size(what: str, found: Sequence[int], wanted: Sequence[int]) -> None:
    if tuple(found) != tuple(wanted):
        raise UsageError(
            f"{what} is {found[1]}x{found[0]}, but must be {wanted[1]}x{wanted[0]}: resize it."
        )
