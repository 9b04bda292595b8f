"""What a command brings for a batch to run: a recipe, and the studio that works by it."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Protocol

if TYPE_CHECKING:
    from cnnart.engine import Engine
    from cnnart.jobs.batch import Run
    from cnnart.jobs.naming import Task
    from cnnart.jobs.writing import Writing


class Studio(Protocol):
    """Makes pictures by one recipe, with all that they share loaded once."""

    def open(self, task: Task) -> Run:
        """Read a task's photo and make ready to work on it. Raises CnnartError."""


class Recipe(Protocol):
    """Everything but the photo, by name and number: nothing is read, torch is not imported."""

    @property
    def label(self) -> str:
        """What stands for it in file names: ``mosaic``, ``texture``, ``eyes``."""

    def files(self) -> list[Path]:
        """Every file it reads, none of which a result may overwrite."""

    def studio(self, engine: Engine, writing: Writing) -> Studio:
        """Read what is read once. Raises CnnartError for what is wrong with it."""
