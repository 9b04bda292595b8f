"""What a picture from noise is made of, by name; nothing is computed here."""

from __future__ import annotations

import os
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from cnnart.config import DreamConfig, VisualizeConfig
from cnnart.jobs.dreaming import DreamRecipe
from cnnart.jobs.files import Source
from cnnart.jobs.naming import Task, plan
from cnnart.jobs.replay import RecordedFiles

if TYPE_CHECKING:
    from cnnart.engine import Engine
    from cnnart.jobs.noise_studio import NoiseStudio
    from cnnart.jobs.writing import Writing


@dataclass(frozen=True)
class NoiseRecipe:
    """A picture of what a preset, or layers and channels, want to see.

    ``aim``: its preset, layers, channels, neuron and objective count; ``config``: how it is made.
    """

    aim: DreamConfig
    config: VisualizeConfig

    @property
    def label(self) -> str:
        """The layers' or the preset's name, and the channels'."""
        channels = [str(channel) for channel in self.aim.channels or ()]
        name = DreamRecipe(self.aim).label
        return "-".join([name, *channels]) if len(channels) <= 4 else name

    def files(self) -> list[Path]:
        """It reads no files."""
        return []

    def studio(self, engine: Engine, writing: Writing) -> NoiseStudio:
        """Load the network. Raises CnnartError for a layer or channel it does not have."""
        from cnnart.jobs.noise_studio import NoiseStudio

        return NoiseStudio(self, engine, writing)

    def tasks(self, output: str | None, format: str | None = None) -> list[Task]:
        """The one task: ``noise-{label}.png`` by default. Raises UsageError as ``plan`` does."""
        name = f"noise-{self.label}.{format or 'png'}"
        if output is None:
            output = name
        elif output.endswith(("/", os.sep)) or Path(output).is_dir():
            output = str(Path(output) / name)
        return plan([Source(None, "noise")], output, style=self.label, format=format)


def replay(record: Mapping[str, Any], files: RecordedFiles) -> NoiseRecipe:
    """The recipe of a record."""
    aim = files.config(DreamConfig, record["aim"])
    return NoiseRecipe(aim, files.config(VisualizeConfig, record["settings"]))
