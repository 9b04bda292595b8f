"""``cnnart inspect neighbors``."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import Any

import click
import cloup

from cnnart.cli.inspect.options import (
    InspectOptions,
    features_option,
    index_option,
    inspect_options,
)
from cnnart.cli.options import recursive_option, section, take
from cnnart.cli.types import setting_option
from cnnart.commands.inspect import FolderQuery, collect, find_items, find_queries
from cnnart.errors import UsageError
from cnnart.methods.inspect.config import NeighborsConfig
from cnnart.settings import make_config


@cloup.command("neighbors")
@cloup.argument("queries", nargs=-1, metavar="QUERY...")
@section(
    "Basic",
    cloup.option("--in", "folders", multiple=True, required=True, metavar="FOLDER", help="Where."),
    setting_option(NeighborsConfig, "count", "-n"),
    cloup.option("--evaluate", "judge", is_flag=True, help="How often do neighbors share a label?"),
)
@section("Pictures and features", recursive_option, features_option, index_option)
@inspect_options(backbone="efficientnet-lite0")
@click.pass_context
def neighbors(
    ctx: click.Context,
    queries: tuple[str, ...],
    folders: tuple[str, ...],
    judge: bool,
    recursive: bool,
    layer: str | None,
    index: Path | None,
    **given: Any,
) -> None:
    """Find the pictures in FOLDER nearest to each QUERY: by features and by pixels, side by side.

    The folder's features are kept in an index file; the next run looks only at what has changed.
    --evaluate looks up every picture of the folder and counts how often its neighbors carry its
    label: a WordNet id that the file name begins with, or the folder the file is in.

    \b
    cnnart inspect neighbors dog.jpg --in photos/
    cnnart inspect neighbors --in sorted/ --recursive --evaluate --json
    """
    options = take(given, InspectOptions)
    if not (queries or judge):
        raise UsageError("No QUERY: name a picture, or ask for --evaluate.")
    query = FolderQuery(folders, recursive, layer, index)
    output = options.target(
        f"{Path(queries[0]).stem if queries else query.name}-neighbors", queries
    )
    count = make_config(NeighborsConfig, given).count

    from cnnart.methods.inspect.neighbors import (
        agreement_facts,
        agreement_line,
        evaluate,
        neighbors_report,
    )

    asked = [(item, item.read()) for item in find_items(queries)] if queries else []
    items = query.items(output, named=options.output is not None, warn=options.warn)
    found = collect(query, items, options.open_network(), output, options)
    shared = evaluate(found.index, count) if judge else {}
    chosen = find_queries(asked, found, seed=options.seed)
    report = neighbors_report(found.index, chosen, count, found.read)
    if shared:
        options.say(agreement_line(shared))
        report = replace(report, numbers={**report.numbers, "agreement": agreement_facts(shared)})
    code = options.report_failures(found.failures, len(found.items))
    options.deliver(report, output, queries)
    ctx.exit(code)
