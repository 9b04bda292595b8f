"""What a channel sheet is made of, by name and number; nothing is computed here."""

from __future__ import annotations

import os
import re
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from cnnart.config import VisualizeConfig
from cnnart.errors import UsageError
from cnnart.jobs.files import Source
from cnnart.jobs.naming import Task, plan
from cnnart.jobs.replay import RecordedFiles

if TYPE_CHECKING:
    from cnnart.engine import Engine
    from cnnart.jobs.sheet_studio import SheetStudio
    from cnnart.jobs.writing import Writing

MOST_CHANNELS = 1 << 16  # no network has layers with more; a slip of the finger may ask for them


@dataclass(frozen=True)
class SheetRecipe:
    """A sheet of what the channels of ``layer`` want to see; ``channels`` None: all of them."""

    layer: str
    channels: tuple[int, ...] | None
    config: VisualizeConfig

    @property
    def label(self) -> str:
        """What stands for it in file names."""
        return "sheet"

    def files(self) -> list[Path]:
        """It reads no files."""
        return []

    def studio(self, engine: Engine, writing: Writing) -> SheetStudio:
        """Load the network. Raises CnnartError for a layer or channel it does not have."""
        from cnnart.jobs.sheet_studio import SheetStudio

        return SheetStudio(self, engine, writing)

    def tasks(self, output: str | None, format: str | None = None) -> list[Task]:
        """The one task, in which the layer stands for the photo that a sheet does not have.

        ``output`` is a file, ``-``, a folder or None; then it is called ``relu3_3-sheet.png``.
        Raises UsageError as ``plan`` does.
        """
        name = f"{self.layer}-{self.label}.{format or 'png'}"
        if output is None:
            output = name
        elif output.endswith(("/", os.sep)) or Path(output).is_dir():
            output = str(Path(output) / name)
        return plan([Source(None, self.layer)], output, style=self.label, format=format)


def parse_channels(text: str) -> tuple[int, ...]:
    """``"0-63,70"`` -> 0, 1, ..., 63, 70; each once, in the order given.

    Raises UsageError for anything else.
    """
    channels: dict[int, None] = {}
    for part in text.split(","):
        found = re.fullmatch(r"\s*(\d+)\s*(?:-\s*(\d+)\s*)?", part)
        if not found:
            raise UsageError(f"Channels {text!r}: {part!r} is no number or range; write 0-63,70.")
        first, last = int(found[1]), int(found[2] or found[1])
        if last < first:
            raise UsageError(
                f"Channels {text!r}: {first}-{last} runs backwards; write {last}-{first}."
            )
        if last >= MOST_CHANNELS:
            raise UsageError(f"Channels {text!r}: no layer has a channel {last}.")
        channels.update(dict.fromkeys(range(first, last + 1)))
    return tuple(channels)


def replay(record: Mapping[str, Any], files: RecordedFiles) -> SheetRecipe:
    """The recipe of a record."""
    config = files.config(VisualizeConfig, record["settings"])
    return SheetRecipe(record["layer"], tuple(record["channels"]), config)
