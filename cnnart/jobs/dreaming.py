"""What a dream is made of, by name: settings, the guide, the mask; nothing is read here."""

from __future__ import annotations

import contextlib
import math
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, fields
from pathlib import Path
from typing import TYPE_CHECKING, Any

from cnnart.config import DreamConfig, check_dream_config
from cnnart.dreaming.presets import find_preset
from cnnart.errors import UsageError, did_you_mean
from cnnart.jobs.recipe import MaskChoice, blend_label, replay_mask

if TYPE_CHECKING:
    from cnnart.engine import Engine
    from cnnart.jobs.dream_studio import DreamStudio
    from cnnart.jobs.replay import RecordedFiles
    from cnnart.jobs.writing import Writing


@dataclass(frozen=True)
class DreamRecipe:
    """Everything but the photo."""

    config: DreamConfig
    guide: Path | None = None
    mask: MaskChoice | None = None

    @property
    def label(self) -> str:
        """The guide's, the layers' or the preset's name, fit for a file name."""
        if self.guide:
            name = self.guide.stem
        elif self.config.layers:
            name = "+".join(self.config.layers)
        else:
            name = self.config.preset
        return blend_label([name])

    def files(self) -> list[Path]:
        """Every file it reads, none of which a result may overwrite."""
        mask = self.mask.path if self.mask else None
        return [path for path in (self.guide, mask) if path]

    def studio(self, engine: Engine, writing: Writing) -> DreamStudio:
        """See ``craft.Recipe``."""
        from cnnart.jobs.dream_studio import DreamStudio

        return DreamStudio(self, engine, writing)


def make_dream_config(settings: Mapping[str, Any]) -> DreamConfig:
    """The defaults, under what was asked for; None counts as not asked for.

    Raises UsageError for an unknown setting, one out of its range, or an unknown preset.
    """
    known = [f.name for f in fields(DreamConfig)]
    asked = {key: value for key, value in settings.items() if value is not None}
    for key in asked:
        if key not in known:
            raise UsageError(f"Unknown setting {key!r}.{did_you_mean(key, known)}")
    config = DreamConfig(**asked)
    check_dream_config(config)
    find_preset(config.preset)
    return config


def parse_layers(texts: Iterable[str]) -> dict[str, float]:
    """``["relu4_2,relu5_1:0.5", "relu3_3:-1"]`` -> weights by layer name; they may be negative."""
    found = {}
    for item in ",".join(texts).split(","):
        name, _, weight = item.strip().partition(":")
        if not name:
            raise UsageError("A layer's name is missing: write them like relu4_2,relu5_1:0.5.")
        found[name] = _number(weight or "1", f"The weight {weight!r} of {name!r} is not a number.")
    return found


def parse_place(text: str) -> tuple[float, float]:
    """``"0.5,0.25"`` -> (0.5, 0.25). Raises UsageError for anything else."""
    wrong = f"{text!r} is no place: write X,Y from 0,0 (top left) to 1,1, like 0.5,0.5."
    x, comma, y = text.partition(",")
    if not comma:
        raise UsageError(wrong)
    return _number(x, wrong), _number(y, wrong)


def _number(text: str, wrong: str) -> float:
    with contextlib.suppress(ValueError):
        if math.isfinite(number := float(text)):
            return number
    raise UsageError(wrong)


def find_guide(name: str) -> Path:
    """The picture given with --guide. Raises UsageError if there is none."""
    path = Path(name).expanduser()
    if not path.is_file():
        raise UsageError(f"No such guide picture: {name!r}.")
    return path


def replay(record: Mapping[str, Any], files: RecordedFiles) -> DreamRecipe:
    """The recipe of a record."""
    guide = record["guide"] and files.find(record["guide"], "the file back")
    mask = replay_mask(record["mask"], files)
    return DreamRecipe(files.config(DreamConfig, record["settings"]), guide or None, mask)
