"""``cnnart fast-stylize``."""

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
from cnnart.cli.values import SIZE
from cnnart.config import COLOR_MODES, FAST_ENGINES, FastConfig


def _setting(name: str, help: str, **more: Any) -> Any:
    return setting(FastConfig, name, help, **more)


@click.command("fast-stylize")
@style_option(
    "A trained style's name, a checkpoint, or FILE:NAME in one of several. Several blend."
)
@_setting("strength", "0: the photo; 1: the style.", type=click.FloatRange(0, 1))
@_setting("stroke", "Stroke size, relative to the training's.", type=click.FloatRange(0.25, 4))
@_setting("size", "Long side, or width x height.", type=SIZE, shown="the photo's own")
@_setting(
    "color",
    "Colours of the style, or kept from the photo: wholly, by luma, by histogram.",
    type=click.Choice(COLOR_MODES),
)
@mask_option
@_setting("engine", "torch as it is, or compiled.", type=click.Choice(FAST_ENGINES))
@click.option(
    "--batch",
    type=click.IntRange(1),
    metavar="N",
    help="Photos of one size at once.  [default: 1 on a CPU, 8 on a GPU]",
)
@file_options
@run_options
@talk_options
@click.pass_context
def fast_stylize(
    ctx: click.Context,
    styles: tuple[str, ...],
    masks: tuple[str, ...],
    batch: int | None,
    files: FileOptions,
    run: RunOptions,
    talk: TalkOptions,
    **settings: Any,
) -> None:
    """Paint photos in a trained style: one pass of a network each.

    PHOTO is a file, a folder, a glob or - for standard input. Under torchrun, each process takes
    its share of the files.

    \b
    cnnart fast-stylize photo.jpg --style my.safetensors
    cnnart fast-stylize photos/ --style udnie:2 --style waves -o painted/
    """
    from cnnart.cli.paint import check_options
    from cnnart.jobs.fast_stylizing import make_fast_recipe, parse_trained
    from cnnart.jobs.recipe import parse_mask

    check_options(files, talk)
    recipe = make_fast_recipe(
        [parse_trained(text) for text in styles],
        [parse_mask(text) for text in masks],
        settings,
        batch,
    )
    ctx.exit(_work(recipe, files, run, talk))


def _work(recipe: Any, files: FileOptions, run: RunOptions, talk: TalkOptions) -> int:
    from cnnart.jobs.files import expand
    from cnnart.jobs.naming import plan

    tasks = plan(
        expand(files.photos, recursive=files.recursive),
        files.output,
        style=recipe.label,
        format=files.format,
        protected=recipe.files(),
    )
    from cnnart.engine import Engine
    from cnnart.fast.distributed import shared
    from cnnart.jobs.batch import Habits
    from cnnart.jobs.fast_batch import FastBatch
    from cnnart.jobs.progress import make_reporter
    from cnnart.jobs.report import Plain
    from cnnart.jobs.writing import Writing

    given = {name: value for name, value in vars(run).items() if value is not None}
    studio = recipe.studio(
        Engine(**given), Writing(files.quality, files.metadata, files.max_pixels)
    )
    reporter = make_reporter(quiet=talk.quiet, json_lines=talk.json, paths=files.output != "-")
    if len(tasks) > 1 and not (talk.quiet or talk.json):
        reporter = Plain()  # a header and a bar for each would be in each other's way
    habits = Habits(files.skip_existing, quiet=talk.quiet, debug=talk.debug)
    with shared(tasks) as mine:
        return FastBatch(studio, reporter, habits).run(mine)
