"""Classification of photos, and how often it is right."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass, field
from pathlib import PurePosixPath
from typing import Any

import torch
from torch import Tensor

from cnnart.errors import UsageError
from cnnart.methods.inspect.pictures import Item, label_of
from cnnart.methods.inspect.report import Inspection
from cnnart.methods.inspect.target import probabilities_of
from cnnart.networks.base import Classifier
from cnnart.networks.imagenet import class_index, class_name

BATCH = 16  # photos a pass; more would not be faster on a CPU
SHEET = 60  # photos a sheet shows at the most
SHOWN = 3  # guesses below each
ROW = 4  # photos that make a single row


@dataclass(frozen=True)
class Guess:
    """A class and its probability, 0 to 1."""

    index: int
    name: str
    probability: float


@dataclass(frozen=True)
class Prediction:
    """The likeliest classes of a photo, in order; ``label``: the right one, if the name tells.

    ``picture`` is what the network saw, ``1x3xSxS``.
    """

    photo: str
    guesses: list[Guess]
    label: int | None
    picture: Tensor

    def within(self, top: int) -> bool | None:
        """Whether the right class is among the first ``top``; None without a label."""
        if self.label is None:
            return None
        return self.label in [guess.index for guess in self.guesses[:top]]

    def line(self) -> str:
        """One line for people; the right class is marked."""
        guesses = ", ".join(
            f"{g.name}{' (right)' if g.index == self.label else ''} {g.probability:.1%}"
            for g in self.guesses
        )
        return f"{self.photo}: {guesses}"

    def row(self) -> dict[str, Any]:
        """As plain values."""
        guesses = [
            {"class": g.index, "name": g.name, "probability": round(g.probability, 6)}
            for g in self.guesses
        ]
        known = {} if self.label is None else {"label": self.label, "correct": self.within(1)}
        return {"photo": self.photo, "guesses": guesses, **known}


@dataclass
class Accuracy:
    """How many photos there were, how many of a known class, and how many of those were right."""

    photos: int = 0
    labelled: int = 0
    right: dict[int, int] = field(default_factory=lambda: {1: 0, 5: 0})

    def add(self, prediction: Prediction) -> None:
        self.photos += 1
        self.labelled += prediction.label is not None
        for top in self.right:
            self.right[top] += bool(prediction.within(top))

    def numbers(self) -> dict[str, Any]:
        """Accuracies as shares of the labelled photos, None where there are none."""
        shares = {
            f"top{top}": round(right / self.labelled, 6) if self.labelled else None
            for top, right in self.right.items()
        }
        return {**shares, "photos": self.photos, "labelled": self.labelled}

    def text(self) -> str:
        """One line for people."""
        if not self.labelled:
            return f"{self.photos} photos, none of a known class"
        one, five = (f"{100 * self.right[top] / self.labelled:.1f} %" for top in (1, 5))
        return f"top-1 {one}, top-5 {five} of {self.labelled} labelled photos"


def classify(
    network: Classifier,
    photos: Iterable[tuple[Item, Tensor | None]],
    *,
    top: int = 5,
    label: Callable[[str], str | None] = label_of,
) -> Iterator[Prediction]:
    """The prediction on each photo of ``cnnart.methods.inspect.pictures.stream``, in order.

    ``label``: from a photo's name to what it says about its class: a WordNet id, a class's name or
    number; what means no class of the network is no label. Unreadable photos (None) are left out.
    """
    waiting: list[tuple[str, Tensor]] = []
    for item, image in photos:
        if image is not None:
            waiting.append((item.name, network.prepare(image)))
        if len(waiting) == BATCH:
            yield from _judged(network, waiting, top, label)
            waiting = []
    if waiting:
        yield from _judged(network, waiting, top, label)


def _judged(
    network: Classifier,
    waiting: list[tuple[str, Tensor]],
    top: int,
    label: Callable[[str], str | None],
) -> Iterator[Prediction]:
    batch = torch.cat([picture for _, picture in waiting]).to(network.device)
    probabilities = probabilities_of(network, batch).cpu()
    best = probabilities.topk(min(top, probabilities.shape[1]))
    for (name, picture), values, indices in zip(waiting, best.values, best.indices, strict=True):
        guesses = [
            Guess(index, class_name(network.classes, index), value)
            for value, index in zip(values.tolist(), indices.tolist(), strict=True)
        ]
        right = true_class(network.classes, label(name), probabilities.shape[1])
        yield Prediction(name, guesses, right, picture)


def true_class(classes: list[str] | None, label: str | None, count: int) -> int | None:
    """The class that a label from a file's or folder's name means; None if it means none.

    Of a folder's name the last part counts. A number is no label: folders are numbered for many
    reasons.
    """
    text = PurePosixPath(label or "").name
    if not text or text.isdecimal():
        return None
    try:
        return class_index(classes, text, count, part=False)
    except UsageError:
        return None


def classify_report(
    predictions: list[Prediction], title: str, numbers: dict[str, Any]
) -> Inspection:
    """The photos with their names and likeliest classes; a right class is marked with a plus."""
    cells = []
    for prediction in predictions[:SHEET]:
        lines = [
            f"{'+ ' if guess.index == prediction.label else ''}{guess.name} {guess.probability:.0%}"
            for guess in prediction.guesses[:SHOWN]
        ]
        cells.append(
            ("\n".join([PurePosixPath(prediction.photo).name, *lines]), prediction.picture)
        )
    one_row = len(cells) if len(cells) <= ROW else None
    return Inspection(title, cells, numbers, one_row)
