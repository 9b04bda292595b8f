"""A clip that is to be made: where its result goes, and whether it is there."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import ClassVar

from cnnart.files import is_file
from cnnart.run.outputs import Task
from cnnart.run.pieces import pieces_folder
from cnnart.video.formats import FRAMES

NUMBERED = "numbered"  # the format of frames/%04d.png


@dataclass(frozen=True)
class ClipTask(Task):
    """A clip, and where its result goes. ``codec``: None for animated and numbered pictures."""

    codec: str | None = None
    is_clip: ClassVar[bool] = True

    @property
    def first_file(self) -> Path | None:
        if self.target is None or self.format != NUMBERED:
            return self.target
        return numbered_path(self.target, 1)

    def is_done(self) -> bool:
        """Whether the result is there; what is unfinished has pieces beside it."""
        if self.target is None or pieces_folder(self.target).is_dir():
            return False
        if self.format == NUMBERED:
            return is_file(numbered_path(self.target, 1))
        return super().is_done()


def numbered_path(pattern: Path, number: int) -> Path:
    """``frames/%04d.png``, 7 -> ``frames/0007.png``."""
    return pattern.with_name(FRAMES.sub(lambda found: found[0] % number, pattern.name))
