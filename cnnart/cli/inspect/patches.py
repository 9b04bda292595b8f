"""``cnnart inspect patches``."""

from __future__ import annotations

from typing import Any

import click
import cloup

from cnnart.cli.inspect.options import InspectOptions, inspect_options
from cnnart.cli.options import recursive_option, section, take
from cnnart.cli.types import setting_option
from cnnart.commands.inspect import FolderQuery, search_patches
from cnnart.methods.inspect.config import PatchesConfig
from cnnart.settings import SMALLEST_SIDE, make_config


@cloup.command("patches")
@cloup.argument("folders", nargs=-1, required=True, metavar="FOLDER...")
@section(
    "Basic",
    setting_option(PatchesConfig, "layer"),
    setting_option(PatchesConfig, "channels"),
    setting_option(PatchesConfig, "top"),
    setting_option(PatchesConfig, "per_picture"),
    setting_option(PatchesConfig, "size", type=click.IntRange(SMALLEST_SIDE), metavar="N"),
)
@section(
    "Pictures",
    recursive_option,
    cloup.option(
        "--restart", is_flag=True, help="Do not go on with an unfinished run: begin anew."
    ),
)
@inspect_options(backbone="alexnet")
@click.pass_context
def patches(
    ctx: click.Context, folders: tuple[str, ...], recursive: bool, restart: bool, **given: Any
) -> None:
    """Find the patches in FOLDER that excite each channel most, cut out as what its units see.

    A row for each channel, strongest first; gray is beyond a picture's border. Interrupted, the
    same command goes on where it was.

    \b
    cnnart inspect patches photos/
    cnnart inspect patches photos/ --layer relu3 --channels 0-31 --top 12
    cnnart inspect patches photos/ -r --backbone vgg19 --layer relu4_1
    """
    options = take(given, InspectOptions)
    config = make_config(PatchesConfig, given)
    query = FolderQuery(folders, recursive)
    output = options.target(f"{query.name}-patches")

    from cnnart.methods.inspect.patches import TopPatchSearch, patches_report

    items = query.items(output, named=options.output is not None, warn=options.warn)
    search = TopPatchSearch(options.open_network(), config)
    search_patches(search, items, output, options, restart=restart)
    code = options.report_failures(search.failures.found, len(items))
    options.deliver(patches_report(search, items), output)
    ctx.exit(code)
