"""Training a transformer network for several styles at once, or one more style into a trained one.

Johnson et al. 2016 and Dumoulin et al. 2017, with these departures: losses are relative and their
weights found by measuring (see ``balance``), each style is trained at three strengths, crops are
small first, and what is kept is the moving average of the weights at its best validation.
"""

from __future__ import annotations

import copy
import math
import time
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor

from cnnart.errors import UsageError
from cnnart.image.picture import fit_long_side, resize
from cnnart.methods.fast.architecture import make_architecture
from cnnart.methods.fast.checkpoint import Checkpoint, thumbnail
from cnnart.methods.fast.header import UNSTATED, StyleInfo
from cnnart.methods.fast.network import StyleBank, StyleNetwork
from cnnart.methods.fast.train.balance import END, LossBalancer, LossScales
from cnnart.methods.fast.train.config import TrainConfig
from cnnart.methods.fast.train.data import (
    Crops,
    Loader,
    Photos,
    Sample,
    Sampler,
    ValidationPhotos,
)
from cnnart.methods.fast.train.history import History
from cnnart.methods.fast.train.losses import PerceptualLosses, StyleTarget
from cnnart.methods.fast.train.step import ComputeOptions, TrainBatch, TrainStep
from cnnart.methods.fast.train.validation import JudgedStyle, Validator
from cnnart.optim.steps import Step

FINAL_RATE = 0.05  # of the learning rate, at the end
TIMED_STEPS = 20  # steps after which a time budget is turned into a number of steps
STEPS_SHARE = 0.9  # of a time budget, what steps may take; the rest validates and saves
CALIBRATION_PHOTOS = 8
MIN_SCALE = 1e-3  # of a loss scale: what photos have already cannot be divided by
MIN_SIDE = 64  # of a crop
MIN_VALIDATIONS = 3  # in a run


@dataclass(frozen=True)
class Painting:
    """A style to learn: ``image`` is ``1x3xHxW`` in [0, 1]."""

    name: str
    image: Tensor
    license: str = UNSTATED
    sha256: str = ""

    def info(self) -> StyleInfo:
        return StyleInfo(self.name, self.license, self.sha256, thumbnail(self.image))


