"""Judging a network while it trains: held-out photos, artifacts, and which step was the best."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING, Any

import torch
from torch import Tensor

from cnnart.errors import CnnartError
from cnnart.fast.artifacts import NO_NUMBERS, NOTHING, measured, phrases
from cnnart.fast.dataset import Crops

if TYPE_CHECKING:
    from cnnart.fast.trainer import Trainer

MOST_PAIRS = 24  # of photo and style in one validation
PATIENCE = 3  # validations in a row with the same kind of defect
TRUSTED_FROM = 0.35  # of the steps: before, a network may look like anything
MOST_TOLD = 2
SHEET_PHOTOS, SHEET_STYLES = 3, 7


class Validator:
    """Runs the average of the weights on photos that are never trained on."""

    def __init__(self, trainer: Trainer, crops: Crops) -> None:
        self._trainer = trainer
        self._crops = crops
        photos = trainer.photos
        held_out = range(len(photos.train), len(photos.train) + len(photos.held_out))
        self._photos = list(held_out) or list(range(min(2, len(photos.train))))
        self.history: list[dict[str, Any]] = []
        self.best = math.inf
        self.best_step = 0
        self.best_weights: dict[str, Tensor] | None = None
        self.bad = 0
        self.stops = True

    def run(self, index: int) -> None:
        """Judge; keep the weights if they are the best. Raises CnnartError for a hopeless run."""
        trainer = self._trainer
        loss, measures = self._judge() if trainer.group.leads else (0.0, {})
        loss = trainer.group.agree(loss)
        wrong = {name: said for name, found in measures.items() if (said := phrases(found))}
        told = [f"{' and '.join(said)} in {name}" for name, said in wrong.items()]
        self.history.append(
            {"step": index, "loss": round(loss, 5), "measures": measures, "defects": told}
        )
        dead = any(said[0] in (NOTHING, NO_NUMBERS) for said in wrong.values())
        if math.isfinite(loss) and not trainer.group.agree(dead) and loss < self.best:
            self.best, self.best_step = loss, index
            state = trainer.learner.average.state_dict()
            self.best_weights = {k: v.detach().clone() for k, v in state.items()}
        late = index > TRUSTED_FROM * trainer.total
        if told and late:
            trainer.notes.append(f"Step {index}: validation shows {_listed(told)}.")
        hopeless = late and (dead or 2 * len(wrong) > len(measures))
        self.bad = int(trainer.group.agree(self.bad + 1 if hopeless else 0))
        if self.stops and self.bad >= PATIENCE and index < trainer.total:
            raise CnnartError(
                f"Training goes bad: {self.bad} validations in a row show {_listed(told)} (step "
                f"{index}). Try another --arch, a lower --learning-rate, or --keep-going."
            )

    @torch.no_grad()
    def _judge(self) -> tuple[float, dict[str, dict[str, float]]]:
        """The mean loss, and each style's mean measures of artifacts by its name."""
        trainer = self._trainer
        losses: list[float] = []
        found: dict[str, list[dict[str, float]]] = {}
        for photo_index, style in self._pairs():
            photo = self._crops.middle(photo_index, trainer.config.size).to(trainer.device)
            output = self.painted(photo, style)
            target = trainer.targets[style]
            terms = trainer.losses(output, photo, [target])
            losses.append(float(trainer.balance.judge(terms, [style])[0]))
            name = trainer.paintings[style].name
            found.setdefault(name, []).append(measured(output, photo, target.detail))
        means = {
            name: {key: round(sum(o[key] for o in ones) / len(ones), 4) for key in ones[0]}
            for name, ones in found.items()
        }
        return sum(losses) / len(losses), means

    def _pairs(self) -> list[tuple[int, int]]:
        """Photos and styles to look at: all, or an even choice of them."""
        pairs = [(p, s) for p in self._photos for s in range(len(self._trainer.paintings))]
        every = -(-len(pairs) // MOST_PAIRS)
        if every == 1:
            return pairs
        styles = len(self._trainer.paintings)
        return [(p, s) for p, s in pairs if (self._photos.index(p) + s) % every == 0 or styles == 1]

    def painted(self, photo: Tensor, style: int) -> Tensor:
        """A photo in one of the styles at strength 0.5, by the average of the weights."""
        trainer = self._trainer
        with torch.no_grad():
            output: Tensor = trainer.learner.average(
                photo, trainer.row(style, 0.5), trainer.means.dtype
            )
        return output

    def sheet(self) -> Tensor:
        """A few held-out photos in a few styles: ``1x3xHxW``."""
        from cnnart.image import draw_sheet

        trainer = self._trainer
        names = [p.name for p in trainer.paintings][:SHEET_STYLES]
        cells: list[tuple[str, Tensor]] = []
        for index in self._photos[:SHEET_PHOTOS]:
            photo = self._crops.middle(index, trainer.config.size).to(trainer.device)
            cells.append(("photo", photo.cpu()))
            for style, name in enumerate(names):
                cells.append((name, self.painted(photo, style).clamp(0, 1).cpu()))
        return draw_sheet(cells, 1 + len(names), title=f"step {trainer.index}")


def _listed(told: list[str]) -> str:
    """A few of the defects."""
    return "; ".join(told[:MOST_TOLD]) + (", and more" if len(told) > MOST_TOLD else "")
