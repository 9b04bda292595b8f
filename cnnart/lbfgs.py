"""Limited-memory BFGS with a fixed step and a history that may be kept in half precision.

torch.optim.LBFGS keeps ``2 * history`` float32 copies of the picture, at print size most of the
memory of a run, and evaluates inside ``step``. This one is told the gradient, keeps its history
in the precision asked for, and does the same arithmetic otherwise (Nocedal and Wright, Algorithm
7.4; without a line search, as neural style transfer has always used it).
"""

from __future__ import annotations

import torch
from torch import Tensor

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
