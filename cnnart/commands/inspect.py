"""What lies between files and the methods of ``cnnart inspect``: pictures in, results out.

An inspection needs no ``Command``: it looks at pictures, hands an ``Inspection`` to ``deliver``,
and leaves no record to run again. Nothing heavy is imported before it is needed, so that wrong
usage is told at once.
"""

from __future__ import annotations

import json
import random
import sys
import time
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any, Protocol, TypeVar

from cnnart.errors import CnnartError, ImageError, UsageError, reason
from cnnart.files import (
    WRITABLE,
    as_path,
    check_writable,
    identity,
    open_file,
    readable,
    resolved,
    write_atomically,
)
from cnnart.run.inputs import Source, expand
from cnnart.run.outputs import overwritten

if TYPE_CHECKING:
    from torch import Tensor

    from cnnart.methods.inspect.config import SaliencyConfig
    from cnnart.methods.inspect.fooling import Fool
    from cnnart.methods.inspect.index import Descriptor, Index
    from cnnart.methods.inspect.neighbors import Query
    from cnnart.methods.inspect.occlusion import Occluder
    from cnnart.methods.inspect.patches import TopPatchSearch
    from cnnart.methods.inspect.picture_map import PictureMap
    from cnnart.methods.inspect.pictures import Item
    from cnnart.methods.inspect.report import Inspection
    from cnnart.methods.inspect.saliency import SaliencyReport
    from cnnart.methods.inspect.target import TargetQuery
    from cnnart.networks.base import Network

T = TypeVar("T")

PAGES = (".html", ".htm")
LOSSLESS = (".png", ".tif", ".tiff")
SAVE_EVERY = 30.0  # seconds between two savings of what is there
EXAMPLES = 5  # queries drawn from the folder when none is given


class Feedback(Protocol):
    """How people learn what is going on."""

    def track(self, items: Iterable[T], total: int | None, label: str) -> Iterator[T]:
        """``items`` one by one, with a bar where there is somebody to see it."""

    def say(self, message: str) -> None:
        """A line for people, unless they want silence."""

    def warn(self, message: str) -> None:
        """A line that is said in any case."""


# Pictures in


def one_photo(given: str) -> tuple[Source, list[Path]]:
    """The picture that a file, a glob or ``-`` means, and the files that no result may overwrite.

    Raises UsageError for a name that leads to nothing, and for one that leads to several.
    """
    found = expand([given])
    if len(found) > 1:
        raise UsageError(f"{given!r} is {len(found)} pictures: this command takes one, name it.")
    return found[0], [source.path for source in found if source.path]


def find_items(
    given: Iterable[str],
    *,
    recursive: bool = True,
    warn: Callable[[str], None] = lambda line: None,
) -> list[Item]:
    """The pictures of folders, files and globs, in natural order; none is read yet.

    A picture is called what it is called below its folder; where several were given, by its whole
    name. ``warn`` is told what is passed over, and later what had to be guessed of a picture.
    Raises UsageError for a name that leads to nothing, and for standard input.
    """
    names = list(given)
    if "-" in names:
        raise UsageError("Standard input (-) holds one picture: name a folder.")
    notes: list[str] = []
    sources = expand(names, recursive=recursive, notes=notes)
    for line in notes:
        warn(line)
    return [item_of(source, whole=len(names) > 1, warn=warn) for source in sources]


def item_of(
    source: Source,
    *,
    whole: bool = True,
    warn: Callable[[str], None] = lambda line: None,
    max_pixels: int | None = None,
) -> Item:
    """A file as an Item; ``whole``: with its path as it was given for a name.

    ``warn`` is told, when it is read, what had to be guessed or left out. ``max_pixels``: see
    ``Source.read``.
    """
    from cnnart.methods.inspect.pictures import Item

    if source.path is None:  # a pipe, read already
        return Item(source.given, partial(_read, source, warn, max_pixels), key=source.given)
    path = source.path
    name = path.as_posix()
    if not whole and source.folder is not None:
        name = (source.folder / path.name).as_posix()
    try:
        facts = path.stat()
        stamp = (facts.st_size, facts.st_mtime_ns)
    except OSError:  # a dangling link, say: reading it will tell
        stamp = (0, 0)
    return Item(name, partial(_read, source, warn, max_pixels), stamp, identity(path))


