"""The picture that a patch method puts together from copies, and where each pixel comes from.

The latter is the nearest-neighbor field (NNF): ``...x3``, for each pixel the index of an exemplar,
a row and a column there.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import torch
from torch import Tensor

from cnnart.errors import UsageError
from cnnart.methods.texture.exemplars import LevelsOf, PatchExemplar, edges_of


@dataclass(frozen=True)
class CanvasWindows:
    """Square windows of a canvas: ``rows`` ``BxPx1`` and ``columns`` ``Bx1xP``, wrapped around."""

    rows: Tensor
    columns: Tensor

    def __getitem__(self, chosen: Sequence[int]) -> CanvasWindows:
        """Some of them, in any order, also more than once."""
        return CanvasWindows(self.rows[chosen], self.columns[chosen])


class Canvas:
    """``size`` may be larger than the result, which is then its upper left corner.

    ``pixels``: ``CxHxW``; the exemplar's mean color where nothing is ``known`` (``HxW``) yet.
    ``levels``: ``LxHxW`` int16, as compared; ``edges``: ``HxW``, theirs in the exemplars.
    ``nnf``: ``HxWx3`` int32; -1 where a pixel is from no exemplar. ``fixed``: ``HxW``, given from
    outside and never painted over.
    """

    def __init__(self, size: tuple[int, int], exemplars: Sequence[PatchExemplar]) -> None:
        self.exemplars = exemplars
        first, (height, width) = exemplars[0], size
        device = first.levels.device
        self.height, self.width = size
        self.pixels = first.pixels.mean((1, 2))[:, None, None].repeat(1, height, width)
        self.levels = first.levels.new_zeros((len(first.levels), height, width), dtype=torch.int16)
        self.edges = torch.zeros_like(self.levels[0])
        self.nnf = torch.full((height, width, 3), -1, dtype=torch.int32, device=device)
        self.known = torch.zeros(height, width, dtype=torch.bool, device=device)
        self.fixed = torch.zeros_like(self.known)

    @property
    def bytes(self) -> int:
        """Memory of the canvas and of a copy to write."""
        planes = (self.levels, self.edges, self.nnf, self.known, self.fixed)
        return sum(p.numel() * p.element_size() for p in (self.pixels, self.pixels, *planes))

    def fix(self, picture: Tensor, kept: Tensor, levels_of: LevelsOf) -> None:
        """Take over the pixels of ``picture`` (``1xCxhxw``) that are ``kept`` (``hxw`` bool)."""
        height, width = kept.shape
        self.fixed[:height, :width] = kept
        self.known[:height, :width] = kept
        levels = levels_of(picture, kept)
        self.levels[:, :height, :width] = levels.to(torch.int16)
        self.edges[:height, :width] = edges_of(levels, kept).to(torch.int16)
        self.pixels[:, :height, :width][:, kept] = picture[0][:, kept]

    def picture(self, size: tuple[int, int]) -> Tensor:
        """``1xCxHxW``: what is there so far, not a copy."""
        return self.pixels[None, :, : size[0], : size[1]]

    def nnf_within(self, size: tuple[int, int], scale: float) -> Tensor:
        """The result's NNF, ``HxWx3`` int64 on the CPU.

        -1 where nothing was copied (yet), and where a picture is not inpainted. Where the exemplars
        were enlarged by ``scale``, the nearest pixels of what they were before.
        """
        nnf = self.nnf[: size[0], : size[1]].long().cpu()
        if scale != 1:
            known = nnf[..., 0] >= 0
            nnf[..., 1:] = torch.where(
                known[..., None], ((nnf[..., 1:] + 0.5) / scale).long(), nnf[..., 1:]
            )
        return nnf

    def restore(self, nnf: Tensor) -> None:
        """Copy again what another canvas had copied, by its ``nnf``."""
        rows, columns = torch.nonzero(nnf[..., 0] >= 0, as_tuple=True)
        found = (rows, columns, nnf[rows, columns].long())
        self.copy_pixels(*(each.to(self.nnf.device) for each in found))

    def windows(self, starts: Tensor, patch: int) -> CanvasWindows:
        """The windows that begin at ``starts`` (``Bx2``: row, column)."""
        inside = torch.arange(patch, device=self.known.device)
        starts = starts.to(self.known.device)
        rows = (starts[:, :1] + inside) % self.height
        columns = (starts[:, 1:] + inside) % self.width
        return CanvasWindows(rows[:, :, None], columns[:, None, :])

    def levels_at(self, at: CanvasWindows) -> Tensor:
        """``BxLxPxP`` float64."""
        return self.levels[:, at.rows, at.columns].transpose(0, 1).to(torch.float64)

    def exemplar_levels(self, nnf: Tensor) -> Tensor:
        """``BxPxPx3`` -> ``BxLxPxP`` float64: the levels of the exemplars' pixels there."""
        return self._gather([exemplar.levels for exemplar in self.exemplars], nnf)

    def exemplar_edges(self, nnf: Tensor) -> Tensor:
        """``BxPxPx3`` -> ``BxPxP`` float64: the edges of the exemplars' pixels there."""
        return self._gather([exemplar.edges[None] for exemplar in self.exemplars], nnf)[:, 0]

    @staticmethod
    def _gather(planes: Sequence[Tensor], nnf: Tensor) -> Tensor:
        index, rows, columns = nnf.unbind(-1)
        if len(planes) == 1:
            return planes[0][:, rows, columns].transpose(0, 1)
        found = planes[0].new_zeros(len(planes[0]), *index.shape)
        for i, plane in enumerate(planes):
            mine = index == i
            found[:, mine] = plane[:, rows[mine], columns[mine]]
        return found.transpose(0, 1)

    def copy_windows(self, at: CanvasWindows, nnf: Tensor, where: Tensor) -> None:
        """Copy the pixels at ``nnf`` (``BxPxPx3``) to the windows where ``where`` is True."""
        rows, columns = at.rows.expand_as(where)[where], at.columns.expand_as(where)[where]
        self.copy_pixels(rows, columns, nnf[where])

    def copy_pixels(self, rows: Tensor, columns: Tensor, nnf: Tensor) -> None:
        """Copy the pixels at ``nnf`` (``Nx3``) to N pixels of the canvas."""
        self.nnf[rows, columns] = nnf.int()
        self.known[rows, columns] = True
        for index, exemplar in enumerate(self.exemplars):
            mine = nnf[:, 0] == index
            y, x = nnf[mine, 1], nnf[mine, 2]
            self.levels[:, rows[mine], columns[mine]] = exemplar.levels[:, y, x].to(torch.int16)
            self.edges[rows[mine], columns[mine]] = exemplar.edges[y, x].to(torch.int16)
            self.pixels[:, rows[mine], columns[mine]] = exemplar.pixels[:, y, x]


