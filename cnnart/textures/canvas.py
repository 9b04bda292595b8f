"""The picture being put together from copies, and where each pixel comes from."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import torch
from torch import Tensor

from cnnart.textures.request import Hole
from cnnart.textures.sources import LevelsOf, Source, edges_of


@dataclass(frozen=True)
class Places:
    """Square windows of a canvas: ``rows`` ``BxPx1`` and ``columns`` ``Bx1xP``, wrapped around."""

    rows: Tensor
    columns: Tensor

    def __getitem__(self, chosen: Sequence[int]) -> Places:
        """Some of them, in any order, also more than once."""
        return Places(self.rows[chosen], self.columns[chosen])


class Canvas:
    """``size`` may be larger than the result, which is then its upper left corner.

    ``pixels``: ``CxHxW``; the exemplar's mean colour where nothing is ``known`` (``HxW``) yet.
    ``levels``: ``LxHxW`` int16, as compared; ``edges``: ``HxW``, theirs before they were cut.
    ``origin``: ``HxWx3`` int32; -1 where it is from no
    exemplar. ``fixed``: ``HxW``, given from outside and never painted over.
    """

    def __init__(self, size: tuple[int, int], sources: Sequence[Source]) -> None:
        self.sources = sources
        some, (height, width) = sources[0], size
        device = some.levels.device
        self.height, self.width = size
        self.pixels = some.pixels.mean((1, 2))[:, None, None].repeat(1, height, width)
        self.levels = some.levels.new_zeros((len(some.levels), height, width), dtype=torch.int16)
        self.edges = torch.zeros_like(self.levels[0])
        self.origin = torch.full((height, width, 3), -1, dtype=torch.int32, device=device)
        self.known = torch.zeros(height, width, dtype=torch.bool, device=device)
        self.fixed = torch.zeros_like(self.known)

    @property
    def bytes(self) -> int:
        """Memory of the canvas and of a copy to write."""
        planes = (
            self.pixels,
            self.pixels,
            self.levels,
            self.edges,
            self.origin,
            self.known,
            self.fixed,
        )
        return sum(plane.numel() * plane.element_size() for plane in planes)

    def give(self, hole: Hole, levels_of: LevelsOf) -> None:
        """Lay a picture with a hole under it."""
        height, width = hole.image.shape[-2:]
        given = hole.given
        self.fixed[:height, :width] = given
        self.known[:height, :width] = given
        levels = levels_of(hole.image, given)
        self.levels[:, :height, :width] = levels.to(torch.int16)
        self.edges[:height, :width] = edges_of(levels, given).to(torch.int16)
        self.pixels[:, :height, :width][:, given] = hole.image[0][:, given]

    def picture(self, size: tuple[int, int]) -> Tensor:
        """``1xCxHxW``: what is there so far, not a copy."""
        return self.pixels[None, :, : size[0], : size[1]]

    def origin_in(self, size: tuple[int, int], scale: float) -> Tensor:
        """``HxWx3`` int64 on the CPU: exemplar, row and column that each pixel is a copy of.

        -1 where nothing was copied (yet), and in the given part of a picture with a hole. Where the
        exemplars were enlarged by ``scale``, the nearest pixels of what they were before.
        """
        origin = self.origin[: size[0], : size[1]].long().cpu()
        if scale != 1:
            known = origin[..., 0] >= 0
            origin[..., 1:] = torch.where(
                known[..., None], ((origin[..., 1:] + 0.5) / scale).long(), origin[..., 1:]
            )
        return origin

    def places(self, starts: Tensor, patch: int) -> Places:
        """The windows that begin at ``starts`` (``Bx2``: row, column)."""
        inside = torch.arange(patch, device=self.known.device)
        starts = starts.to(self.known.device)
        rows = (starts[:, :1] + inside) % self.height
        columns = (starts[:, 1:] + inside) % self.width
        return Places(rows[:, :, None], columns[:, None, :])

    def levels_at(self, at: Places) -> Tensor:
        """``BxLxPxP`` float64."""
        return self.levels[:, at.rows, at.columns].transpose(0, 1).to(torch.float64)

    def levels_of(self, origin: Tensor) -> Tensor:
        """``BxPxPx3`` -> ``BxLxPxP`` float64: the levels of the exemplars' pixels there."""
        return self._gather([source.levels for source in self.sources], origin)

    def edges_of(self, origin: Tensor) -> Tensor:
        """``BxPxPx3`` -> ``BxPxP`` float64: the edges of the exemplars' pixels there."""
        return self._gather([source.edges[None] for source in self.sources], origin)[:, 0]

    @staticmethod
    def _gather(planes: Sequence[Tensor], origin: Tensor) -> Tensor:
        index, rows, columns = origin.unbind(-1)
        if len(planes) == 1:
            return planes[0][:, rows, columns].transpose(0, 1)
        found = planes[0].new_zeros(len(planes[0]), *index.shape)
        for i, plane in enumerate(planes):
            mine = index == i
            found[:, mine] = plane[:, rows[mine], columns[mine]]
        return found.transpose(0, 1)

    def paste(self, at: Places, origin: Tensor, where: Tensor) -> None:
        """Copy the pixels at ``origin`` (``BxPxPx3``) to the windows where ``where`` is True."""
        rows, columns = at.rows.expand_as(where)[where], at.columns.expand_as(where)[where]
        self.copy(rows, columns, origin[where])

    def copy(self, rows: Tensor, columns: Tensor, origin: Tensor) -> None:
        """Copy the pixels at ``origin`` (``Nx3``) to N pixels of the canvas."""
        self.origin[rows, columns] = origin.int()
        self.known[rows, columns] = True
        for index, source in enumerate(self.sources):
            mine = origin[:, 0] == index
            y, x = origin[mine, 1], origin[mine, 2]
            self.levels[:, rows[mine], columns[mine]] = source.levels[:, y, x].to(torch.int16)
            self.edges[rows[mine], columns[mine]] = source.edges[y, x].to(torch.int16)
            self.pixels[:, rows[mine], columns[mine]] = source.pixels[:, y, x]


def window_origins(source: Tensor, starts: Tensor, patch: int) -> Tensor:
    """``BxPxPx3`` int64: the pixels of the windows of the exemplars ``source`` at ``starts``."""
    inside = torch.arange(patch, device=starts.device)
    shape = (len(starts), patch, patch)
    rows = (starts[:, :1] + inside)[:, :, None].expand(shape)
    columns = (starts[:, 1:] + inside)[:, None, :].expand(shape)
    return torch.stack((source[:, None, None].expand(shape), rows, columns), -1)
