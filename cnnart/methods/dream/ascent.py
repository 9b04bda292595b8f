"""Gradient ascent on pixels: steps of one length, along a smoothed gradient, inside [0, 1]."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator, Sequence

import torch
import torch.nn.functional as F
from torch import Tensor

from cnnart.errors import CnnartError, OutOfMemory
from cnnart.networks.base import Network
from cnnart.networks.vgg import FeatureExtractor
from cnnart.optim.memory import (
    FIXED,
    FREE_SHARE,
    PICTURES,
    ResilientObjective,
    free_memory,
    gigabytes,
    idle_memory,
)
from cnnart.optim.multiscale import CoarseToFine, plan_descent
from cnnart.optim.steps import MemoryPlan, Objective, PyramidLevel

BLUR_SCALES = (0.5, 1.0, 2.0)  # times the smoothing: the gradient is averaged over these blurs
NEGLIGIBLE_BLUR = 0.2  # pixels: a smaller deviation leaves a picture as it is
NO_GRADIENT = 1e-12  # against dividing by zero where nothing changes

Move = Callable[[Tensor], Tensor]  # from a gradient to what is added to the picture


class Ascent:
    """The ``Update`` of ``CoarseToFine`` that raises an objective.

    Networks that are no VGG see the whole picture at once. A time budget never buys more steps
    than planned: more steps are a deeper dream, not a better one.

    Args:
        move: from a scale to how a picture moves there.
    """

    most = 1.0
    unit = "steps"

    def __init__(self, move: Callable[[PyramidLevel], Move]) -> None:
        self.move = move

    def plan(self, run: CoarseToFine) -> MemoryPlan:
        """The memory that the last scale takes. Raises OutOfMemory for what cannot fit."""
        # The gradient and its blurs take as much memory as Adam's state.
        if isinstance(run.features, FeatureExtractor):
            return plan_descent(run, "adam")
        device, last = run.features.device, run.schedule[-1]
        idle, pixels = idle_memory(device), last.height * last.width
        peak = idle + FIXED + activation_bytes(run.features, run.layers, pixels)
        plan = MemoryPlan(optimizer="adam", peak=peak + (PICTURES + 2) * 3 * 4 * pixels)
        limit = run.limits.memory or idle + int(FREE_SHARE * free_memory(device))
        if plan.peak > limit:
            raise OutOfMemory(
                f"{last.width}x{last.height} needs about {gigabytes(plan.peak)} with this network, "
                f"and the limit is {gigabytes(limit)}. Ask for a smaller `size`, or take a VGG, "
                "which works in tiles."
            )
        return plan

    def optimize(
        self, run: CoarseToFine, image: Tensor, objective: ResilientObjective, scale: PyramidLevel
    ) -> Iterator[tuple[dict[str, float], Tensor]]:
        """One scale; see ``ascend``."""
        return ascend(image, objective, scale.iterations, self.move(scale))


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
                "The activations are not finite numbers: they overflow. Use `precision` fp32."
            )
        image = (image + move(evaluation.gradient)).clamp_(0, 1)
        yield evaluation.losses, image


def smooth(gradient: Tensor, sigma: float) -> Tensor:
    """The mean of the gradient blurred at several scales around ``sigma`` pixels.

    High frequencies of a network's gradient are mostly noise of its pooling; the mixture of scales
    lets broad strokes grow beside fine ones.
    """
    if sigma <= 0:
        return gradient
    parts = [blur(gradient, sigma * factor) for factor in BLUR_SCALES]
    return torch.stack([p / max(mean_abs(p), NO_GRADIENT) for p in parts]).mean(0)


def blur(image: Tensor, sigma: float) -> Tensor:
    """Gaussian blur of ``1xCxHxW``, edges repeated; ``sigma`` in pixels."""
    if sigma < NEGLIGIBLE_BLUR:
        return image
    reach = math.ceil(3 * sigma)
    x = torch.arange(-reach, reach + 1, dtype=torch.float32, device=image.device)
    kernel = torch.exp(-(x**2) / (2 * sigma**2))
    kernel = (kernel / kernel.sum()).to(image.dtype)
    channels = image.shape[1]
    rows = kernel.view(1, 1, -1, 1).expand(channels, 1, -1, 1)
    padded = F.pad(image, (reach, reach, reach, reach), mode="replicate")
    return F.conv2d(F.conv2d(padded, rows, groups=channels), rows.mT, groups=channels)


def mean_abs(gradient: Tensor, where: Tensor | None = None) -> float:
    """The mean absolute value (``where``, a mask ``1x1xHxW``), summed in double precision.

    So the order of summation, which depends on the number of threads, leaves no trace.
    """
    total = float(gradient.abs().sum(dtype=torch.float64))
    count = gradient.numel() if where is None else 3 * float(where.sum(dtype=torch.float64))
    return total / max(count, 1.0)


def activation_bytes(network: Network, layers: Sequence[str], pixels: int) -> int:
    """Bytes of all activations of so many pixels up to the deepest of these layers."""
    names = list(network.geometry)
    deepest = max(names.index(name) for name in layers)
    found = [network.geometry[name] for name in names[: deepest + 1]]
    return int(sum(g.channels * pixels / g.stride**2 for g in found) * network.dtype.itemsize)
