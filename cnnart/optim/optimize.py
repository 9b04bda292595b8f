"""Optimizing the pixels of a picture: one scale, one optimizer, one step at a time."""

from __future__ import annotations

import math
from collections import deque
from collections.abc import Callable, Iterable, Iterator, Sequence
from typing import Any, NamedTuple, Protocol, TypeVar

import torch
from torch import Tensor

from cnnart.errors import CnnartError, UsageError
from cnnart.optim.capture import Replay
from cnnart.optim.steps import LBFGS_HISTORY, Objective, State
from cnnart.settings import OPTIMIZERS

ADAM_STEP = 10 / 255  # per evaluation, in units of the [0, 1] range
FIRST_STEP = 0.02  # of L-BFGS: root mean square change of the pixels
Shown = TypeVar("Shown")

RETRIES = 3
FLAT, PATIENCE = 1e-4, 20  # the loss is flat after so many evaluations without such a gain


class Optimizer(Protocol):
    """Changes a picture in place, told the gradient at where it stands."""

    def step(self, gradient: Tensor) -> Tensor:
        """Whether the picture moved (a bool scalar): not where that would make it not finite."""
        ...

    def state(self) -> State:
        """What it remembers between two steps, the picture apart."""
        ...

    def restore(self, state: State) -> None:
        """Remember what another one did. Raises ValueError for one of another size."""
        ...


class Standing:
    """Where ``optimize_image`` stands between two of its steps.

    ``best``: the best picture; ``lowest``: its loss, as the device knows it; ``best_loss`` and
    ``best_losses``: as the host does. ``factor``: on the step length. ``ended``: no step follows.
    """

    def __init__(self) -> None:
        self.image: Tensor
        self.best: Tensor
        self.engine: Optimizer
        self.lowest: Tensor | None = None
        self.losses: dict[str, float] = {}
        self.best_loss, self.best_losses = math.inf, dict[str, float]()
        self.factor, self.failures, self.flat, self.fresh_starts = 1.0, 0, 0, 0
        self.index, self.ended = 0, False
        self.waiting: deque[Reading] = deque()

    NUMBERS = ("losses", "best_loss", "best_losses", "factor", "failures", "flat")
    MORE_NUMBERS = ("fresh_starts", "index", "ended")

    def state(self) -> State:
        """All of it; see ``Step.state``."""
        return {
            "image": self.image,
            "best": self.best,
            "lowest": self.lowest,
            "engine": self.engine.state(),
            "waiting": [reading.state() for reading in self.waiting],
            **{name: getattr(self, name) for name in (*self.NUMBERS, *self.MORE_NUMBERS)},
        }

    def restore(
        self, image: Tensor, make_optimizer: Callable[..., Optimizer], state: State
    ) -> None:
        """Stand where another one did. ``image`` becomes its picture."""
        self.image, self.best = image.copy_(state["image"]), state["best"].to(image)
        lowest = state["lowest"]
        self.lowest = None if lowest is None else lowest.to(image.device)
        for name in (*self.NUMBERS, *self.MORE_NUMBERS):
            setattr(self, name, state[name])
        self.waiting = deque(Reading.restored(each) for each in state["waiting"])
        self.engine = make_optimizer(image, self.factor)
        self.engine.restore(state["engine"])


