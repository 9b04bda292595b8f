"""Training a transformer network for several styles at once, or one more style into a trained one.

Johnson et al. 2016 and Dumoulin et al. 2017, with these departures: losses are relative and their
weights found by measuring (``calibration``), each style is trained at three strengths, crops
are small first, and what is kept is the average of the weights at its best validation.
"""

from __future__ import annotations

import copy
import math
import time
from collections.abc import Iterator, Sequence
from dataclasses import asdict, dataclass
from typing import Any

import torch
from torch import Tensor

from cnnart.config import TRAIN_PRESETS, TrainConfig
from cnnart.errors import UsageError
from cnnart.fast.architecture import make_architecture
from cnnart.fast.calibration import SHARE, Balance, Units
from cnnart.fast.checkpoint import Checkpoint, StyleInfo, facts_of, thumbnail
from cnnart.fast.dataset import Crops, Loader, Photos, Sample, Sampler
from cnnart.fast.learner import Batch, Learner, Means
from cnnart.fast.network import StyleNetwork
from cnnart.fast.perceptual import PerceptualLosses, StyleTarget
from cnnart.fast.progress import History
from cnnart.fast.table import StyleTable
from cnnart.fast.validation import Validator
from cnnart.image import fit_long_side, resize
from cnnart.optimize import Step

LAST_RATE = 0.05  # of the learning rate, at the end
RATE_STEPS = 20  # steps after which a time budget is turned into a number of steps
OTHER_WORK = 0.9  # of a time budget, what steps may take; the rest validates and saves
CALIBRATION_PHOTOS = 8
LEAST_SIDE = 64
LEAST_VALIDATIONS = 3


@dataclass(frozen=True)
class Painting:
    """A style to learn: ``image`` is ``1x3xHxW`` in [0, 1]."""

    name: str
    image: Tensor
    licence: str = "not stated"
    sha256: str = ""

    def info(self) -> StyleInfo:
        return StyleInfo(self.name, self.licence, self.sha256, thumbnail(self.image))


