"""``cnnart inspect embed``."""

from __future__ import annotations

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
from cnnart.commands.inspect import FolderQuery, collect, deliver_map
from cnnart.methods.inspect.config import EmbedConfig
from cnnart.settings import make_config


@cloup.command("embed")
@cloup.argument("folders", nargs=-1, required=True, metavar="FOLDER...")
@section(
    "Basic",
    setting_option(EmbedConfig, "method"),
    setting_option(EmbedConfig, "layout"),
    setting_option(EmbedConfig, "perplexity"),
    setting_option(EmbedConfig, "size"),
    setting_option(EmbedConfig, "thumb"),
)
@section("Pictures and features", recursive_option, features_option, index_option)
@inspect_options(backbone="efficientnet-lite0")
@click.pass_context
def embed(
    ctx: click.Context,
    folders: tuple[str, ...],
    recursive: bool,
    layer: str | None,
    index: Path | None,
    **given: Any,
) -> None:
    """Draw a map of the pictures in FOLDER: those that the network finds alike lie side by side.

    With -o map.html, an interactive page in one file: move, zoom, point at a picture, and change
    between t-SNE and PCA, grid and free.

    \b
    cnnart inspect embed photos/
    cnnart inspect embed photos/ --recursive -o map.html
    cnnart inspect embed photos/ --method pca --layout free --thumb 48
    """
    options = take(given, InspectOptions)
    query = FolderQuery(folders, recursive, layer, index)
    output = options.target(f"{query.name}-map")

    from cnnart.methods.inspect.embedding import need_sklearn
    from cnnart.methods.inspect.picture_map import PictureMap

    need_sklearn()
    config = make_config(EmbedConfig, {**given, "seed": options.seed})
    items = query.items(output, named=options.output is not None, warn=options.warn)
    found = collect(query, items, options.open_network(), output, options)
    names = found.index.names
    images = map(found.read, options.track(names, len(names), "thumbnails"))
    chart = PictureMap(found.index, config, query.name)
    code = options.report_failures(found.failures, len(found.items))
    options.print(deliver_map(chart, images, output, as_json=options.json))
    ctx.exit(code)
