"""``cnnart inspect neighbors``."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING

import click

from cnnart.cli.inspect.folders import (
    Collection,
    Sought,
    collect,
    folder_name,
    index_option,
    recursive_option,
    tell_failures,
)
from cnnart.cli.inspect.options import InspectOptions, inspect_options, layer_option
from cnnart.config import NeighborsConfig
from cnnart.errors import UsageError

if TYPE_CHECKING:
    from torch import Tensor

    from cnnart.inspect.neighbors_report import Query
    from cnnart.inspect.streaming import Item

EXAMPLES = 5  # queries drawn from the folder when none is given with --evaluate


@click.command("neighbors")
@click.argument("queries", nargs=-1, metavar="QUERY...")
@click.option("--in", "folders", multiple=True, required=True, metavar="FOLDER", help="Where.")
@click.option(
    "-n",
    "--count",
    type=click.IntRange(1),
    default=NeighborsConfig.count,
    show_default=True,
    help="Neighbours of each query.",
)
@layer_option(help="Whose features.  [default: the last before the classes]")
@click.option("--evaluate", "judge", is_flag=True, help="How often do neighbours share a label?")
@recursive_option
@index_option
@inspect_options(backbone="efficientnet-lite0")
@click.pass_context
def neighbors(
    ctx: click.Context,
    queries: tuple[str, ...],
    folders: tuple[str, ...],
    count: int,
    layer: str | None,
    judge: bool,
    recursive: bool,
    index_path: Path | None,
    options: InspectOptions,
) -> None:
    """Find the pictures in FOLDER nearest to each QUERY: by features and by pixels, side by side.

    The folder's features are kept in an index file; the next run looks only at what has changed.
    --evaluate looks up every picture of the folder and counts how often its neighbours carry its
    label: a WordNet id that the file name begins with, or the folder the file is in.

    \b
    cnnart inspect neighbors dog.jpg --in photos/
    cnnart inspect neighbors --in sorted/ --recursive --evaluate --json
    """
    if not (queries or judge):
        raise UsageError("No QUERY: name a picture, or ask for --evaluate.")
    stem = Path(queries[0]).stem if queries else folder_name(folders)
    output = options.target(f"{stem}-neighbors", queries)

    from cnnart.inspect.folder import find_items
    from cnnart.inspect.neighbors_report import (
        agreement_facts,
        agreement_line,
        evaluate,
        neighbors_report,
    )
    from cnnart.inspect.result import deliver

    asked = [(item, item.read()) for item in find_items(queries)] if queries else []
    found = collect(Sought(folders, recursive, layer, index_path), output, options)
    shared = evaluate(found.index, count) if judge else {}
    made = _queries(asked or _drawn(found, options.seed), found)
    report = neighbors_report(found.index, made, count, found.read)
    if shared:
        options.say(agreement_line(shared))
        report = replace(report, numbers={**report.numbers, "agreement": agreement_facts(shared)})
    code = tell_failures(options, found.failures, len(found.items))
    deliver(report, output, options.json, queries)
    ctx.exit(code)


def _drawn(found: Collection, seed: int) -> list[tuple[Item, Tensor]]:
    """Some pictures of the folder, by lot."""
    import random

    names = random.Random(seed).sample(found.index.names, min(EXAMPLES, len(found.index)))
    return [(found.items[name], found.read(name)) for name in names]


def _queries(asked: list[tuple[Item, Tensor]], found: Collection) -> list[Query]:
    """The queries with their features: those of the index for a picture that is in it."""
    from cnnart.inspect.neighbors_report import Query

    index = found.index
    rows = {found.items[name].key: row for row, name in enumerate(index.names)}
    made = []
    for item, image in asked:
        row = rows.get(item.key)
        pair = found.descriptor(image) if row is None else (index.features[row], index.pixels[row])
        made.append(Query(Path(item.name).name, image, *pair, row))
    return made
