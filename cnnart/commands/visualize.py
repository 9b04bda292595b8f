"""``cnnart dream --from noise`` and ``--sheet``: what units of a network want to see."""

from __future__ import annotations

import os
from collections.abc import Callable, Mapping, Sequence
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any, ClassVar

from cnnart.commands.dream import check_backbone, dream_label
from cnnart.errors import UsageError
from cnnart.methods.dream.config import DreamConfig, VisualizeConfig, resolve_preset
from cnnart.run.inputs import Source
from cnnart.run.outputs import AS_USUAL, OutputOptions, Task, plan
from cnnart.run.record import RecordedFiles
from cnnart.settings import make_config

if TYPE_CHECKING:
    from cnnart.run.command import Run
    from cnnart.runtime import Runtime

SIZE_FROM_NOISE = 512  # pixels: one picture to look at, where a sheet has many small ones
CHOICE = ("preset", "layers", "channels", "neuron", "objective")  # what a DreamConfig is read for
MOST_NAMED = 4  # channels in a file's name


@dataclass(frozen=True)
class FromNoise:
    """A picture of what a preset, or layers and channels, want to see.

    See ``run.command.Command``. Of ``wanted``, what ``CHOICE`` names counts; ``config``: how the
    picture is made.
    """

    name: ClassVar[str] = "noise"
    program: ClassVar[str] = "dream"

    wanted: DreamConfig
    config: VisualizeConfig

    @classmethod
    def make(cls, settings: Mapping[str, Any]) -> FromNoise:
        """Settle the settings. Raises UsageError, also for those of photos."""
        wanted = {name: settings[name] for name in CHOICE if name in settings}
        made = {name: value for name, value in settings.items() if name not in CHOICE}
        config = visualize_config({"size": SIZE_FROM_NOISE} | made, "--from noise")
        return cls(make_config(DreamConfig, wanted), config)

    @property
    def label(self) -> str:
        """The layers' or the preset's name, and the channels'."""
        channels = [str(channel) for channel in self.wanted.channels or ()]
        name = dream_label(self.wanted)
        return "-".join([name, *channels]) if len(channels) <= MOST_NAMED else name

    def inputs(self) -> list[Path]:
        return []

    def plan(
        self,
        photos: Sequence[str],
        output: str | None,
        *,
        format: str | None = None,
        options: OutputOptions = AS_USUAL,
        protected: Sequence[Path] = (),
        recursive: bool = False,
    ) -> list[Task]:
        """The one task: ``noise-{label}.png`` by default. Raises UsageError as ``plan`` does."""
        source, name = Source(None, "noise"), f"noise-{self.label}"
        return plan_alone(source, name, self.label, output, format, options, protected)

    def open(self, runtime: Runtime) -> Callable[[Task], Run]:
        from cnnart.methods.dream.dream import check_channels
        from cnnart.methods.dream.visualize import PresetScore, Visualization
        from cnnart.run.command import Run

        check_backbone(runtime, self.wanted)
        preset, wanted = resolve_preset(self.wanted), self.wanted

        def open_one(task: Task) -> Run:
            network = runtime.network()
            score = PresetScore(network, preset, wanted.neuron)
            network.check_layers(score.layers)
            check_channels(preset.channels, score.layers, network)
            return Run(
                command=self,
                recorded=self.record(),
                runtime=runtime,
                task=task,
                work=Visualization(network, score, self.config, limits=runtime.limits()),
                about=f"from noise: {self.label}",
                details={
                    "preset": None if wanted.layers else wanted.preset,
                    "layers": preset.layers,
                },
                size=self.config.sides,
                asked=self.config.size,
                seed=self.config.seed,
            )

        return open_one

    def record(self) -> dict[str, Any]:
        return {"aim": asdict(self.wanted), "settings": asdict(self.config)}

    @classmethod
    def from_record(cls, record: Mapping[str, Any], files: RecordedFiles) -> FromNoise:
        """What a record was made with."""
        wanted = files.config(DreamConfig, record["aim"])
        return cls(wanted, files.config(VisualizeConfig, record["settings"]))


