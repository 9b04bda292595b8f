"""Fooling pictures: the smallest change after which a network sees a class of our choice.

Decoupled direction and norm (Rony et al. 2019, "Decoupling Direction and Norm for Efficient
Gradient-Based L2 Adversarial Attacks and Defenses"): step along the gradient until it fools; from
then on put the change on a sphere after each step, which shrinks while the network is fooled and
grows while it is not. The network is asked about whole levels of 8 bits, so that what fools it is
what a file holds.
"""

from __future__ import annotations

import math
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any, NamedTuple

import torch
from torch import Tensor

from cnnart.errors import CnnartError, UsageError
from cnnart.image.picture import fit_long_side, resize
from cnnart.methods.inspect.config import FoolConfig
from cnnart.methods.inspect.pictures import LEVELS, quantized
from cnnart.methods.inspect.report import Beneath, Inspection
from cnnart.methods.inspect.target import find_class, likeliest, percent
from cnnart.networks.base import Classifier
from cnnart.networks.guest import going_back
from cnnart.networks.imagenet import class_name
from cnnart.networks.module import LOGITS
from cnnart.optim.capture import replayed
from cnnart.optim.optimize import Reading, read_late
from cnnart.optim.steps import Evaluation

DISPLAY = 512  # long side of the sheet's pictures
MAGNIFIED = 10
GROWTH = 1.07  # of the steps, until it fools for the first time
MOMENTUM = 0.7  # of their direction


@dataclass(frozen=True)
class Fooling:
    """A fooled picture.

    picture: 1x3xHxW in [0, 1], whole levels of 8 bits. probability: of the class it was made for.
    mean_change, largest_change: in levels of 255, over all pixels and colors.
    """

    picture: Tensor
    probability: float
    mean_change: float
    largest_change: int


class Fool:
    """Change ``image`` (1x3xHxW in [0, 1]) as little as makes ``network`` see class ``target``.

    The picture keeps its size: the network's own resizing and cropping are part of what is
    differentiated. Everything happens on the network's device.

    ``steps()`` does the work and yields the probability of the class so far; ``result()`` is the
    smallest change that was found. Raises CnnartError where none was.
    """

    def __init__(self, network: Classifier, image: Tensor, target: int, config: FoolConfig) -> None:
        self.network, self.target, self.config = network, target, config
        self.image = quantized(image.to(network.device))
        self._best: Smallest | None = None

    def steps(self) -> Iterator[float]:
        for losses, best, _ in read_late(self._steps(), self.image.device):
            self._best = best
            yield losses["probability"]

    def _steps(self) -> Iterator[tuple[Reading, Smallest]]:
        """The probability before each step, and the smallest change until then. What is decided
        is decided on the device, which nobody waits for.
        """
        config, change = self.config, torch.zeros_like(self.image)
        heading, radius = torch.zeros_like(change), change.new_zeros(())
        # Rounding takes away what is below half a level, and at first that is everything. With
        # noise before it the mean of many pixels is kept, which is what a smaller picture shows.
        noise = torch.rand(change.shape, generator=torch.Generator().manual_seed(0)).to(change)
        objective = replayed(self._evaluate, self.image.device)
        best = Smallest.none(self.image)
        for index in range(config.steps):
            offset = torch.where(best.found, 0.5, noise)
            seen = quantized(self.image + torch.floor(change * LEVELS + offset) / LEVELS)
            evaluation = objective(seen)
            values, slope = evaluation.values(), evaluation.gradient
            fooled = values[0] >= config.confidence
            best = best.or_smaller(seen, values[0], (seen - self.image).abs().mean(), fooled)
            yield Reading.of(list(evaluation.terms), values, values.sum(), fooled), best
            heading = MOMENTUM * heading + slope / slope.norm().clamp_min(1e-12)
            direction = heading / heading.norm().clamp_min(1e-12)
            # Until it fools for the first time:
            grown = change + config.step * GROWTH**index * one_level(slope) * direction
            # And from then on:
            rate = 0.5 * (1 + math.cos(math.pi * index / config.steps))  # falls from 1 to 0
            turned = change + rate * config.turn * radius * direction
            radius = radius * torch.where(fooled, 1 - config.adjust, 1 + config.adjust)
            turned *= radius / turned.norm().clamp_min(1e-12)
            turned = (self.image + turned).clamp(0, 1) - self.image
            change = torch.where(best.found, turned, grown)
            radius = torch.where(best.found, radius, grown.norm())

    def result(self) -> Fooling:
        if self._best is None or not self._best.found:
            raise CnnartError(
                f"No small change was found in {self.config.steps} steps: ask for more `steps`, "
                "less `confidence`, or another class."
            )
        picture, probability, mean = self._best.picture, self._best.probability, self._best.mean
        largest = float((picture - self.image).abs().max()) * LEVELS
        return Fooling(picture, float(probability), float(mean) * LEVELS, round(largest))

    def _evaluate(self, picture: Tensor) -> Evaluation:
        """The class's probability and the gradient of its logarithm."""
        picture = picture.detach().requires_grad_()
        with torch.enable_grad():
            logits = self.network.logits(self.network.prepare(picture))
            value = logits.log_softmax(1)[0, self.target]
            with going_back(self.network):
                (slope,) = torch.autograd.grad(value, picture)
        return Evaluation({"probability": value.detach().exp()}, slope.float())


