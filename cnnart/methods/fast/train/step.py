"""One step of training: gradients accumulated as memory asks for, optimizer, EMA of the weights."""

from __future__ import annotations

import contextlib
import copy
import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import torch
from torch import Tensor, nn

from cnnart.errors import CnnartError, OutOfMemory, is_out_of_memory
from cnnart.methods.fast.network import StyleNetwork
from cnnart.methods.fast.train.balance import LossBalancer
from cnnart.methods.fast.train.config import TrainConfig
from cnnart.methods.fast.train.distributed import Group
from cnnart.methods.fast.train.losses import PerceptualLosses, StyleTarget, Terms
from cnnart.optim.memory import release_memory

MAX_NONFINITE = 10  # steps in a row without a usable gradient


@dataclass
class ComputeOptions:
    """How a run computes; ``seconds``: its time budget, None: as many steps as the preset says.

    ``workers``: threads that read photos ahead.
    """

    dtype: torch.dtype = torch.float32
    workers: int = 0
    seconds: float | None = None
    group: Group = field(default_factory=Group)


@dataclass(frozen=True)
class TrainBatch:
    """``photos``: ``Bx3xHxW``; the rest per photo. ``styles`` and ``style_vectors`` say the same
    twice: by number among the styles trained, and as weights of the network's affine pairs
    (``1xpairs``).
    """

    photos: Tensor
    styles: Sequence[int]
    strengths: Sequence[float]
    style_vectors: Sequence[Tensor]
    targets: Sequence[StyleTarget]

    def part(self, start: int, stop: int) -> TrainBatch:
        """Some of its photos."""
        return TrainBatch(
            self.photos[start:stop],
            self.styles[start:stop],
            self.strengths[start:stop],
            self.style_vectors[start:stop],
            self.targets[start:stop],
        )


