"""``cnnart texture``."""

from __future__ import annotations

from typing import Any

import click

from cnnart.cli.options import (
    FileOptions,
    RunOptions,
    TalkOptions,
    file_options,
    run_options,
    setting,
    talk_options,
)
from cnnart.cli.values import LAYERS, REPEATS, SIZE
from cnnart.config import (
    OPTIMIZERS,
    POOLINGS,
    STATISTICS,
    TEXTURE_METHODS,
    TEXTURE_PRESETS,
    TILEABLE,
    TextureConfig,
)


def _setting(name: str, help: str, *flags: str, **more: Any) -> Any:
    return setting(TextureConfig, name, help, *flags, **more)


@click.command("texture")
@_setting("size", "Long side, or width x height.", type=SIZE, shown="twice the exemplar's sides")
@_setting(
    "method",
    "gram: a network paints it; quilting: patches sewn together; efros-leung: pixel by pixel.",
    type=click.Choice(TEXTURE_METHODS),
)
@_setting("tileable", "Seamless side by side, one above the other.", type=click.Choice(TILEABLE))
@click.option(
    "--preview-tiled",
    "tiles",
    type=REPEATS,
    help="Also write OUT-tiled.png, the result side by side with itself: 3x3.",
)
@click.option("--mix", is_flag=True, help="One texture of all EXEMPLARs, by their weights.")
@_setting("scale", "Size of the features.", type=click.FloatRange(0, min_open=True))
@click.option(
    "--guide",
    "guides",
    multiple=True,
    metavar="MAP",
    help="What is where in the exemplar, in colours (with --mix: one for each exemplar).",
)
@click.option("--guide-target", metavar="MAP", help="What is to be where in the result.")
@click.option(
    "--inpaint", metavar="MASK", help="Make anew what is white there; all else stays exactly."
)
@click.option(
    "--companion",
    "companions",
    multiple=True,
    metavar="FILE",
    help="A normal or roughness map, say: copied like the exemplar, to OUT-FILE.png.",
)
@click.option(
    "--ladder",
    is_flag=True,
    help="A sheet instead: the first layer alone, then up to the second, ..., then all.",
)
@file_options
@_setting("seed", "Of all randomness.", type=int)
@_setting("preset", "gram: how much work to spend.", type=click.Choice(list(TEXTURE_PRESETS)))
@_setting("layers", "gram: where statistics are compared.", type=LAYERS)
@_setting("statistic", "gram: what a texture is.", type=click.Choice(STATISTICS))
@_setting("pooling", "gram: of the network.", type=click.Choice(POOLINGS))
@_setting("optimizer", "gram: L-BFGS or Adam.", type=click.Choice(OPTIMIZERS))
@_setting("steps", "gram: at the final size.", type=click.IntRange(1), shown="as --preset says")
@_setting("palette_weight", "gram: the exemplar's colours.", type=click.FloatRange(0))
@click.option(
    "--histogram/--no-histogram",
    default=None,
    help="gram: in the end, exactly the exemplar's colours.  [default: histogram]",
)
@_setting("patch", "Pixels of a patch or neighbourhood.", type=click.IntRange(3), shown="as fits")
@_setting("guide_weight", "Of the guide map.", type=click.FloatRange(0))
@run_options
@talk_options
@click.pass_context
def texture(
    ctx: click.Context,
    files: FileOptions,
    run: RunOptions,
    talk: TalkOptions,
    **given: Any,
) -> None:
    """Make more of a texture: any size, seamless if you like.

    EXEMPLAR is a file, a folder, a glob or - for standard input; each becomes a texture of its own,
    or with --mix EXEMPLAR[:WEIGHT]... all become one. Ctrl-C stops and saves the texture so far.

    \b
    cnnart texture bark.jpg --size 1024x1024
    cnnart texture bark.jpg --tileable both --preview-tiled 3x3 -o tile.png
    cnnart texture moss.jpg:2 bark.jpg --mix -o mossy.png
    cnnart texture bark.png --companion bark-normal.png --size 2048 -o more.png
    cnnart texture wall.jpg --inpaint scribble.png -o mended.png
    """
    from cnnart.cli.textures import work_on

    ctx.exit(work_on(given, files, run, talk))


next(param for param in texture.params if param.name == "photos").metavar = "EXEMPLAR[:WEIGHT]..."
