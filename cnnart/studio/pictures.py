"""Pictures that are known by an id: what came in, what was given at the start, what was made.

Nothing from outside is ever taken for a path. A picture that comes in gets a folder of its own,
called by a random id, and a file's name of harmless characters.
"""

from __future__ import annotations

import re
import secrets
import shutil
import tempfile
from collections import OrderedDict
from collections.abc import Container, Iterable
from dataclasses import dataclass, replace
from pathlib import Path
from threading import Lock
from typing import TYPE_CHECKING

from cnnart.errors import CnnartError, ImageError
from cnnart.files import sha256_of
from cnnart.studio.guard import Refused

if TYPE_CHECKING:
    from torch import Tensor

PREVIEW_SIDE = 640  # pixels: the long side of what previews are made from
MOST_PICTURES = 300  # that came in; the oldest go
MOST_BYTES = 4 << 30  # of them together
READY = 8  # pictures that are kept decoded at the previews' size
LONGEST_NAME = 80


@dataclass(frozen=True)
class KnownPicture:
    """A picture with an id. ``size``: (width, height), upright; ``given``: how a shell names it.

    ``own``: whether the file is this store's, and goes with it. ``seconds``: of a clip, 0 where
    that is unknown; None: it is a still picture.
    """

    id: str
    name: str
    path: Path
    given: str
    size: tuple[int, int]
    own: bool = True
    seconds: float | None = None

    def facts(self) -> dict[str, object]:
        """For programs."""
        facts = {"id": self.id, "name": self.name, "width": self.size[0], "height": self.size[1]}
        return facts | ({} if self.seconds is None else {"seconds": self.seconds})


def safe_name(given: str) -> str:
    """A name for a file after the one that a client gave: no folder, no option, nothing odd."""
    name = re.split(r"[\\/]", given)[-1]
    name = re.sub(r"[^\w.() +=,-]", "_", name).strip(" .").lstrip("-")
    stem, dot, suffix = name.rpartition(".")
    if not dot:
        stem, suffix = name, ""
    stem = stem.rstrip(" .")[: LONGEST_NAME - len(suffix[:8])] or "picture"
    return f"{stem}{dot}{suffix[:8]}"