def optimize_image(
    image: Tensor,
    objective: Objective,
    steps: int,
    make_optimizer: Callable[..., Optimizer],
    at: Standing | None = None,
    state: State | None = None,
) -> Iterator[tuple[dict[str, float], Tensor]]:
    """Lower ``objective`` by changing the pixels of ``image`` (float32), in place.

    Yields, ``steps`` times, the losses of an evaluation and the picture after the step it led to
    (the same tensor each time: copy what is to be kept). On a device that computes while the host
    goes on, losses are read when the next evaluation is under way, so that the device always has
    work: there the picture is one step further than the losses, but for the last. It is finite at
    any time.

    A step that ends in NaN or raises the loss a hundredfold is undone and retried with a quarter of
    the step length, up to three times; then the best picture stands and the scale ends. A loss that
    has gone flat gets one fresh start of the optimizer from the best picture; when it is flat again
    there is nothing left to gain, and the scale ends before its ``steps``.

    Args:
        make_optimizer: called with the picture and a factor on the step length.
        at: tells where it stands, between two steps.
        state: of such a standing, to go on from; the step that led there is yielded again.

    Raises:
        CnnartError: when the very first evaluation is not finite.
    """
    x, at = image, at or Standing()

    def back_to_best() -> None:
        while at.waiting:  # what was evaluated from there does not count, but may be the best
            losses, loss, _ = at.waiting.popleft().read()
            if loss < at.best_loss:
                at.best_loss, at.best_losses = loss, losses
        x.copy_(at.best)

    def begin_afresh() -> None:
        del at.engine  # and its memory, before the next one asks for as much
        at.engine = make_optimizer(x, at.factor)

    def goes_on() -> bool:
        """After a step: whether another may follow."""
        if at.flat < PATIENCE:
            return not at.ended
        if at.fresh_starts:
            return False
        at.flat, at.fresh_starts = 0, 1
        back_to_best()
        begin_afresh()
        return True

    if state is None:
        at.image, at.best, at.engine = x, x.clone(), make_optimizer(x, at.factor)
    else:
        at.restore(x, make_optimizer, state)
        state = None  # its tensors are taken over
        yield at.losses, x
        if not goes_on():
            return
    ahead = evaluations_ahead(x.device)
    while at.index < steps:
        if at.index + len(at.waiting) < steps:
            evaluation = objective(x)
            values = evaluation.values()
            total = values.sum()
            if at.lowest is None:
                at.lowest = torch.full_like(total, math.inf)
            torch.where(total < at.lowest, x, at.best, out=at.best)
            torch.fmin(total, at.lowest, out=at.lowest)
            moved = at.engine.step(evaluation.gradient)
            at.waiting.append(Reading.of(list(evaluation.terms), values, total, moved))
            del evaluation  # its gradient, before the next one is computed
            if len(at.waiting) <= ahead and at.index + len(at.waiting) < steps:
                continue
        losses, loss, has_moved = at.waiting.popleft().read()
        sound = math.isfinite(loss) and loss <= 100 * at.best_loss
        if sound:
            at.flat = 0 if loss < at.best_loss * (1 - FLAT) else at.flat + 1
            if loss < at.best_loss:
                at.best_loss, at.best_losses = loss, losses
        elif at.best_loss == math.inf:
            raise CnnartError(
                "The loss is not a finite number at the very start: the network's activations "
                "overflow. Use `precision` fp32."
            )
        if sound and has_moved:
            at.failures, at.index, at.losses = 0, at.index + 1, losses
            yield losses, x
            if not goes_on():
                return
            continue
        at.failures, at.factor = at.failures + 1, at.factor / 4
        back_to_best()
        if at.failures > RETRIES:
            at.losses, at.ended = at.best_losses, True
            yield at.losses, x
            return
        begin_afresh()


def evaluations_ahead(device: torch.device) -> int:
    """How many evaluations are under way before the losses of one are read."""
    return 0 if device.type == "cpu" else 1


class Reading(NamedTuple):
    """The losses of an evaluation, on their way to the host.

    ``values``: one for each of ``names``, their sum, and whether the picture moved (1 or 0); on the
    host when ``arrived`` (None: at once).
    """

    names: list[str]
    values: Tensor
    arrived: torch.cuda.Event | None

    @classmethod
    def of(cls, names: list[str], values: Tensor, total: Tensor, moved: Tensor) -> Reading:
        told = torch.cat((values, torch.stack((total, moved.to(total)))))
        if told.device.type != "cuda":
            return cls(names, told, None)
        arrived, stream = torch.cuda.Event(), torch.cuda.current_stream(told.device)
        told = told.to("cpu", non_blocking=True)  # into pinned memory
        arrived.record(stream)
        return cls(names, told, arrived)

    def read(self) -> tuple[dict[str, float], float, bool]:
        """The losses by name, their sum, and whether the picture moved. Waits for them."""
        if self.arrived is not None:
            self.arrived.synchronize()
        *values, total, moved = self.values.tolist()
        return dict(zip(self.names, values, strict=True)), total, bool(moved)

    def state(self) -> State:
        """What was read. Waits for it."""
        if self.arrived is not None:
            self.arrived.synchronize()
        return {"names": self.names, "values": self.values}

    @classmethod
    def restored(cls, state: State) -> Reading:
        return cls(list(state["names"]), state["values"], None)


