"""All neighbourhoods of the exemplars, compared with those of the pixels to fill."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import torch
import torch.nn.functional as F
from torch import Tensor

from cnnart.errors import UsageError
from cnnart.textures.guide import Guide
from cnnart.textures.sources import Source, color_levels

USUAL = 13  # the window's side where nothing is said,
SHARE = 3  # but at most this part of the exemplar's
TOLERANCE = 10  # percent: a match may be so much worse than the best (the paper's epsilon)
DEVIATIONS = 6.4  # in the window's side: of its Gaussian (the paper's)
CENTRE = 2**12  # weight of the window's centre: weights are whole, for sums are to be exact
CHUNK = 2**22  # errors computed at once: bounds the memory
AT_HAND = 2**28  # bytes of windows kept as the numbers they are compared as; above, as small ones
GUIDE_PARTS = 16  # the guide's weight is rounded to such parts


@dataclass(frozen=True)
class Asked:
    """Pixels to fill: their neighbourhoods (``BxLxWxW`` levels, ``BxWxW`` bool), where they are
    (``rows``, ``columns``), and from which exemplar they are to come (``labels``)."""

    levels: Tensor
    known: Tensor
    rows: Tensor
    columns: Tensor
    labels: Tensor

    def where(self, chosen: Tensor) -> Asked:
        return Asked(*(getattr(self, name)[chosen] for name in self.__dataclass_fields__))


class Neighborhoods:
    """``side``: of a window, odd. ``guide`` decides which exemplar too; the labels then do not."""

    def __init__(self, sources: Sequence[Source], side: int, guide: Guide | None) -> None:
        self._side = side
        self._weights = gaussian(side).to(sources[0].levels)
        self._windows = [Windows(index, source, side) for index, source in enumerate(sources)]
        self._target: Tensor | None = None
        if guide is not None and guide.weight > 0:
            target = guide.target.to(sources[0].pixels)
            self._target = color_levels(target, torch.ones_like(target[0, 0], dtype=torch.bool))
            self._guide_weight = round(GUIDE_PARTS * guide.weight)

    @property
    def bytes(self) -> int:
        """Memory of the windows and of one comparison."""
        return sum(w.bytes for w in self._windows) + 6 * 8 * CHUNK

    def any_pixel(self, label: int, luck: float) -> Tensor:
        """``3``: the origin of a pixel of an exemplar, in the middle of a window."""
        origins = self._windows[label].origins
        return origins[int(luck * len(origins))]

    def choose(self, asked: Asked, luck: Tensor) -> tuple[Tensor, Tensor]:
        """``Bx3``: the origin of a pixel for each; ``B``: the mean square difference around it."""
        origin = torch.empty(len(luck), 3, dtype=torch.int64, device=asked.rows.device)
        errors = torch.zeros(len(luck), dtype=torch.float64, device=asked.rows.device)
        groups = [0] if self._target is not None else asked.labels.unique().tolist()
        for label in groups:
            every = self._target is not None
            windows = self._windows if every else [self._windows[label]]
            mine = torch.nonzero((asked.labels == label) | every)[:, 0]
            at_once = max(1, CHUNK // sum(len(w.origins) for w in windows))
            for part in mine.split(at_once):
                origin[part], errors[part] = self._choose(
                    asked.where(part), windows, luck[part.cpu()]
                )
        return origin, errors

    def _choose(
        self, asked: Asked, windows: Sequence[Windows], luck: Tensor
    ) -> tuple[Tensor, Tensor]:
        weights = asked.known * self._weights
        total = weights.sum((1, 2))
        cost = torch.cat([w.errors(asked.levels, weights) for w in windows], 1)
        if self._target is not None:
            wanted = self._target[:, asked.rows, asked.columns].T
            apart = torch.cat([w.apart(wanted) for w in windows], 1)
            cost = cost * GUIDE_PARTS + apart * self._guide_weight * total[:, None]
        best = cost.amin(1, keepdim=True)
        good = cost * 100 <= best * (100 + TOLERANCE)
        rank = (luck.to(cost) * good.sum(1)).floor()
        chosen = ((good.cumsum(1) > rank[:, None]) & good).int().argmax(1)
        parts = GUIDE_PARTS if self._target is not None else 1
        error = best[:, 0] / (total * parts * asked.levels.shape[1]).clamp_min(1)
        return torch.cat([w.origins for w in windows])[chosen], error


class Windows:
    """The windows of one exemplar; ``origins`` (``Nx3``) are the pixels in their middle."""

    def __init__(self, index: int, source: Source, side: int) -> None:
        whole = F.max_pool2d((~source.usable).float()[None, None], side, stride=1)[0, 0] == 0
        rows, columns = torch.nonzero(whole, as_tuple=True)
        middle = side // 2
        numbers = torch.full_like(rows, index)
        self.origins = torch.stack((numbers, rows + middle, columns + middle), 1)
        inside = torch.arange(side, device=rows.device)
        y, x = rows[:, None, None] + inside[:, None], columns[:, None, None] + inside
        large = 8 * len(rows) * side**2 * (len(source.levels) + 1) > AT_HAND
        levels, squares = source.levels, source.levels.square().sum(0)
        if large:
            levels, squares = levels.to(torch.int16), squares.to(torch.int32)
        self._levels = levels[:, y, x].transpose(0, 1).flatten(1)
        self._squares = squares[y, x].flatten(1)
        self._guide: Tensor | None = None
        if source.guide is not None:
            self._guide = source.guide[:, rows + middle, columns + middle]

    @property
    def bytes(self) -> int:
        both = (self._levels, self._squares)
        return sum(plane.numel() * plane.element_size() for plane in both)

    def errors(self, levels: Tensor, weights: Tensor) -> Tensor:
        """``BxN``: the weighted squared differences, summed; whole numbers, exact."""
        weighted, flat = (weights[:, None] * levels).flatten(1), weights.flatten(1)
        constant = (weighted * levels.flatten(1)).sum(1, keepdim=True)
        at_once = max(1, CHUNK // self._levels.shape[1])
        parts = [
            torch.addmm(flat @ squares.double().T, weighted, own.double().T, alpha=-2)
            for own, squares in zip(
                self._levels.split(at_once), self._squares.split(at_once), strict=True
            )
        ]
        return torch.cat(parts, 1) + constant

    def apart(self, wanted: Tensor) -> Tensor:
        """``BxN``: the squared difference of the middles' guide and the one wanted (``Bx3``)."""
        assert self._guide is not None
        return (wanted[:, :, None] - self._guide).square().sum(1)


