"""Maximally activating patches as a sheet and as numbers."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import torch
from torch import Tensor

from cnnart.errors import CnnartError
from cnnart.image import resize
from cnnart.inspect.filters import enlarged
from cnnart.inspect.patches import PatchSearch, Place
from cnnart.inspect.result import Inspection
from cnnart.inspect.streaming import Item

CELL = (72, 160)  # the smallest and the largest side of a patch on the sheet


def patches_report(search: PatchSearch, items: Sequence[Item]) -> Inspection:
    """The patches on a sheet, a row for each channel, and where they are from.

    Raises CnnartError if there are none, ImageError if a picture is no longer there.
    """
    if not any(search.best.values()):
        raise CnnartError("Not one of the pictures could be used.")
    crops = search.crops(items)
    cells: list[tuple[str, Tensor]] = []
    blank = torch.ones(1, 3, search.field.size, search.field.size)
    for channel, places in search.best.items():
        patches = [*crops[channel], *[blank] * (search.config.top - len(places))]
        labels = [f"{place.activation:.4g}" for place in places]
        labels = [*labels, *[""] * (len(patches) - len(labels))]
        labels[0] = f"{channel}: {labels[0]}"
        cells += zip(labels, map(in_cell, patches), strict=True)
    numbers = {
        "network": search.network.name,
        "layer": search.layer,
        "receptive_field": search.field.size,
        "pictures": search.done - len(search.failures.found),
        "failed": len(search.failures.found),
        "channels": {str(c): [_facts(search, items, p) for p in b] for c, b in search.best.items()},
    }
    title = f"{search.network.name} {search.layer}, of {numbers['pictures']} pictures"
    return Inspection(title, cells, numbers, columns=search.config.top)


def in_cell(patch: Tensor) -> Tensor:
    """A patch at a size to look at: small ones enlarged, their pixels square."""
    patch = enlarged(patch, CELL[0])
    return resize(patch, CELL[1], CELL[1]) if patch.shape[-1] > CELL[1] else patch


def _facts(search: PatchSearch, items: Sequence[Item], place: Place) -> dict[str, Any]:
    left, top = (at * search.field.stride - search.field.offset for at in (place.column, place.row))
    return {
        "picture": items[place.picture].name,
        "activation": place.activation,
        "unit": [place.column, place.row],
        "box": [left, top, left + search.field.size, top + search.field.size],
    }
