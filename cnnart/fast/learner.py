"""One step of training: gradients in as many pieces as memory asks for, optimizer, average."""

from __future__ import annotations

import contextlib
import copy
import math
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any

import torch
from torch import Tensor, nn

from cnnart.allocator import keep_freed_memory
from cnnart.config import TrainConfig
from cnnart.errors import CnnartError, OutOfMemory, is_out_of_memory
from cnnart.fast.calibration import Balance
from cnnart.fast.distributed import Group
from cnnart.fast.network import StyleNetwork
from cnnart.fast.perceptual import PerceptualLosses, StyleTarget, Terms
from cnnart.resilience import release_memory

MOST_NONFINITE = 10  # steps in a row without a usable gradient


@dataclass
class Means:
    """How a run computes; ``seconds``: its time budget, None: as many steps as the preset says."""

    dtype: torch.dtype = torch.float32
    workers: int = 0
    seconds: float | None = None
    group: Group = field(default_factory=Group)


@dataclass(frozen=True)
class Batch:
    """``photos``: ``Bx3xHxW``; the rest per photo. ``styles`` and ``mixes`` say the same twice:
    by number among the styles trained, and as a mix of the network's affine pairs (``1xentries``).
    """

    photos: Tensor
    styles: Sequence[int]
    strengths: Sequence[float]
    mixes: Sequence[Tensor]
    targets: Sequence[StyleTarget]

    def part(self, start: int, stop: int) -> Batch:
        """Some of its photos."""
        return Batch(
            self.photos[start:stop],
            self.styles[start:stop],
            self.strengths[start:stop],
            self.mixes[start:stop],
            self.targets[start:stop],
        )


class Learner:
    """A network being trained, and all that changes with it.

    Args:
        network: on its device; parameters that require no gradient stay as they are.
        losses, balance: what is minimized.
        notes: gets a line when memory runs out.
    """

    def __init__(
        self,
        network: StyleNetwork,
        losses: PerceptualLosses,
        balance: Balance,
        config: TrainConfig,
        means: Means,
    ) -> None:
        self.network, self.losses, self.balance = network, losses, balance
        self.config, self.means = config, means
        self.device = losses.features.device
        if self.device.type == "cpu":
            keep_freed_memory()
        self.notes: list[str] = []
        self.pieces, self._bad = 1, 0
        self.average = copy.deepcopy(network).requires_grad_(False)
        self._trained = means.group.wrap(network)
        self.optimizer = torch.optim.Adam(
            [p for p in network.parameters() if p.requires_grad], lr=config.learning_rate
        )
        half = means.dtype == torch.float16
        self.scaler = torch.amp.GradScaler(self.device.type, enabled=half)

    def step(self, batch: Batch, index: int, rate: float) -> tuple[dict[str, float], Tensor]:
        """Learn from a batch; its losses and one of its pictures.

        Args:
            index: of the step, from 1.
            rate: the share of the learning rate.

        Raises CnnartError when there has been no finite gradient for a while, OutOfMemory.
        """
        for group in self.optimizer.param_groups:
            group["lr"] = self.config.learning_rate * rate
        seen = self.balance.seen.clone()
        losses, image = self._gradient(batch)
        self.scaler.unscale_(self.optimizer)
        norm = float(nn.utils.clip_grad_norm_(self.network.parameters(), self.config.clip))
        losses = self.means.group.means(losses)
        if math.isfinite(norm) and math.isfinite(sum(losses.values())):
            self.scaler.step(self.optimizer)
            self._bad = 0
            self._follow(index)
        else:
            self.balance.seen = seen
            self._count_bad(index)
        self.scaler.update()
        return losses, image

    def _count_bad(self, index: int) -> None:
        self._bad += 1
        if self._bad >= MOST_NONFINITE:
            raise CnnartError(
                f"Training broke down at step {index}: {MOST_NONFINITE} steps in a row gave no "
                "finite gradient. Try --precision fp32 or a lower --learning-rate."
            )

    def _gradient(self, batch: Batch) -> tuple[dict[str, float], Tensor]:
        """Put a batch's gradient into the network, in as many pieces as memory asks for."""
        seen = self.balance.seen.clone()
        while True:
            try:
                self.balance.seen = seen.clone()
                return self._accumulated(batch)
            except (MemoryError, RuntimeError) as error:
                if not is_out_of_memory(error):
                    raise
            # Outside the handler: the error's traceback keeps the tensors of the attempt alive.
            release_memory(self.device)
            if self.pieces >= len(batch.photos):
                raise OutOfMemory("Out of memory even photo by photo: choose a smaller --size.")
            self.pieces = min(2 * self.pieces, len(batch.photos))
            self.notes.append(f"Out of memory: going on with a batch in {self.pieces} pieces.")

    def _accumulated(self, batch: Batch) -> tuple[dict[str, float], Tensor]:
        self.optimizer.zero_grad(set_to_none=True)
        sums: dict[str, float] = {}
        count = len(batch.photos)
        size = -(-count // self.pieces)
        for start in range(0, count, size):
            part = batch.part(start, start + size)
            share = len(part.photos) / count
            with self._alone(last=start + size >= count):
                terms, image = self._forward(part)
                weighted = self.balance(terms, part.styles, part.strengths)
                loss = torch.stack(list(weighted.values())).sum() * share
                self.scaler.scale(loss).backward()
            self.balance.see(terms, part.styles, part.strengths)
            for name, value in weighted.items():
                sums[name] = sums.get(name, 0.0) + float(value.detach()) * share
        return sums, image

    def _alone(self, *, last: bool) -> contextlib.AbstractContextManager[Any]:
        """Gradients are exchanged with other processes once per step: with the last piece."""
        if last or not isinstance(self._trained, nn.parallel.DistributedDataParallel):
            return contextlib.nullcontext()
        return self._trained.no_sync()

    def _forward(self, batch: Batch) -> tuple[Terms, Tensor]:
        output = self._trained(batch.photos, torch.cat(list(batch.mixes)), self.means.dtype)
        return self.losses(output, batch.photos, batch.targets), output[:1].detach()

    def _follow(self, index: int) -> None:
        """Move the average of the weights towards them; faster while there is little to average."""
        decay = min(self.config.average, index / (index + 10))
        with torch.no_grad():
            pairs = zip(self.average.parameters(), self.network.parameters(), strict=True)
            for mean, now in pairs:
                mean.lerp_(now, 1 - decay)  # leaves what does not change exactly as it is
