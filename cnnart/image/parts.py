"""The finished parts of a long job, kept beside its result until that is whole."""

from __future__ import annotations

import contextlib
import json
import re
from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

from cnnart.errors import ImageError
from cnnart.files import open_file

if TYPE_CHECKING:
    from torch import Tensor

SETTINGS = "settings.json"
PART = re.compile(r"\d{4,}\.png")


class Parts:
    """Numbered pictures in a folder, made with one set of settings.

    Args:
        folder: made by the first part; need not be empty, but nothing else in it is touched.
        settings: all that decides what the parts look like, as JSON can hold it. Parts that lie
            there and were made with other settings are removed; ``warnings`` says so.
        fresh: those that lie there do not count, and are removed.
        read_only: remove nothing.

    Raises ImageError if other pictures lie where parts would.

    A part is what a PNG holds, 8 bits a channel: ``write`` then ``read`` rounds, always alike, so
    what goes on from a part does not depend on when it was interrupted.
    """

    def __init__(
        self,
        folder: Path,
        settings: Mapping[str, Any],
        *,
        fresh: bool = False,
        read_only: bool = False,
    ) -> None:
        self.folder = folder
        self.warnings: list[str] = []
        self._settings = json.dumps(settings, sort_keys=True, indent=1)
        before, found = self._recorded(), self._files()
        if found and before is None:
            raise ImageError(
                f"{folder} holds pictures that cnnart has not made there: move them away."
            )
        is_other = before != self._settings
        if found and (fresh or is_other) and not read_only:
            self.remove()
        if found and is_other and not fresh:
            self.warnings.append(f"{folder} is from a run with other settings: starting anew.")
        elif found and not fresh:
            self.warnings.append(
                f"{folder} holds {len(found)} finished parts: going on from there."
            )

    def _recorded(self) -> str | None:
        with (
            contextlib.suppress(OSError, UnicodeDecodeError),
            open_file(self.folder / SETTINGS) as file,
        ):
            return file.read().decode()
        return None

    def _files(self) -> list[Path]:
        """What ``write`` has put there, in order."""
        if not self.folder.is_dir():
            return []
        return sorted(path for path in self.folder.iterdir() if PART.fullmatch(path.name))

    def path(self, number: int) -> Path:
        """Where a part is or would be."""
        return self.folder / part_name(number)

    def has(self, number: int) -> bool:
        """Whether a part is there."""
        return self.path(number).is_file()

    def read(self, number: int) -> Tensor:
        """A finished part, ``1x3xHxW``. Raises ImageError if it is missing or damaged."""
        from cnnart.image.read import read_image

        return read_image(self.path(number)).rgb

    def write(self, number: int, picture: Tensor) -> None:
        """Keep a part (``1x3xHxW``). Raises ImageError if it cannot be written."""
        from cnnart.image.write import write_image

        if not (self.folder / SETTINGS).is_file():
            self._begin()
        write_image(self.path(number), picture)

    def _begin(self) -> None:
        from cnnart.files import write_atomically

        try:
            write_atomically(self.folder / SETTINGS, self._settings.encode())
        except OSError as error:
            reason = error.strerror or error
            raise ImageError(f"{self.folder}: cannot keep finished parts ({reason}).") from error

    def remove(self) -> None:
        """Remove the parts, and the folder if nothing else is in it."""
        unfinished = self.folder.glob(".cnnart-*.part")  # what a kill has left
        for path in [*self._files(), self.folder / SETTINGS, *unfinished]:
            path.unlink(missing_ok=True)
        with contextlib.suppress(OSError):
            self.folder.rmdir()


def part_name(number: int) -> str:
    """``0007.png``"""
    return f"{number:04d}.png"


def parts_folder(target: Path, kind: str) -> Path:
    """``out/flight.webp`` -> ``out/flight.frames``."""
    return target.with_name(f"{target.stem or target.name}.{kind}")
