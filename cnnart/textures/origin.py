"""The origin map of a texture: which pixel of which exemplar each of its pixels is a copy of."""

from __future__ import annotations

from collections.abc import Sequence

from torch import Tensor

from cnnart.errors import UsageError


def gather(maps: Sequence[Tensor], origin: Tensor) -> Tensor:
    """Copy the pixels of ``maps`` to where ``origin`` says.

    What a patch method did to its exemplars is so done to their companions: albedo, normal and
    roughness maps stay aligned with each other, pixel by pixel.

    Args:
        maps: one per exemplar, each ``1xCxhxw``, all with the same number of channels.
        origin: ``HxWx3`` int64: index of the exemplar, row and column.

    Returns:
        ``1xCxHxW``, on the maps' device.

    Raises:
        UsageError: when ``origin`` points outside the maps or nowhere, or their channels differ.
    """
    if int(origin.min()) < 0:
        raise UsageError(
            "Some pixels are copies of no exemplar: there is no map to take them from."
        )
    if len({picture.shape[1] for picture in maps}) > 1:
        raise UsageError("The maps differ in their number of channels: convert them alike.")
    if int(origin[..., 0].max()) >= len(maps):
        raise UsageError(
            f"The texture uses exemplar {int(origin[..., 0].max()) + 1}, but there are only "
            f"{len(maps)} maps: give one for each exemplar."
        )
    index, row, column = origin.to(maps[0].device).unbind(-1)
    result = maps[0].new_zeros(1, maps[0].shape[1], *index.shape)
    for i, picture in enumerate(maps):
        here = index == i
        height, width = picture.shape[-2:]
        if bool(((row[here] >= height) | (column[here] >= width)).any()):
            raise UsageError(f"Map {i + 1} is smaller than its exemplar: it must have its size.")
        result[0][:, here] = picture[0][:, row[here], column[here]]
    return result


def check_companions(companions: Sequence[Tensor], exemplars: Sequence[Tensor], name: str) -> None:
    """Raise UsageError unless there is one map for each exemplar, of the exemplar's size."""
    if len(companions) != len(exemplars):
        raise UsageError(
            f"{name}: {len(companions)} maps for {len(exemplars)} exemplars: give one for each."
        )
    for companion, exemplar in zip(companions, exemplars, strict=True):
        (height, width), wanted = companion.shape[-2:], exemplar.shape[-2:]
        if (height, width) != tuple(wanted):
            raise UsageError(
                f"{name}: a map of {width}x{height} pixels cannot follow an exemplar of "
                f"{wanted[1]}x{wanted[0]}: both must have the same size."
            )
