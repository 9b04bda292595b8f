"""What a patch method is asked to make, checked."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import torch
from torch import Tensor

from cnnart.errors import UsageError
from cnnart.image import resize
from cnnart.textures.guide import Guide, check_guide
from cnnart.textures.sources import LevelsOf, Source, color_levels, edges_of

SMALLEST_EXEMPLAR = 8  # pixels a side: below it there are no patches to choose from


@dataclass(frozen=True)
class Hole:
    """``image`` (``1xCxHxW``) is to be synthesized anew where ``mask`` (``1x1xHxW``) is 1."""

    image: Tensor
    mask: Tensor

    @property
    def given(self) -> Tensor:
        """``HxW`` bool: the pixels to leave as they are."""
        return self.mask[0, 0] < 0.5

    def is_in(self, picture: Tensor) -> bool:
        return picture.shape == self.image.shape and torch.equal(picture, self.image)


@dataclass(frozen=True)
class Request:
    """A texture of ``size`` (height, width), the other fields as in ``Quilting``.

    Raises UsageError for what does not fit together.
    """

    exemplars: Sequence[Tensor]
    weights: Sequence[float]
    size: tuple[int, int]
    guide: Guide | None = None
    inpaint: tuple[Tensor, Tensor] | None = None

    def __post_init__(self) -> None:
        _check_exemplars(self.exemplars, self.weights)
        if min(self.size) < 1:
            raise UsageError(f"A texture of {_told(self.size)} has no pixels: ask for more.")
        if self.guide is not None:
            check_guide(self.guide, self.exemplars, self.size)
        if self.inpaint is not None:
            _check_hole(Hole(*self.inpaint), self.exemplars[0], self.size)

    @property
    def hole(self) -> Hole | None:
        return None if self.inpaint is None else Hole(*self.inpaint)

    def sources(self, levels_of: LevelsOf, scale: float) -> list[Source]:
        """The exemplars, enlarged ``scale`` times.

        Where one is the very picture that has the hole, the hole's pixels are not usable.
        """
        if self.inpaint is not None and scale != 1:
            raise UsageError("A picture to inpaint keeps its own scale: leave --scale out.")
        sources = []
        for index, (exemplar, weight) in enumerate(zip(self.exemplars, self.weights, strict=True)):
            height, width = exemplar.shape[-2:]
            size = max(1, round(height * scale)), max(1, round(width * scale))
            usable = torch.ones(size, dtype=torch.bool, device=exemplar.device)
            if self.hole is not None and self.hole.is_in(exemplar):
                usable = self.hole.given
            picture = resize(exemplar, *size)
            _check_size(picture)
            levels = levels_of(picture, usable)
            edges, guiding = edges_of(levels, usable), self._guiding(index, size)
            sources.append(Source(picture[0], levels, edges, usable, guiding, weight))
        return sources

    def _guiding(self, index: int, size: tuple[int, int]) -> Tensor | None:
        if self.guide is None or self.guide.weight == 0:
            return None
        device = self.exemplars[0].device
        guiding = torch.nn.functional.interpolate(
            self.guide.source[index].to(device), size=size, mode="nearest-exact"
        )
        return color_levels(guiding, torch.ones(size, dtype=torch.bool, device=device))


def _check_exemplars(exemplars: Sequence[Tensor], weights: Sequence[float]) -> None:
    if not exemplars:
        raise UsageError("No exemplar given: name a picture of the texture.")
    if len(weights) != len(exemplars):
        raise UsageError(f"{len(weights)} weights for {len(exemplars)} exemplars: give one each.")
    if min(weights) < 0 or max(weights) <= 0:
        raise UsageError("The weights of the exemplars must not be negative, and not all zero.")
    if len({exemplar.shape[1] for exemplar in exemplars}) > 1:
        raise UsageError("Some exemplars have transparency and some have not: convert them alike.")


def _check_size(exemplar: Tensor) -> None:
    if min(exemplar.shape[-2:]) < SMALLEST_EXEMPLAR:
        raise UsageError(
            f"An exemplar of {_told(exemplar.shape[-2:])} is too small for a patch method: "
            f"{SMALLEST_EXEMPLAR}x{SMALLEST_EXEMPLAR} at least. Enlarge it with --scale."
        )


def _check_hole(hole: Hole, exemplar: Tensor, size: tuple[int, int]) -> None:
    for what, found in (("picture to inpaint", hole.image), ("mask", hole.mask)):
        if tuple(found.shape[-2:]) != tuple(size):
            raise UsageError(
                f"The {what} is {_told(found.shape[-2:])}, but the result {_told(size)}: they must "
                "have the same size."
            )
    if hole.image.shape[1] != exemplar.shape[1]:
        raise UsageError("The picture to inpaint and the exemplar differ in transparency.")


def _told(size: Sequence[int]) -> str:
    return f"{size[1]}x{size[0]} pixels"
