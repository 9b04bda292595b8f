"""Judging a network while it trains: held-out photos, artifacts, and which step was the best."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor

from cnnart.errors import CnnartError
from cnnart.image.contact_sheet import draw_sheet
from cnnart.methods.fast.train.artifacts import BLANK, NOT_FINITE, describe, measure
from cnnart.methods.fast.train.balance import LossBalancer
from cnnart.methods.fast.train.data import ValidationPhotos
from cnnart.methods.fast.train.losses import PerceptualLosses, StyleTargets
from cnnart.methods.fast.train.model import StyleModel
from cnnart.methods.fast.train.step import ComputeOptions

MAX_PAIRS = 24  # of photo and style in one validation
PATIENCE = 3  # validations in a row with the same kind of defect
TRUSTED_FROM = 0.35  # of the steps: before, a network may look like anything
MAX_NAMED = 2  # defects
SHEET_PHOTOS, SHEET_STYLES = 3, 7


@dataclass(frozen=True)
class JudgedStyle:
    """A style at strength 0.5, on the device. ``number``: among the targets, ``1``;
    ``style_vector`` (``1xpairs``) and ``position`` (``1``): see ``TrainBatch``.
    """

    name: str
    number: Tensor
    style_vector: Tensor
    position: Tensor


class Validator:
    """Runs the average of the weights on photos that are never trained on.

    Args:
        model: the average, which changes while training goes on.
        styles: to judge.
        photos: to judge on.
        losses, targets, balancer: the loss that steps are compared by.
        compute: precision and processes.

    ``history``: what each validation found. ``best``, ``best_step``, ``best_weights``: of the one
    with the lowest loss. ``stops``: whether a hopeless run is ended.
    """

    def __init__(
        self,
        model: StyleModel,
        styles: Sequence[JudgedStyle],
        photos: ValidationPhotos,
        losses: PerceptualLosses,
        targets: StyleTargets,
        balancer: LossBalancer,
        compute: ComputeOptions,
    ) -> None:
        self._model, self._styles, self._photos = model, styles, photos
        self._losses, self._targets = losses, targets
        self._balancer, self._compute = balancer, compute
        self.history: list[dict[str, Any]] = []
        self.best = math.inf
        self.best_step = 0
        self.best_weights: dict[str, Tensor] | None = None
        self.bad = 0  # validations in a row that looked hopeless
        self.stops = True

    def run(self, index: int, total: int) -> list[str]:
        """Judge after step ``index`` of ``total``; keep the weights if they are the best.

        Returns warnings, one for late defects. Raises CnnartError for a hopeless run.
        """
        group = self._compute.group
        loss, measures = self.judge() if group.leads else (0.0, {})
        loss = group.agree(loss)
        wrong = {name: said for name, found in measures.items() if (said := describe(found))}
        defects = [f"{' and '.join(said)} in {name}" for name, said in wrong.items()]
        self.history.append(
            {"step": index, "loss": round(loss, 5), "measures": measures, "defects": defects}
        )
        dead = any(said[0] in (BLANK, NOT_FINITE) for said in wrong.values())
        if math.isfinite(loss) and not group.agree(dead) and loss < self.best:
            self.best, self.best_step = loss, index
            state = self._model.state_dict()
            self.best_weights = {k: v.detach().clone() for k, v in state.items()}
        late = index > TRUSTED_FROM * total
        hopeless = late and (dead or 2 * len(wrong) > len(measures))
        self.bad = int(group.agree(self.bad + 1 if hopeless else 0))
        if self.stops and self.bad >= PATIENCE and index < total:
            raise CnnartError(
                f"Training goes bad: {self.bad} validations in a row show {_listed(defects)} (step "
                f"{index}). Try another `arch`, a lower `learning_rate`, or `keep_going`."
            )
        return [f"Step {index}: validation shows {_listed(defects)}."] if defects and late else []

    @torch.no_grad()
    def judge(self) -> tuple[float, dict[str, dict[str, float]]]:
        """The mean loss, and each style's mean measures of artifacts by its name."""
        losses: list[float] = []
        found: dict[str, list[dict[str, float]]] = {}
        for photo_index, style_index in self._pairs():
            photo, style = self._photos[photo_index], self._styles[style_index]
            output = self.painted(photo, style)
            terms = self._losses(output, photo, self._targets, style.number)
            losses.append(float(self._balancer.score(terms, style.number)[0]))
            artifacts = self._targets.artifacts[int(style.number)]
            found.setdefault(style.name, []).append(measure(output, photo, artifacts))
        means = {
            name: {key: round(sum(o[key] for o in ones) / len(ones), 4) for key in ones[0]}
            for name, ones in found.items()
        }
        return sum(losses) / len(losses), means

    @property
    def pairs(self) -> int:
        """Pictures that a validation looks at."""
        return len(self._pairs())

    def _pairs(self) -> list[tuple[int, int]]:
        """Photos and styles to look at: all, or an even choice of them."""
        styles = len(self._styles)
        pairs = [(p, s) for p in range(len(self._photos)) for s in range(styles)]
        every = -(-len(pairs) // MAX_PAIRS)
        return [(p, s) for p, s in pairs if (p + s) % every == 0 or styles == 1]

    def painted(self, photo: Tensor, style: JudgedStyle) -> Tensor:
        """A photo in one of the styles at strength 0.5, by the average of the weights."""
        with torch.no_grad():
            output: Tensor = self._model(
                photo,
                style.number,
                style.style_vector,
                style.position,
                None,
                self._compute.dtype,
            )
        return output

    def sheet(self, index: int) -> Tensor:
        """A few held-out photos in a few styles after step ``index``: ``1x3xHxW``."""
        every = -(-len(self._styles) // SHEET_STYLES)
        styles = self._styles[::every]
        cells: list[tuple[str, Tensor]] = []
        for number in range(min(SHEET_PHOTOS, len(self._photos))):
            photo = self._photos[number]
            cells.append(("photo", photo.cpu()))
            for style in styles:
                cells.append((style.name, self.painted(photo, style).clamp(0, 1).cpu()))
        return draw_sheet(cells, 1 + len(styles), title=f"step {index}")

    def state_dict(self) -> dict[str, Any]:
        """What was found so far."""
        return {
            "history": self.history,
            "best": self.best,
            "best_step": self.best_step,
            "best_weights": self.best_weights,
            "bad": self.bad,
        }

    def load_state_dict(self, state: Mapping[str, Any]) -> None:
        self.history, self.bad = state["history"], state["bad"]
        self.best, self.best_step = state["best"], state["best_step"]
        self.best_weights = state["best_weights"]


def _listed(defects: list[str]) -> str:
    """A few of the defects."""
    return "; ".join(defects[:MAX_NAMED]) + (", and more" if len(defects) > MAX_NAMED else "")
