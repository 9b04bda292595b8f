"""One step of training: gradients accumulated as memory asks for, optimizer, EMA of the weights.

Nothing in it waits for the device: what differs from step to step lies in tensors, what is to be
known of it is added up there and read now and then. So a CUDA device records the whole step once
and repeats it.
"""

from __future__ import annotations

import contextlib
import copy
from collections.abc import Mapping
from dataclasses import dataclass, field, fields
from typing import Any

import torch
from torch import Tensor, nn

from cnnart.errors import CnnartError, OutOfMemory, is_out_of_memory
from cnnart.methods.fast.train.balance import TERMS, LossBalancer
from cnnart.methods.fast.train.config import TrainConfig
from cnnart.methods.fast.train.distributed import Group
from cnnart.methods.fast.train.losses import PerceptualLosses, StyleTargets, Terms
from cnnart.methods.fast.train.model import StyleModel
from cnnart.optim.capture import Replay
from cnnart.optim.memory import release_memory

RATES = (1.0, 0.2)  # of the learning rate: the network's, and the predictor's, which is no convnet
MAX_NONFINITE = 10  # steps in a row without a usable gradient


@dataclass
class ComputeOptions:
    """How a run computes; ``seconds``: its time budget, None: as many steps as the preset says.

    ``workers``: threads that read photos ahead. ``pool``: bytes that decoded photos may take on the
    device, None: a share of what is free there.
    """

    dtype: torch.dtype = torch.float32
    workers: int = 0
    seconds: float | None = None
    pool: int | None = None
    group: Group = field(default_factory=Group)


@dataclass(frozen=True)
class TrainBatch:
    """``photos``: ``Bx3xHxW``; the rest per photo. ``styles`` (``B``, int64) and ``style_vectors``
    (``Bxpairs``) say the same twice: by number among the styles trained, and as weights of the
    network's affine pairs, if it has pairs for the style. ``strengths``, and ``positions`` between
    the weak pair and the strong one: ``B``. ``noise``: see ``make_noise``; no channels if none.
    """

    photos: Tensor
    styles: Tensor
    strengths: Tensor
    style_vectors: Tensor
    positions: Tensor
    noise: Tensor

    def part(self, start: int, stop: int) -> TrainBatch:
        """Some of its photos."""
        return TrainBatch(*(values[start:stop] for values in _tensors(self)))


def _tensors(batch: TrainBatch) -> list[Tensor]:
    return [getattr(batch, each.name) for each in fields(batch)]


