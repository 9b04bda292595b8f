"""Nearest neighbors of pictures, in the space of a network's features and in that of pixels.

Two photos of elephants have little in common pixel by pixel, and much in the last layers of a
network (Krizhevsky et al. 2012, figure 4): the two spaces side by side show what was learned.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Sequence
from dataclasses import asdict, dataclass
from pathlib import PurePosixPath
from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor

from cnnart.methods.inspect.index import PIXELS, Index
from cnnart.methods.inspect.pictures import labels_of, thumbnail
from cnnart.methods.inspect.report import Inspection

BLOCK = 512  # rows compared at once
CELL = 160  # side of a picture on the sheet
SPACES = ("features", "pixels")


@dataclass(frozen=True)
class Agreement:
    """How often a picture's nearest neighbors carry its label.

    ``first``: the share of pictures whose nearest neighbor does; ``share``: of all ``count``
    nearest neighbors; ``chance``: of pictures drawn at random; ``pictures``: how many took part.
    """

    first: float
    share: float
    chance: float
    count: int
    pictures: int


def nearest(
    queries: Tensor,
    rows: Tensor,
    count: int,
    without: Sequence[int | None] | None = None,
    *,
    exact: bool = True,
) -> tuple[Tensor, Tensor]:
    """The ``count`` rows nearest to each query by Euclidean distance, nearest first.

    Args:
        queries: ``QxD``; rows: ``NxD``; of any dtype, compared in float32 a block at a time.
        without: for each query the number of a row to leave out (itself), or None.
        exact: whether equal rows must be at distance 0; the matrix product, which is many times
            faster, leaves them a little apart.

    Returns distances and row numbers, both ``Qxk``, k = ``count`` or as many as there are.
    """
    left_out = torch.tensor([-1 if w is None else w for w in without or [None] * len(queries)])
    available = len(rows) - (1 if without and any(w is not None for w in without) else 0)
    count = min(count, available)
    mode = f"{'donot_' if exact else ''}use_mm_for_euclid_dist"
    best = torch.full((len(queries), 0), torch.inf), torch.zeros((len(queries), 0)).long()
    for start in range(0, len(rows), BLOCK):
        block = rows[start : start + BLOCK].float()
        numbers = torch.arange(start, start + len(block)).expand(len(queries), -1)
        distances = torch.cdist(queries.float(), block, compute_mode=mode).masked_fill(
            numbers == left_out[:, None], torch.inf
        )
        distances = torch.cat((best[0], distances), 1)
        order = distances.argsort(dim=1, stable=True)[:, :count]
        best = distances.gather(1, order), torch.cat((best[1], numbers), 1).gather(1, order)
    return best


def agreement(rows: Tensor, labels: Sequence[str | None], count: int) -> Agreement:
    """Look up every labelled row among the other labelled rows; see ``Agreement``.

    Rows whose label no other row has cannot agree with any and take no part as queries.
    """
    sizes = Counter(label for label in labels if label is not None)
    known = [i for i, label in enumerate(labels) if label is not None]
    numbers = {label: n for n, label in enumerate(sizes)}
    names = torch.tensor([numbers[str(labels[i])] for i in known])
    asked = [n for n, i in enumerate(known) if sizes[str(labels[i])] > 1]
    labelled, matches = rows[known], []
    for start in range(0, len(asked), BLOCK):
        some = asked[start : start + BLOCK]
        _, found = nearest(labelled[some], labelled, count, some, exact=False)
        matches.append(names[found] == names[some][:, None])
    same = torch.cat(matches).float()
    others = sum(sizes[str(labels[known[n]])] - 1 for n in asked)
    chance = others / len(asked) / (len(known) - 1)
    first, share = float(same[:, 0].mean()), float(same.mean())
    return Agreement(first, share, chance, same.shape[1], len(asked))


@dataclass(frozen=True)
class Query:
    """A picture whose neighbors are asked for: ``row`` is its own in the index, if it is there."""

    name: str
    image: Tensor
    features: Tensor
    pixels: Tensor
    row: int | None = None


def neighbors_report(
    index: Index, queries: Sequence[Query], count: int, read: Callable[[str], Tensor]
) -> Inspection:
    """For each query a row of its neighbors by features and one of those by pixels.

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
    """How often neighbors share a label, in each space; see ``Agreement``.

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
