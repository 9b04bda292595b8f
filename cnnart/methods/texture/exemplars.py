"""What a patch method makes a texture from: exemplars, read as levels that it can compare exactly.

Levels are whole numbers in float64. Sums over windows are then exact, so the same windows are
chosen whatever the number of threads or the device.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass

import torch
import torch.nn.functional as F
from torch import Tensor

from cnnart.errors import UsageError
from cnnart.image.picture import Picture, resize
from cnnart.methods.texture.guide import Guide, check_guide

SMALLEST_EXEMPLAR = 8  # pixels a side: below it there are no patches to choose from
WHITE = 255
SMOOTH_WEIGHT = 1.5  # of the smoothed channels in ``perceived_levels``
BINOMIAL = (1.0, 4.0, 6.0, 4.0, 1.0)

LevelsOf = Callable[[Tensor, Tensor], Tensor]  # (1xCxHxW, usable HxW) -> LxHxW


@dataclass(frozen=True)
class PatchExemplar:
    """One exemplar of a patch method.

    ``pixels``: ``CxHxW``, what is copied. ``levels``: ``LxHxW`` float64, whole, what is compared.
    ``edges``: ``HxW``, see ``edges_of``. ``usable``: ``HxW`` bool, what may be copied.
    ``guide``: ``3xHxW`` whole levels, or None.
    ``weight``: how much of the result comes from it, relative to the others.
    """

    pixels: Tensor
    levels: Tensor
    edges: Tensor
    usable: Tensor
    guide: Tensor | None = None
    weight: float = 1.0

    @property
    def size(self) -> tuple[int, int]:
        return self.levels.shape[-2], self.levels.shape[-1]

    def whole_windows(self, side: int) -> Tensor:
        """``MxN`` bool: whether all of the window that begins at each row and column is usable."""
        return F.max_pool2d((~self.usable).float()[None, None], side, stride=1)[0, 0] == 0

    def whole_share(self, side: int) -> float:
        """The share of the windows that may be copied whole."""
        return float(self.whole_windows(side).float().mean())


@dataclass(frozen=True)
class PatchInputs:
    """What a texture of ``size`` (height, width) is made from; the other fields as in ``Quilting``.

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
            raise UsageError(f"A texture of {_pixels(self.size)} has no pixels: ask for more.")
        if self.guide is not None:
            check_guide(self.guide, self.exemplars, self.size)
        if self.inpaint is not None:
            _check_inpaint(*self.inpaint, self.exemplars[0], self.size)

    @property
    def kept(self) -> Tensor | None:
        """``HxW`` bool: the pixels of the picture to inpaint that stay as they are."""
        return None if self.inpaint is None else self.inpaint[1][0, 0] < 0.5

    def read(self, levels_of: LevelsOf, scale: float) -> list[PatchExemplar]:
        """The exemplars, enlarged ``scale`` times.

        Where one is the very picture to inpaint, the masked pixels are not usable.
        """
        if self.inpaint is not None and scale != 1:
            raise UsageError("A picture to inpaint keeps its own scale: leave `scale` out.")
        found = []
        for index, (exemplar, weight) in enumerate(zip(self.exemplars, self.weights, strict=True)):
            height, width = exemplar.shape[-2:]
            size = max(1, round(height * scale)), max(1, round(width * scale))
            usable = torch.ones(size, dtype=torch.bool, device=exemplar.device)
            if self.kept is not None and self._is_inpainted(exemplar):
                usable = self.kept
            picture = resize(exemplar, *size)
            _check_size(picture)
            levels = levels_of(picture, usable)
            edges, guide = edges_of(levels, usable), self._guide_levels(index, size)
            found.append(PatchExemplar(picture[0], levels, edges, usable, guide, weight))
        return found

    def _is_inpainted(self, exemplar: Tensor) -> bool:
        assert self.inpaint is not None
        picture = self.inpaint[0]
        return exemplar.shape == picture.shape and torch.equal(exemplar, picture)

    def _guide_levels(self, index: int, size: tuple[int, int]) -> Tensor | None:
        if self.guide is None or self.guide.weight == 0:
            return None
        device = self.exemplars[0].device
        source = self.guide.source[index].to(device)
        return color_levels(F.interpolate(source, size=size, mode="nearest-exact"))


