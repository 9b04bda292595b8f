"""A run that keeps its finished parts beside its result until that is whole."""

from __future__ import annotations

import tempfile
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import BinaryIO, Protocol

from torch import Tensor

from cnnart.image.parts import Parts, parts_folder
from cnnart.optim.steps import Synthesis
from cnnart.run.command import Run
from cnnart.run.outputs import Task

Encode = Callable[[Path | BinaryIO, Tensor, str | None], None]


class PartwiseSynthesis(Synthesis, Protocol):
    """A synthesis of parts: how many are ``done``, and whether it is ``whole``."""

    @property
    def done(self) -> int: ...

    @property
    def whole(self) -> bool: ...


@dataclass(kw_only=True)
class PartsRun(Run):
    """A run of many parts, each of which is kept as it is finished.

    Attributes:
        parts: removed when the result is whole, unless their folder is the result.
        encode: writes what there is to a target: it gets the last picture and the record, if one is
            to be written; None: the last picture is the result.
    """

    work: PartwiseSynthesis
    parts: Parts
    encode: Encode | None = None

    def write(self, target: Path | BinaryIO, rgb: Tensor, interrupted_at: int | None) -> None:
        """Write what there is; a time budget may have ended it before it was whole."""
        whole = self.work.whole
        stopped = interrupted_at if whole else interrupted_at or self.work.done
        if self.encode is None:
            super().write(target, rgb, stopped)
        else:
            record = self.record(rgb, stopped) if self.task.options.metadata != "none" else None
            self.encode(target, rgb, record)
        finished = whole and interrupted_at is None
        if self.task.target is None or (finished and self.parts.folder != self.task.target):
            self.parts.remove()


def folder_for(task: Task, kind: str, *, read_only: bool = False) -> Path:
    """Where a task's parts are kept: ``out/flight.webp`` -> ``out/flight.frames``.

    For standard output in a new folder, which is not made if it is only asked (``read_only``).
    """
    if task.target is None and read_only:
        return Path(tempfile.gettempdir(), "cnnart-dry-run")
    if task.target is None:
        return Path(tempfile.mkdtemp(prefix="cnnart-"))
    return parts_folder(task.target, kind)
