"""``cnnart inspect patches``."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

import click

from cnnart.cli.inspect.folders import (
    SAVE_EVERY,
    every,
    folder_name,
    recursive_option,
    tell_failures,
    without,
)
from cnnart.cli.inspect.options import InspectOptions, inspect_options, layer_option
from cnnart.config import PatchesConfig

if TYPE_CHECKING:
    from cnnart.inspect.patches import PatchSearch
    from cnnart.inspect.streaming import Item


@click.command("patches")
@click.argument("folders", nargs=-1, required=True, metavar="FOLDER...")
@layer_option(help="The layer.  [default: the deepest one whose units see a part of the picture]")
@click.option("--channels", metavar="0-15,70", help="Which of it.  [default: the first 16]")
@click.option(
    "--top",
    type=click.IntRange(1),
    default=PatchesConfig.top,
    show_default=True,
    help="Patches of each channel.",
)
@click.option(
    "--per-picture",
    type=click.IntRange(1),
    default=PatchesConfig.per_picture,
    show_default=True,
    help="At most so many of a channel from one picture.",
)
@click.option(
    "--size",
    type=click.IntRange(16),
    default=PatchesConfig.size,
    show_default=True,
    help="Long side in pixels that larger pictures are shrunk to.",
)
@recursive_option
@click.option("--restart", is_flag=True, help="Do not go on with an unfinished run: begin anew.")
@inspect_options(backbone="alexnet")
@click.pass_context
def patches(
    ctx: click.Context,
    folders: tuple[str, ...],
    layer: str | None,
    channels: str | None,
    top: int,
    per_picture: int,
    size: int,
    recursive: bool,
    restart: bool,
    options: InspectOptions,
) -> None:
    """Find the patches in FOLDER that excite each channel most, cut out as what its units see.

    A row for each channel, strongest first; grey is beyond a picture's border. Interrupted, the
    same command goes on where it was.

    \b
    cnnart inspect patches photos/
    cnnart inspect patches photos/ --layer relu3 --channels 0-31 --top 12
    cnnart inspect patches photos/ -r --backbone vgg19 --layer relu4_1
    """
    from cnnart.jobs.sheets import parse_channels

    chosen = parse_channels(channels) if channels else None
    config = PatchesConfig(layer, chosen, top, per_picture, size)
    output = options.target(f"{folder_name(folders)}-patches")

    from cnnart.inspect.folder import find_items
    from cnnart.inspect.patches import PatchSearch
    from cnnart.inspect.patches_report import patches_report
    from cnnart.inspect.result import deliver

    items = find_items(folders, recursive=recursive)
    items = without(items, output, named=options.output is not None)
    search = PatchSearch(options.open_network(), config)
    _run(search, items, None if output == "-" else Path(f"{output}.state.json"), restart, options)
    code = tell_failures(options, search.failures.found, len(items))
    deliver(patches_report(search, items), output, options.json)
    ctx.exit(code)


def _run(
    search: PatchSearch,
    items: list[Item],
    path: Path | None,
    restart: bool,
    options: InspectOptions,
) -> None:
    """Search, keeping the state in a file until it is done."""
    from cnnart.inspect.resuming import read_state, write_state

    state = None if path is None or restart else read_state(path)
    if state is not None:
        if search.restore(state, items):
            options.say(f"going on after {search.done} of {len(items)} pictures")
        else:
            options.warn("the unfinished run was over other pictures: beginning anew.")
    is_time = every(SAVE_EVERY)
    try:
        todo = len(items) - search.done
        for _ in options.track(search.search(items), todo, search.layer):
            if path and is_time():
                write_state(path, search.state(items))
    except BaseException:
        if path and search.done:
            write_state(path, search.state(items))
            options.say(f"{search.done} of {len(items)} done: the same command goes on from there.")
        raise
    if path:
        path.unlink(missing_ok=True)