@dataclass(frozen=True)
class LayerSheet:
    """A sheet of what the channels of ``layer`` want to see; ``channels`` None: all of them.

    See ``run.command.Command``.
    """

    name: ClassVar[str] = "sheet"
    program: ClassVar[str] = "dream"

    layer: str
    channels: tuple[int, ...] | None
    config: VisualizeConfig

    @classmethod
    def make(cls, layer: str, settings: Mapping[str, Any]) -> LayerSheet:
        """Settle the settings, ``channels`` among them. Raises UsageError."""
        made = {name: value for name, value in settings.items() if name != "channels"}
        return cls(layer, settings.get("channels"), visualize_config(made, "--sheet"))

    @property
    def label(self) -> str:
        """What stands for it in file names."""
        return "sheet"

    def inputs(self) -> list[Path]:
        return []

    def plan(
        self,
        photos: Sequence[str],
        output: str | None,
        *,
        format: str | None = None,
        options: OutputOptions = AS_USUAL,
        protected: Sequence[Path] = (),
        recursive: bool = False,
    ) -> list[Task]:
        """The one task, in which the layer stands for the photo that a sheet does not have.

        By default it is called ``relu3_3-sheet.png``. Raises UsageError as ``plan`` does.
        """
        source, name = Source(None, self.layer), f"{self.layer}-{self.label}"
        return plan_alone(source, name, self.label, output, format, options, protected)

    def open(self, runtime: Runtime) -> Callable[[Task], Run]:
        """Load the network. Raises CnnartError for a layer or channel it does not have."""
        from cnnart.image.parts import Parts
        from cnnart.methods.dream.channel_sheet import ChannelSheet
        from cnnart.methods.dream.visualize import ChannelTarget, check_targets
        from cnnart.run.parts_run import PartsRun, folder_for
        from cnnart.runtime import precision_name

        network, config = runtime.network(), self.config
        network.check_layers([self.layer])
        count = network.geometry[self.layer].channels
        channels = tuple(range(count)) if self.channels is None else self.channels
        targets = [ChannelTarget(self.layer, channel) for channel in channels]
        check_targets(network, targets, config.sides)

        def open_one(task: Task) -> Run:
            all_that_decides = {
                "network": network.name,
                "weights_sha256": network.sha256,
                "precision": precision_name(network.dtype),
                "layer": self.layer,
                "settings": asdict(config),
            }
            only = {"read_only": runtime.read_only}
            folder = folder_for(task, "cells", **only)
            parts = Parts(folder, all_that_decides, fresh=task.fresh, **only)
            return PartsRun(
                command=self,
                recorded=replace(self, channels=channels).record(),
                runtime=runtime,
                task=task,
                work=ChannelSheet(network, targets, config, parts, runtime.limits()),
                parts=parts,
                about=f"{len(targets)} channels of {network.name} {self.layer}",
                details={"layer": self.layer, "channels": list(channels)},
                size=config.sides,
                seed=config.seed,
            )

        return open_one

    def record(self) -> dict[str, Any]:
        return {
            "layer": self.layer,
            "channels": None if self.channels is None else list(self.channels),
            "settings": asdict(self.config),
        }

    @classmethod
    def from_record(cls, record: Mapping[str, Any], files: RecordedFiles) -> LayerSheet:
        """What a record was made with."""
        config = files.config(VisualizeConfig, record["settings"])
        return cls(record["layer"], tuple(record["channels"]), config)


def visualize_config(settings: Mapping[str, Any], option: str) -> VisualizeConfig:
    """The settings of a picture from nothing. Raises UsageError for those it does not have."""
    known = VisualizeConfig.__dataclass_fields__
    for name, value in settings.items():
        if value is not None and name not in known:
            raise UsageError(f"`{name}` means nothing with {option}.")
    return make_config(VisualizeConfig, settings)


def plan_alone(
    source: Source,
    name: str,
    label: str,
    output: str | None,
    format: str | None,
    options: OutputOptions,
    protected: Sequence[Path],
) -> list[Task]:
    """The one task of a picture without a photo: a file, ``-``, or ``name`` in a folder or here."""
    name = f"{name}.{format or 'png'}"
    if output is None:
        output = name
    elif output.endswith(("/", os.sep)) or Path(output).is_dir():
        output = str(Path(output) / name)
    return plan([source], output, style=label, format=format, protected=protected, options=options)
