"""What the commands that walk through folders have in common."""

from __future__ import annotations

import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

import click

from cnnart.cli.inspect.options import InspectOptions
from cnnart.errors import UsageError

if TYPE_CHECKING:
    from torch import Tensor

    from cnnart.inspect.descriptor import Descriptor
    from cnnart.inspect.index import Index
    from cnnart.inspect.streaming import Item

SOME_FAILED = 3
SAVE_EVERY = 30.0  # seconds between two savings of what is there
TOLD = 10  # bad pictures that are named one by one

recursive_option = click.option(
    "-r", "--recursive", is_flag=True, help="Look into folders' folders too."
)
index_option = click.option(
    "--index",
    "index_path",
    type=click.Path(dir_okay=False, path_type=Path),
    metavar="FILE",
    help="Where features are kept between runs.  [default: FOLDER-LAYER.safetensors beside OUT]",
)


def folder_name(folders: tuple[str, ...]) -> str:
    """What to call the results of these folders."""
    return Path(folders[0]).expanduser().resolve().name or "pictures"


def without(items: list[Item], output: str, *, named: bool = True) -> list[Item]:
    """``items`` less the result of an earlier run that lies among them under its usual name.

    ``named``: the output's name was chosen with -o. Raises UsageError if it is one of ``items``
    then: it may be a photo.
    """
    from cnnart.jobs.files import identity

    own = identity(Path(output))
    if named and any(item.key == own for item in items):
        raise UsageError(
            f"The result would overwrite {output!r}, which is one of the pictures: "
            "choose another -o, or delete it if it is an earlier result."
        )
    return [item for item in items if item.key != own]


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


def tell_failures(options: InspectOptions, failures: list[tuple[str, str]], total: int) -> int:
    """Name the pictures that could not be used; returns the exit code."""
    if not failures:
        return 0
    options.warn(f"{len(failures)} of {total} pictures could not be used:")
    for name, why in failures[:TOLD]:
        options.warn(f"  {name}: {why}")
    if len(failures) > TOLD:
        options.warn(f"  and {len(failures) - TOLD} more.")
    return SOME_FAILED


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


@dataclass(frozen=True)
class Sought:
    """Which folders, whose features, and where these are kept; as the options say."""

    folders: tuple[str, ...]
    recursive: bool
    layer: str | None
    index_path: Path | None


def collect(sought: Sought, output: str, options: InspectOptions) -> Collection:
    """The folders' pictures and their index, brought up to date."""
    from cnnart.inspect.descriptor import Descriptor, last_layer
    from cnnart.inspect.folder import find_items

    items = find_items(sought.folders, recursive=sought.recursive)
    items = without(items, output, named=options.output is not None)
    network = options.open_network()
    descriptor = Descriptor(network, sought.layer or last_layer(network))
    path = sought.index_path or _index_path(sought, output, descriptor)
    index, failures = _index(options, items, descriptor, path)
    return Collection({item.name: item for item in items}, descriptor, index, failures)


def _index_path(sought: Sought, output: str, descriptor: Descriptor) -> Path:
    made = descriptor.made_with
    name = f"{folder_name(sought.folders)}-{made['network']}-{made['layer']}.safetensors"
    folder = Path() if output == "-" else Path(output).parent
    return folder / name.replace(":", "-")


def _index(
    options: InspectOptions, items: list[Item], descriptor: Descriptor, path: Path
) -> tuple[Index, list[tuple[str, str]]]:
    """The index of these pictures and what could not be read.

    Interrupted, its file keeps what is there: the next run goes on from it.
    """
    from cnnart.inspect.index import IndexUpdate, read_index, write_index

    made = descriptor.made_with
    update = IndexUpdate(items, descriptor, made, read_index(path, made))
    is_time = every(SAVE_EVERY)
    try:
        for _ in options.track(update.run(), len(update.todo), "features"):
            if update.is_worth_keeping and is_time():
                write_index(path, update.index())
    except BaseException:
        if update.is_worth_keeping:
            write_index(path, update.index())
            options.say(f"What is ready is kept in {path}: the same command goes on from there.")
        raise
    index = update.index()
    if update.todo or update.removed:
        write_index(path, index)
        options.say(
            f"index: {path} ({len(index)} pictures: {len(update.added)} new, "
            f"{len(update.changed)} changed, {len(update.removed)} removed)"
        )
    return index, update.failures.found
