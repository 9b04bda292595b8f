"""``cnnart train-style``: what a training run is made of, by name; nothing is read here."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, ClassVar

from cnnart.commands.style_args import choose_style, existing_file
from cnnart.errors import UsageError
from cnnart.files import as_path, check_writable, is_file, is_there
from cnnart.methods.fast.header import UNSTATED
from cnnart.methods.fast.torchrun_env import restarted
from cnnart.methods.fast.train.config import TrainConfig
from cnnart.run.inputs import expand
from cnnart.settings import make_config

NAME = re.compile(r"[\w][\w.-]*")
SUFFIX = ".safetensors"
STATE_SUFFIX = ".training.pt"
OLD_STATE_SUFFIX = ".training.safetensors"  # of versions whose runs cannot be continued
STORAGE = ("fp16", "bf16", "fp32")


@dataclass(frozen=True)
class TrainStyle:
    """Everything a training run needs; ``cnnart.commands.training_run`` runs it.

    ``paintings``: (name, file) pairs. ``photos``: files. ``into``: a checkpoint to add the styles
    to; ``start_from``: one to begin with. ``license``: of the styles. ``storage``: of the weights
    in the file. ``workers``: threads that read photos ahead, None: as the device asks for.
    ``keep_going``: whatever validation shows. ``arbitrary``: paintings from which the network
    learns what any style is.
    """

    program: ClassVar[str] = "train-style"

    paintings: tuple[tuple[str, Path], ...]
    photos: tuple[Path, ...]
    output: Path
    config: TrainConfig
    into: Path | None = None
    start_from: Path | None = None
    resume: bool = False
    license: str = UNSTATED
    storage: str = STORAGE[0]
    workers: int | None = None
    keep_going: bool = False
    arbitrary: tuple[Path, ...] = ()

    @classmethod
    def make(
        cls,
        paintings: Sequence[str],
        photos: str,
        output: str,
        settings: Mapping[str, Any],
        *,
        into: str | None = None,
        start_from: str | None = None,
        arbitrary: str | None = None,
        **more: Any,
    ) -> TrainStyle:
        """Settle the settings and check all names. Raises UsageError before anything is read."""
        config = make_config(TrainConfig, settings)
        path = as_path(output)
        if path.suffix.lower() != SUFFIX:
            raise UsageError(
                f"The output {output!r} must end in {SUFFIX}, which is what is written."
            )
        check_writable(path)
        trained = existing_file(into, "--into")
        begun = existing_file(start_from, "--start-from")
        if into and begun:
            raise UsageError(
                "`into` leaves a network as it is, `start_from` trains it on: give one of them."
            )
        if into and arbitrary:
            raise UsageError("`arbitrary` styles are learnt with the network, not `into` one.")
        chosen = tuple(parse_painting(text) for text in paintings)
        files = tuple(s.path for s in expand([photos], recursive=True) if s.path)
        others = expand([arbitrary], recursive=True) if arbitrary else []
        learnt = tuple(s.path for s in others if s.path)
        return cls(chosen, files, path, config, trained, begun, arbitrary=learnt, **more)

    @property
    def names(self) -> list[str]:
        """Of the styles."""
        return [name for name, _ in self.paintings]

    @property
    def state_file(self) -> Path:
        """Where the run stands, for --resume."""
        return self.beside(STATE_SUFFIX)

    def beside(self, suffix: str) -> Path:
        """A file of this run beside its result: ``my.safetensors`` -> ``my`` + suffix."""
        return self.output.with_name(self.output.stem + suffix)

    def refuse_overwriting(self) -> None:
        """Raise UsageError rather than write over hours of work, unless the run continues it."""
        if self.resume or restarted():
            return
        if is_there(self.state_file):
            raise UsageError(
                f"{self.state_file} holds a run that was not finished: --resume continues it, "
                "--overwrite begins anew."
            )
        if is_there(self.output):
            raise UsageError(f"{self.output} exists: choose another -o, or --overwrite it.")


def parse_painting(text: str) -> tuple[str, Path]:
    """``FILE`` (its stem is the name), ``NAME=FILE``, or the name of a built-in style.

    Raises UsageError for what is neither, and for a name that --style could not be given.
    """
    given, equals, file = text.partition("=")
    named = bool(equals) and not is_file(as_path(text))
    choice = choose_style(file if named else text)
    name = given if named else re.sub(r"[^\w.-]+", "-", choice.label).strip("-")
    if not NAME.fullmatch(name):
        raise UsageError(f"{name!r} cannot be a style's name: use letters, digits, - and _.")
    assert choice.path is not None
    return name, choice.path