def _read(source: Source, warn: Callable[[str], None], max_pixels: int | None) -> Tensor:
    picture = source.read(max_pixels)
    for line in picture.warnings:
        warn(line)
    return picture.rgb


@dataclass(frozen=True)
class FolderQuery:
    """The pictures of some folders; and whose features stand for them, kept in which file.

    ``layer`` None: the last before the classes. ``index`` None: a file beside the output.
    """

    folders: tuple[str, ...]
    recursive: bool = False
    layer: str | None = None
    index: Path | None = None

    @property
    def name(self) -> str:
        """What to call the results of these folders."""
        return resolved(as_path(self.folders[0])).name or "pictures"

    def items(
        self, output: str, *, named: bool, warn: Callable[[str], None] = lambda line: None
    ) -> list[Item]:
        """The pictures, less the result of an earlier run that lies among them.

        ``named``: the output's name was chosen with -o. Raises UsageError if it is one of the
        pictures then, for it may be a photo; and as ``find_items`` does.
        """
        items = find_items(self.folders, recursive=self.recursive, warn=warn)
        own = identity(Path(output))
        if named and any(item.key == own for item in items):
            raise UsageError(
                f"The result would overwrite {output!r}, which is one of the pictures: "
                "choose another -o, or delete it if it is an earlier result."
            )
        return [item for item in items if item.key != own]

    def index_file(self, output: str, descriptor: Descriptor) -> Path:
        """Where the features are kept."""
        if self.index:
            return self.index
        made = descriptor.made_with
        name = f"{self.name}-{made['network']}-{made['layer']}.safetensors"
        folder = Path() if output == "-" else Path(output).parent
        return folder / name.replace(":", "-")


# Pictures with their features


@dataclass(frozen=True)
class Collection:
    """The pictures of folders with their features.

    ``items``: all, by name; ``failures``: those that could not be used, and why.
    """

    items: dict[str, Item]
    descriptor: Descriptor
    index: Index
    failures: list[tuple[str, str]]

    def read(self, name: str) -> Tensor:
        """A picture, ``1x3xHxW`` in [0, 1]. Raises ImageError if it is no longer there."""
        return self.items[name].read()


def collect(
    query: FolderQuery, items: Sequence[Item], network: Network, output: str, feedback: Feedback
) -> Collection:
    """``items`` and their index, brought up to date.

    Interrupted, the index's file keeps what is there: the next run goes on from it.
    """
    from cnnart.methods.inspect.index import (
        Descriptor,
        IndexUpdate,
        last_layer,
        read_index,
        write_index,
    )

    descriptor = Descriptor(network, query.layer or last_layer(network))
    path = query.index_file(output, descriptor)
    made = descriptor.made_with
    update = IndexUpdate(items, descriptor, made, read_index(path, made))
    is_time = every(SAVE_EVERY)
    try:
        for _ in feedback.track(update.run(), len(update.todo), "features"):
            if update.is_worth_keeping and is_time():
                write_index(path, update.index())
    except BaseException:
        if update.is_worth_keeping:
            write_index(path, update.index())
            feedback.say(f"What is ready is kept in {path}: the same command goes on from there.")
        raise
    index = update.index()
    if update.todo or update.removed:
        write_index(path, index)
        feedback.say(
            f"index: {path} ({len(index)} pictures: {len(update.added)} new, "
            f"{len(update.changed)} changed, {len(update.removed)} removed)"
        )
    return Collection({item.name: item for item in items}, descriptor, index, update.failures.found)


