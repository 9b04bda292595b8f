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

from cnnart.files import open_file, sha256_of, write_atomically
from cnnart.run.lock import hidden_beside

if TYPE_CHECKING:
    from cnnart.optim.steps import State

SETTINGS = "settings.json"
CLIP = "photo"  # the setting that is the clip's checksum
FORMAT = 4  # of a state, and of how frames are made: another one where either changes


class Pieces:
    """The pieces of one clip, made with one set of settings.

    Args:
        folder: made by the first piece.
        settings: all that decides what the frames look like, as JSON holds it; of the clip, under
            CLIP.
        fresh: those that lie there do not count.

    Raises UsageError where pieces lie that were made with other settings. Those of another clip, or
    of another version, are removed by ``begin``; ``warnings`` says so.
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
        if (recorded := self._recorded()) != self._settings:
            self._refuse_others(recorded)
        else:
            self._take_up()
            self._stale = not self.count

    def _refuse_others(self, recorded: str | None) -> None:
        from cnnart.run.journal import differences, other_settings

        now, why = json.loads(self._settings), "an earlier run has left pieces of another version"
        with suppress(TypeError, ValueError, RecursionError):
            then = dict(json.loads(recorded or ""))
            if then.get("pieces") == FORMAT:
                if then.get(CLIP) == now[CLIP] and self.path(0).is_file():
                    raise other_settings(self.folder, list(differences(then, now)))
                why = "the clip has changed since an earlier run has left pieces of it"
        self.warnings.append(f"{why}: it is begun anew.")

    def _recorded(self) -> str | None:
        with suppress(OSError, UnicodeDecodeError), open_file(self.folder / SETTINGS) as file:
            return file.read().decode()
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
            for kind in ("*.mp4", "*.state*", ".cnnart-*.part"):
                for path in self.folder.glob(kind):
                    path.unlink(missing_ok=True)
            (self.folder / SETTINGS).unlink(missing_ok=True)
            self.folder.rmdir()
        self.count, self.state, self._stale = 0, None, False


def pieces_folder(target: Path) -> Path:
    """``out/clip.mp4`` -> ``out/.cnnart-KEY.pieces``"""
    return hidden_beside(target, "pieces")