def gaussian(side: int) -> Tensor:
    """``sidexside`` whole weights; none is 0, for the farthest neighbour may be the only one."""
    line = torch.arange(side, dtype=torch.float64) - side // 2
    falloff = torch.exp(-0.5 * (line * DEVIATIONS / side) ** 2)
    return (CENTRE * falloff[:, None] * falloff).round().clamp_min(1)


def window_side(sources: Sequence[Source], wanted: int | None) -> int:
    """An odd side in pixels. Raises UsageError where the one wanted does not fit an exemplar."""
    used = [source for source in sources if source.weight > 0]
    shortest = min(min(source.size) for source in used)
    side = (
        wanted // 2 * 2 + 1 if wanted else max(3, (min(USUAL, shortest // SHARE) - 1) // 2 * 2 + 1)
    )
    if side > shortest:
        raise UsageError(
            f"A neighbourhood of {side} pixels does not fit into an exemplar whose short side is "
            f"{shortest}: use a smaller --patch."
        )
    for source in used:
        if bool(F.max_pool2d((~source.usable).float()[None, None], side, stride=1).all()):
            raise UsageError(
                f"No neighbourhood of {side} pixels in the exemplar is free of the mask: use a "
                "smaller --patch, mask less, or name another exemplar."
            )
    return side