def read_late(
    steps: Iterable[tuple[Reading, Shown]], device: torch.device
) -> Iterator[tuple[dict[str, float], Shown, bool]]:
    """What each step read, with its picture: the values by name, and whether it moved.

    On a device that computes while the host goes on, when the next step is under way: so it always
    has work. Raises CnnartError for values that are not finite.
    """
    waiting: deque[tuple[Reading, Shown]] = deque()

    def next_read() -> tuple[dict[str, float], Shown, bool]:
        reading, picture = waiting.popleft()
        values, total, moved = reading.read()
        if not math.isfinite(total):
            raise CnnartError(
                "The activations are not finite numbers: they overflow. Use `precision` fp32."
            )
        return values, picture, moved

    for step in steps:
        waiting.append(step)
        if len(waiting) > evaluations_ahead(device):
            yield next_read()
    while waiting:
        yield next_read()


def optimizer_factory(
    name: str, history_dtype: torch.dtype = torch.float32, history: int = LBFGS_HISTORY
) -> Callable[[Tensor, float], Optimizer]:
    """The factory that ``optimize_image`` wants, for ``lbfgs`` or ``adam``.

    ``history``: steps that L-BFGS remembers: not more than it will take.
    """
    if name == "lbfgs":
        return lambda x, factor: LBFGS(
            x, step_size=factor, first_step=FIRST_STEP, history=history, dtype=history_dtype
        )
    if name == "adam":
        return lambda x, factor: Adam(x, ADAM_STEP * factor)
    raise UsageError(f"Unknown optimizer {name!r}: use {' or '.join(OPTIMIZERS)}.")


def state_of(optimizer: Any, names: Sequence[str]) -> State:
    """The tensors of an optimizer that it remembers, and how many steps it has made."""
    return {"steps": optimizer.steps, **{name: getattr(optimizer, name) for name in names}}


def restore_state(optimizer: Any, names: Sequence[str], state: State) -> None:
    """Take the tensors over. Raises ValueError for those of another optimizer."""
    for name in names:
        own, found = getattr(optimizer, name), state[name]
        if own.shape != found.shape or own.dtype != found.dtype:
            raise ValueError(f"{name} is {tuple(found.shape)} {found.dtype}")
        setattr(optimizer, name, found.to(own.device))
    optimizer.steps = int(state["steps"])


class Adam:
    """Kingma and Ba (2015), told the gradient. As torch's, whose import takes seconds."""

    DECAY = 0.9, 0.99  # of the means of the gradient and of its square

    def __init__(self, x: Tensor, step_size: float) -> None:
        self.x = x
        self.step_size = step_size
        self.steps = 0
        self._mean, self._square = torch.zeros_like(x), torch.zeros_like(x)

    def step(self, gradient: Tensor) -> Tensor:
        """Take one step; with a gradient that is not finite, none."""
        self.steps += 1
        # A norm is finite only where every value is, and needs no copy.
        moved = torch.linalg.vector_norm(gradient).isfinite()
        fast, slow = self.DECAY
        self._mean.lerp_(gradient, 1 - fast)
        self._square.mul_(slow).addcmul_(gradient, gradient, value=1 - slow)
        size = self._square.sqrt().div_(math.sqrt(1 - slow**self.steps)).add_(1e-8)
        step = torch.div(self._mean, size, out=size).masked_fill_(~moved, 0)
        self.x.add_(step, alpha=-self.step_size / (1 - fast**self.steps))
        return moved

    def state(self) -> State:
        return state_of(self, ADAM_STATE)

    def restore(self, state: State) -> None:
        restore_state(self, ADAM_STATE, state)


LARGEST_STEP = 0.25  # root mean square change of the pixels that one step may make
TINY = 1e-30
SMALLEST_CURVATURE = 1e-10
BLOCK = 1 << 13  # values of the history in one piece
SCRATCH = 1 << 24  # values of a half-precision history taken to float32 at once