class Pictures:
    """The pictures of a server. To be closed: what came in goes then.

    Args:
        max_pixels: pictures with more are not read.
    """

    def __init__(self, max_pixels: int) -> None:
        self.max_pixels = max_pixels
        self.folder = Path(tempfile.mkdtemp(prefix="cnnart-studio-"))
        self._known: OrderedDict[str, KnownPicture] = OrderedDict()
        self._ready: OrderedDict[str, Tensor] = OrderedDict()
        self._lock = Lock()

    def close(self) -> None:
        """Remove what came in."""
        shutil.rmtree(self.folder, ignore_errors=True)

    def __getitem__(self, id: object) -> KnownPicture:
        """A still picture. Raises Refused for an id that is none."""
        found = self.any(id)
        if found.seconds is not None:
            raise Refused(422, f"{found.name} is a clip: a picture is needed here.")
        return found

    def clip(self, id: object) -> KnownPicture:
        """A clip. Raises Refused for an id that is none."""
        found = self.any(id)
        if found.seconds is None:
            raise Refused(422, f"{found.name} is a picture: a clip is needed here.")
        return found

    def any(self, id: object) -> KnownPicture:
        """A picture or a clip. Raises Refused for an id that is none."""
        with self._lock:
            found = self._known.get(id) if isinstance(id, str) else None
        if found is None:
            raise Refused(404, "No such picture: it was never here, or is gone.")
        return found

    def place(self, name: str) -> Path:
        """Where the bytes of a picture that comes in go to."""
        folder = self.folder / secrets.token_hex(8)
        folder.mkdir()
        return folder / safe_name(name)

    def add(self, path: Path, *, given: str | None = None, clip: bool = False) -> KnownPicture:
        """Know a file. Without ``given`` it came in, and is removed if it is no picture.

        Raises Refused.
        """
        own = given is None
        try:
            small, size, seconds = self._read(path, clip=clip)
        except CnnartError as error:
            if own:
                shutil.rmtree(path.parent, ignore_errors=True)
            raise Refused(415, str(error).replace(str(path), path.name)) from None
        known = KnownPicture(
            secrets.token_hex(8),
            path.name,
            path,
            path.name if own else str(given),
            size,
            own,
            seconds,
        )
        with self._lock:
            self._known[known.id] = known
            self._keep_ready(known.id, small)
            gone = self._too_many()
        _remove(gone)
        return known

    def know(
        self, path: Path, *, given: str, size: tuple[int, int], seconds: float | None
    ) -> KnownPicture:
        """Know a file that is not looked at before somebody wants to see it."""
        known = KnownPicture(
            secrets.token_hex(8), path.name, path, given, size, own=False, seconds=seconds
        )
        with self._lock:
            self._known[known.id] = known
        return known

    def remove(self, id: str) -> None:
        """Forget a picture that came in; others stay. Raises Refused."""
        known = self.any(id)
        with self._lock:
            if known.own:
                self._known.pop(id, None)
                self._ready.pop(id, None)
        if known.own:
            _remove([known])

    def small(self, id: str) -> Tensor:
        """A picture at the previews' size, ``1x3xHxW``. Raises Refused, ImageError."""
        known = self.any(id)
        with self._lock:
            found = self._ready.get(id)
            if found is not None:
                self._ready.move_to_end(id)
                return found
        small, *_ = self._read(known.path, clip=known.seconds is not None)
        with self._lock:
            self._keep_ready(id, small)
        return small

    def kept(self, known: KnownPicture, folder: Path) -> KnownPicture:
        """The picture as a file that stays, so that the result can be made again from it.

        One that came in is copied into ``folder``; one of the same content there is enough.
        """
        if not known.own:
            return known
        folder.mkdir(parents=True, exist_ok=True)
        sha256 = sha256_of(known.path)
        for path in _names(folder / known.name):
            if not path.exists():
                partial = path.with_name(f".{path.name}.{secrets.token_hex(4)}")
                shutil.copyfile(known.path, partial)
                partial.replace(path)
            elif sha256_of(path) != sha256:
                continue
            return replace(known, name=path.name, path=path, given=str(path), own=False)
        raise AssertionError

    def _read(self, path: Path, *, clip: bool) -> tuple[Tensor, tuple[int, int], float | None]:
        """At the previews' size, (width, height), seconds."""
        from cnnart.image.picture import fit_long_side, resize
        from cnnart.image.read import read_image
        from cnnart.optim.memory import memory_errors_named
        from cnnart.studio.clips import read_clip

        with memory_errors_named():
            if clip:
                rgb, seconds = read_clip(path, self.max_pixels)
            else:
                rgb, seconds = read_image(path, max_pixels=self.max_pixels).rgb, None
        height, width = rgb.shape[-2:]
        if min(height, width) < 1:
            raise ImageError(f"{path}: it has no pixels.")
        side = min(PREVIEW_SIDE, max(height, width))
        return resize(rgb, *fit_long_side(height, width, side)), (width, height), seconds

    def _keep_ready(self, id: str, small: Tensor) -> None:
        self._ready[id] = small
        while len(self._ready) > READY:
            self._ready.popitem(last=False)

    def _too_many(self) -> list[KnownPicture]:
        """Forget the oldest that came in, beyond what there may be."""
        own = [known for known in self._known.values() if known.own]
        sizes = [_bytes(known.path) for known in own]
        gone = []
        while len(own) > 1 and (len(own) > MOST_PICTURES or sum(sizes) > MOST_BYTES):
            gone.append(own.pop(0))
            sizes.pop(0)
            del self._known[gone[-1].id]
            self._ready.pop(gone[-1].id, None)
        return gone


def free_name(path: Path, taken: Container[Path]) -> Path:
    """The path, or one with a number: neither there nor ``taken``."""
    return next(each for each in _names(path) if not (each in taken or each.exists()))


def _names(path: Path) -> Iterable[Path]:
    yield path
    number = 2
    while True:
        yield path.with_name(f"{path.stem}-{number}{path.suffix}")
        number += 1


def _bytes(path: Path) -> int:
    try:
        return path.stat().st_size
    except OSError:
        return 0


def _remove(pictures: Iterable[KnownPicture]) -> None:
    for known in pictures:
        shutil.rmtree(known.path.parent, ignore_errors=True)
