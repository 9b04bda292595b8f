"""Which windows of the exemplars come into question: the best that fit, none just used nearby.

Sums of squared differences for all windows at once, by FFT; penalties for what was used before.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import torch
from torch import Tensor
from torch.fft import fft, irfft2, rfft, rfft2

from cnnart.methods.texture.canvas import Canvas, CanvasWindows
from cnnart.methods.texture.exemplars import PatchExemplar, color_levels
from cnnart.methods.texture.guide import Guide
from cnnart.methods.texture.patch_grid import Grid, distance
from cnnart.optim.steps import State

CANDIDATES = 8  # windows whose seams are compared
MIN_DISTANCE = 3  # pixels between candidates, for they are to differ
NOISE_FLOOR = 3  # a difference of so many levels per pixel and channel does not matter
GUIDE_PARTS = 16  # the guide's weight is rounded to such parts, for sums are to stay whole
FORBIDDEN = 2**50  # the error of a window that must not be copied; real ones stay far below

PENALTY_UNIT = 16  # penalties are sixteenths of a window's error:
REPEATED = 24  # of a place used within REACH patches (less in a pattern that repeats itself),
USED = 1  # and of one used anywhere, for every time
REACH = 4.0


@dataclass(frozen=True)
class Candidate:
    """The window of the exemplar number ``exemplar`` that begins at ``row``, ``column``."""

    exemplar: int
    row: int
    column: int
    cost: int = 0


class PatchSearch:
    """Looks for what fits windows of a canvas.

    ``history`` tells what was used where; ``guide`` is the one with the target map, or None.
    """

    def __init__(
        self, canvas: Canvas, patch: int, history: UsageHistory, guide: Guide | None
    ) -> None:
        self._canvas, self._history = canvas, history
        self._errors = [WindowErrors(exemplar, patch) for exemplar in canvas.exemplars]
        self._target: Tensor | None = None
        if guide is not None:
            self._target = self._padded_target(guide.target)
            self._guide_counts = round(GUIDE_PARTS * guide.weight)

    def _padded_target(self, target: Tensor) -> Tensor:
        """The map as levels, continued to the canvas's edge, which may lie beyond the result's."""
        target = target.to(self._canvas.pixels)
        levels = color_levels(target)
        rows, columns = (
            torch.arange(n, device=target.device).clamp(max=m - 1)
            for n, m in zip(
                (self._canvas.height, self._canvas.width), levels.shape[1:], strict=True
            )
        )
        return levels[:, rows][:, :, columns]

    def find(
        self, starts: Tensor, at: CanvasWindows, labels: Sequence[int], uniform: Sequence[float]
    ) -> list[list[Candidate]]:
        """For each window of the canvas, the windows that fit it best, best first.

        ``labels`` says from which exemplar; with a guide, whichever it is. Where nothing is known
        that could fit, a ``uniform`` sample of [0, 1) picks any window.
        """
        templates = self._templates(at)
        wanted = set(range(len(self._errors))) if self._target is not None else set(labels)
        errors = {index: self._errors[index](templates) for index in sorted(wanted)}
        floor = templates.levels.shape[1] * NOISE_FLOOR**2
        floors = (templates.counted.sum((1, 2)) * floor).long() + 1
        found = []
        for k, label in enumerate(labels):
            if self._target is None and not bool(templates.counted[k].any()):
                found.append([self._errors[label].any_window(label, uniform[k])])
                continue
            mine: list[Candidate] = []
            for index in sorted(wanted) if self._target is not None else [label]:
                penalty = self._history.penalty(errors[index][k], index, starts[k])
                cost = (errors[index][k] + floors[k]) * (PENALTY_UNIT + penalty)
                mine += best_windows(cost, index, CANDIDATES)
            found.append(sorted(mine, key=lambda c: c.cost)[:CANDIDATES])
        return found

    def _templates(self, at: CanvasWindows) -> Templates:
        known = self._canvas.known[at.rows, at.columns].to(torch.float64)
        levels = self._canvas.levels_at(at)
        if self._target is None:
            return Templates(levels, known)
        guide = self._target[:, at.rows, at.columns].transpose(0, 1)
        return Templates(levels, known * GUIDE_PARTS, guide, self._guide_counts)


@dataclass(frozen=True)
class Templates:
    """What the canvas shows at ``B`` places, in whole levels, as float64.

    ``levels``: ``BxCxPxP``; ``counted``: ``BxPxP``, the weight of each pixel, whole (0: not known).
    ``guide``: ``Bx3xPxP`` or None; ``guide_counts``: the whole weight of each of its pixels.
    """

    levels: Tensor
    counted: Tensor
    guide: Tensor | None = None
    guide_counts: int = 0


class WindowErrors:
    """The errors of all windows of one exemplar, of one size.

    The sum over a window of w (E - T)^2 is a correlation of the exemplar's E^2 with w, less twice
    one of E with w T, plus a constant: a product of spectra, for all windows at once.
    """

    def __init__(self, exemplar: PatchExemplar, patch: int) -> None:
        self.patch = patch
        height, width = exemplar.size
        self._valid = (height - patch + 1, width - patch + 1)
        self._padded = (_fast_length(height), _fast_length(width))
        self._spectra = self._spectrum(exemplar.levels)
        self._guide = None if exemplar.guide is None else self._spectrum(exemplar.guide)
        self.allowed = exemplar.whole_windows(patch)

    def _spectrum(self, levels: Tensor) -> Tensor:
        squares = levels.square().sum(0, keepdim=True)
        return rfft2(torch.cat((squares, -2 * levels)), s=self._padded)

    def __call__(self, templates: Templates) -> Tensor:
        """``BxMxN`` int64: the error of the window that begins at each row and column."""
        total = self._correlate(templates.levels, templates.counted, self._spectra)
        constant = (templates.counted[:, None] * templates.levels.square()).sum((1, 2, 3))
        if templates.guide is not None and self._guide is not None:
            counts = torch.full_like(templates.counted, float(templates.guide_counts))
            total = total + self._correlate(templates.guide, counts, self._guide)
            constant += (counts[:, None] * templates.guide.square()).sum((1, 2, 3))
        rows, columns = self._valid
        errors = irfft2(total, s=self._padded)[:, :rows, :columns] + constant[:, None, None]
        errors = errors.round().long().clamp_(0)
        return errors.masked_fill_(~self.allowed, FORBIDDEN)

    def any_window(self, exemplar: int, uniform: float) -> Candidate:
        """One of the windows that may be copied; ``uniform``, of [0, 1), says which."""
        allowed = torch.nonzero(self.allowed)
        row, column = allowed[int(uniform * len(allowed))].tolist()
        return Candidate(exemplar, row, column)

    def _correlate(self, levels: Tensor, counted: Tensor, spectra: Tensor) -> Tensor:
        weighted = torch.cat((counted[:, None], counted[:, None] * levels), 1)
        rows = rfft(weighted, n=self._padded[1])  # only the window's rows: the others are zero
        return (fft(rows, n=self._padded[0], dim=-2).conj() * spectra).sum(1)


def _fast_length(length: int) -> int:
    """The next product of 2, 3 and 5: transforms of such lengths are fast."""
    while True:
        rest = length
        for prime in (2, 3, 5):
            while rest % prime == 0:
                rest //= prime
        if rest == 1:
            return length
        length += 1


def best_windows(cost: Tensor, exemplar: int, count: int) -> list[Candidate]:
    """The windows of least cost (``MxN`` int64), best first; none that costs twice the best."""
    cost = cost.clone()
    found: list[Candidate] = []
    for _ in range(count):
        row, column = divmod(int(cost.argmin()), cost.shape[1])
        least = int(cost[row, column])
        if found and least > 2 * found[0].cost:
            break
        found.append(Candidate(exemplar, row, column, least))
        _around(cost, row, column, MIN_DISTANCE).fill_(torch.iinfo(cost.dtype).max)
    return found


class UsageHistory:
    """Which windows were copied where, so that nothing is repeated side by side.

    Args:
        patch: the side of a window.
        grids: of the windows of the canvas: rows, columns.
        capacity: the number of windows to be recorded.
        regularity: of each exemplar, in [0, 1]: a wall may repeat its bricks, unlike stones.
    """

    def __init__(
        self, patch: int, grids: tuple[Grid, Grid], capacity: int, regularity: Sequence[float]
    ) -> None:
        self._patch, self._grids = patch, grids
        self._repeated = [round(REPEATED * (1 - value)) for value in regularity]
        self._windows = torch.empty(capacity, 3, dtype=torch.int64)  # exemplar, row, column
        self._starts = torch.empty(capacity, 2, dtype=torch.int64)
        self._count = 0
        self._uses: dict[int, Tensor] = {}

    def add(self, chosen: Candidate, start: Tensor) -> None:
        """Record that ``chosen`` was copied to the window of the canvas at ``start``."""
        self._windows[self._count] = torch.tensor((chosen.exemplar, chosen.row, chosen.column))
        self._starts[self._count] = start
        self._count += 1
        if chosen.exemplar in self._uses:
            uses = self._uses[chosen.exemplar]
            _around(uses, chosen.row, chosen.column, self._patch // 2).add_(USED)

    def state(self) -> State:
        """What was recorded."""
        return {
            "windows": self._windows[: self._count],
            "starts": self._starts[: self._count],
            "exemplars": list(self._uses),
            "uses": list(self._uses.values()),
        }

    def restore(self, state: State) -> None:
        """Know what another one had recorded."""
        self._count = count = len(state["windows"])
        self._windows[:count], self._starts[:count] = state["windows"], state["starts"]
        self._uses = dict(zip(state["exemplars"], state["uses"], strict=True))

    def penalty(self, errors: Tensor, exemplar: int, start: Tensor) -> Tensor:
        """Like ``errors``: by how much each window of the exemplar ``exemplar`` counts more."""
        penalty = self._uses.setdefault(exemplar, torch.zeros_like(errors)).clone()
        used = self._windows[: self._count][self._near(start)]
        for row, column in used[used[:, 0] == exemplar, 1:].tolist():
            _around(penalty, row, column, self._patch // 2).add_(self._repeated[exemplar])
        return penalty

    def penalty_of(self, candidate: Candidate, start: Tensor) -> int:
        """The penalty of one window for what was used nearby."""
        used = self._windows[: self._count][self._near(start)]
        place = torch.tensor((candidate.row, candidate.column))
        close = (used[:, 1:] - place).abs().amax(1) <= self._patch // 2
        times = int((close & (used[:, 0] == candidate.exemplar)).sum())
        return self._repeated[candidate.exemplar] * times

    def _near(self, start: Tensor) -> Tensor:
        starts, (rows, columns) = self._starts[: self._count], self._grids
        y = distance(starts[:, 0], start[0], rows.length, rows.wraps)
        x = distance(starts[:, 1], start[1], columns.length, columns.wraps)
        return y.square() + x.square() < (REACH * self._patch) ** 2


def _around(plane: Tensor, row: int, column: int, reach: int) -> Tensor:
    """What of ``plane`` (``MxN``) lies within ``reach`` of a place along both axes: a view."""
    top, left = max(0, row - reach), max(0, column - reach)
    return plane[top : row + reach + 1, left : column + reach + 1]
