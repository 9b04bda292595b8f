"""Training a transformer network for several styles at once, or one more style into a trained one.

Johnson et al. 2016 and Dumoulin et al. 2017, with these departures: losses are relative and their
weights found by measuring (see ``balance``), each style is trained at three strengths, crops are
small first, and what is kept is the moving average of the weights at its best validation.
"""

from __future__ import annotations

import copy
import random
import time
import zlib
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from itertools import chain
from typing import Any

import torch
from torch import Tensor

from cnnart.errors import UsageError
from cnnart.methods.fast.architecture import make_architecture
from cnnart.methods.fast.checkpoint import Checkpoint, thumbnail
from cnnart.methods.fast.header import UNSTATED, StyleInfo
from cnnart.methods.fast.network import StyleBank, StyleNetwork, make_noise
from cnnart.methods.fast.predictor import PredictorShape, StylePredictor, at_style_size
from cnnart.methods.fast.train.balance import END, LossBalancer, LossScales
from cnnart.methods.fast.train.config import TrainConfig
from cnnart.methods.fast.train.data import (
    POOL_SHARE,
    PhotoPool,
    Photos,
    Sample,
    Sampler,
    ValidationPhotos,
    center_crop,
    read_photo,
)
from cnnart.methods.fast.train.history import EVERY, History
from cnnart.methods.fast.train.losses import PerceptualLosses
from cnnart.methods.fast.train.model import StyleModel
from cnnart.methods.fast.train.schedule import Schedule
from cnnart.methods.fast.train.step import ComputeOptions, TrainBatch, TrainStep
from cnnart.methods.fast.train.validation import JudgedStyle, Validator
from cnnart.optim.capture import sent
from cnnart.optim.detail import detail_of
from cnnart.optim.memory import free_memory
from cnnart.optim.steps import Step

