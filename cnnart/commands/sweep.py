"""``cnnart sweep``: one picture in many settings, on one labelled sheet."""

from __future__ import annotations

import math
import re
from collections.abc import Callable, Collection, Mapping, Sequence
from concurrent.futures import Future
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from cnnart.errors import UsageError
from cnnart.files import is_folder, is_there
from cnnart.run.inputs import Source
from cnnart.run.outputs import OutputOptions, Task
from cnnart.run.record import is_unfinished

if TYPE_CHECKING:
    from torch import Tensor

    from cnnart.image.picture import Picture
    from cnnart.run.command import Command, Run
    from cnnart.runtime import Runtime

SHEET_PIXELS = 24e6  # of all pictures of a sheet; where they have more they are shown smaller
BESIDE_EACH_OTHER = ("stylize", "dream")  # commands whose pictures may be computed so
IN_A_ROW = 5  # pictures of a single setting stand side by side up to so many


@dataclass(frozen=True)
class Cell:
    """One picture of a sweep: its swept settings as they were given, and the command for it.

    ``trouble``: why there is no command, where its settings contradict each other.
    """

    values: Mapping[str, str]
    command: Command | None
    trouble: str | None = None

    @property
    def title(self) -> str:
        """``strength 0.2, style-scale 1``."""
        return ", ".join(f"{_spelled(name)} {value}" for name, value in self.values.items())

    @property
    def file_name(self) -> str:
        """``strength-0.2-style-scale-1``."""
        text = "-".join(f"{_spelled(name)}-{value}" for name, value in self.values.items())
        return re.sub(r"[^\w.+=-]", "_", text)


def _spelled(name: str) -> str:
    return name.replace("_", "-")


@dataclass(frozen=True)
class CellTask(Task):
    """The task of a cell, which is called as the cell is; ``style`` is its title."""

    @property
    def title(self) -> str:
        return self.style or super().title


class Sweep:
    """One picture in many settings, run as one command; see ``run.command.Command``.

    Args:
        source: the picture.
        cells: in the order of the sheet, row by row, at least one of them with a command. These
            are of one kind, and differ in their settings alone.
        columns: of the sheet.

    The picture, and what else the commands read, is read once.
    """

    def __init__(self, source: Source, cells: Sequence[Cell], columns: int) -> None:
        self.first = next(cell.command for cell in cells if cell.command)
        self.name, self.program = self.first.name, self.first.program
        self.cells, self.columns = cells, columns
        self._source = source
        self._commands = {cell.title: cell.command for cell in cells if cell.command}

    @property
    def fills_lanes(self) -> bool:
        """Whether its pictures are worth computing beside each other (``cnnart.run.lanes``): those
        of a network that is asked a hundred times for each, and all of them of about one size.
        """
        commands: list[Any] = list(self._commands.values())
        if self.name not in BESIDE_EACH_OTHER:
            return False
        return len({command.config.size for command in commands}) == 1

    @property
    def label(self) -> str:
        """What all pictures are called: by the style, say, if all are in the same one."""
        labels = {command.label for command in self._commands.values()}
        return self.first.label if len(labels) == 1 else self.name

    def inputs(self) -> list[Path]:
        return self.first.inputs()

    def tasks(self, folder: Path, format: str, options: OutputOptions) -> list[Task]:
        """Each cell's task, whose result goes into a folder."""
        stem = f"{self._source.stem}-{self.label}"
        return [
            CellTask(
                self._source,
                folder / f"{stem}-{cell.file_name}.{format}",
                format,
                options,
                cell.trouble,
                cell.title,
            )
            for cell in self.cells
        ]

    def open(self, runtime: Runtime) -> Callable[[Task], Run]:
        photo = self._source.read(runtime.max_pixels)
        first: Any = self.first
        shared = [first.read(runtime)] if hasattr(first, "read") else []

        def open_one(task: Task) -> Run:
            assert task.style is not None
            command: Any = self._commands[task.style]
            task.source.being_read[:] = [_read(photo)]
            return command.open(runtime, *shared)(task)

        return open_one

    def record(self) -> dict[str, Any]:
        return {"each": {title: command.record() for title, command in self._commands.items()}}

    def sheet(self, tasks: Sequence[Task], made: Collection[Path]) -> Tensor:
        """The results that were ``made``, at least one, on one sheet: ``1x3xHxW``.

        Raises ImageError.
        """
        from cnnart.image.contact_sheet import draw_sheet, within

        found = {
            task.title: _shown(task.target, SHEET_PIXELS / len(tasks))
            for task in tasks
            if task.target and task.target in made
        }
        largest = max(found.values(), key=lambda rgb: rgb.shape[-2] * rgb.shape[-1])
        height, width = largest.shape[-2:]
        cells = []
        for cell, task in zip(self.cells, tasks, strict=True):
            label = cell.title.replace(", ", "\n")
            if task.title not in found:
                cells.append((f"{label}\n(not made)", largest.new_ones(1, 3, height, width)))
                continue
            if task.target and is_unfinished(task.target):
                label += "\n(stopped early)"
            cells.append((label, _centered(within(found[task.title], height, width), largest)))
        return draw_sheet(cells, self.columns, title=f"{self._source.name}, {self.label}")


def _read(photo: Picture) -> Future[Picture]:
    """A picture that has been read, as ``Source.read`` waits for it."""
    future: Future[Picture] = Future()
    future.set_result(photo)
    return future


def _shown(path: Path, pixels: float) -> Tensor:
    """A result as a sheet shows it: on white, of at most so many pixels."""
    from cnnart.image.picture import resize
    from cnnart.image.read import read_image

    picture = read_image(path)
    rgb, alpha = picture.rgb, picture.alpha
    rgb = rgb if alpha is None else rgb * alpha + (1 - alpha)
    height, width = rgb.shape[-2:]
    factor = math.sqrt(pixels / (height * width))
    if factor >= 1:
        return rgb
    return resize(rgb, max(1, round(height * factor)), max(1, round(width * factor)))


def _centered(rgb: Tensor, like: Tensor) -> Tensor:
    """A picture in the middle of a white one of another's size, into which it fits."""
    height, width = rgb.shape[-2:]
    top, left = (like.shape[-2] - height) // 2, (like.shape[-1] - width) // 2
    around = like.new_ones(like.shape)
    around[..., top : top + height, left : left + width] = rgb
    return around


def columns_of(axes: Mapping[str, Sequence[str]]) -> int:
    """How many columns the sheet of these settings has: the first one's values are its rows."""
    first, *others = (len(values) for values in axes.values())
    if others:
        return math.prod(others)
    return first if first <= IN_A_ROW else math.ceil(math.sqrt(first))


def check_folder(folder: Path) -> None:
    """Raise UsageError for a file where the single pictures are to go."""
    if is_there(folder) and not is_folder(folder):
        raise UsageError(f"`keep` {str(folder)!r} is a file: name a folder.")