class TrainStep:
    """A network being trained, and all that changes with it.

    Args:
        network: on its device; parameters that require no gradient stay as they are.
        losses, balancer: what is minimized.

    ``ema``: the moving average of the weights. ``warnings`` gets a line when memory runs out.
    """

    def __init__(
        self,
        network: StyleNetwork,
        losses: PerceptualLosses,
        balancer: LossBalancer,
        config: TrainConfig,
        compute: ComputeOptions,
    ) -> None:
        self.network, self.losses, self.balancer = network, losses, balancer
        self.config, self.compute = config, compute
        self.device = losses.features.device
        self.warnings: list[str] = []
        self.accumulation_steps, self._nonfinite = 1, 0
        self.ema = copy.deepcopy(network).requires_grad_(False)
        self._wrapped = compute.group.wrap(network)
        self.optimizer = torch.optim.Adam(
            [p for p in network.parameters() if p.requires_grad], lr=config.learning_rate
        )
        half = compute.dtype == torch.float16
        self.scaler = torch.amp.GradScaler(self.device.type, enabled=half)

    def run(
        self, batch: TrainBatch, index: int, rate_factor: float
    ) -> tuple[dict[str, float], Tensor]:
        """Learn from a batch; its losses and one of its pictures.

        Args:
            index: of the step, from 1.
            rate_factor: on the learning rate.

        Raises CnnartError when there has been no finite gradient for a while, OutOfMemory.
        """
        for group in self.optimizer.param_groups:
            group["lr"] = self.config.learning_rate * rate_factor
        seen = self.balancer.seen.clone()
        losses, image = self._gradient(batch)
        self.scaler.unscale_(self.optimizer)
        max_norm = self.config.max_grad_norm
        norm = float(nn.utils.clip_grad_norm_(self.network.parameters(), max_norm))
        losses = self.compute.group.means(losses)
        if math.isfinite(norm) and math.isfinite(sum(losses.values())):
            self.scaler.step(self.optimizer)
            self._nonfinite = 0
            self._update_ema(index)
        else:
            self.balancer.seen = seen
            self._count_nonfinite(index)
        self.scaler.update()
        return losses, image

    def forward(self, batch: TrainBatch) -> tuple[Terms, Tensor]:
        """The terms of a batch's pictures, and the first of these."""
        style_weights = torch.cat(list(batch.style_vectors))
        output = self._wrapped(batch.photos, style_weights, self.compute.dtype)
        return self.losses(output, batch.photos, batch.targets), output[:1].detach()

    def state_dict(self) -> dict[str, Any]:
        """All that changes from step to step."""
        return {
            "network": self.network.state_dict(),
            "ema": self.ema.state_dict(),
            "optimizer": self.optimizer.state_dict(),
            "scaler": self.scaler.state_dict(),
            "accumulation_steps": self.accumulation_steps,
        }

    def load_state_dict(self, state: Mapping[str, Any]) -> None:
        self.network.load_state_dict(state["network"])
        self.ema.load_state_dict(state["ema"])
        self.optimizer.load_state_dict(state["optimizer"])
        self.scaler.load_state_dict(state["scaler"])
        self.accumulation_steps = state["accumulation_steps"]

    def _gradient(self, batch: TrainBatch) -> tuple[dict[str, float], Tensor]:
        """Put a batch's gradient into the network, accumulated from as many parts as memory asks
        for.
        """
        seen = self.balancer.seen.clone()
        while True:
            try:
                self.balancer.seen = seen.clone()
                return self._accumulated(batch)
            except (MemoryError, RuntimeError) as error:
                if not is_out_of_memory(error):
                    raise
            # Outside the handler: the error's traceback keeps the tensors of the attempt alive.
            release_memory(self.device)
            if self.accumulation_steps >= len(batch.photos):
                raise OutOfMemory("Out of memory even photo by photo: choose a smaller `size`.")
            self.accumulation_steps = min(2 * self.accumulation_steps, len(batch.photos))
            self.warnings.append(
                f"Out of memory: going on with a batch in {self.accumulation_steps} pieces."
            )

    def _accumulated(self, batch: TrainBatch) -> tuple[dict[str, float], Tensor]:
        self.optimizer.zero_grad(set_to_none=True)
        sums: dict[str, float] = {}
        count = len(batch.photos)
        size = -(-count // self.accumulation_steps)
        for start in range(0, count, size):
            part = batch.part(start, start + size)
            share = len(part.photos) / count
            with self._without_sync(last=start + size >= count):
                terms, image = self.forward(part)
                weighted = self.balancer(terms, part.styles, part.strengths)
                loss = torch.stack(list(weighted.values())).sum() * share
                self.scaler.scale(loss).backward()
            self.balancer.observe(terms, part.styles, part.strengths)
            for name, value in weighted.items():
                sums[name] = sums.get(name, 0.0) + float(value.detach()) * share
        return sums, image

    def _without_sync(self, *, last: bool) -> contextlib.AbstractContextManager[Any]:
        """Gradients are exchanged with other processes once per step: with the last part."""
        if last or not isinstance(self._wrapped, nn.parallel.DistributedDataParallel):
            return contextlib.nullcontext()
        return self._wrapped.no_sync()

    def _count_nonfinite(self, index: int) -> None:
        self._nonfinite += 1
        if self._nonfinite >= MAX_NONFINITE:
            raise CnnartError(
                f"Training broke down at step {index}: {MAX_NONFINITE} steps in a row gave no "
                "finite gradient. Try the `precision` fp32 or a lower `learning_rate`."
            )

    def _update_ema(self, index: int) -> None:
        """Move the average of the weights towards them; faster while there is little to average."""
        decay = min(self.config.ema_decay, index / (index + 10))
        with torch.no_grad():
            pairs = zip(self.ema.parameters(), self.network.parameters(), strict=True)
            for mean, now in pairs:
                mean.lerp_(now, 1 - decay)  # leaves what does not change exactly as it is
