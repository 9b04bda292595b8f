"""``cnnart inspect embed``."""

from __future__ import annotations

from pathlib import Path

import click

from cnnart.cli.inspect.folders import (
    Sought,
    collect,
    folder_name,
    index_option,
    recursive_option,
    tell_failures,
)
from cnnart.cli.inspect.options import InspectOptions, inspect_options, layer_option
from cnnart.config import EMBED_LAYOUTS, EMBED_METHODS, EmbedConfig


@click.command("embed")
@click.argument("folders", nargs=-1, required=True, metavar="FOLDER...")
@click.option(
    "--method",
    type=click.Choice(EMBED_METHODS),
    default=EmbedConfig.method,
    show_default=True,
    help="How features become places.",
)
@click.option(
    "--layout",
    type=click.Choice(EMBED_LAYOUTS),
    default=EmbedConfig.layout,
    show_default=True,
    help="Each picture in a cell of its own, or where its features put it.",
)
@click.option(
    "--perplexity",
    type=click.FloatRange(1),
    default=EmbedConfig.perplexity,
    show_default=True,
    help="Of t-SNE: about how many neighbours count.",
)
@click.option(
    "--size",
    type=click.IntRange(64),
    default=EmbedConfig.size,
    show_default=True,
    help="Side of the map in pixels.",
)
@click.option(
    "--thumb", type=click.IntRange(4), help="Long side of a thumbnail of a free layout, in pixels."
)
@layer_option(help="Whose features.  [default: the last before the classes]")
@recursive_option
@index_option
@inspect_options(backbone="efficientnet-lite0")
@click.pass_context
def embed(
    ctx: click.Context,
    folders: tuple[str, ...],
    layer: str | None,
    recursive: bool,
    index_path: Path | None,
    options: InspectOptions,
    **settings: str | float | int | None,
) -> None:
    """Draw a map of the pictures in FOLDER: those that the network finds alike lie side by side.

    With -o map.html, an interactive page in one file: move, zoom, point at a picture, and change
    between t-SNE and PCA, grid and free.

    \b
    cnnart inspect embed photos/
    cnnart inspect embed photos/ --recursive -o map.html
    cnnart inspect embed photos/ --method pca --layout free --thumb 48
    """
    output = options.target(f"{folder_name(folders)}-map")

    from cnnart.inspect.embedding import need_sklearn
    from cnnart.inspect.mapping import PictureMap
    from cnnart.inspect.result import PAGES, deliver

    need_sklearn()
    config = EmbedConfig(**settings)  # type: ignore[arg-type]
    found = collect(Sought(folders, recursive, layer, index_path), output, options)
    names = found.index.names
    images = map(found.read, options.track(names, len(names), "thumbnails"))
    chart = PictureMap(found.index, config, folder_name(folders), options.seed)
    code = tell_failures(options, found.failures, len(found.items))
    if Path(output).suffix.lower() in PAGES:
        chart.write_page(Path(output), images)
        click.echo(chart.json(output) if options.json else output)
    else:
        deliver(chart.report(images), output, options.json)
    ctx.exit(code)
