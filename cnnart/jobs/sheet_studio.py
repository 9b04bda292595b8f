"""Channel sheets: what each channel of a layer wants to see, labelled, on one picture."""

from __future__ import annotations

import tempfile
import time
from collections.abc import Iterator, Sequence
from dataclasses import asdict, replace
from pathlib import Path
from typing import Any, BinaryIO

import torch
from torch import Tensor

from cnnart.budget import Limits
from cnnart.config import VisualizeConfig
from cnnart.device import device_reason
from cnnart.dreaming.visualize import Target, Visualization, check_targets
from cnnart.engine import Engine
from cnnart.image import draw_sheet, write_image
from cnnart.jobs.batch import Run
from cnnart.jobs.memory import guarded
from cnnart.jobs.naming import Task
from cnnart.jobs.parts import Parts, parts_folder
from cnnart.jobs.record import build_record
from cnnart.jobs.report import Start
from cnnart.jobs.sheets import SheetRecipe
from cnnart.jobs.writing import Writing, precision_name
from cnnart.networks import Network
from cnnart.optimize import Step
from cnnart.schedule import Scale

# Pixels computed at once: enough to keep a processor busy, and little to lose when interrupted.
AT_ONCE = 4 * 128 * 128
ON_A_GPU = 8  # times as many
BLANK = 1.0  # of the cells still to come


class Sheet:
    """Channels of one layer, visualized some at a time; those that ``parts`` holds are done.

    A Step's image is what is being made, ``B x 3 x h x w``; ``finish`` lays it out together with
    what is done. A cell depends on its channel and the settings only, not on its neighbours.
    """

    def __init__(
        self,
        network: Network,
        targets: Sequence[Target],
        config: VisualizeConfig,
        parts: Parts,
        limits: Limits | None = None,
    ) -> None:
        check_targets(network, targets, config.sides)
        self.features = network
        self.notes: list[str] = list(parts.notes)
        self._config = config
        self._targets = list(targets)
        self._parts = parts
        self._seconds = (limits or Limits()).seconds
        height, width = config.sides
        most = AT_ONCE if network.device.type == "cpu" else AT_ONCE * ON_A_GPU
        size = max(1, most // (height * width))
        missing = [t for t in self._targets if not parts.has(number(t))]
        self._groups = [missing[i : i + size] for i in range(0, len(missing), size)]
        self._current: list[Target] = []
        largest = Visualization(network, self._targets[:size], config)
        self.memory = largest.memory
        self.schedule = [
            Scale(height, width, config.steps, cost=len(group)) for group in self._groups
        ]

    @property
    def whole(self) -> bool:
        """Whether all cells are done."""
        return all(self._parts.has(number(target)) for target in self._targets)

    def steps(self) -> Iterator[Step]:
        """Make what is missing."""
        begun = time.perf_counter()
        total = max(1, len(self._groups) * self._config.steps)
        if not self._groups:  # only the sheet is to be written
            nothing = torch.empty(0, 3, *self._config.sides)
            yield Step(total, total, {}, nothing, self._config.sides, 0.0)
        for done, group in enumerate(self._groups):
            work = Visualization(self.features, group, self._config)
            self._current = group
            for step in work.steps():
                self.notes += [note for note in work.notes if note not in self.notes]
                seconds = time.perf_counter() - begun
                index = done * self._config.steps + step.index
                yield replace(step, index=index, steps=total, seconds=seconds)
                if self._seconds is not None and seconds > self._seconds:
                    self.notes.append(f"Time is up after {done * len(self._groups[0])} channels.")
                    return
            for target, picture in zip(group, work.finish(step.image).split(1), strict=True):
                self._parts.write(number(target), picture)

    def finish(self, image: Tensor) -> Tensor:
        """The sheet: cells that are done, those in ``image``, and blanks for those to come."""
        making = {number(t): cell for t, cell in zip(self._current, image.split(1), strict=False)}
        blank = torch.full((1, 3, *self._config.sides), BLANK)
        cells = []
        for target in self._targets:
            n = number(target)
            made = making.get(n, blank).detach().clamp(0, 1).cpu()
            cells.append((str(n), self._parts.read(n) if self._parts.has(n) else made))
        title = f"{self.features.name} {self._targets[0].layer}"
        return draw_sheet(cells, title=title)


def number(target: Target) -> int:
    assert target.channel is not None
    return target.channel


class SheetStudio:
    """Makes a sheet by its recipe, as a run of a batch. Raises CnnartError for what is wrong."""

    def __init__(self, recipe: SheetRecipe, engine: Engine, writing: Writing) -> None:
        self._recipe = recipe
        self._engine = engine
        self._writing = writing
        self._network = engine.network()
        self._network.check_layers([recipe.layer])
        count = self._network.geometry[recipe.layer].channels
        channels = range(count) if recipe.channels is None else recipe.channels
        self._targets = [Target(recipe.layer, channel) for channel in channels]
        check_targets(self._network, self._targets, recipe.config.sides)

    def open(self, task: Task) -> Run:
        """Look for cells made before, and make ready for the rest."""
        if task.target:
            folder = parts_folder(task.target, "cells")
        else:
            folder = Path(tempfile.mkdtemp(prefix="cnnart-"))
        parts = Parts(folder, self._settings())
        config, limits = self._recipe.config, self._engine.limits()
        sheet = Sheet(self._network, self._targets, config, parts, limits)

        def write(target: Path | BinaryIO, rgb: Tensor, interrupted_at: int | None) -> None:
            options: dict[str, Any] = {"format": task.format}
            if self._writing.quality is not None:
                options["quality"] = self._writing.quality
            if self._writing.metadata:
                options["record"] = self._record(rgb, None if sheet.whole else interrupted_at or 0)
            write_image(target, rgb, **options)
            if (sheet.whole and interrupted_at is None) or task.target is None:
                parts.remove()

        start = self._start(task, sheet)
        return Run(start, guarded(sheet.steps()), sheet.finish, write, sheet.notes)

    def _settings(self) -> dict[str, Any]:
        """All that a cell depends on."""
        return {
            "network": self._network.name,
            "weights_sha256": self._network.sha256,
            "precision": precision_name(self._network.dtype),
            "layer": self._recipe.layer,
            "settings": asdict(self._recipe.config),
        }

    def _record(self, rgb: Tensor, interrupted_at: int | None) -> str:
        facts = {
            "layer": self._recipe.layer,
            "channels": [number(target) for target in self._targets],
            "settings": asdict(self._recipe.config),
        }
        run = self._writing.run_facts(self._engine, self._network, rgb)
        return build_record("sheet", {}, facts, run, interrupted_at=interrupted_at)

    def _start(self, task: Task, sheet: Sheet) -> Start:
        return Start(
            command="dream",
            input=task.source.given,
            output=str(task.target or "-"),
            size=self._recipe.config.sides,
            about=f"{len(self._targets)} channels of {self._network.name} {self._recipe.layer}",
            details={"layer": self._recipe.layer, "channels": [number(t) for t in self._targets]},
            device=str(self._engine.device),
            device_reason=device_reason(self._engine.device),
            precision=precision_name(self._network.dtype),
            seed=self._recipe.config.seed,
            memory=sheet.memory.peak,
            tile=0,
            schedule=[((s.height * int(s.cost), s.width), s.evaluations) for s in sheet.schedule],
        )
