"""What is finished of a clip: pieces in a hidden folder beside the result, until that is whole.

``0007.mp4`` is a piece of some frames, ``0008.state`` where the work stood after it: from there the
same command goes on. A state is written before its piece gets its name, so that one that has a name
can be gone on from; what a killed run had begun of the next one is made again.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from contextlib import suppress
from pathlib import Path
from typing import TYPE_CHECKING, Any

from cnnart.files import sha256_of, write_atomically

if TYPE_CHECKING:
    from cnnart.optim.steps import State

SETTINGS = "settings.json"
FORMAT = 4  # of a state, and of how frames are made: another one where either changes


class Pieces:
    """The pieces of one clip, made with one set of settings.

    Args:
        folder: made by the first piece.
        settings: all that decides what the frames look like, as JSON holds it. Pieces that lie
            there and were made with other settings are removed by ``begin``; ``warnings`` says so.
        fresh: those that lie there do not count.
    """

    def __init__(self, folder: Path, settings: Mapping[str, Any], *, fresh: bool = False) -> None:
        self.folder = folder
        self.warnings: list[str] = []
        self._settings = json.dumps({**settings, "pieces": FORMAT}, sort_keys=True, indent=1)
        self.count = 0
        self.state: State | None = None
        self._stale = folder.is_dir()
        if not self._stale or fresh:
            return
        if self._recorded() != self._settings:
            self.warnings.append(
                "an unfinished run with other settings has left pieces of this clip: it is begun "
                "anew."
            )
        else:
            self._take_up()
            self._stale = not self.count

    def _recorded(self) -> str | None:
        with suppress(OSError, UnicodeDecodeError):
            return (self.folder / SETTINGS).read_text(encoding="utf-8")
        return None

    def _take_up(self) -> None:
        from cnnart.run.saved_state import DamagedState, read_state

        while self.path(self.count).is_file():
            self.count += 1
        while self.count:
            with suppress(OSError, DamagedState):
                facts, self.state = read_state(self._state_path(self.count))
                if facts == self._facts(self.count):
                    return
            self.count, self.state = self.count - 1, None

    def path(self, number: int) -> Path:
        return self.folder / f"{number:04d}.mp4"

    def all(self) -> list[Path]:
        """The pieces that are whole, in order."""
        return [self.path(number) for number in range(self.count)]

    def begin(self) -> Path:
        """Where the next piece is to be written. Raises OSError."""
        if self._stale:
            self.remove()
        if not (self.folder / SETTINGS).is_file():
            self.folder.mkdir(parents=True, exist_ok=True)
            write_atomically(self.folder / SETTINGS, self._settings.encode())
        return self.folder / "part.mp4"

    def keep(self, state: State) -> None:
        """The piece begun last is whole, and ``state`` is where the work stands. Raises OSError."""
        from cnnart.run.saved_state import write_state

        number = self.count + 1
        write_state(self._state_path(number), self._facts(number), state)
        (self.folder / "part.mp4").replace(self.path(self.count))
        self.count = number
        with suppress(OSError):
            self._state_path(number - 1).unlink(missing_ok=True)

    def _state_path(self, count: int) -> Path:
        return self.folder / f"{count:04d}.state"

    def _facts(self, count: int) -> dict[str, Any]:
        return {"pieces": count, "settings": sha256_of(self._settings.encode())}

    def remove(self) -> None:
        """Remove the pieces, and the folder if nothing else is in it."""
        with suppress(OSError):
            for path in [*self.folder.glob("*.mp4"), *self.folder.glob("*.state*")]:
                path.unlink(missing_ok=True)
            (self.folder / SETTINGS).unlink(missing_ok=True)
            self.folder.rmdir()
        self.count, self.state, self._stale = 0, None, False


def pieces_folder(target: Path) -> Path:
    """``out/clip.mp4`` -> ``out/.cnnart-KEY.pieces``; of the name alone, as the folder may move."""
    return target.with_name(
        f".cnnart-{sha256_of(target.name.encode(errors='surrogateescape'))[:12]}.pieces"
    )