def with_alpha(pictures: Sequence[Picture]) -> list[Tensor]:
    """The exemplars with alpha as a fourth channel, if any of them has it."""
    if not any(p.alpha is not None for p in pictures):
        return [p.rgb for p in pictures]
    opaque = (torch.ones_like(p.rgb[:, :1]) if p.alpha is None else p.alpha for p in pictures)
    return [torch.cat((p.rgb, alpha), 1) for p, alpha in zip(pictures, opaque, strict=True)]


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
            f"An exemplar of {_pixels(exemplar.shape[-2:])} is too small for a patch method: "
            f"{SMALLEST_EXEMPLAR}x{SMALLEST_EXEMPLAR} at least. Enlarge it with `scale`."
        )


def _check_inpaint(picture: Tensor, mask: Tensor, exemplar: Tensor, size: tuple[int, int]) -> None:
    for what, found in (("picture to inpaint", picture), ("mask", mask)):
        if tuple(found.shape[-2:]) != tuple(size):
            raise UsageError(
                f"The {what} is {_pixels(found.shape[-2:])}, but the result {_pixels(size)}: they "
                "must have the same size."
            )
    if picture.shape[1] != exemplar.shape[1]:
        raise UsageError("The picture to inpaint and the exemplar differ in transparency.")


def _pixels(size: Sequence[int]) -> str:
    return f"{size[1]}x{size[0]} pixels"


def color_levels(image: Tensor, usable: Tensor | None = None) -> Tensor:
    """``1xCxHxW`` in [0, 1] -> ``CxHxW`` of 0..255, whole; a fourth channel is alpha.

    The color of a transparent pixel is invisible and must not count, so colors are premultiplied.
    Pixels that are not ``usable`` (``HxW``; None: all are) become 0.
    """
    picture = image[0].to(torch.float64).clamp(0, 1)
    if len(picture) == 4:
        picture = torch.cat((picture[:3] * picture[3:], picture[3:]))
    levels = (picture * WHITE).round()
    return levels if usable is None else levels * usable


def perceived_levels(image: Tensor, usable: Tensor) -> Tensor:
    """``1xCxHxW`` -> ``4xHxW`` (``5xHxW`` with alpha), whole: what makes a seam visible.

    Brightness; the smoothed brightness and the two smoothed color differences, which count more:
    grain hides a seam between two stones, a step from gray to pink does not. Pixels that are not
    usable do not spread into the smoothed channels.
    """
    red, green, blue, *alpha = color_levels(image, usable)
    bright = (red + 2 * green + blue) / 4
    smoothed = _smooth(torch.stack((bright, blue - green, red - green)), usable)
    return torch.cat((bright[None], SMOOTH_WEIGHT * smoothed, *[a[None] for a in alpha])).round()


def _smooth(planes: Tensor, usable: Tensor) -> Tensor:
    """A binomial filter (deviation sqrt(3) pixels) over the usable pixels, of exact sums."""
    weights = usable.to(planes.dtype)
    planes = torch.cat((planes * weights, weights[None]))
    for _ in range(3):
        for axis in (1, 2):
            planes = _filter(planes, axis)
    return planes[:-1] / planes[-1:].clamp_min(1e-9)


def _filter(planes: Tensor, axis: int) -> Tensor:
    length = planes.shape[axis]
    total = torch.zeros_like(planes)
    for offset, weight in enumerate(BINOMIAL, start=-2):
        index = torch.arange(length, device=planes.device).add_(offset).clamp_(0, length - 1)
        total += weight / sum(BINOMIAL) * planes.index_select(axis, index)
    return total


def edges_of(levels: Tensor, known: Tensor) -> Tensor:
    """``...xLxHxW`` -> ``...xHxW``: how much each pixel differs from its ``known`` neighbors."""
    edges = torch.zeros_like(levels[..., 0, :, :])
    across = (levels[..., 1:] - levels[..., :-1]).abs().sum(-3)
    across *= known[..., 1:] & known[..., :-1]
    down = (levels[..., 1:, :] - levels[..., :-1, :]).abs().sum(-3)
    down *= known[..., 1:, :] & known[..., :-1, :]
    edges[..., 1:] += across
    edges[..., :-1] += across
    edges[..., 1:, :] += down
    edges[..., :-1, :] += down
    return edges