class Trainer:
    """One training run.

    Args:
        config: see ``TrainConfig``.
        paintings: the styles to learn.
        photos: from ``find_photos``.
        losses: on the device to train on.
        means: precision, threads, time, processes.
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
        means: Means | None = None,
        into: Checkpoint | None = None,
    ) -> None:
        self.config, self.losses, self.means = config, losses, means or Means()
        self.paintings, self.photos = list(paintings), photos
        self.group, self.device = self.means.group, losses.features.device
        if config.batch % self.group.size:
            raise UsageError(
                f"A batch of {config.batch} cannot be shared by {self.group.size} processes evenly."
            )
        self.total = config.steps or TRAIN_PRESETS[config.preset].steps
        self.index, self.seconds = 0, 0.0
        network = self._prepared(into)
        self._crops = Crops([*photos.train, *photos.held_out], config.size)
        self._sampler = Sampler(len(photos.train), len(paintings), config.seed, self.table.range)
        self.targets = [self._target(p.image) for p in paintings]
        self.balance = Balance(config, self._units(), round(SHARE * self.total))
        self.learner = Learner(network, losses, self.balance, config, self.means)
        self.notes = self.learner.notes
        self.history = History()
        self.validator = Validator(self, self._crops)

    def _prepared(self, into: Checkpoint | None) -> StyleNetwork:
        """The network to train; into a trained one, only affine pairs will be."""
        names = tuple(p.name for p in self.paintings)
        if len(set(names)) < len(names):
            raise UsageError("Two paintings have the same name: tell them apart with NAME=FILE.")
        span = into.range if into else self.config.strength_range
        kept = into.styles if into else ()
        if taken := [name for name in names if name in [s.name for s in kept]]:
            raise UsageError(f"The network knows a style {taken[0]!r} already: use NAME=FILE.")
        self.table = StyleTable((*(s.name for s in kept), *names), span)
        self.styles = (*kept, *(p.info() for p in self.paintings))
        if into:
            network = copy.deepcopy(into.network)
            network.extend(self.table.entries - network.entries)
        else:
            arch = make_architecture(self.config.arch)
            network = StyleNetwork(arch, self.table.entries, seed=self.config.seed)
        for name, parameter in network.named_parameters():
            parameter.requires_grad_(into is None or name.endswith((".gamma", ".beta")))
        return network.to(self.device)

    def _target(self, painting: Tensor) -> StyleTarget:
        long_side = min(self.config.style_size, max(painting.shape[-2:]))
        size = fit_long_side(painting.shape[-2], painting.shape[-1], long_side)
        return self.losses.target(resize(painting, *size).to(self.device))

    def _units(self) -> Units:
        """How far a few photos are from each style."""
        count = min(CALIBRATION_PHOTOS, len(self.photos.train))
        style = torch.zeros(len(self.targets), len(self.losses.style_layers))
        palette = torch.zeros(len(self.targets))
        with torch.no_grad():
            for index in range(count):
                photo = self._crops.middle(index, self.config.size).to(self.device)
                batch = photo.expand(len(self.targets), -1, -1, -1)
                one = self.losses.activations(photo)
                found = {k: v.expand(len(self.targets), -1, -1, -1) for k, v in one.items()}
                style += self.losses.style(found, self.targets).cpu() / count
                palette += self.losses.palette(batch, self.targets).cpu() / count
        return Units(style.clamp_min(1e-3).to(self.device), palette.clamp_min(1e-3).to(self.device))

    def side(self, index: int) -> int:
        """The side of a step's crops."""
        small = max(LEAST_SIDE, self.config.size // 32 * 16)
        early = index <= round(self.config.small_share * self.total)
        return min(small, self.config.size) if early else self.config.size

    def validates(self, index: int) -> bool:
        """Whether a step is followed by a validation: several times even in a short run."""
        every = min(self.config.validate_every, max(1, self.total // LEAST_VALIDATIONS))
        return index % every == 0 or index == self.total

    def schedule(self) -> list[tuple[tuple[int, int], int]]:
        """``((side, side), steps)`` of the whole run: what time left is reckoned from."""
        sides = [self.side(index) for index in range(1, self.total + 1)]
        return [((side, side), sides.count(side)) for side in dict.fromkeys(sides)]

    def steps(self) -> Iterator[Step]:
        """Train from where it stands to the end."""
        loader = Loader(self._crops, self.means.workers)
        before, begun = self.seconds, time.monotonic()
        try:
            while self.index < self.total:
                index = self.index + 1
                for ahead in (index, index + 1):
                    if ahead == index + 1 or index == 1:
                        loader.prepare(self._samples(ahead), self.side(ahead))
                losses, image = self._step(index, loader)
                self.index = index
                self.history.add(index, losses)
                self.seconds = before + time.monotonic() - begun
                self._settle_time()
                if self.validates(index):
                    self.validator.run(index)
                side = self.side(index)
                yield Step(index, self.total, losses, image, (side, side), self.seconds)
        finally:
            loader.close()

    def _settle_time(self) -> None:
        """Fit the number of steps into the time budget; stop when it is over."""
        budget = self.means.seconds
        if budget is None:
            return
        spent = self.group.agree(self.seconds)
        if self.index == RATE_STEPS:
            small, large = self.side(1) ** 2, self.config.size**2
            share = self.config.small_share
            mean = (share * small + (1 - share) * large) / small
            per_step = spent / RATE_STEPS * mean
            self.total = max(2 * RATE_STEPS, round(OTHER_WORK * budget / per_step))
            self.balance.until = round(SHARE * self.total)
        elif spent > budget:
            self.total = self.index

    def _samples(self, index: int) -> list[Sample]:
        """This process's part of a step's batch."""
        first = (index - 1) * self.config.batch
        mine = range(first + self.group.rank, first + self.config.batch, self.group.size)
        return [self._sampler(number) for number in mine]

    def _step(self, index: int, loader: Loader) -> tuple[dict[str, float], Tensor]:
        """One step of the optimizer; its losses and one of its pictures."""
        samples = self._samples(index)
        photos = loader.batch(samples, self.side(index))
        if self.device.type == "cuda":
            photos = photos.pin_memory()
        batch = Batch(
            photos.to(self.device, non_blocking=True),
            [s.style for s in samples],
            [s.strength for s in samples],
            [self.row(s.style, s.strength) for s in samples],
            [self.targets[s.style] for s in samples],
        )
        result = self.learner.step(batch, index, self._rate(index))
        if self.balance.due(index):
            self.balance.move(self.group.sum(self.balance.seen).clone(), index)
        return result

    def _rate(self, index: int) -> float:
        """Of the learning rate: up in the first steps, then down along a cosine."""
        wave = 0.5 * (1 + math.cos(math.pi * min(1.0, index / self.total)))
        return min(1.0, index / self.config.warm_up) * (LAST_RATE + (1 - LAST_RATE) * wave)

    def row(self, style: int, strength: float) -> Tensor:
        """The mix of one of the styles being trained, on the device."""
        return self.table.row({self.paintings[style].name: 1.0}, strength).to(self.device)

    def checkpoint(self) -> Checkpoint:
        """The best network so far."""
        best = copy.deepcopy(self.learner.average)
        if self.validator.best_weights is not None:
            best.load_state_dict(self.validator.best_weights)
        return Checkpoint(best.cpu(), self.styles, self.table.range, self.facts())

    def facts(self) -> dict[str, Any]:
        """How it was trained, for the checkpoint."""
        return {
            "steps": self.index,
            "seconds": round(self.seconds, 1),
            "photos": len(self.photos.train),
            "settings": settings_of(self.config),
            "balance": [round(f, 4) for f in self.balance.factors.tolist()],
            "losses": self.history.end(),
            "validation": self.validator.history[-1:],
            "best_step": self.validator.best_step,
        }


def settings_of(config: TrainConfig) -> dict[str, Any]:
    """The settings as JSON gives them back."""
    return facts_of(asdict(config))
