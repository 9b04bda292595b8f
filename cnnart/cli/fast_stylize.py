"""``cnnart fast-stylize``."""

from __future__ import annotations

import time
from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

import click
import cloup

from cnnart.cli.options import (
    FileOptions,
    RunOptions,
    TalkOptions,
    batch_options,
    check_options,
    file_options,
    make_reporter,
    make_runtime,
    mask_option,
    photos_argument,
    plan_tasks,
    runtime_options,
    section,
    split,
    style_option,
    talk_options,
    with_timings,
)
from cnnart.cli.types import setting_option
from cnnart.commands.fast_stylize import FastStylize, parse_trained
from cnnart.commands.style_args import parse_mask
from cnnart.methods.fast.config import FastConfig

if TYPE_CHECKING:
    from cnnart.run.outputs import Task


def _setting(name: str, **more: Any) -> Any:
    return setting_option(FastConfig, name, **more)


@cloup.command("fast-stylize")
@photos_argument()
@section(
    "Basic",
    style_option(
        "A trained style's name (`cnnart styles list`), a checkpoint, or FILE:NAME in one of "
        "several. Several blend."
    ),
    _setting("strength"),
    _setting("stroke"),
    _setting("size"),
)
@section("Color and place", _setting("color"), mask_option)
@file_options
@section(
    "Expert",
    _setting("engine"),
    cloup.option(
        "--batch",
        type=click.IntRange(1),
        metavar="N",
        help="Photos of one size to compute at once.  [default: as suits the device]",
    ),
)
@runtime_options(without=("backbone", "time_budget"))
@talk_options(without=("save_every", "preview"))
@click.pass_context
def fast_stylize(
    ctx: click.Context,
    styles: tuple[str, ...],
    masks: tuple[str, ...],
    batch: int | None,
    **given: Any,
) -> None:
    """Paint photos in a trained style: one pass of a network each.

    PHOTO is a file, a folder, a glob or - for standard input. Under torchrun, each process takes
    its share of the files.

    \b
    cnnart fast-stylize photo.jpg --style great-wave
    cnnart fast-stylize photos/ --style udnie:2 --style starry-night -o painted/
    cnnart fast-stylize photo.jpg --style my.safetensors --strength 0.8 --color keep
    """
    files, run, talk = split(given)
    check_options(files, talk)
    command = FastStylize.make(
        [parse_trained(text) for text in styles],
        [parse_mask(text) for text in masks],
        given,
        batch,
    )
    ctx.exit(_work_through(command, plan_tasks(command, files), files, run, talk))


def _work_through(
    command: FastStylize,
    tasks: Sequence[Task],
    files: FileOptions,
    run: RunOptions,
    talk: TalkOptions,
) -> int:
    until = {"command line": time.time()}
    from cnnart.methods.fast.torchrun_env import shared
    from cnnart.run.prefetch import PrefetchingBatch
    from cnnart.run.report import Plain

    runtime = make_runtime(run, max_pixels=files.max_pixels)
    until["imports"] = time.time()
    runtime.open_ahead()
    open_one = command.open(runtime)
    until["styles"] = time.time()
    reporter = make_reporter(talk, paths=files.output != "-")
    if len(tasks) > 1 and not (talk.quiet or talk.json):
        reporter = Plain()  # a header and a bar for each would be in each other's way
    if talk.debug:
        reporter = with_timings(reporter, runtime, until)
    options, size = batch_options(files, talk), command.batch_size(runtime)
    with shared(tasks) as mine:
        return PrefetchingBatch(open_one, reporter, options, size).run(mine)
