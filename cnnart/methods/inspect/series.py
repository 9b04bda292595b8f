"""Photos one after the other: something is found on each, and the first are shown on a sheet."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass, field
from pathlib import PurePosixPath
from typing import Any

from torch import Tensor

from cnnart.errors import ImageError
from cnnart.image.contact_sheet import within
from cnnart.methods.inspect.pictures import Failures, Item, on_square, shrunk
from cnnart.methods.inspect.report import Beneath, Inspection

SHEET = 60  # photos that a sheet shows at the most
ROW = 4  # photos that make a single row
ALONE, AMONG = 1024, 384  # long sides of a photo alone and of one among many


@dataclass(frozen=True)
class Finding:
    """What was found on a photo.

    ``line``: for people; ``numbers``: plain values; ``cells``: labelled pictures, the main one
    first: of a photo among many it is the only one shown; ``beneath``: see ``Inspection``, of a
    photo alone.
    """

    line: str
    numbers: dict[str, Any]
    cells: list[tuple[str, Tensor]]
    beneath: dict[int, Beneath] = field(default_factory=dict)


@dataclass
class PhotoSeries:
    """Photos, and what ``look`` finds on each.

    ``look(name, photo, shown)``: the second is the photo, the third the same at the size that it is
    drawn at, on the CPU; may raise ImageError for a photo that cannot be used. ``alone``: there is
    one photo only.
    """

    look: Callable[[str, Tensor, Tensor], Finding]
    alone: bool
    failures: Failures = field(default_factory=Failures)
    photos: int = 0
    cells: list[tuple[str, Tensor]] = field(default_factory=list)
    last: dict[str, Any] = field(default_factory=dict)
    beneath: dict[int, Beneath] = field(default_factory=dict)

    def rows(self, photos: Iterable[tuple[Item, Tensor | None]]) -> Iterator[Finding]:
        """The finding on each photo of ``stream`` that can be used."""
        for item, photo in photos:
            if photo is None:
                continue
            shown = shrunk(photo.cpu(), ALONE if self.alone else AMONG)
            try:
                found = self.look(item.name, photo, shown)
            except ImageError as error:
                self.failures.add(item.name, error)
                continue
            self.photos += 1
            self.last = {"photo": item.name, **found.numbers}
            if self.alone:
                self.cells, self.beneath = found.cells, found.beneath
            elif len(self.cells) < SHEET:
                label, picture = found.cells[0]
                name = PurePosixPath(item.name).name
                self.cells.append(
                    (f"{name}\n{label}", on_square(within(picture, AMONG, AMONG), AMONG))
                )
            yield found

    def report(self, title: str, numbers: dict[str, Any] | None = None) -> Inspection:
        """The sheet: of one photo with all its numbers, of several with ``numbers`` of them all."""
        if self.alone:
            told = {**self.last, **(numbers or {})}
            return Inspection(title, self.cells, told, len(self.cells), self.beneath)
        columns = len(self.cells) if len(self.cells) <= ROW else None
        return Inspection(title, self.cells, {"photos": self.photos, **(numbers or {})}, columns)
