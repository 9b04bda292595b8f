"""Optimizing the pixels of a picture: one scale, one optimizer, one step at a time."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Protocol

import torch
from torch import Tensor

from cnnart.config import OPTIMIZERS
from cnnart.errors import CnnartError, UsageError
from cnnart.lbfgs import LBFGS

LBFGS_HISTORY = 20
ADAM_STEP = 10 / 255  # per evaluation, in units of the [0, 1] range
RETRIES = 3
FLAT, PATIENCE = 1e-4, 20  # the loss is flat after so many evaluations without such a gain


@dataclass(frozen=True)
class Evaluation:
    """An objective at one picture: its named, weighted terms and the gradient of their sum."""

    losses: dict[str, float]
    gradient: Tensor

    @property
    def total(self) -> float:
        return sum(self.losses.values())


Objective = Callable[[Tensor], Evaluation]


@dataclass(frozen=True)
class Step:
    """Where a long run stands after one evaluation.

    ``image`` is the iterate at its current scale (``1x3xhxw``; it may lie slightly outside [0, 1]);
    ``index`` counts from 1 over the whole run of ``steps`` evaluations; ``seconds`` is the time
    since the run began.
    """

    index: int
    steps: int
    losses: dict[str, float]
    image: Tensor
    scale: tuple[int, int]
    seconds: float


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
                "overflow. Use --precision fp32."
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
