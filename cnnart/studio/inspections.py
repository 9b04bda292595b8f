"""Saliency, occlusion and neighbors of a picture, for the page's last tab."""

from __future__ import annotations

import functools
import shlex
from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypeVar

from cnnart.commands.inspect import (
    FolderQuery,
    collect,
    find_queries,
    item_of,
    occlusion_of,
    saliency_of,
)
from cnnart.errors import UsageError
from cnnart.files import sha256_of
from cnnart.methods.inspect.config import NeighborsConfig, SaliencyConfig
from cnnart.run.inputs import Source
from cnnart.settings import one_of
from cnnart.studio.folders import Folder, Folders
from cnnart.studio.pictures import KnownPicture, Pictures

if TYPE_CHECKING:
    from torch import Tensor

    from cnnart.methods.inspect.pictures import Item
    from cnnart.methods.inspect.report import Inspection
    from cnnart.networks.base import Classifier
    from cnnart.runtime import Runtime

INSPECTIONS = ("saliency", "occlusion", "neighbors")
NETWORK = "efficientnet-lite0"  # as the commands', unless another is asked for
METHODS = ("gradient", "guided-backprop", "smoothgrad", "grad-cam")  # likewise

T = TypeVar("T")


@dataclass(frozen=True)
class Inspected:
    """What is asked for: ``named``: the class; ``folder``: where neighbors are looked for."""

    what: str
    photo: KnownPicture
    named: str | None = None
    folder: Folder | None = None

    @property
    def command_line(self) -> str:
        """The command line that does the same, where the folder is."""
        words = ["cnnart", "inspect", self.what, self.photo.given]
        words += ["--class", self.named] if self.named else []
        if self.folder:
            words += ["--in", f"{self.folder.name}/", *["--recursive"] * self.folder.recursive]
        return shlex.join(words)


def read_inspection(given: Mapping[str, Any], pictures: Pictures, folders: Folders) -> Inspected:
    """What is asked for as JSON. Raises UsageError, Refused."""
    what, named = given.get("what"), given.get("named")
    one_of("inspection", what if isinstance(what, str) else repr(what), INSPECTIONS)
    own = "folder" if what == "neighbors" else "named"
    if unknown := [key for key in given if key not in ("what", "photo", own)]:
        raise UsageError(f"Unknown key {unknown[0]!r} of an inspection.")
    if named is not None and not isinstance(named, str):
        raise UsageError("`named` is the name of a class.")
    photo = pictures[given.get("photo")]
    if what != "neighbors":
        return Inspected(str(what), photo, named or None)
    folder = given.get("folder")
    if folder is None:
        raise UsageError("No folder to look for neighbors in: choose one.")
    return Inspected("neighbors", photo, folder=folders[folder])


def inspect(
    asked: Inspected, runtime: Runtime, max_pixels: int, between: Callable[[], None]
) -> Tensor:
    """The labelled sheet, ``1x3xHxW``. Raises CnnartError.

    ``between``: called between two pictures of a folder; what it raises ends the search, of which
    a later one goes on.
    """
    from cnnart.image.contact_sheet import draw_sheet
    from cnnart.image.read import read_image
    from cnnart.methods.inspect.target import TargetQuery

    network, query = _network(runtime), TargetQuery(asked.named)
    if asked.folder:
        found = _neighbors(asked.photo, asked.folder, network, max_pixels, between)
        return draw_sheet(found.cells, found.columns, title=found.title)
    picture = read_image(asked.photo.path, max_pixels=max_pixels).rgb
    if asked.what == "saliency":
        report = saliency_of(picture, network, query, SaliencyConfig())
        for _ in report.parts(METHODS):
            pass
        found = report.result()
    else:
        work, conclude = occlusion_of(picture, network, query)
        for _ in work.parts():
            pass
        found = conclude()
    return draw_sheet(found.cells, found.columns, title=found.title)


@dataclass(frozen=True)
class Between:
    """The search's feedback: nothing is said, and ``between`` is called for each picture."""

    between: Callable[[], None]

    def track(self, items: Iterable[T], total: int | None, label: str) -> Iterator[T]:
        for item in items:
            yield item
            self.between()

    def say(self, message: str) -> None: ...

    warn = say


def _neighbors(
    photo: KnownPicture,
    folder: Folder,
    network: Classifier,
    max_pixels: int,
    between: Callable[[], None],
) -> Inspection:
    """As ``cnnart inspect neighbors`` in the folder that the pictures came from.

    Raises CnnartError where none of them can be read.
    """
    from cnnart.methods.inspect.neighbors import neighbors_report

    def item(path: Path) -> Item:
        source = Source(path, path.name, folder=Path())
        return item_of(source, whole=False, max_pixels=max_pixels)

    paths = sorted(path for path in folder.path.iterdir() if path.is_file())
    query = FolderQuery((folder.name,), index=folder.index)
    found = collect(query, [item(path) for path in paths], network, "-", Between(between))
    # The photo may be one of them, and is not its own neighbor then; a shell would see by the
    # file that it is the same.
    size, sha256 = photo.path.stat().st_size, sha256_of(photo.path)
    same = (p for p in paths if p.stat().st_size == size and sha256_of(p) == sha256)
    own = item(next(same, photo.path))
    chosen = find_queries([(own, own.read())], found)
    return neighbors_report(found.index, chosen, NeighborsConfig().count, found.read)


@functools.lru_cache(maxsize=1)
def _network(runtime: Runtime) -> Classifier:
    from cnnart.networks.zoo import open_network

    return open_network(NETWORK, device=runtime.device, dtype=runtime.dtype, classifier=True)