CALIBRATION_PHOTOS = 8
MIN_SCALE = 1e-3  # of a loss scale: what photos have already cannot be divided by
AHEAD = 4  # photos that are read ahead for each thread, and steps at least
STYLES_AT_ONCE = 64  # that are compared with a photo before training
VARIANTS = 2  # of each painting from which any painting's pairs are learnt
UNSEEN = 3  # of these paintings that are only judged by, at most; one in so many:
HELD_OUT = 20
SMALLEST_PART = 0.5  # of a painting's sides, that a variant shows
WARM_STEPS = 2  # on a CPU, that take longer than those to come
JUDGED_COST = 0.4  # of a step's for one photo: painting and judging it


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
        start: a trained checkpoint whose weights are the first ones: the network's, the pairs of
            styles that have the same names, the predictor's. All of them go on learning. Where it
            has all the styles' colors, these are not learnt.
        arbitrary: paintings (``1x3xHxW`` in [0, 1]) from which a predictor learns what the affine
            pairs of any painting are.

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
        start: Checkpoint | None = None,
        arbitrary: Sequence[Tensor] = (),
    ) -> None:
        self.config, self.losses, self.compute = config, losses, compute or ComputeOptions()
        self.paintings, self.photos = list(paintings), photos
        self.group, self.device = self.compute.group, losses.features.device
        if config.batch_size % self.group.size:
            raise UsageError(
                f"A batch of {config.batch} cannot be shared by {self.group.size} processes evenly."
            )
        self.index = 0
        self._before, self._began = 0.0, time.monotonic()
        # What nothing waits for can be read at every step: on a CPU.
        self.read_every = 1 if self.device.type == "cpu" else EVERY
        network = self._prepared(into, start)
        learnt, held_out = split_paintings(arbitrary)
        self.pool = self._opened_pool()
        window = 0
        if not self.pool.holds_all and self.device.type != "cpu":
            # Reading would be the limit: half the ring is used again while the other is filled.
            decoded = sum(photos.decoded_bytes(config.size))
            window = len(photos.train) * self.pool.nbytes // (2 * decoded)
        self._sampler = Sampler(
            len(photos.train),
            len(paintings),
            config.seed,
            self.bank.strength_range,
            int(self.group.agree(window)),
            VARIANTS * len(learnt),
        )
        self._ahead: dict[int, list[Sample]] = {}  # steps whose photos are being read
        self.targets = losses.targets(
            chain(
                (self._painting(p.image) for p in paintings),
                (self._painting(v) for p in learnt for v in variants(p, config.seed)),
                (self._painting(p) for p in held_out),
            )
        )
        names = [p.name for p in paintings]
        weakest, strongest = self.bank.strength_range or (0.5, 0.5)
        others = torch.zeros(len(self.targets) - len(names), self.bank.pairs)
        self._style_ends = [
            torch.cat([*(self.bank.style_vector({name: 1.0}, s) for name in names), others]).to(
                self.device
            )
            for s in (weakest, strongest)
        ]
        own = len(names) if arbitrary else None
        scales = self._loss_scales()
        self.balancer = LossBalancer(config, scales, round(END * config.total_steps), own)
        model = self._model(network, len(names), bool(arbitrary), start)
        self.train_step = TrainStep(
            model, losses, self.targets, self.balancer, config, self.compute
        )
        self.warnings = self.train_step.warnings
        self.history = History()
        self.lost: dict[str, float] = {}  # means of the steps that were read last
        judged = dict(enumerate(names))
        first = len(self.targets) - len(held_out)
        judged |= {first + i: f"unseen-{i + 1}" for i in range(len(held_out))}
        self.validator = Validator(
            self.train_step.ema,
            [self._judged(name, number) for number, name in judged.items()],
            ValidationPhotos(photos, config.size, self.device),
            losses,
            self.targets,
            self.balancer,
            self.compute,
        )
        self.schedule = Schedule(
            config,
            self.compute.seconds,
            warm=WARM_STEPS if self.read_every == 1 else EVERY,
            validation=JUDGED_COST * self.validator.pairs / config.batch_size,
        )

    @property
    def total(self) -> int:
        """Steps in all, as far as is known."""
        return self.schedule.total

    @property
    def seconds(self) -> float:
        """What the run has taken so far, before it was continued, too."""
        return self._before + time.monotonic() - self._began

    def _prepared(self, into: Checkpoint | None, start: Checkpoint | None) -> StyleNetwork:
        """The network to train; into a trained one, only affine pairs will be."""
        names = tuple(p.name for p in self.paintings)
        if len(set(names)) < len(names):
            raise UsageError("Two paintings have the same name: tell them apart with NAME=FILE.")
        trained = into or start
        self._kept_predictor = into.predictor if into else None
        strength_range = trained.strength_range if trained else self.config.strength_range
        kept = into.styles if into else ()
        if taken := [name for name in names if name in [s.name for s in kept]]:
            raise UsageError(f"The network knows a style {taken[0]!r} already: use NAME=FILE.")
        self.bank = StyleBank((*(s.name for s in kept), *names), strength_range)
        self.styles = (*kept, *(self._info(p) for p in self.paintings))
        known = {s.name: s.colors for s in start.styles} if start else {}
        self._recolored = all(known.get(name) for name in names)
        if self._recolored:
            self.styles = tuple(replace(s, colors=known[s.name]) for s in self.styles)
        if into:
            network = copy.deepcopy(into.network)
            network.add_pairs(self.bank.pairs - network.pairs)
        elif start:
            network = self._continued(start)
        else:
            arch = make_architecture(self.config.arch)
            network = StyleNetwork(arch, self.bank.pairs, seed=self.config.seed)
        for name, parameter in network.named_parameters():
            parameter.requires_grad_(into is None or name.endswith((".gamma", ".beta")))
        return network.to(self.device)

    def _continued(self, start: Checkpoint) -> StyleNetwork:
        """A trained network for the styles here: new ones begin as the mean of those it knows."""
        pairs = []
        for name in self.bank.names:
            like = [name] if name in start.bank.names else start.bank.names
            for strength in self.bank.strength_range or (0.5,):
                pairs.append(start.network.mixed_pair(mixed(start.bank, like, strength)))
        return start.network.with_pairs(pairs)

    def _model(
        self, network: StyleNetwork, own: int, predicts: bool, start: Checkpoint | None
    ) -> StyleModel:
        """The network, with a predictor of the pairs of all styles but the first ``own``."""
        if not predicts:
            return StyleModel(network, colors=self.targets.colors if self._recolored else None)
        described = self.targets.described()
        shape = PredictorShape(
            tuple(self.losses.style_layers),
            described.shape[1],
            sum(network.channels),
            self.config.style_size,
        )
        if start and start.predictor and start.predictor.shape == shape:
            predictor = copy.deepcopy(start.predictor)
        else:
            predictor = StylePredictor(shape, seed=self.config.seed)
            predictor.fit_inputs(described.cpu())
            if start:
                ends = start.strength_range or (0.5, 0.5)
                vectors = [mixed(start.bank, start.bank.names, s) for s in ends]
                predictor.begin_at(*(start.network.mixed_pair(v) for v in vectors))
        predictor = predictor.requires_grad_(True).to(self.device)
        return StyleModel(network, predictor, described, own, self.targets.colors)

    def _judged(self, name: str, number: int) -> JudgedStyle:
        """A style as validations see it."""
        one, half = torch.tensor([number], device=self.device), torch.tensor([0.5])
        return JudgedStyle(
            name, one, self._style_vectors(one, half), self._positions(half).to(self.device)
        )

    def _opened_pool(self) -> PhotoPool:
        capacity = self.compute.pool
        if capacity is None:
            capacity = int(POOL_SHARE * free_memory(self.device))
            if self.device.type == "cpu":
                capacity //= self.group.size
        share = self.config.batch_size // self.group.size
        return PhotoPool(
            self.photos,
            self.config.size,
            share,
            self.device,
            capacity=capacity,
            workers=self.compute.workers,
        )

    def _info(self, painting: Painting) -> StyleInfo:
        """What the checkpoint is to say of a style.

        Pictures are brought to its detail where they are painted, not in training: a network that
        learnt so left its details to that, and its pictures were further from the painting.
        """
        detail = detail_of(self._painting(painting.image))[0]
        return replace(painting.info(), detail=tuple(detail.tolist()))

    def _painting(self, painting: Tensor) -> Tensor:
        """A painting at the size that its strokes are learnt at."""
        return at_style_size(painting, self.config.style_size).to(self.device)

    @torch.no_grad()
    def _loss_scales(self) -> LossScales:
        """How far a few photos are from each style."""
        count = min(CALIBRATION_PHOTOS, len(self.photos.train))
        styles = torch.arange(len(self.targets), device=self.device)
        style = torch.zeros(len(styles), len(self.losses.style_layers), device=self.device)
        palette = torch.zeros(len(styles), device=self.device)
        for path in self.photos.train[:count]:
            photo = center_crop(read_photo(path, self.config.size), self.config.size)
            photo = photo.to(self.device)
            one = self.losses.activations(photo)
            for some in styles.split(STYLES_AT_ONCE):
                found = {k: v.expand(len(some), -1, -1, -1) for k, v in one.items()}
                style[some] += self.losses.style(found, self.targets, some) / count
                batch = photo.expand(len(some), -1, -1, -1)
                palette[some] += self.losses.palette(batch, self.targets, some) / count
        # Photos have several times a soft painting's contrast: divided by all of that, what is left
        # of the style would seem next to nothing long before it is.
        style = style.minimum(style.sqrt())
        return LossScales(style.clamp_min(MIN_SCALE), palette.clamp_min(MIN_SCALE))

    def steps(self) -> Iterator[Step]:
        """Train from where it stands to the end. A Step's losses are those that were read last."""
        self._before, self._began = self.seconds, time.monotonic()
        fastest = torch.backends.cudnn.benchmark
        torch.backends.cudnn.benchmark = True  # the same shapes again and again
        try:
            while self.index < self.total:
                index = self.index + 1
                self.schedule.begin(index, self.seconds)
                side = self.schedule.side(index)
                image = self.run_step(index)
                self.index = index
                if self.reads(index):
                    self._read(index)
                if self.schedule.validates(index):
                    self.schedule.validated(index)
                    self.warnings += self.validator.run(index, self.total)
                left = self.schedule.left(index, self.seconds)
                yield Step(
                    index, self.total, self.lost, image, (side, side), self.seconds, left=left
                )
        finally:
            torch.backends.cudnn.benchmark = fastest
            self.pool.close()

    def reads(self, index: int) -> bool:
        """Whether the device is waited for after a step, to read losses and look at the clock."""
        return index % self.read_every == 0 or index == 1 or self.schedule.validates(index)

    def _read(self, index: int) -> None:
        """Note what the latest steps lost; settle the number of steps by what they took."""
        sums, count = self.train_step.read(index)
        self.history.add(index, sums, count)
        if count:
            self.lost = {name: value / count for name, value in sums.items()}
        self.schedule.settle(index, self.group.agree(self.seconds))
        self.balancer.last_step = round(END * self.total)

    def _samples(self, index: int) -> list[Sample]:
        """This process's part of a step's batch."""
        first = (index - 1) * self.config.batch_size
        mine = range(first + self.group.rank, first + self.config.batch_size, self.group.size)
        return [self._sampler(number) for number in mine]

    def _next_samples(self, index: int) -> list[Sample]:
        """A step's samples; the photos of those to come are being read from now on."""
        share = self.config.batch_size // self.group.size
        ahead = max(1, -(-AHEAD * self.compute.workers // share))
        for coming in range(index, index + ahead + 1):
            if coming not in self._ahead:
                self._ahead[coming] = samples = self._samples(coming)
                self.pool.prepare(sample.photo for sample in samples)
        return self._ahead.pop(index)

    def run_step(self, index: int) -> Tensor:
        """One step of the optimizer; one of its pictures."""
        samples = self._next_samples(index)
        photos = self.pool.crops(samples, self.schedule.side(index))
        styles = sent(torch.tensor([s.style for s in samples]), self.device)
        strengths = sent(torch.tensor([s.strength for s in samples]), self.device)
        positions = self._positions(strengths)
        vectors = self._style_vectors(styles, strengths)
        batch = TrainBatch(
            photos, styles, strengths, vectors, positions, self._noise(samples, index)
        )
        image = self.train_step.run(batch, index, self.schedule.rate_factor(index))
        if self.balancer.due(index):
            self.balancer.move(self.group.sum(self.balancer.seen).clone(), index)
        return image

    def _style_vectors(self, styles: Tensor, strengths: Tensor) -> Tensor:
        """The weights of the network's affine pairs for styles at strengths: ``Bxpairs``; see
        ``StyleBank.style_vector``.
        """
        weak, strong = (ends[styles] for ends in self._style_ends)
        position = self._positions(strengths)[:, None].to(weak.device)
        return torch.lerp(weak, strong, position)

    def _positions(self, strengths: Tensor) -> Tensor:
        """``StyleBank.position`` of each, ``B``."""
        if not self.bank.strength_range:
            return torch.zeros_like(strengths)
        low, high = self.bank.strength_range
        return ((strengths - low) / (high - low)).clamp(0, 1)

    def _noise(self, samples: Sequence[Sample], index: int) -> Tensor:
        """What the network sees beside a step's crops; each time another."""
        side = self.schedule.side(index)
        seeds = [zlib.crc32(sample.key.encode()) for sample in samples]
        noise = make_noise(self.train_step.model.network.arch, side, side, seeds)
        if noise is None:
            return torch.empty(len(samples), 0, 1, 1, device=self.device)
        return sent(noise, self.device)

    def checkpoint(self) -> Checkpoint:
        """The best network so far; one that styles were added to keeps its predictor."""
        best = copy.deepcopy(self.train_step.ema)
        if self.validator.best_weights is not None:
            best.load_state_dict(self.validator.best_weights)
        best = best.cpu()
        return Checkpoint(
            best.network,
            self.styles,
            self.bank.strength_range,
            self.facts(),
            predictor=best.predictor or self._kept_predictor,
        )

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
            "seconds": self.seconds,
            "window": self._sampler.window,
            "lost": self.lost,
            "schedule": self.schedule.state_dict(),
            "history": self.history.as_json(),
            "step": self.train_step.state_dict(),
            "balancer": self.balancer.state_dict(),
            "validator": self.validator.state_dict(),
        }

    def load_state_dict(self, state: Mapping[str, Any]) -> None:
        """Go on from there."""
        self.index, self.lost = state["index"], state["lost"]
        self._before, self._began = state["seconds"], time.monotonic()
        self._sampler.window = state["window"]
        self.schedule.load_state_dict(state["schedule"])
        self.history = History.from_json(state["history"])
        self.train_step.load_state_dict(state["step"])
        self.balancer.load_state_dict(state["balancer"])
        self.validator.load_state_dict(state["validator"])


def mixed(bank: StyleBank, names: Sequence[str], strength: float) -> Tensor:
    """The style vector of some styles in equal parts."""
    return bank.style_vector(dict.fromkeys(names, 1.0), strength)


def split_paintings(paintings: Sequence[Tensor]) -> tuple[list[Tensor], list[Tensor]]:
    """Those to learn from, and a few to be judged by."""
    count = min(UNSEEN, len(paintings) // HELD_OUT)
    every = len(paintings) // count if count else len(paintings) + 1
    held_out = set(range(every // 2, len(paintings), every)) if count else set()
    chosen = sorted(held_out)[:count]
    learnt = [p for i, p in enumerate(paintings) if i not in chosen]
    return learnt, [paintings[i] for i in chosen]


def variants(painting: Tensor, seed: int) -> list[Tensor]:
    """A painting (``1x3xHxW``), and parts of it in other colors: more styles than there are
    paintings.
    """
    found = [painting]
    height, width = painting.shape[-2:]
    rng = random.Random(f"{seed}/{height}x{width}/{float(painting.mean()):.6f}")
    while len(found) < VARIANTS:
        share = rng.uniform(SMALLEST_PART, 1)
        rows, columns = max(1, round(share * height)), max(1, round(share * width))
        top, left = rng.randint(0, height - rows), rng.randint(0, width - columns)
        part = painting[..., top : top + rows, left : left + columns]
        found.append(part[:, rng.sample(range(3), 3)])
    return found
