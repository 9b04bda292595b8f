"""A dream from noise: what a preset, or layers and channels of a network, want to see."""

from __future__ import annotations

from dataclasses import asdict

import torch
from torch import Tensor

from cnnart.device import device_reason
from cnnart.dreaming.api import check_dream
from cnnart.dreaming.dream import check_channels
from cnnart.dreaming.presets import DreamPreset, settle
from cnnart.dreaming.visualize import Visualization
from cnnart.engine import Engine
from cnnart.image import Picture
from cnnart.jobs.batch import Run
from cnnart.jobs.memory import guarded
from cnnart.jobs.naming import Task
from cnnart.jobs.noise_dreams import NoiseRecipe
from cnnart.jobs.record import build_record
from cnnart.jobs.report import Start
from cnnart.jobs.writing import Writing, precision_name
from cnnart.networks import Network


class PresetObjective:
    """The weighted sum over layers of what a preset raises; see ``visualize.Objective``."""

    count = 1

    def __init__(
        self, network: Network, preset: DreamPreset, neuron: tuple[float, float] | None
    ) -> None:
        self.layers = [name for name, weight in preset.layers.items() if weight]
        self._network = network
        self._preset = preset
        self._neuron = neuron

    def __call__(self, pictures: Tensor) -> Tensor:
        found = self._network(pictures, self.layers)
        return torch.stack([self._value(found[k].float(), k) for k in self.layers]).sum(0)

    def _value(self, units: Tensor, layer: str) -> Tensor:
        if self._preset.channels:
            units = units[:, list(self._preset.channels)]
        if self._neuron is not None:
            for axis, place in zip((-1, -2), self._neuron, strict=True):
                count = units.shape[axis]
                units = units.narrow(axis, min(int(place * count), count - 1), 1)
        values = units if self._preset.objective == "mean" else units.square()
        return self._preset.layers[layer] * values.flatten(1).mean(1)


class NoiseStudio:
    """Makes the picture of a recipe. Raises CnnartError for what is wrong with it."""

    def __init__(self, recipe: NoiseRecipe, engine: Engine, writing: Writing) -> None:
        check_dream(engine, recipe.aim)
        self._recipe = recipe
        self._engine = engine
        self._writing = writing

    def open(self, task: Task) -> Run:
        """Make ready; a task has no photo."""
        network, config = self._engine.network(), self._recipe.config
        objective = PresetObjective(network, settle(self._recipe.aim), self._recipe.aim.neuron)
        network.check_layers(objective.layers)
        check_channels(settle(self._recipe.aim).channels, objective.layers, network)
        work = Visualization(network, objective, config, limits=self._engine.limits())

        def record(rgb: Tensor, interrupted_at: int | None) -> str:
            facts = {"aim": asdict(self._recipe.aim), "settings": asdict(config)}
            run = self._writing.run_facts(self._engine, network, rgb)
            return build_record("noise", {}, facts, run, interrupted_at=interrupted_at)

        height, width = config.sides
        write = self._writing.writer(task, Picture(torch.zeros(1, 3, height, width)), record)
        return Run(self._start(task, work), guarded(work.steps()), work.finish, write, work.notes)

    def _start(self, task: Task, work: Visualization) -> Start:
        aim = self._recipe.aim
        return Start(
            command="dream",
            input=task.source.given,
            output=str(task.target or "-"),
            size=self._recipe.config.sides,
            about=f"from noise: {self._recipe.label}",
            details={"preset": None if aim.layers else aim.preset, "layers": settle(aim).layers},
            device=str(self._engine.device),
            device_reason=device_reason(self._engine.device),
            precision=precision_name(self._engine.dtype),
            seed=self._recipe.config.seed,
            memory=work.memory.peak,
            tile=0,
            schedule=[((s.height, s.width), s.evaluations) for s in work.schedule],
        )
