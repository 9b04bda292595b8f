"""Texture pixel by pixel, each by its neighbourhood: Efros and Leung 1999.

"Texture Synthesis by Non-parametric Sampling": a seed grows; the pixel with the most known
neighbours takes the colour of one whose own neighbourhood in the exemplar looks almost alike. Here
many pixels are filled at once, but never two in each other's neighbourhood: the result is one that
filling them one by one gives too. Not taken over: the paper's retries of pixels that fit nowhere.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence

import torch
import torch.nn.functional as F
from torch import Tensor

from cnnart.budget import MemoryPlan, idle_memory
from cnnart.config import TextureConfig, check_texture_config
from cnnart.optimize import Step
from cnnart.schedule import Clock, Scale
from cnnart.textures.canvas import Canvas
from cnnart.textures.guide import Guide
from cnnart.textures.mixing import mix
from cnnart.textures.neighborhoods import Asked, Neighborhoods, window_side
from cnnart.textures.request import Request
from cnnart.textures.sources import color_levels
from cnnart.textures.windows import grid, product
from cnnart.textures.wrapping import wrap_axes

SEED_SIDE = 3  # pixels, as in the paper
ROUNDS = 3  # of choosing pixels to fill at once: more find hardly any


class EfrosLeung:
    """One texture, pixel by pixel: slow, and the lecture's baseline.

    The arguments are those of ``Quilting``; ``config.patch`` is the side of the neighbourhood, an
    odd number (an even one is raised by 1).
    """

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
        check_texture_config(config)
        request = Request(exemplars, weights, size, guide, inpaint)
        self.config, self.size = config, size
        self.notes: list[str] = []
        sources = request.sources(color_levels, config.scale)
        self._wraps = wrap_axes(config.tileable)
        self.window = window_side(sources, config.patch)
        self._canvas = Canvas(size, sources)
        if request.hole is not None:
            self._canvas.give(request.hole, color_levels)
        self._neighborhoods = Neighborhoods(sources, self.window, guide)
        self._missing = int((~self._canvas.known).sum())
        self.schedule = [Scale(*size, self._missing)]
        idle = idle_memory(self._canvas.known.device)
        self.memory = MemoryPlan(peak=idle + self._canvas.bytes + self._neighborhoods.bytes)

    @property
    def origin(self) -> Tensor:
        """``HxWx3`` int64: what each pixel is a copy of; see ``Canvas.origin_in``."""
        return self._canvas.origin_in(self.size, self.config.scale)

    def steps(self) -> Iterator[Step]:
        """Run, yielding a Step for every group of pixels; ``index`` counts the pixels.

        A Step's image shares the canvas's memory: copy what is to be kept.
        """
        clock, canvas = Clock(), self._canvas
        rng = torch.Generator().manual_seed(self.config.seed)
        done, total, error = 0, self._missing, 0.0
        self._labels = self._mix(rng)
        if not bool(canvas.known.any()):
            done = self._plant(rng)
            yield self._step(done, total, 0.0, clock)
        while done < total:
            rows, columns = self._next_pixels(rng)
            luck = torch.rand(len(rows), generator=rng)
            origin, errors = self._neighborhoods.choose(self._asked(rows, columns), luck)
            canvas.copy(rows, columns, origin)
            done += len(rows)
            error += float(errors.sum())
            yield self._step(done, total, error / done, clock)

    def finish(self, image: Tensor) -> Tensor:
        """Any Step's image as it is to be written: ``1xCxHxW`` on the CPU."""
        return image.detach().float().cpu().clone()

    def _step(self, done: int, total: int, error: float, clock: Clock) -> Step:
        picture = self._canvas.picture(self.size)
        return Step(done, total, {"mismatch": error}, picture, self.size, clock.seconds)

    def _plant(self, rng: torch.Generator) -> int:
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
        origin = first + torch.cat((torch.zeros_like(moved[:, :1]), moved), 1)
        self._canvas.copy(places[:, 0], places[:, 1], origin)
        return len(places)

    def _next_pixels(self, rng: torch.Generator) -> tuple[Tensor, Tensor]:
        """Unknown pixels beside known ones, none within another's window.

        Those with more known neighbours than any other within their window come first, ties broken
        at random; then again among those that are not within the window of one chosen.
        """
        known = self._padded(self._canvas.known.float(), self.window // 2)
        beside = F.max_pool2d(self._padded(self._canvas.known.float(), 1), 3, stride=1)[0, 0] > 0
        counts = F.avg_pool2d(known, self.window, stride=1, divisor_override=1)[0, 0]
        frontier = beside & ~self._canvas.known
        lots = torch.rand(self.size, generator=rng).to(counts.device) * 0.5 + 0.25
        rank = torch.where(frontier, counts + lots, torch.zeros_like(counts))
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

    def _asked(self, rows: Tensor, columns: Tensor) -> Asked:
        reach = torch.arange(self.window, device=rows.device) - self.window // 2
        y, x = rows[:, None] + reach, columns[:, None] + reach
        (height, width), (down, across) = self.size, self._wraps
        inside_y = ((y >= 0) & (y < height)) | down
        inside_x = ((x >= 0) & (x < width)) | across
        inside = inside_y[:, :, None] & inside_x[:, None, :]
        y, x = (y % height)[:, :, None], (x % width)[:, None, :]
        levels = self._canvas.levels[:, y, x].transpose(0, 1).to(torch.float64)
        known = self._canvas.known[y, x] & inside
        return Asked(levels, known, rows, columns, self._labels[rows, columns])

    def _mix(self, rng: torch.Generator) -> Tensor:
        """``HxW``: the number of the exemplar for each pixel."""
        grids = tuple(
            grid(n, self.window, 0, wraps) for n, wraps in zip(self.size, self._wraps, strict=True)
        )
        weights = [source.weight for source in self._canvas.sources]
        counts = [len(g.starts) for g in grids]
        starts = product(grids[0].starts, grids[1].starts)
        labels = torch.tensor(mix(starts, weights, (grids[0], grids[1]), rng)).view(*counts)
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
