"""Texture pixel by pixel, each by its neighborhood: Efros and Leung 1999.

"Texture Synthesis by Non-parametric Sampling": a seed grows; the pixel with the most known
neighbors takes the color of one whose own neighborhood in the exemplar looks almost alike. Here
many pixels are filled at once, but never two in each other's neighborhood: the result is one that
filling them one by one gives too. Not taken over: the paper's retries of pixels that fit nowhere.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import torch
import torch.nn.functional as F
from torch import Tensor

from cnnart.errors import UsageError
from cnnart.methods.texture.canvas import Canvas
from cnnart.methods.texture.config import TextureConfig
from cnnart.methods.texture.exemplars import PatchExemplar, PatchInputs, color_levels
from cnnart.methods.texture.guide import Guide
from cnnart.methods.texture.patch_grid import all_starts, make_grid, mixture_labels
from cnnart.methods.texture.wrap import wrap_axes
from cnnart.optim.memory import idle_memory
from cnnart.optim.steps import Clock, MemoryPlan, PyramidLevel, State, Step

SEED_SIDE = 3  # pixels, as in the paper
ROUNDS = 3  # of choosing pixels to fill at once: more find hardly any
USUAL_SIDE = 13  # pixels of the window's side where nothing is said,
SHARE = 3  # but at most this part of the exemplar's
TOLERANCE = 10  # percent: a match may be so much worse than the best (the paper's epsilon)
DEVIATIONS = 6.4  # in the window's side: of its Gaussian (the paper's)
CENTER_WEIGHT = 2**12  # of the window's center: weights are whole, for sums are to be exact
CHUNK = 2**22  # errors computed at once: bounds the memory
MAX_FLOAT_BYTES = 2**28  # of windows kept as the numbers they are compared as; above, as small ones
GUIDE_PARTS = 16  # the guide's weight is rounded to such parts


class EfrosLeung:
    """One texture, pixel by pixel: slow, and the lecture's baseline.

    The arguments are those of ``Quilting``; ``config.patch`` is the side of the neighborhood, an
    odd number (an even one is raised by 1).
    """

    features: None = None  # no network

    def __init__(
        self,
        exemplars: Sequence[Tensor],
        weights: Sequence[float],
        config: TextureConfig,
        *,
        size: tuple[int, int],
        guide: Guide | None = None,
        inpaint: tuple[Tensor, Tensor] | None = None,
    ) -> None:
        inputs = PatchInputs(exemplars, weights, size, guide, inpaint)
        self.config, self.size = config, size
        self.warnings: list[str] = []
        found = inputs.read(color_levels, config.scale)
        self._wraps = wrap_axes(config.tileable)
        self.window = window_side(found, config.patch)
        self._canvas = Canvas(size, found)
        if inputs.inpaint is not None and inputs.kept is not None:
            self._canvas.fix(inputs.inpaint[0], inputs.kept, color_levels)
        self._neighborhoods = Neighborhoods(found, self.window, guide)
        self._missing = int((~self._canvas.known).sum())
        self.schedule = [PyramidLevel(*size, self._missing)]
        idle = idle_memory(self._canvas.known.device)
        self.memory = MemoryPlan(peak=idle + self._canvas.bytes + self._neighborhoods.bytes)

    @property
    def nnf(self) -> Tensor:
        """``HxWx3`` int64: what each pixel is a copy of; see ``Canvas.nnf_within``."""
        return self._canvas.nnf_within(self.size, self.config.scale)

    def steps(self, state: State | None = None) -> Iterator[Step]:
        """Run, yielding a Step for every batch of pixels; ``index`` counts the pixels.

        A Step's image shares the canvas's memory: copy what is to be kept.
        """
        clock, canvas = Clock(), self._canvas
        rng = torch.Generator().manual_seed(self.config.seed)
        done, total, error = 0, self._missing, 0.0
        self._labels = self._mixture(rng)

        def standing() -> State:
            return {"done": done, "error": error, "nnf": canvas.nnf, "random": rng.get_state()}

        def step() -> Step:
            losses, picture = {"mismatch": error / max(1, done)}, canvas.picture(self.size)
            return Step(done, total, losses, picture, self.size, clock.seconds, standing)

        if state is not None:
            done, error = state["done"], state["error"]
            canvas.restore(state["nnf"])
            rng.set_state(state["random"])
            yield step()
        elif not bool(canvas.known.any()):
            done = self._place_seed(rng)
            yield step()
        while done < total:
            rows, columns = self._next_pixels(rng)
            uniform = torch.rand(len(rows), generator=rng)
            nnf, errors = self._neighborhoods.choose(self._queries(rows, columns), uniform)
            canvas.copy_pixels(rows, columns, nnf)
            done += len(rows)
            error += float(errors.sum())
            yield step()

    def finish(self, image: Tensor) -> Tensor:
        """Any Step's image as it is to be written: ``1xCxHxW`` on the CPU."""
        return image.detach().float().cpu().clone()

    def _place_seed(self, rng: torch.Generator) -> int:
        """Copy a small square of an exemplar to the middle; the number of pixels."""
        height, width = self.size
        side = min(SEED_SIDE, height, width)
        rows = torch.arange(side) + (height - side) // 2
        columns = torch.arange(side) + (width - side) // 2
        places = torch.cartesian_prod(rows, columns).to(self._labels.device)
        label = int(self._labels[places[0, 0], places[0, 1]])
        first = self._neighborhoods.any_pixel(label, float(torch.rand((), generator=rng)))
        # From the middle of a window: the square lies within it.
        moved = places - places[len(places) // 2]
        nnf = first + torch.cat((torch.zeros_like(moved[:, :1]), moved), 1)
        self._canvas.copy_pixels(places[:, 0], places[:, 1], nnf)
        return len(places)

    def _next_pixels(self, rng: torch.Generator) -> tuple[Tensor, Tensor]:
        """Unknown pixels beside known ones, none within another's window.

        Those with more known neighbors than any other within their window come first, ties broken
        at random; then again among those that are not within the window of one chosen.
        """
        known = self._padded(self._canvas.known.float(), self.window // 2)
        beside = F.max_pool2d(self._padded(self._canvas.known.float(), 1), 3, stride=1)[0, 0] > 0
        counts = F.avg_pool2d(known, self.window, stride=1, divisor_override=1)[0, 0]
        frontier = beside & ~self._canvas.known
        tie_break = torch.rand(self.size, generator=rng).to(counts.device) * 0.5 + 0.25
        rank = torch.where(frontier, counts + tie_break, torch.zeros_like(counts))
        chosen = torch.zeros_like(frontier)
        for _ in range(ROUNDS):
            best = self._highest_near(rank)
            chosen |= (rank == best) & (rank > 0)
            rank = rank.masked_fill(self._highest_near(chosen.float()) > 0, 0)
        rows, columns = torch.nonzero(chosen, as_tuple=True)
        return rows, columns

    def _highest_near(self, plane: Tensor) -> Tensor:
        """``HxW``: the highest value within the window around each pixel."""
        padded = self._padded(plane, self.window // 2)
        rows = F.max_pool2d(padded, (self.window, 1), stride=1)
        return F.max_pool2d(rows, (1, self.window), stride=1)[0, 0]

    def _queries(self, rows: Tensor, columns: Tensor) -> Queries:
        reach = torch.arange(self.window, device=rows.device) - self.window // 2
        y, x = rows[:, None] + reach, columns[:, None] + reach
        (height, width), (down, across) = self.size, self._wraps
        inside_y = ((y >= 0) & (y < height)) | down
        inside_x = ((x >= 0) & (x < width)) | across
        inside = inside_y[:, :, None] & inside_x[:, None, :]
        y, x = (y % height)[:, :, None], (x % width)[:, None, :]
        levels = self._canvas.levels[:, y, x].transpose(0, 1).to(torch.float64)
        known = self._canvas.known[y, x] & inside
        return Queries(levels, known, rows, columns, self._labels[rows, columns])

    def _mixture(self, rng: torch.Generator) -> Tensor:
        """``HxW``: the index of the exemplar for each pixel."""
        grids = (
            make_grid(self.size[0], self.window, 0, self._wraps[0]),
            make_grid(self.size[1], self.window, 0, self._wraps[1]),
        )
        weights = [exemplar.weight for exemplar in self._canvas.exemplars]
        counts = [len(g.starts) for g in grids]
        found = mixture_labels(all_starts(grids), weights, grids, rng)
        labels = torch.tensor(found).view(*counts)
        rows, columns = (
            torch.searchsorted(torch.tensor(g.starts), torch.arange(n), right=True) - 1
            for g, n in zip(grids, self.size, strict=True)
        )
        return labels[rows[:, None], columns].to(self._canvas.known.device)

    def _padded(self, plane: Tensor, reach: int) -> Tensor:
        """``HxW`` -> ``1x1x..``: continued to all sides, with the other side where it repeats."""
        (height, width), (down, across) = plane.shape[-2:], self._wraps
        y, x = (torch.arange(-reach, n + reach, device=plane.device) for n in (height, width))
        outside_y = (((y < 0) | (y >= height)) & (not down))[:, None]
        outside_x = (((x < 0) | (x >= width)) & (not across))[None]
        padded = plane[(y % height)[:, None], (x % width)[None]]
        return padded.masked_fill(outside_y | outside_x, 0)[None, None]


@dataclass(frozen=True)
class Queries:
    """Pixels to fill: their neighborhoods (``BxLxWxW`` levels, ``BxWxW`` bool), where they are
    (``rows``, ``columns``), and from which exemplar they are to come (``labels``)."""

    levels: Tensor
    known: Tensor
    rows: Tensor
    columns: Tensor
    labels: Tensor

    def __getitem__(self, chosen: Tensor) -> Queries:
        return Queries(*(getattr(self, name)[chosen] for name in self.__dataclass_fields__))


class Neighborhoods:
    """``side``: of a window, odd. ``guide`` decides which exemplar too; the labels then do not."""

    def __init__(self, exemplars: Sequence[PatchExemplar], side: int, guide: Guide | None) -> None:
        self._side = side
        self._weights = gaussian(side).to(exemplars[0].levels)
        self._windows = [
            ExemplarWindows(index, exemplar, side) for index, exemplar in enumerate(exemplars)
        ]
        self._target: Tensor | None = None
        if guide is not None and guide.weight > 0:
            target = guide.target.to(exemplars[0].pixels)
            self._target = color_levels(target)
            self._guide_weight = round(GUIDE_PARTS * guide.weight)

    @property
    def bytes(self) -> int:
        """Memory of the windows and of one comparison."""
        return sum(w.bytes for w in self._windows) + 6 * 8 * CHUNK

    def any_pixel(self, label: int, uniform: float) -> Tensor:
        """``3``: a pixel of an exemplar, in the middle of a window: ``uniform``, of [0, 1)."""
        middles = self._windows[label].middles
        return middles[int(uniform * len(middles))]

    def choose(self, queries: Queries, uniform: Tensor) -> tuple[Tensor, Tensor]:
        """``Bx3``: a pixel of an exemplar for each; ``B``: the mean square difference around it.

        ``uniform``: ``B`` samples of [0, 1), which of the good matches to take.
        """
        nnf = torch.empty(len(uniform), 3, dtype=torch.int64, device=queries.rows.device)
        errors = torch.zeros(len(uniform), dtype=torch.float64, device=queries.rows.device)
        groups = [0] if self._target is not None else queries.labels.unique().tolist()
        for label in groups:
            every = self._target is not None
            windows = self._windows if every else [self._windows[label]]
            mine = torch.nonzero((queries.labels == label) | every)[:, 0]
            at_once = max(1, CHUNK // sum(len(w.middles) for w in windows))
            for part in mine.split(at_once):
                nnf[part], errors[part] = self._choose(queries[part], windows, uniform[part.cpu()])
        return nnf, errors

    def _choose(
        self, queries: Queries, windows: Sequence[ExemplarWindows], uniform: Tensor
    ) -> tuple[Tensor, Tensor]:
        weights = queries.known * self._weights
        total = weights.sum((1, 2))
        cost = torch.cat([w.errors(queries.levels, weights) for w in windows], 1)
        if self._target is not None:
            wanted = self._target[:, queries.rows, queries.columns].T
            guide = torch.cat([w.guide_errors(wanted) for w in windows], 1)
            cost = cost * GUIDE_PARTS + guide * self._guide_weight * total[:, None]
        best = cost.amin(1, keepdim=True)
        good = cost * 100 <= best * (100 + TOLERANCE)
        rank = (uniform.to(cost) * good.sum(1)).floor()
        chosen = ((good.cumsum(1) > rank[:, None]) & good).int().argmax(1)
        parts = GUIDE_PARTS if self._target is not None else 1
        error = best[:, 0] / (total * parts * queries.levels.shape[1]).clamp_min(1)
        return torch.cat([w.middles for w in windows])[chosen], error


class ExemplarWindows:
    """The windows of one exemplar; ``middles`` (``Nx3``) are the pixels in their middle."""

    def __init__(self, index: int, exemplar: PatchExemplar, side: int) -> None:
        rows, columns = torch.nonzero(exemplar.whole_windows(side), as_tuple=True)
        middle = side // 2
        numbers = torch.full_like(rows, index)
        self.middles = torch.stack((numbers, rows + middle, columns + middle), 1)
        inside = torch.arange(side, device=rows.device)
        y, x = rows[:, None, None] + inside[:, None], columns[:, None, None] + inside
        large = 8 * len(rows) * side**2 * (len(exemplar.levels) + 1) > MAX_FLOAT_BYTES
        levels, squares = exemplar.levels, exemplar.levels.square().sum(0)
        if large:
            levels, squares = levels.to(torch.int16), squares.to(torch.int32)
        self._levels = levels[:, y, x].transpose(0, 1).flatten(1)
        self._squares = squares[y, x].flatten(1)
        self._guide: Tensor | None = None
        if exemplar.guide is not None:
            self._guide = exemplar.guide[:, rows + middle, columns + middle]

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

    def guide_errors(self, wanted: Tensor) -> Tensor:
        """``BxN``: the squared difference of the middles' guide and the one wanted (``Bx3``)."""
        assert self._guide is not None
        return (wanted[:, :, None] - self._guide).square().sum(1)


def gaussian(side: int) -> Tensor:
    """``sidexside`` whole weights; none is 0, for the farthest neighbor may be the only one."""
    line = torch.arange(side, dtype=torch.float64) - side // 2
    falloff = torch.exp(-0.5 * (line * DEVIATIONS / side) ** 2)
    return (CENTER_WEIGHT * falloff[:, None] * falloff).round().clamp_min(1)


def window_side(exemplars: Sequence[PatchExemplar], wanted: int | None) -> int:
    """An odd side in pixels. Raises UsageError where the one wanted does not fit an exemplar."""
    used = [exemplar for exemplar in exemplars if exemplar.weight > 0]
    shortest = min(min(exemplar.size) for exemplar in used)
    if wanted:
        side = wanted // 2 * 2 + 1
    else:
        side = max(3, (min(USUAL_SIDE, shortest // SHARE) - 1) // 2 * 2 + 1)
    if side > shortest:
        raise UsageError(
            f"A neighborhood of {side} pixels does not fit into an exemplar whose short side is "
            f"{shortest}: use a smaller `patch`."
        )
    if not all(bool(exemplar.whole_windows(side).any()) for exemplar in used):
        raise UsageError(
            f"No neighborhood of {side} pixels in the exemplar is free of the mask: use a smaller "
            "`patch`, mask less, or name another exemplar."
        )
    return side
