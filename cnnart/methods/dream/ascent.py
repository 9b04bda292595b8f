"""Gradient ascent on pixels: steps of one length, along a smoothed gradient, inside [0, 1].

With momentum (Polyak 1964): what the gradients of the steps before have in common goes on, what
each shift of the picture has to itself dies away, and fewer steps climb as high.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field

import torch
import torch.nn.functional as F
from torch import Tensor

from cnnart.errors import OutOfMemory
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
from cnnart.optim.optimize import Reading, read_late
from cnnart.optim.steps import MemoryPlan, Objective, PyramidLevel, State

MOMENTUM = 0.5  # of the last step's direction, how much is added to this one's
BLUR_SCALES = (0.5, 1.0, 2.0)  # times the smoothing: the gradient is averaged over these blurs
NEGLIGIBLE_BLUR = 0.2  # pixels: a smaller deviation leaves a picture as it is
NO_GRADIENT = 1e-12  # against dividing by zero where nothing changes
NO_ACTIVATION = (
    "Nothing in the photo excites these units, so nothing grows: try the layer before its ReLU "
    "(conv4_2 for relu4_2), more channels or another `layer`."
)

# From a direction to what is added to the picture, and whether there is anything (a bool scalar).
Move = Callable[[Tensor], tuple[Tensor, Tensor]]


class Ascent:
    """The ``Update`` of ``CoarseToFine`` that raises an objective.

    Networks that are no VGG see the whole picture at once. A time budget never buys more steps
    than planned: more steps are a deeper dream, not a better one.

    Args:
        move: from a scale to how a picture moves there.
        generator: on the CPU: what the objective draws from.
    """

    most = 1.0
    unit = "steps"

    def __init__(self, move: Callable[[PyramidLevel], Move], generator: torch.Generator) -> None:
        self.move, self.generator = move, generator

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
        self,
        run: CoarseToFine,
        image: Tensor,
        objective: ResilientObjective,
        scale: PyramidLevel,
        state: State | None = None,
    ) -> Iterator[tuple[dict[str, float], Tensor]]:
        """One scale; see ``ascend``. Warns where nothing grows."""
        at = Climb(image, self.generator)
        run.level_state = at.state
        if state is not None:
            at.restore(state)
            yield at.values, at.image
        steps = ascend(at.image, objective, scale.iterations, self.move(scale), at)
        for values, iterate, moved in steps:
            if not moved and NO_ACTIVATION not in run.warnings:
                run.warnings.append(NO_ACTIVATION)
            yield values, iterate


@dataclass
class Climb:
    """Where ``ascend`` stands after the step that it yielded last, the ``index``-th.

    ``random``: the state of the ``generator`` then.
    """

    image: Tensor
    generator: torch.Generator | None = None
    heading: Tensor | None = None
    index: int = 0
    values: dict[str, float] = field(default_factory=dict)
    random: Tensor | None = None

    KEPT = ("image", "heading", "index", "values", "random")

    def state(self) -> State:
        """All of it; see ``Step.state``."""
        return {name: getattr(self, name) for name in self.KEPT}

    def restore(self, state: State) -> None:
        """Stand where another one did."""
        self.image, self.heading = (state[name].to(self.image) for name in ("image", "heading"))
        self.index, self.values, self.random = state["index"], state["values"], state["random"]
        if self.generator is not None:
            self.generator.set_state(self.random)


def ascend(
    image: Tensor, objective: Objective, steps: int, move: Move, at: Climb | None = None
) -> Iterator[tuple[dict[str, float], Tensor, bool]]:
    """Raise ``objective`` by changing the pixels of ``image`` (float32 in [0, 1]).

    Yields, until ``steps`` are made, the values before a step, the picture after it, a new tensor
    each time, and whether the step went anywhere (see ``read_late``). A pixel never leaves what a
    file can hold: ascent would otherwise go on in brightness that nobody sees.

    Args:
        move: from the direction, gradients of mean 1 added up with momentum, to what is added to
            the picture.
        at: tells where it stands between two steps; where it begins, if some are made.

    Raises:
        CnnartError: when the values are not finite.
    """
    at = at or Climb(image)

    def climb(
        image: Tensor, heading: Tensor | None
    ) -> Iterator[tuple[Reading, tuple[Tensor, Tensor, Tensor | None]]]:
        for _ in range(at.index, steps):
            evaluation = objective(image)
            names, values = list(evaluation.terms), evaluation.values()
            slope = evaluation.gradient / mean_abs(evaluation.gradient).clamp_min(NO_GRADIENT)
            heading = slope if heading is None else slope.add_(heading, alpha=MOMENTUM)
            step, moved = move(heading)
            image = (image + step).clamp_(0, 1)
            del evaluation, slope, step
            random = at.generator.get_state() if at.generator else None
            yield Reading.of(names, values, values.sum(), moved), (image, heading, random)

    climbed = climb(image, at.heading)
    for at.values, (at.image, at.heading, at.random), moved in read_late(climbed, image.device):
        at.index += 1
        yield at.values, at.image, moved
        at.heading = None  # the next step is to free it


def smooth(gradient: Tensor, sigma: float) -> Tensor:
    """The mean of the gradient blurred at several scales around ``sigma`` pixels.

    High frequencies of a network's gradient are mostly noise of its pooling; the mixture of scales
    lets broad strokes grow beside fine ones.
    """
    if sigma <= 0:
        return gradient
    parts = [blur(gradient, sigma * factor) for factor in BLUR_SCALES]
    return torch.stack([p / mean_abs(p).clamp_min(NO_GRADIENT) for p in parts]).mean(0)


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


def mean_abs(gradient: Tensor, where: Tensor | None = None) -> Tensor:
    """The mean absolute value (``where``, a mask ``1x1xHxW``), a scalar, in double precision.

    So the order of summation, which depends on the number of threads, leaves no trace. MPS has no
    double precision, and no threads to choose.
    """
    exact = torch.float32 if gradient.device.type == "mps" else torch.float64
    total = gradient.abs().sum(dtype=exact)
    if where is None:
        return total / max(gradient.numel(), 1)
    return total / (3 * where.sum(dtype=exact)).clamp_min(1)


def activation_bytes(network: Network, layers: Sequence[str], pixels: int) -> int:
    """Bytes of all activations of so many pixels up to the deepest of these layers."""
    names = list(network.geometry)
    deepest = max(names.index(name) for name in layers)
    found = [network.geometry[name] for name in names[: deepest + 1]]
    return int(sum(g.channels * pixels / g.stride**2 for g in found) * network.dtype.itemsize)