class Smallest(NamedTuple):
    """The smallest change so far that fools, if any was ``found``, all on the device.

    ``mean``: the mean change of its pixels; infinite until there is one.
    """

    picture: Tensor
    probability: Tensor
    mean: Tensor
    found: Tensor

    @classmethod
    def none(cls, image: Tensor) -> Smallest:
        zero = image.new_zeros(())
        return cls(image, zero, zero + math.inf, zero > 0)

    def or_smaller(
        self, picture: Tensor, probability: Tensor, mean: Tensor, fooled: Tensor
    ) -> Smallest:
        """Another picture in its place, if that is ``fooled`` with less."""
        better = fooled & (mean < self.mean)
        return Smallest(
            torch.where(better, picture, self.picture),
            torch.where(better, probability, self.probability),
            torch.where(better, mean, self.mean),
            self.found | fooled,
        )


def one_level(slope: Tensor) -> Tensor:
    """The length of a change by one level in every pixel that counts, a scalar."""
    return (slope != 0).sum().sqrt() / LEVELS


def choose_class(
    network: Classifier, photo: Tensor, named: str | None, photo_name: str, *, seed: int = 0
) -> int:
    """The class that ``photo`` (1x3xHxW) is to be taken for; None named: one drawn from ``seed``.

    Raises UsageError for the class it is taken for already, and for one that is not known.
    """
    top = likeliest(network, network.prepare(photo.to(network.device)), 1)[0][0]
    target = another_class(network, top, seed) if named is None else find_class(network, named)
    if target == top:
        raise UsageError(
            f"{photo_name} is seen as {class_name(network.classes, top)} already: "
            "choose another class."
        )
    return target


def another_class(network: Classifier, likeliest: int, seed: int) -> int:
    """A class drawn from ``seed`` that is not the likeliest one."""
    generator = torch.Generator().manual_seed(seed)
    classes = network.geometry[LOGITS].channels
    drawn = int(torch.randint(classes - 1, (1,), generator=generator))
    return drawn + (drawn >= likeliest)


def confirm(network: Classifier, reloaded: Tensor, target: int, name: str) -> None:
    """Raise CnnartError if a picture that was saved and read again does not fool any more."""
    found = seen_as(network, reloaded)[0]
    if found["index"] != target:
        raise CnnartError(
            f"{name}: read again, it is seen as {found['class']}. Report this as a bug in cnnart."
        )


def fool_report(network: Classifier, work: Fool) -> Inspection:
    """The photo, the fooled picture and ten times their difference, with what the network sees."""
    found = work.result()
    height, width = work.image.shape[-2:]
    size = fit_long_side(height, width, DISPLAY)
    difference = (0.5 + MAGNIFIED * (found.picture - work.image)).clamp(0, 1)
    before, after = (seen_as(network, picture) for picture in (work.image, found.picture))
    target = class_name(network.classes, work.target)
    largest = f"{found.largest_change} level{'s' if found.largest_change > 1 else ''}"
    cells = [
        (f"original\n{answers(before)}", work.image),
        (f"fooled\n{answers(after)}", found.picture),
        (
            f"difference x{MAGNIFIED}\nmean {found.mean_change:.2f} of 255,\nlargest {largest}",
            difference,
        ),
    ]
    shown = [(label, resize(picture.cpu(), *size)) for label, picture in cells]
    return Inspection(
        f"Fooled: {target}",
        shown,
        {
            "target": target,
            "index": work.target,
            "probability": found.probability,
            "mean_change": found.mean_change,
            "largest_change": found.largest_change,
            "before": before,
            "after": after,
        },
        columns=3,
        beneath={1: Beneath(shown[0][1])},
    )


def seen_as(network: Classifier, picture: Tensor) -> list[dict[str, Any]]:
    """The three likeliest classes of a photo: name, index and probability."""
    with torch.no_grad():
        seen = network.prepare(picture.to(network.device))
    return [
        {"class": class_name(network.classes, index), "index": index, "probability": probability}
        for index, probability in likeliest(network, seen)
    ]


def answers(seen: list[dict[str, Any]]) -> str:
    return "\n".join(f"{entry['class']} {percent(entry['probability'])}" for entry in seen[:2])
