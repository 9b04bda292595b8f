"""Gradient ascent on pixels: steps of one length, along a smoothed gradient, inside [0, 1]."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator, Sequence
from dataclasses import replace

import torch
import torch.nn.functional as F
from torch import Tensor

from cnnart.budget import (
    FIXED,
    FREE_SHARE,
    PICTURES,
    Limits,
    MemoryPlan,
    free_memory,
    gigabytes,
    idle_memory,
)
from cnnart.coarse_to_fine import CoarseToFine, Work
from cnnart.dreaming.visualize import activation_bytes
from cnnart.errors import CnnartError, OutOfMemory
from cnnart.features import FeatureExtractor
from cnnart.networks import Network
from cnnart.optimize import Objective
from cnnart.resilience import ResilientObjective
from cnnart.schedule import Clock, Scale

BLURS = (0.5, 1.0, 2.0)  # times the smoothing: the gradient is averaged over so many scales

Move = Callable[[Tensor], Tensor]  # from a gradient to what is added to the picture


class Ascent(CoarseToFine):
    """A picture that climbs from scale to scale; see ``CoarseToFine``.

    ``move``: from a scale to how a picture moves there. Half-precision networks are checked,
    memory is planned and time kept as for every other method; networks that are no VGG see the
    whole picture at once.
    """

    def __init__(
        self,
        features: Network,
        layers: Sequence[str],
        schedule: Sequence[Scale],
        move: Callable[[Scale], Move],
        *,
        limits: Limits | None = None,
    ) -> None:
        # The gradient and its blurs take as much memory as Adam's state.
        super().__init__(features, layers, schedule, optimizer="adam", limits=limits)  # type: ignore[arg-type]
        self._move = move

    def _plan(self, optimizer: str, wrap: tuple[bool, bool]) -> MemoryPlan:
        if isinstance(self.features, FeatureExtractor):
            return super()._plan(optimizer, wrap)
        device, last = self.features.device, self.schedule[-1]
        idle, pixels = idle_memory(device), last.height * last.width
        peak = idle + FIXED + activation_bytes(self.features, self.layers, pixels)
        plan = MemoryPlan(optimizer=optimizer, peak=peak + (PICTURES + 2) * 3 * 4 * pixels)
        limit = self.limits.memory or idle + int(FREE_SHARE * free_memory(device))
        if plan.peak > limit:
            raise OutOfMemory(
                f"{last.width}x{last.height} needs about {gigabytes(plan.peak)} with this network, "
                f"and the limit is {gigabytes(limit)}. Ask for a smaller --size, or take a VGG, "
                "which works in tiles."
            )
        return plan

    def _optimize(
        self, work: Work, image: Tensor, scale: Scale
    ) -> Iterator[tuple[dict[str, float], Tensor]]:
        objective = ResilientObjective(
            lambda tile: work.objective(scale, tile),
            self.memory.tile,
            max(scale.height, scale.width),
            self.notes,
        )
        return ascend(image, objective, scale.evaluations, self._move(scale))

    def _fit_to_time(
        self, work: Work, scales: list[Scale], clock: Clock, image: Tensor
    ) -> list[Scale]:
        """As the base class does, but never more steps than planned: time is not depth."""
        told = len(self.notes)
        counts = {(s.height, s.width): s.evaluations for s in scales}
        fitted = [
            replace(s, evaluations=min(s.evaluations, counts[s.height, s.width]))
            for s in super()._fit_to_time(work, scales, clock, image)
        ]
        if len(self.notes) > told:
            amounts = ", ".join(f"{s.evaluations} at {s.width}x{s.height}" for s in fitted)
            self.notes[told:] = [f"Time budget: {amounts} steps."]
        return fitted


def ascend(
    image: Tensor, objective: Objective, steps: int, move: Move
) -> Iterator[tuple[dict[str, float], Tensor]]:
    """Raise ``objective`` by changing the pixels of ``image`` (float32 in [0, 1]).

    Yields, ``steps`` times, the values before a step and the picture after it, a new tensor each
    time. A pixel never leaves what a file can hold: ascent would otherwise go on in brightness that
    nobody sees.

    Args:
        move: from the gradient to what is added to the picture.

    Raises:
        CnnartError: when a gradient is not finite.
    """
    for _ in range(steps):
        evaluation = objective(image)
        if not all(map(math.isfinite, evaluation.losses.values())):
            raise CnnartError(
                "The activations are not finite numbers: they overflow. Use --precision fp32."
            )
        image = (image + move(evaluation.gradient)).clamp_(0, 1)
        yield evaluation.losses, image


def mean_size(gradient: Tensor, where: Tensor | None = None) -> float:
    """The mean absolute value (``where``, a mask ``1x1xHxW``), summed in double precision.

    So the order of summation, which depends on the number of threads, leaves no trace.
    """
    size = float(gradient.abs().sum(dtype=torch.float64))
    count = gradient.numel() if where is None else 3 * float(where.sum(dtype=torch.float64))
    return size / max(count, 1.0)


def smooth(gradient: Tensor, sigma: float) -> Tensor:
    """The mean of the gradient blurred at several scales around ``sigma`` pixels.

    High frequencies of a network's gradient are mostly noise of its pooling; the mixture of scales
    lets broad strokes grow beside fine ones.
    """
    if sigma <= 0:
        return gradient
    parts = [blur(gradient, sigma * factor) for factor in BLURS]
    return torch.stack([p / max(mean_size(p), 1e-12) for p in parts]).mean(0)


def blur(image: Tensor, sigma: float) -> Tensor:
    """Gaussian blur of ``1xCxHxW``, edges repeated; ``sigma`` in pixels."""
    if sigma < 0.2:
        return image
    reach = math.ceil(3 * sigma)
    x = torch.arange(-reach, reach + 1, dtype=torch.float32, device=image.device)
    kernel = torch.exp(-(x**2) / (2 * sigma**2))
    kernel = (kernel / kernel.sum()).to(image.dtype)
    channels = image.shape[1]
    rows = kernel.view(1, 1, -1, 1).expand(channels, 1, -1, 1)
    padded = F.pad(image, (reach, reach, reach, reach), mode="replicate")
    return F.conv2d(F.conv2d(padded, rows, groups=channels), rows.mT, groups=channels)
