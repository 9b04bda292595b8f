"""Nearest neighbours of pictures, in the space of a network's features and in that of pixels.

Two photos of elephants have little in common pixel by pixel, and much in the last layers of a
network (Krizhevsky et al. 2012, figure 4): the two spaces side by side show what was learned.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass

import torch
from torch import Tensor

BLOCK = 512  # rows compared at once


@dataclass(frozen=True)
class Agreement:
    """How often a picture's nearest neighbours carry its label.

    ``first``: the share of pictures whose nearest neighbour does; ``share``: of all ``count``
    nearest neighbours; ``chance``: of pictures drawn at random; ``pictures``: how many took part.
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