class Trainer:
    """One training run.

    Args:
        config: see ``TrainConfig``.
        paintings: the styles to learn.
        photos: from ``find_photos``.
        losses: on the device to train on.
        compute: precision, threads, time, processes.
        into: a trained checkpoint to which the styles are added; all else in it stays as it is.

    ``steps()`` trains and yields a Step for each; ``checkpoint()`` is the best so far. Raises
    UsageError for what makes no sense, CnnartError when training goes bad.
    """

    def __init__(
        self,
        config: TrainConfig,
        paintings: Sequence[Painting],
        photos: Photos,
        losses: PerceptualLosses,
        compute: ComputeOptions | None = None,
        into: Checkpoint | None = None,
    ) -> None:
        self.config, self.losses, self.compute = config, losses, compute or ComputeOptions()
        self.paintings, self.photos = list(paintings), photos
        self.group, self.device = self.compute.group, losses.features.device
        if config.batch % self.group.size:
            raise UsageError(
                f"A batch of {config.batch} cannot be shared by {self.group.size} processes evenly."
            )
        self.total = config.total_steps
        self.index, self.seconds = 0, 0.0
        network = self._prepared(into)
        self._crops = Crops([*photos.train, *photos.held_out], config.size)
        self._sampler = Sampler(
            len(photos.train), len(paintings), config.seed, self.bank.strength_range
        )
        self.targets = [self._target(p.image) for p in paintings]
        self.balancer = LossBalancer(config, self._loss_scales(), round(END * self.total))
        self.train_step = TrainStep(network, losses, self.balancer, config, self.compute)
        self.warnings = self.train_step.warnings
        self.history = History()
        self.validator = Validator(
            self.train_step.ema,
            [
                JudgedStyle(painting.name, target, self._style_vector(index, 0.5))
                for index, (painting, target) in enumerate(
                    zip(paintings, self.targets, strict=True)
                )
            ],
            ValidationPhotos(self._crops, photos, config.size, self.device),
            losses,
            self.balancer,
            self.compute,
        )

    def _prepared(self, into: Checkpoint | None) -> StyleNetwork:
        """The network to train; into a trained one, only affine pairs will be."""
        names = tuple(p.name for p in self.paintings)
        if len(set(names)) < len(names):
            raise UsageError("Two paintings have the same name: tell them apart with NAME=FILE.")
        strength_range = into.strength_range if into else self.config.strength_range
        kept = into.styles if into else ()
        if taken := [name for name in names if name in [s.name for s in kept]]:
            raise UsageError(f"The network knows a style {taken[0]!r} already: use NAME=FILE.")
        self.bank = StyleBank((*(s.name for s in kept), *names), strength_range)
        self.styles = (*kept, *(p.info() for p in self.paintings))
        if into:
            network = copy.deepcopy(into.network)
            network.add_pairs(self.bank.pairs - network.pairs)
        else:
            arch = make_architecture(self.config.arch)
            network = StyleNetwork(arch, self.bank.pairs, seed=self.config.seed)
        for name, parameter in network.named_parameters():
            parameter.requires_grad_(into is None or name.endswith((".gamma", ".beta")))
        return network.to(self.device)

    def _target(self, painting: Tensor) -> StyleTarget:
        long_side = min(self.config.style_size, max(painting.shape[-2:]))
        size = fit_long_side(painting.shape[-2], painting.shape[-1], long_side)
        return self.losses.target(resize(painting, *size).to(self.device))

    def _loss_scales(self) -> LossScales:
        """How far a few photos are from each style."""
        count = min(CALIBRATION_PHOTOS, len(self.photos.train))
        style = torch.zeros(len(self.targets), len(self.losses.style_layers))
        palette = torch.zeros(len(self.targets))
        with torch.no_grad():
            for index in range(count):
                photo = self._crops.center(index, self.config.size).to(self.device)
                batch = photo.expand(len(self.targets), -1, -1, -1)
                one = self.losses.activations(photo)
                found = {k: v.expand(len(self.targets), -1, -1, -1) for k, v in one.items()}
                style += self.losses.style(found, self.targets).cpu() / count
                palette += self.losses.palette(batch, self.targets).cpu() / count
        style, palette = (v.clamp_min(MIN_SCALE).to(self.device) for v in (style, palette))
        return LossScales(style, palette)

    def side(self, index: int) -> int:
        """The side of a step's crops."""
        small = max(MIN_SIDE, self.config.size // 32 * 16)
        early = index <= round(self.config.small_crop_fraction * self.total)
        return min(small, self.config.size) if early else self.config.size

    def validates(self, index: int) -> bool:
        """Whether a step is followed by a validation: several times even in a short run."""
        every = min(self.config.validate_every, max(1, self.total // MIN_VALIDATIONS))
        return index % every == 0 or index == self.total

    def schedule(self) -> list[tuple[tuple[int, int], int]]:
        """``((side, side), steps)`` of the whole run: what time left is reckoned from."""
        sides = [self.side(index) for index in range(1, self.total + 1)]
        return [((side, side), sides.count(side)) for side in dict.fromkeys(sides)]

    def steps(self) -> Iterator[Step]:
        """Train from where it stands to the end."""
        loader = Loader(self._crops, self.compute.workers)
        before, begun = self.seconds, time.monotonic()
        try:
            while self.index < self.total:
                index = self.index + 1
                for ahead in (index, index + 1):
                    if ahead == index + 1 or index == 1:
                        loader.prepare(self._samples(ahead), self.side(ahead))
                losses, image = self.run_step(index, loader)
                self.index = index
                self.history.add(index, losses)
                self.seconds = before + time.monotonic() - begun
                self._settle_time()
                if self.validates(index):
                    self.warnings += self.validator.run(index, self.total)
                side = self.side(index)
                yield Step(index, self.total, losses, image, (side, side), self.seconds)
        finally:
            loader.close()

    def _settle_time(self) -> None:
        """Fit the number of steps into the time budget; stop when it is over."""
        budget = self.compute.seconds
        if budget is None:
            return
        spent = self.group.agree(self.seconds)
        if self.index == TIMED_STEPS:
            small, large = self.side(1) ** 2, self.config.size**2
            share = self.config.small_crop_fraction
            mean = (share * small + (1 - share) * large) / small
            per_step = spent / TIMED_STEPS * mean
            self.total = max(2 * TIMED_STEPS, round(STEPS_SHARE * budget / per_step))
            self.balancer.last_step = round(END * self.total)
        elif spent > budget:
            self.total = self.index

    def _samples(self, index: int) -> list[Sample]:
        """This process's part of a step's batch."""
        first = (index - 1) * self.config.batch
        mine = range(first + self.group.rank, first + self.config.batch, self.group.size)
        return [self._sampler(number) for number in mine]

    def run_step(self, index: int, loader: Loader) -> tuple[dict[str, float], Tensor]:
        """One step of the optimizer; its losses and one of its pictures."""
        samples = self._samples(index)
        photos = loader.batch(samples, self.side(index))
        if self.device.type == "cuda":
            photos = photos.pin_memory()
        batch = TrainBatch(
            photos.to(self.device, non_blocking=True),
            [s.style for s in samples],
            [s.strength for s in samples],
            [self._style_vector(s.style, s.strength) for s in samples],
            [self.targets[s.style] for s in samples],
        )
        result = self.train_step.run(batch, index, self._rate_factor(index))
        if self.balancer.due(index):
            self.balancer.move(self.group.sum(self.balancer.seen).clone(), index)
        return result

    def _rate_factor(self, index: int) -> float:
        """On the learning rate: linear warmup, then down along a cosine."""
        cosine = 0.5 * (1 + math.cos(math.pi * min(1.0, index / self.total)))
        return min(1.0, index / self.config.warmup_steps) * (FINAL_RATE + (1 - FINAL_RATE) * cosine)

    def _style_vector(self, style: int, strength: float) -> Tensor:
        """Of one of the styles being trained, ``1xpairs`` on the device."""
        weights = {self.paintings[style].name: 1.0}
        return self.bank.style_vector(weights, strength).to(self.device)

    def checkpoint(self) -> Checkpoint:
        """The best network so far."""
        best = copy.deepcopy(self.train_step.ema)
        if self.validator.best_weights is not None:
            best.load_state_dict(self.validator.best_weights)
        return Checkpoint(best.cpu(), self.styles, self.bank.strength_range, self.facts())

    def facts(self) -> dict[str, Any]:
        """How it was trained, for the checkpoint."""
        return {
            "steps": self.index,
            "seconds": round(self.seconds, 1),
            "photos": len(self.photos.train),
            "settings": self.config.recorded(),
            "balance": [round(f, 4) for f in self.balancer.factors.tolist()],
            "losses": self.history.end(),
            "validation": self.validator.history[-1:],
            "best_step": self.validator.best_step,
        }

    def state_dict(self) -> dict[str, Any]:
        """Where the run stands between two steps; see ``state``."""
        return {
            "index": self.index,
            "total": self.total,
            "seconds": self.seconds,
            "history": self.history.as_json(),
            "step": self.train_step.state_dict(),
            "balancer": self.balancer.state_dict(),
            "validator": self.validator.state_dict(),
        }

    def load_state_dict(self, state: Mapping[str, Any]) -> None:
        """Go on from there."""
        self.index, self.total = state["index"], state["total"]
        self.seconds = state["seconds"]
        self.history = History.from_json(state["history"])
        self.train_step.load_state_dict(state["step"])
        self.balancer.load_state_dict(state["balancer"])
        self.validator.load_state_dict(state["validator"])