class TrainStep:
    """A network being trained, and all that changes with it.

    Args:
        model: on its device; parameters that require no gradient stay as they are.
        losses, targets, balancer: what is minimized.

    ``ema``: the moving average of the weights. ``warnings`` gets a line when memory runs out.
    """

    def __init__(
        self,
        model: StyleModel,
        losses: PerceptualLosses,
        targets: StyleTargets,
        balancer: LossBalancer,
        config: TrainConfig,
        compute: ComputeOptions,
    ) -> None:
        self.model, self.losses, self.targets = model, losses, targets
        self.balancer, self.config, self.compute = balancer, config, compute
        self.device = losses.features.device
        self.warnings: list[str] = []
        self.accumulation_steps = 1
        self.ema = copy.deepcopy(model).requires_grad_(False)
        self._wrapped = compute.group.wrap(model)
        # The sums of the losses since they were read, the steps that count, and how many of the
        # latest in a row were not finite.
        self._tally = torch.zeros(len(TERMS) + 2, device=self.device)
        self._rates = [torch.zeros((), device=self.device) for _ in RATES]
        self._ema_weight = torch.zeros((), device=self.device)
        parts = (model.network, model.predictor)
        self.optimizer = torch.optim.Adam(
            [
                {"params": [p for p in part.parameters() if p.requires_grad], "lr": rate}
                for part, rate in zip(parts, self._rates, strict=True)
                if part is not None
            ],
            fused=True,
            capturable=self.device.type == "cuda",
        )
        half = compute.dtype == torch.float16
        self.scaler = torch.amp.GradScaler(self.device.type, enabled=half)
        # Other processes' gradients are waited for: with them, steps are not recorded.
        self._records = self.device.type == "cuda" and compute.group.size == 1
        self._recorded: tuple[Replay, TrainBatch] | None = None

    def run(self, batch: TrainBatch, index: int, rate_factor: float) -> Tensor:
        """Learn from a batch; one of its pictures. What it lost is told by ``read``.

        Args:
            index: of the step, from 1.
            rate_factor: on the learning rate.

        Raises OutOfMemory.
        """
        for rate, share in zip(self._rates, RATES, strict=True):
            rate.fill_(share * self.config.learning_rate * rate_factor)
        # Faster while there is little to average.
        self._ema_weight.fill_(1 - min(self.config.ema_decay, index / (index + 10)))
        while True:
            try:
                return self._repeated(batch) if self._records else self._learn(batch)
            except (MemoryError, RuntimeError) as error:
                if not is_out_of_memory(error):
                    raise
            # Outside the handler: the error's traceback keeps the tensors of the attempt alive.
            self._recorded = None
            release_memory(self.device)
            if self.accumulation_steps >= len(batch.photos):
                raise OutOfMemory("Out of memory even photo by photo: choose a smaller `size`.")
            self.accumulation_steps = min(2 * self.accumulation_steps, len(batch.photos))
            self.warnings.append(
                f"Out of memory: going on with a batch in {self.accumulation_steps} pieces."
            )

    def read(self, index: int) -> tuple[dict[str, float], int]:
        """The sums of the losses of the steps since the last time, and their number. Waits for the
        device; steps that were not finite do not count.

        Raises CnnartError when there has been no finite gradient for a while.
        """
        *sums, count, nonfinite = self.compute.group.mean(self._tally).tolist()
        self._tally[:-1].zero_()
        if nonfinite >= MAX_NONFINITE:
            raise CnnartError(
                f"Training broke down at step {index}: {MAX_NONFINITE} steps in a row gave no "
                "finite gradient. Try the `precision` fp32 or a lower `learning_rate`."
            )
        return dict(zip(TERMS, sums, strict=True)), round(count)

    def forward(self, batch: TrainBatch) -> tuple[Terms, Tensor]:
        """The terms of a batch's pictures, and the first of these."""
        output = self._wrapped(
            batch.photos,
            batch.styles,
            batch.style_vectors,
            batch.positions,
            batch.noise,
            self.compute.dtype,
        )
        return self.losses(output, batch.photos, self.targets, batch.styles), output[:1].detach()

    def state_dict(self) -> dict[str, Any]:
        """All that changes from step to step."""
        return {
            "model": self.model.state_dict(),
            "ema": self.ema.state_dict(),
            "optimizer": self.optimizer.state_dict(),
            "scaler": self.scaler.state_dict(),
            "tally": self._tally.clone(),
            "accumulation_steps": self.accumulation_steps,
        }

    def load_state_dict(self, state: Mapping[str, Any]) -> None:
        self.model.load_state_dict(state["model"])
        self.ema.load_state_dict(state["ema"])
        self.optimizer.load_state_dict(state["optimizer"])
        for group, rate in zip(self.optimizer.param_groups, self._rates, strict=False):
            group["lr"] = rate
            group["capturable"] = self.optimizer.defaults["capturable"]  # of this device
        self.scaler.load_state_dict(state["scaler"])
        self._tally.copy_(state["tally"])
        self.accumulation_steps = state["accumulation_steps"]

    def _repeated(self, batch: TrainBatch) -> Tensor:
        """``_learn``, recorded for batches of this shape and repeated."""
        if self._recorded is None or self._recorded[1].photos.shape != batch.photos.shape:
            self._recorded = None  # its memory first
            inputs = TrainBatch(*(values.clone() for values in _tensors(batch)))
            self._recorded = Replay(self.device), inputs
        replay, inputs = self._recorded
        for place, values in zip(_tensors(inputs), _tensors(batch), strict=True):
            place.copy_(values)
        return replay(lambda: self._learn(inputs)).clone()

    def _learn(self, batch: TrainBatch) -> Tensor:
        """Gradient, optimizer and averages of one batch, on the device alone."""
        losses, observed, image = self._gradient(batch)
        self.scaler.unscale_(self.optimizer)
        norm = nn.utils.clip_grad_norm_(self.model.parameters(), self.config.max_grad_norm)
        broken = ~(norm.isfinite() & losses.sum().isfinite())
        broken = self.compute.group.sum(broken.float()) > 0
        # As torch's GradScaler tells a fused optimizer that a step is to leave no trace. Metal's
        # does not listen, and is asked for nothing then.
        self.optimizer.found_inf = broken.float()  # type: ignore[attr-defined]
        if self.device.type != "mps" or not bool(broken):
            self.optimizer.step()
        self.scaler.update()
        self._update_ema(~broken)
        self.balancer.seen += torch.where(broken, 0.0, observed)
        self._tally[:-1] += torch.where(
            broken, 0.0, torch.cat((losses, torch.ones_like(norm)[None]))
        )
        self._tally[-1] = torch.where(broken, self._tally[-1] + 1, 0.0)
        return image

    def _gradient(self, batch: TrainBatch) -> tuple[Tensor, Tensor, Tensor]:
        """Put a batch's gradient into the network, accumulated from as many parts as memory asks
        for. Returns its losses, what the balancer is to see, and one of its pictures.
        """
        self.optimizer.zero_grad(set_to_none=True)
        losses = torch.zeros(len(TERMS), device=self.device)
        observed = torch.zeros_like(self.balancer.seen)
        count = len(batch.photos)
        size = -(-count // self.accumulation_steps)
        for start in range(0, count, size):
            part = batch.part(start, start + size)
            share = len(part.photos) / count
            with self._without_sync(last=start + size >= count):
                terms, image = self.forward(part)
                weighted = self.balancer(terms, part.styles, part.strengths)
                values = torch.stack([weighted[name] for name in TERMS])
                self.scaler.scale(values.sum() * share).backward()
            observed += self.balancer.observed(terms, part.styles, part.strengths)
            losses += values.detach() * share
        return losses, observed, image

    def _without_sync(self, *, last: bool) -> contextlib.AbstractContextManager[Any]:
        """Gradients are exchanged with other processes once per step: with the last part."""
        if last or not isinstance(self._wrapped, nn.parallel.DistributedDataParallel):
            return contextlib.nullcontext()
        return self._wrapped.no_sync()

    @torch.no_grad()
    def _update_ema(self, finite: Tensor) -> None:
        """Move the average of the weights towards them."""
        weight = self._ema_weight * finite
        for mean, now in zip(self.ema.parameters(), self.model.parameters(), strict=True):
            mean.lerp_(now, weight)  # leaves what does not change exactly as it is
