"""``cnnart stylize``."""

from __future__ import annotations

from typing import Any

import click

from cnnart.cli.options import (
    FileOptions,
    RunOptions,
    TalkOptions,
    file_options,
    mask_option,
    run_options,
    setting,
    style_option,
    talk_options,
)
from cnnart.cli.values import LAYERS, SIZE
from cnnart.config import (
    COLOR_MODES,
    OPTIMIZERS,
    POOLINGS,
    PRESETS,
    STATISTICS,
    StylizeConfig,
)

FRACTION = click.FloatRange(0, 1)
FACTOR = click.FloatRange(0)
STARTS = ("content", "noise")


def _setting(name: str, help: str, *flags: str, **more: Any) -> Any:
    return setting(StylizeConfig, name, help, *flags, **more)


@click.command("stylize")
@style_option("A picture, or the name of a built-in style (`cnnart styles list`). Several blend.")
@_setting("strength", "0: the photo; 1: the style.", type=FRACTION)
@_setting("preset", "How much work to spend.", type=click.Choice(list(PRESETS)))
@_setting("size", "Long side, or width x height.", type=SIZE, shown="the photo's own")
@_setting(
    "color",
    "Colours of the style, or kept from the photo: wholly, by luma, by histogram.",
    type=click.Choice(COLOR_MODES),
)
@_setting("style_scale", "Stroke size.", type=click.FloatRange(0, min_open=True))
@mask_option
@click.option(
    "--init",
    metavar="|".join([*STARTS, "FILE"]),
    help=f"What to start from.  [default: {StylizeConfig.init}]",
)
@file_options
@_setting("seed", "Of all randomness.", type=int)
@_setting("optimizer", "L-BFGS or Adam.", type=click.Choice(OPTIMIZERS))
@_setting("steps", "At the final size.", type=click.IntRange(1), shown="as --preset says")
@_setting("content_weight", "Times what --strength chooses.", type=FACTOR)
@_setting("style_weight", "Times what --strength chooses.", type=FACTOR)
@_setting("tv_weight", "Smoothness.", type=FACTOR)
@_setting("palette_weight", "The style's colours.", type=FACTOR)
@_setting("content_layers", "Where content is compared.", type=LAYERS)
@_setting("style_layers", "Where style is compared.", type=LAYERS)
@_setting(
    "statistic",
    "What style is.",
    type=click.Choice(STATISTICS),
)
@_setting("pooling", "Of the network.", type=click.Choice(POOLINGS))
@run_options
@talk_options
@click.pass_context
def stylize(
    ctx: click.Context,
    styles: tuple[str, ...],
    masks: tuple[str, ...],
    init: str | None,
    files: FileOptions,
    run: RunOptions,
    talk: TalkOptions,
    **settings: Any,
) -> None:
    """Paint photos in the style of one picture, or a blend of several.

    PHOTO is a file, a folder, a glob or - for standard input. Ctrl-C stops and saves the picture so
    far.

    \b
    cnnart stylize photo.jpg --style mosaic
    cnnart stylize photo.jpg --style painting.jpg --size 1024 -o out.jpg
    cnnart stylize photos/ --recursive --style mosaic:2 --style waves -o painted/
    """
    from cnnart.cli.paint import paint, picture_to_start_from
    from cnnart.jobs.recipe import make_recipe, parse_mask, parse_style

    start = None if init in (None, *STARTS) else picture_to_start_from(str(init))
    settings["init"] = init if init in STARTS else None
    recipe = make_recipe(
        [parse_style(text) for text in styles],
        [parse_mask(text) for text in masks],
        settings,
        start,
    )
    ctx.exit(paint(recipe, files, run, talk))
