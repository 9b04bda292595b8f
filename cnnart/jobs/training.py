"""What a training run is made of, by name: paintings, photos, settings; nothing is read here."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, fields
from pathlib import Path
from typing import Any

from cnnart.config import TrainConfig, check_train_config
from cnnart.errors import UsageError, did_you_mean
from cnnart.fast.architecture import make_architecture
from cnnart.fast.torchrun import restarted
from cnnart.jobs.files import expand
from cnnart.jobs.recipe import choose_style, layer_weights

NAME = re.compile(r"[\w][\w.-]*")
SUFFIX = ".safetensors"
STORAGE = ("fp16", "bf16", "fp32")


@dataclass(frozen=True)
class TrainRecipe:
    """Everything a run needs. ``paintings``: (name, file) pairs; ``photos``: files."""

    paintings: tuple[tuple[str, Path], ...]
    photos: tuple[Path, ...]
    output: Path
    config: TrainConfig
    into: Path | None = None
    resume: bool = False
    licence: str = "not stated"
    storage: str = "fp16"
    workers: int = 1
    keep_going: bool = False

    def beside(self, suffix: str) -> Path:
        """A file of this run beside its result: ``my.safetensors`` -> ``my`` + suffix."""
        return self.output.with_name(self.output.stem + suffix)

    @property
    def autosave(self) -> Path:
        """Where the run stands, for --resume."""
        return self.beside(".training" + SUFFIX)


def parse_painting(text: str) -> tuple[str, Path]:
    """``FILE`` (its stem is the name), ``NAME=FILE``, or the name of a built-in style.

    Raises UsageError for what is neither, and for a name that --style could not be given.
    """
    given, equals, file = text.partition("=")
    named = bool(equals) and not Path(text).expanduser().is_file()
    choice = choose_style(file if named else text)
    name = given if named else re.sub(r"[^\w.-]+", "-", choice.label).strip("-")
    if not NAME.fullmatch(name):
        raise UsageError(f"{name!r} cannot be a style's name: use letters, digits, - and _.")
    return name, choice.path


def make_train_config(settings: Mapping[str, Any]) -> TrainConfig:
    """The defaults, under what was asked for; None counts as not asked for. Raises UsageError."""
    known = [f.name for f in fields(TrainConfig)]
    asked = {key: value for key, value in settings.items() if value is not None}
    for key in asked:
        if key not in known:
            raise UsageError(f"Unknown setting {key!r}.{did_you_mean(key, known)}")
    for key in ("content_layers", "style_layers", "coarse_layers"):
        if key in asked:
            asked[key] = layer_weights(asked[key])
    config = TrainConfig(**asked)
    check_train_config(config)
    make_architecture(config.arch)
    return config


def make_train_recipe(
    paintings: Sequence[str],
    photos: str,
    output: str,
    config: TrainConfig,
    *,
    into: str | None = None,
    **more: Any,
) -> TrainRecipe:
    """Check all names. Raises UsageError before anything is read."""
    path = Path(output).expanduser()
    if path.suffix.lower() != SUFFIX:
        raise UsageError(f"The output {output!r} must end in {SUFFIX}, which is what is written.")
    trained = None if into is None else Path(into).expanduser()
    if trained and not trained.is_file():
        raise UsageError(f"--into {into!r}: no such file.")
    chosen = tuple(parse_painting(text) for text in paintings)
    files = tuple(s.path for s in expand([photos], recursive=True) if s.path)
    return TrainRecipe(chosen, files, path, config, trained, **more)


def refuse_overwriting(recipe: TrainRecipe, overwrite: bool) -> None:
    """Raise UsageError rather than write over hours of work."""
    if overwrite or recipe.resume or restarted():
        return
    if recipe.autosave.exists():
        raise UsageError(
            f"{recipe.autosave} holds a run that was not finished: --resume continues it, "
            "--overwrite begins anew."
        )
    if recipe.output.exists():
        raise UsageError(f"{recipe.output} exists: choose another -o, or --overwrite it.")