def find_queries(
    given: Sequence[tuple[Item, Tensor]], found: Collection, *, seed: int = 0
) -> list[Query]:
    """The pictures whose neighbors are looked for; none ``given``: some of the collection's own.

    A picture that is in the index is not described again, nor found as its own neighbor.
    """
    from cnnart.methods.inspect.neighbors import Query

    index = found.index
    if not given:
        names = random.Random(seed).sample(index.names, min(EXAMPLES, len(index)))
        given = [(found.items[name], found.read(name)) for name in names]
    rows = {found.items[name].key: row for row, name in enumerate(index.names)}
    queries = []
    for item, image in given:
        row = rows.get(item.key)
        pair = found.descriptor(image) if row is None else (index.features[row], index.pixels[row])
        queries.append(Query(Path(item.name).name, image, *pair, row))
    return queries


# What two callers do alike


def saliency_of(
    picture: Tensor,
    network: Network,
    query: TargetQuery,
    config: SaliencyConfig,
    cam_layer: str | None = None,
    *,
    mask: bool = False,
    score: bool = False,
) -> SaliencyReport:
    """The saliency maps of a picture, about to be made. Raises CnnartError."""
    from cnnart.methods.inspect.crop import crop_for
    from cnnart.methods.inspect.saliency import SaliencyMaps, SaliencyReport
    from cnnart.methods.inspect.target import choose_target

    crop = crop_for(network, picture)
    target = choose_target(network, crop.input, query)
    maps = SaliencyMaps(network, target, crop.input, config, cam_layer)
    return SaliencyReport(maps, crop, target, mask=mask, score=score)


def occlusion_of(
    picture: Tensor,
    network: Network,
    query: TargetQuery,
    window: int | None = None,
    stride: int | None = None,
) -> tuple[Occluder, Callable[[], Inspection]]:
    """What hides parts of a picture, about to begin, and what to call when it has ended."""
    from cnnart.methods.inspect.crop import crop_for
    from cnnart.methods.inspect.occlusion import Occluder, occlusion_report
    from cnnart.methods.inspect.target import choose_target

    crop = crop_for(network, picture)
    target = choose_target(network, crop.input, query)
    work = Occluder(target.value, crop.input, window, stride)
    return work, lambda: occlusion_report(work.result(), crop, target)


# Work that can be interrupted


def search_patches(
    search: TopPatchSearch, items: Sequence[Item], output: str, feedback: Feedback, *, restart: bool
) -> None:
    """Run ``search``, its state kept in a file beside the output until it is done.

    An unfinished run is gone on with, unless ``restart`` is wanted or the pictures are others.
    """
    path = None if output == "-" else Path(f"{output}.state.json")
    state = None if path is None or restart else read_state(path)
    if state is not None:
        if search.restore(state, items):
            feedback.say(f"going on after {search.done} of {len(items)} pictures")
        else:
            feedback.warn("the unfinished run was over other pictures: beginning anew.")
    is_time = every(SAVE_EVERY)
    try:
        todo = len(items) - search.done
        for _ in feedback.track(search.search(items), todo, search.layer):
            if path and is_time():
                write_state(path, search.state(items))
    except BaseException:
        if path and search.done:
            write_state(path, search.state(items))
            feedback.say(
                f"{search.done} of {len(items)} done: the same command goes on from there."
            )
        raise
    if path:
        path.unlink(missing_ok=True)


def every(seconds: float) -> Callable[[], bool]:
    """A function that says, each time it is asked, whether so long has passed since it last did."""
    last = time.monotonic()

    def is_time() -> bool:
        nonlocal last
        if time.monotonic() - last < seconds:
            return False
        last = time.monotonic()
        return True

    return is_time


def read_state(path: Path) -> dict[str, Any] | None:
    """The state in a file, or None if there is none. Raises CnnartError if it is damaged."""
    try:
        with open_file(path) as file:
            state = json.loads(file.read())
    except FileNotFoundError:
        return None
    except (OSError, ValueError, RecursionError) as error:
        raise CnnartError(
            f"{path}: the unfinished run is damaged ({reason(error)}); delete it."
        ) from error
    if not isinstance(state, dict) or "settings" not in state:
        raise CnnartError(f"{path}: this is no unfinished run of cnnart; choose another -o.")
    return state