# What the optimizers remember from one step to the next, beside ``steps``.
ADAM_STATE = ("_mean", "_square")
LBFGS_STATE = (
    *("_pairs", "_step", "_before", "_inverse", "_changes", "_curvatures"),
    *("_products", "_scale", "_slot"),
)


class LBFGS:
    """Minimizes a function of ``x``, which it changes in place, from its gradients.

    Limited-memory BFGS in its compact form (Byrd, Nocedal and Schnabel 1994): with the past steps
    ``S``, the changes of the gradient ``Y``, the upper triangle ``R`` and the diagonal ``D`` of
    ``S.T Y``, and a first guess of ``scale`` times the identity, the inverse Hessian times ``g`` is

        scale g + S b - scale Y a,  where
        a = R^-1 S.T g  and  b = R^-T ((D + scale Y.T Y) a - scale Y.T g)

    which is what the two-loop recursion computes, but for rounding. The history is read twice in a
    step, for ``S.T g`` and ``Y.T g`` and for the sum; all else is done on matrices of ``history``
    rows: the products with a new change of the gradient are differences of those known. Nothing is
    decided on the host: no device waits for it, and steps can be recorded (``Replay``).

    Args:
        x: float32, any shape.
        step_size: factor on every step.
        first_step: root mean square change of ``x`` by the first step, when nothing is known of the
            curvature. None: as torch does it, so short that it is as good as lost; of a picture
            whose pixels can bear more it costs two evaluations.
        history: pairs of past steps and gradient changes to remember. One that is not taken, as it
            shows no curvature, costs the oldest one.
        dtype: of the remembered pairs.
    """

    def __init__(
        self,
        x: Tensor,
        *,
        step_size: float = 1.0,
        first_step: float | None = None,
        history: int = LBFGS_HISTORY,
        dtype: torch.dtype = torch.float32,
    ) -> None:
        self.x = x
        self.step_size = step_size
        self.first_step = first_step
        self.history = history
        self.steps = 0
        device, count = x.device, x.numel()
        block = min(BLOCK, count)
        blocks = -(-count // block)
        # Step i is in row 2 i, the gradient's change in row 2 i + 1; zeros fill the last block.
        self._pairs = torch.zeros(blocks, 2 * history, block, dtype=dtype, device=device)
        self._step, self._gradient, self._before = (
            torch.zeros(blocks, 1, block, device=device) for _ in range(3)
        )
        # MPS has no float64.
        self._exact = torch.float32 if device.type == "mps" else torch.float64
        self._inverse = self._small(history, history)  # R^-1; zeros where no pair is
        self._changes = self._small(history, history)  # Y.T Y
        self._curvatures = self._small(history)  # D
        self._products = self._small(2 * history)  # of the pairs with the last gradient
        self._scale = self._small() + 1
        self._slot = torch.zeros(1, dtype=torch.int64, device=device)  # where the next pair goes
        self._slots = torch.arange(history, device=device)
        self._replay = Replay(device)

    def _small(self, *shape: int) -> Tensor:
        return torch.zeros(shape, dtype=self._exact, device=self.x.device)

    def step(self, gradient: Tensor) -> Tensor:
        """Take one step down from ``x``, where the function has this gradient."""
        flat(self._gradient)[: self.x.numel()].copy_(gradient.flatten())
        self.steps += 1
        return self._first() if self.steps == 1 else self._replay(self._next)

    def state(self) -> State:
        return state_of(self, LBFGS_STATE)

    def restore(self, state: State) -> None:
        restore_state(self, LBFGS_STATE, state)

    def _first(self) -> Tensor:
        g = self._gradient
        if self.first_step is None:
            length = 1 / torch.linalg.vector_norm(g, 1).clamp_min(1)
        else:
            length = self.first_step * math.sqrt(self.x.numel())
            length /= torch.linalg.vector_norm(g).clamp_min(TINY)
        torch.mul(g, -length, out=self._step)
        return self._move()

    def _next(self) -> Tensor:
        self._remember()
        g = self._gradient
        steps, changes = self._products.view(-1, 2).unbind(1)
        a = self._inverse @ steps
        right = self._curvatures * a + self._scale * (self._changes @ a - changes)
        b = self._inverse.T @ right
        square = torch.dot(flat(g), flat(g)).to(self._exact)
        slope = self._scale * (square - changes @ a) + steps @ b  # downwards
        # Not downhill: forget, start as on the first step.
        downhill = slope >= 0
        self._inverse.mul_(downhill)
        factors = torch.stack((-b, self._scale * a), 1).flatten()
        self._add_up(torch.where(downhill, factors, 0))
        self._step.addcmul_(g, self._scale.float(), value=-1)
        return self._move()

    def _move(self) -> Tensor:
        """Go along ``_step``, cut to the largest one allowed; nowhere if it is not finite."""
        count = self.x.numel()
        size = torch.linalg.vector_norm(self._step) * (self.step_size / math.sqrt(count))
        moved = size.isfinite()
        self._step.mul_(self.step_size * (LARGEST_STEP / size).clamp_max(1))
        self._step.masked_fill_(~moved, 0)
        self.x.add_(flat(self._step)[:count].view_as(self.x))
        self._before.copy_(self._gradient)
        return moved

    def _remember(self) -> None:
        """Take the last step and the change of the gradient into the history."""
        g, step, slot = self._gradient, self._step, self._slot
        change = torch.sub(g, self._before, out=self._before)
        curvature = torch.dot(flat(step), flat(change)).to(self._exact)
        square = torch.dot(flat(change), flat(change)).to(self._exact)
        taken = curvature > SMALLEST_CURVATURE
        self._scale.copy_(torch.where(taken, curvature / square, self._scale))
        self._pairs.index_copy_(1, 2 * slot, step.to(self._pairs.dtype))
        self._pairs.index_copy_(1, 2 * slot + 1, change.to(self._pairs.dtype))
        products = self._multiply(g)
        # Of the pairs with the new change. Those of the pair that went are replaced below.
        steps, changes = (products - self._products).view(-1, 2).unbind(1)
        self._products.copy_(products)
        here = self._slots == slot
        changes = torch.where(here, square, changes)
        self._changes.copy_(torch.where(here[:, None], changes, self._changes))
        self._changes.copy_(torch.where(here, changes[:, None], self._changes))
        self._curvatures.copy_(torch.where(here, curvature, self._curvatures))
        # The oldest pair's row and column leave the inverse of a triangular matrix as they are;
        # the newest one's column is added.
        self._inverse.masked_fill_(here | here[:, None], 0)
        column = torch.where(here, 1.0, -(self._inverse @ steps)) / curvature
        self._inverse.copy_(torch.where(here & taken, column[:, None], self._inverse))
        slot.add_(taken).remainder_(self.history)

    @property
    def _rows(self) -> int:
        """Rows of the history that may hold something; all where a step is to be recorded."""
        if self._replay.records:
            return 2 * self.history
        return 2 * min(self.steps - 1, self.history)

    def _multiply(self, vector: Tensor) -> Tensor:
        """The products of the pairs with a vector."""
        rows, result = self._rows, torch.zeros_like(self._products)
        for pairs, part in self._pieces(vector):
            products = torch.bmm(pairs, part.mT).sum(0, dtype=self._exact)
            result[:rows] += products.flatten()
        return result

    def _add_up(self, factors: Tensor) -> None:
        """The sum of the pairs, each times its factor, as the step."""
        row = factors[: self._rows].float()
        for pairs, part in self._pieces(self._step):
            torch.bmm(row.expand(len(pairs), 1, -1), pairs, out=part)

    def _pieces(self, vector: Tensor) -> Iterator[tuple[Tensor, Tensor]]:
        """The pairs and a vector, in float32; piece by piece where that takes a copy of them."""
        rows, count = self._rows, len(self._pairs)
        if self._pairs.dtype != torch.float32:
            on_cpu = self.x.device.type == "cpu"
            # A piece is to stay in the processor's cache; a GPU is to have enough to do.
            count = 1 if on_cpu else max(1, SCRATCH // self._pairs[0].numel())
        for pairs, part in zip(self._pairs.split(count), vector.split(count), strict=True):
            yield pairs[:, :rows].float(), part


def flat(vector: Tensor) -> Tensor:
    return vector.view(-1)
