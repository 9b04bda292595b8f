"""Optimizing the pixels of a picture: one scale, one optimizer, one step at a time."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator
from typing import Protocol

import torch
from torch import Tensor

from cnnart.errors import CnnartError, UsageError
from cnnart.optim.steps import LBFGS_HISTORY, Objective
from cnnart.settings import OPTIMIZERS

ADAM_STEP = 10 / 255  # per evaluation, in units of the [0, 1] range
RETRIES = 3
FLAT, PATIENCE = 1e-4, 20  # the loss is flat after so many evaluations without such a gain


class Optimizer(Protocol):
    """Changes a picture in place, told the gradient at where it stands."""

    def step(self, gradient: Tensor) -> None: ...


def optimize_image(
    image: Tensor, objective: Objective, steps: int, make_optimizer: Callable[..., Optimizer]
) -> Iterator[tuple[dict[str, float], Tensor]]:
    """Lower ``objective`` by changing the pixels of ``image`` (float32), in place.

    Yields, ``steps`` times, the losses of an evaluation and the picture after the step it led to
    (the same tensor each time: copy what is to be kept).

    A step that ends in NaN or raises the loss a hundredfold is undone and retried with a quarter of
    the step length, up to three times; then the best picture stands and the scale ends. A loss that
    has gone flat gets one fresh start of the optimizer from the best picture; when it is flat again
    there is nothing left to gain, and the scale ends before its ``steps``.

    Args:
        make_optimizer: called with the picture and a factor on the step length.

    Raises:
        CnnartError: when the very first evaluation is not finite.
    """
    x = image
    best, best_loss = x.clone(), math.inf
    best_losses: dict[str, float] = {}
    factor, failures, flat, fresh_starts = 1.0, 0, 0, 0
    engine = make_optimizer(x, factor)
    index = 0
    while index < steps:
        evaluation = objective(x)
        if math.isfinite(evaluation.total) and evaluation.total <= 100 * best_loss:
            flat = 0 if evaluation.total < best_loss * (1 - FLAT) else flat + 1
            if evaluation.total < best_loss:
                best_loss, best_losses = evaluation.total, evaluation.losses
                best.copy_(x)
            losses = evaluation.losses
            engine.step(evaluation.gradient)
            del evaluation  # its gradient, before the next one is computed
            if bool(torch.isfinite(x).all()):
                failures, index = 0, index + 1
                yield losses, x
                if flat < PATIENCE:
                    continue
                if fresh_starts:
                    return
                flat, fresh_starts = 0, 1
                x.copy_(best)
                engine = make_optimizer(x, factor)
                continue
        elif best_loss == math.inf:
            raise CnnartError(
                "The loss is not a finite number at the very start: the network's activations "
                "overflow. Use `precision` fp32."
            )
        x.copy_(best)
        failures, factor = failures + 1, factor / 4
        if failures > RETRIES:
            yield best_losses, x
            return
        engine = make_optimizer(x, factor)


def optimizer_factory(
    name: str, history_dtype: torch.dtype = torch.float32
) -> Callable[[Tensor, float], Optimizer]:
    """The factory that ``optimize_image`` wants, for ``lbfgs`` or ``adam``."""
    if name == "lbfgs":
        return lambda x, factor: LBFGS(
            x, step_size=factor, history=LBFGS_HISTORY, dtype=history_dtype
        )
    if name == "adam":
        return lambda x, factor: Adam(x, ADAM_STEP * factor)
    raise UsageError(f"Unknown optimizer {name!r}: use {' or '.join(OPTIMIZERS)}.")


class Adam:
    """torch's Adam (Kingma and Ba 2015), told the gradient."""

    def __init__(self, x: Tensor, step_size: float) -> None:
        self._x = x
        self._adam = torch.optim.Adam([x], lr=step_size, betas=(0.9, 0.99))

    def step(self, gradient: Tensor) -> None:
        self._x.grad = gradient
        self._adam.step()
        self._x.grad = None


LARGEST_STEP = 0.25  # root mean square change of the pixels that one step may make
SMALLEST_CURVATURE = 1e-10


class LBFGS:
    """Minimizes a function of ``x``, which it changes in place, from its gradients.

    Args:
        x: float32, any shape.
        step_size: factor on every step.
        history: pairs of past steps and gradient changes to remember.
        dtype: of the remembered pairs.
    """

    def __init__(
        self,
        x: Tensor,
        *,
        step_size: float = 1.0,
        history: int = 20,
        dtype: torch.dtype = torch.float32,
    ) -> None:
        self.x = x
        self.step_size = step_size
        self.history = history
        self.dtype = dtype
        self.pairs: list[tuple[Tensor, Tensor, float]] = []  # step, change of gradient, 1 / s.y
        self.scale = 1.0  # of the first guess at the inverse Hessian
        self.last: tuple[Tensor, Tensor] | None = None  # the last step and its gradient

    def step(self, gradient: Tensor) -> None:
        """Take one step down from ``x``, where the function has this gradient."""
        g = gradient.flatten()
        if self.last is None:
            direction = -g
            length = min(1.0, 1.0 / max(float(g.abs().sum()), 1e-30))
        else:
            self._remember(g)
            direction, length = self._direction(g), 1.0
        if float(torch.dot(g, direction)) > 0:  # not downhill: forget, start as on the first step
            self.pairs.clear()
            direction, length = -g * self.scale, 1.0
        step = direction.mul_(length * self.step_size)
        size = float(step.square().mean().sqrt())
        if size > LARGEST_STEP:
            step.mul_(LARGEST_STEP / size)
        self.x.add_(step.view_as(self.x))
        self.last = step, g.clone()

    def _remember(self, g: Tensor) -> None:
        assert self.last is not None
        step, before = self.last
        change = g - before
        curvature = float(torch.dot(step, change))
        if curvature > SMALLEST_CURVATURE:
            self.scale = curvature / float(torch.dot(change, change))
            if len(self.pairs) == self.history:
                self.pairs.pop(0)
            self.pairs.append((step.to(self.dtype), change.to(self.dtype), 1 / curvature))

    def _direction(self, g: Tensor) -> Tensor:
        """Minus the inverse Hessian's estimate times ``g``: the two-loop recursion."""
        q = -g
        weights = []
        for step, change, inverse in reversed(self.pairs):
            weight = inverse * float(torch.dot(step.float(), q))
            q.add_(change, alpha=-weight)
            weights.append(weight)
        q.mul_(self.scale)
        for (step, change, inverse), weight in zip(self.pairs, reversed(weights), strict=True):
            q.add_(step, alpha=weight - inverse * float(torch.dot(change.float(), q)))
        return q