def write_state(path: Path, state: dict[str, Any]) -> None:
    """Write a state, whole or not at all. Raises CnnartError if it cannot be written."""
    try:
        write_atomically(path, json.dumps(state).encode("utf-8"))
    except OSError as error:
        raise CnnartError(f"{path}: the state cannot be written ({reason(error)}).") from error


# Results out


def check_output(output: str, inputs: Iterable[Path | str] = (), *, as_json: bool = False) -> None:
    """Refuse an output that ``deliver`` could not write; called before the work.

    Raises UsageError for a suffix that is neither a picture's nor .html, for an input that would
    be overwritten, for a place where nothing can be written, and for ``-`` with ``as_json``.
    """
    if output == "-":
        if as_json:
            raise UsageError("--json and -o - both want standard output: give -o a file.")
        return
    path = Path(output)
    if path.suffix.lower() not in (*WRITABLE, *PAGES):
        raise UsageError(
            f"{output!r} names no kind of file: end it in .png, .jpg, .webp, .tiff or .html."
        )
    for given in inputs:
        if identity(Path(given)) == identity(path):
            raise UsageError(overwritten(Path(given)))
    check_writable(path)


def deliver(
    inspection: Inspection, output: str, inputs: Iterable[Path | str] = (), *, as_json: bool = False
) -> str | None:
    """Write the sheet (or, for .html, one page that needs no other file).

    Returns what is to be printed, last: the output's path; with ``as_json``, instead of it, the
    numbers and ``"output"`` as one line of JSON. ``-`` writes the sheet to standard output as PNG,
    and nothing is left to print. ``inputs`` are never overwritten. Raises as ``check_output`` does,
    and ImageError.
    """
    from cnnart.image.contact_sheet import draw_sheet
    from cnnart.image.write import write_image
    from cnnart.methods.inspect.report import make_page

    check_output(output, inputs, as_json=as_json)
    if is_page(output):
        _write_page(Path(output), make_page(inspection))
    else:
        sheet = draw_sheet(inspection.cells, inspection.columns, title=inspection.title)
        write_image(sys.stdout.buffer if output == "-" else output, sheet)
    return _answer(inspection.numbers, output, as_json)


def deliver_map(
    chart: PictureMap, images: Iterable[Tensor], output: str, *, as_json: bool = False
) -> str | None:
    """As ``deliver``, but .html is the page to move about in; ``images``: see ``PictureMap``."""
    if not is_page(output):
        return deliver(chart.report(images), output, as_json=as_json)
    _write_page(Path(output), chart.page(images))
    return _answer(chart.numbers(), output, as_json)


def is_page(output: str) -> bool:
    return Path(output).suffix.lower() in PAGES


def _write_page(path: Path, page: str) -> None:
    try:
        write_atomically(path, readable(page).encode("utf-8"))
    except OSError as error:
        why = error.strerror or error
        raise ImageError(f"{path}: cannot write the page ({why}).") from error


def _answer(numbers: dict[str, Any], output: str, as_json: bool) -> str | None:
    from cnnart.methods.inspect.report import json_line

    if as_json:
        return json_line({**numbers, "output": output})
    return None if output == "-" else output


def check_lossless(path: Path) -> None:
    """Raise UsageError for a format that would lose a fooled picture's change."""
    if path.suffix.lower() not in LOSSLESS:
        raise UsageError(
            f"--save {path} would lose the change to compression: end it in .png or .tiff."
        )


def save_fooled(path: Path, work: Fool) -> None:
    """Write a fooled picture, and raise CnnartError if, read again, it does not fool any more."""
    from cnnart.image.read import read_image
    from cnnart.image.write import write_image
    from cnnart.methods.inspect.fooling import confirm

    write_image(path, work.result().picture)
    confirm(work.network, read_image(path).rgb, work.target, str(path))
