"""Queries and their neighbours in both spaces as a sheet and as numbers."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import asdict, dataclass
from pathlib import PurePosixPath
from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor

from cnnart.inspect.descriptor import PIXELS
from cnnart.inspect.folder import labels_of
from cnnart.inspect.index import Index
from cnnart.inspect.mapping import thumbnail
from cnnart.inspect.neighbors import Agreement, agreement, nearest
from cnnart.inspect.result import Inspection

CELL = 160  # side of a picture on the sheet
SPACES = ("features", "pixels")


@dataclass(frozen=True)
class Query:
    """A picture whose neighbours are asked for: ``row`` is its own in the index, if it is there."""

    name: str
    image: Tensor
    features: Tensor
    pixels: Tensor
    row: int | None = None


def neighbors_report(
    index: Index, queries: Sequence[Query], count: int, read: Callable[[str], Tensor]
) -> Inspection:
    """For each query a row of its neighbours by features and one of those by pixels.

    ``read``: from a name in the index to its picture. Distances are Euclidean: of features of
    length 1 (0 to 2), of pixels per value in [0, 1] (root mean square).
    """
    cells: list[tuple[str, Tensor]] = []
    found: list[dict[str, Any]] = []
    for query in queries:
        facts: dict[str, Any] = {"query": query.name}
        for space in SPACES:
            rows, own = getattr(index, space), getattr(query, space)
            distances, numbers = nearest(own[None], rows, count, [query.row])
            scale = 1.0 if space == "features" else 1 / (255 * rows.shape[1] ** 0.5)
            facts[space] = [
                {"picture": index.names[n], "distance": d * scale}
                for n, d in zip(numbers[0].tolist(), distances[0].tolist(), strict=True)
            ]
            cells.append(_head(query, space))
            cells += [
                (
                    f"{f['distance']:.3f} {PurePosixPath(f['picture']).name}",
                    boxed(read(f["picture"])),
                )
                for f in facts[space]
            ]
        found.append(facts)
    made = {**index.made_with, "pictures": len(index)}
    title = f"by features of {made['network']} ({made['layer']}) and by pixels"
    return Inspection(title, cells, {**made, "queries": found}, columns=1 + len(found[0]["pixels"]))


def _head(query: Query, space: str) -> tuple[str, Tensor]:
    """What is compared: the picture itself, or as pixel space sees it."""
    if space == "features":
        return f"{query.name}\nby features:", boxed(query.image)
    small = query.pixels.view(1, 3, PIXELS, PIXELS).float() / 255
    return "by pixels:", F.interpolate(small, scale_factor=CELL // PIXELS, mode="nearest")


def boxed(image: Tensor) -> Tensor:
    """A picture in the middle of a white square."""
    small = thumbnail(image, CELL)
    height, width = small.shape[-2:]
    square = torch.ones(1, 3, CELL, CELL)
    top, left = (CELL - height) // 2, (CELL - width) // 2
    square[..., top : top + height, left : left + width] = small
    return square


def evaluate(index: Index, count: int) -> dict[str, Agreement]:
    """How often neighbours share a label, in each space; see ``Agreement``.

    Raises UsageError where the names carry no labels.
    """
    labels = labels_of(index.names)
    return {space: agreement(getattr(index, space), labels, count) for space in SPACES}


def agreement_line(found: dict[str, Agreement]) -> str:
    """The agreement in one line for people."""
    features, pixels = (found[space] for space in SPACES)
    return (
        f"same label, nearest: {features.first:.1%} by features, {pixels.first:.1%} by pixels; "
        f"of {features.count} nearest: {features.share:.1%}, {pixels.share:.1%}; "
        f"by chance {features.chance:.1%} ({features.pictures} pictures)"
    )


def agreement_facts(found: dict[str, Agreement]) -> dict[str, Any]:
    """The agreement for JSON."""
    return {space: asdict(value) for space, value in found.items()}