def window_nnf(exemplars: Tensor, starts: Tensor, patch: int) -> Tensor:
    """``BxPxPx3`` int64: the pixels of windows at ``starts`` (``Bx2``) of ``exemplars`` (``B``)."""
    inside = torch.arange(patch, device=starts.device)
    shape = (len(starts), patch, patch)
    rows = (starts[:, :1] + inside)[:, :, None].expand(shape)
    columns = (starts[:, 1:] + inside)[:, None, :].expand(shape)
    return torch.stack((exemplars[:, None, None].expand(shape), rows, columns), -1)


def apply_nnf(maps: Sequence[Tensor], nnf: Tensor) -> Tensor:
    """Copy the pixels of ``maps`` to where a nearest-neighbor field says.

    What a patch method did to its exemplars is so done to their companions: albedo, normal and
    roughness maps stay aligned with each other, pixel by pixel.

    Args:
        maps: one per exemplar, each ``1xCxhxw``, all with the same number of channels.
        nnf: ``HxWx3`` int64: index of the exemplar, row and column.

    Returns:
        ``1xCxHxW``, on the maps' device.

    Raises:
        UsageError: when ``nnf`` points outside the maps or nowhere, or their channels differ.
    """
    if int(nnf.min()) < 0:
        raise UsageError(
            "Some pixels are copies of no exemplar: there is no map to take them from."
        )
    if len({picture.shape[1] for picture in maps}) > 1:
        raise UsageError("The maps differ in their number of channels: convert them alike.")
    if int(nnf[..., 0].max()) >= len(maps):
        raise UsageError(
            f"The texture uses exemplar {int(nnf[..., 0].max()) + 1}, but there are only "
            f"{len(maps)} maps: give one for each exemplar."
        )
    index, row, column = nnf.to(maps[0].device).unbind(-1)
    result = maps[0].new_zeros(1, maps[0].shape[1], *index.shape)
    for i, picture in enumerate(maps):
        here = index == i
        height, width = picture.shape[-2:]
        if bool(((row[here] >= height) | (column[here] >= width)).any()):
            raise UsageError(f"Map {i + 1} is smaller than its exemplar: it must have its size.")
        result[0][:, here] = picture[0][:, row[here], column[here]]
    return result


def check_companion(companion: Tensor, exemplar: Tensor, name: str) -> None:
    """Raise UsageError unless a map has the exemplar's size."""
    (height, width), wanted = companion.shape[-2:], exemplar.shape[-2:]
    if (height, width) != tuple(wanted):
        raise UsageError(
            f"{name}: a map of {width}x{height} pixels cannot follow an exemplar of "
            f"{wanted[1]}x{wanted[0]}: both must have the same size."
        )
