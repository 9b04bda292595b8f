"""Which windows come into question: the best that fit, and none that was just used nearby."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import torch
from torch import Tensor

from cnnart.textures.windows import Grid, distance

UNIT = 16  # penalties are sixteenths of a window's error:
REPEATED = 24  # of a place used within REACH patches (less in a pattern that repeats itself),
USED = 1  # and of one used anywhere, for every time
REACH = 4.0
APART = 3  # pixels between candidates, for they are to differ


@dataclass(frozen=True)
class Candidate:
    """The window of the exemplar number ``source`` that begins at ``row``, ``column``."""

    source: int
    row: int
    column: int
    cost: int = 0


class Memory:
    """Remembers what was copied whereto, so that nothing is repeated side by side.

    Args:
        patch: the side of a window.
        grids: of the windows of the canvas: rows, columns.
        most: the number of windows to be remembered.
        regularity: of each exemplar, in [0, 1]: a wall may repeat its bricks, unlike stones.
    """

    def __init__(
        self, patch: int, grids: tuple[Grid, Grid], most: int, regularity: Sequence[float]
    ) -> None:
        self._patch, self._grids = patch, grids
        self._repeated = [round(REPEATED * (1 - value)) for value in regularity]
        self._sources = torch.empty(most, 3, dtype=torch.int64)  # exemplar, row, column
        self._starts = torch.empty(most, 2, dtype=torch.int64)
        self._count = 0
        self._uses: dict[int, Tensor] = {}

    def remember(self, chosen: Candidate, start: Tensor) -> None:
        """``chosen`` was copied to the window of the canvas that begins at ``start``."""
        self._sources[self._count] = torch.tensor((chosen.source, chosen.row, chosen.column))
        self._starts[self._count] = start
        self._count += 1
        if chosen.source in self._uses:
            self._around(self._uses[chosen.source], chosen.row, chosen.column).add_(USED)

    def penalty(self, errors: Tensor, source: int, start: Tensor) -> Tensor:
        """Like ``errors``: by how much each window of the exemplar ``source`` counts more."""
        penalty = self._uses.setdefault(source, torch.zeros_like(errors)).clone()
        used = self._sources[: self._count][self._near(start)]
        for row, column in used[used[:, 0] == source, 1:].tolist():
            self._around(penalty, row, column).add_(self._repeated[source])
        return penalty

    def penalty_of(self, candidate: Candidate, start: Tensor) -> int:
        """The penalty of one window for what was used nearby."""
        used = self._sources[: self._count][self._near(start)]
        place = torch.tensor((candidate.row, candidate.column))
        close = (used[:, 1:] - place).abs().amax(1) <= self._patch // 2
        times = int((close & (used[:, 0] == candidate.source)).sum())
        return self._repeated[candidate.source] * times

    def _near(self, start: Tensor) -> Tensor:
        starts, (rows, columns) = self._starts[: self._count], self._grids
        y = distance(starts[:, 0], start[0], rows.length, rows.wraps)
        x = distance(starts[:, 1], start[1], columns.length, columns.wraps)
        return y.square() + x.square() < (REACH * self._patch) ** 2

    def _around(self, plane: Tensor, row: int, column: int) -> Tensor:
        reach = self._patch // 2
        top, left = max(0, row - reach), max(0, column - reach)
        return plane[top : row + reach + 1, left : column + reach + 1]


def candidates(cost: Tensor, source: int, count: int) -> list[Candidate]:
    """The windows of least cost (``MxN`` int64), best first; none that costs twice the best."""
    cost = cost.clone()
    found: list[Candidate] = []
    for _ in range(count):
        row, column = divmod(int(cost.argmin()), cost.shape[1])
        least = int(cost[row, column])
        if found and least > 2 * found[0].cost:
            break
        found.append(Candidate(source, row, column, least))
        top, left = max(0, row - APART), max(0, column - APART)
        cost[top : row + APART + 1, left : column + APART + 1] = torch.iinfo(cost.dtype).max
    return found
