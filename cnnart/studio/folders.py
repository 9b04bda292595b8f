"""Folders that were chosen in a browser: their pictures come in one by one, to be searched.

The browser reads the folder and sends what is in it. So no path of the server's machine is ever
asked for, and a folder of the visitor's machine can be searched also where that is another one.
"""

from __future__ import annotations

import secrets
import shutil
from collections import OrderedDict
from dataclasses import dataclass, field
from pathlib import Path
from threading import Lock

from cnnart.studio.guard import Refused
from cnnart.studio.pictures import free_name, safe_name

MOST_FOLDERS = 4  # the oldest go
MOST_PICTURES = 2000  # of one
MOST_BYTES = 4 << 30  # of one


@dataclass
class Folder:
    """A folder by its id. ``name``: as the browser calls it; ``path``: where its pictures lie.

    ``recursive``: there are folders in it, whose pictures lie there, too; ``index``: the file of
    their features, which are found once.
    """

    id: str
    name: str
    path: Path
    recursive: bool = False
    bytes: int = 0
    _taken: set[Path] = field(default_factory=set)
    _lock: Lock = field(default_factory=Lock, repr=False)

    @property
    def index(self) -> Path:
        return self.path.with_name(f"{self.path.name}.safetensors")

    def facts(self) -> dict[str, object]:
        """For programs."""
        return {"id": self.id, "name": self.name, "pictures": len(self._taken)}

    def place(self, name: str) -> Path:
        """Where the bytes of one more picture go to. Raises Refused where there are too many."""
        with self._lock:
            if len(self._taken) >= MOST_PICTURES or self.bytes >= MOST_BYTES:
                raise Refused(
                    413,
                    f"A folder of {MOST_PICTURES} pictures and {MOST_BYTES >> 30} GB at most: "
                    "search a larger one in a shell.",
                )
            path = free_name(self.path / safe_name(name), self._taken)
            self._taken.add(path)
        return path

    def came(self, path: Path) -> None:
        """A picture is there."""
        with self._lock:
            self.bytes += path.stat().st_size

    def failed(self, path: Path) -> None:
        """A picture did not come."""
        path.unlink(missing_ok=True)
        with self._lock:
            self._taken.discard(path)


class Folders:
    """The folders of a server, below ``root``, which goes with the pictures that came in."""

    def __init__(self, root: Path) -> None:
        self._root = root
        self._known: OrderedDict[str, Folder] = OrderedDict()
        self._lock = Lock()

    def __getitem__(self, id: object) -> Folder:
        """Raises Refused for an id that is none."""
        with self._lock:
            found = self._known.get(id) if isinstance(id, str) else None
        if found is None:
            raise Refused(404, "No such folder: choose it on the page. A path is never opened.")
        return found

    def new(self, name: str, recursive: bool = False) -> Folder:
        """An empty folder; ``recursive``: what it stands for has folders in it."""
        path = self._root / f"folder-{secrets.token_hex(8)}"
        path.mkdir()
        made = Folder(secrets.token_hex(8), safe_name(name), path, recursive)
        with self._lock:
            self._known[made.id] = made
            old = [
                self._known.popitem(last=False)[1] for _ in range(len(self._known) - MOST_FOLDERS)
            ]
        for each in old:
            shutil.rmtree(each.path, ignore_errors=True)
            each.index.unlink(missing_ok=True)
        return made
