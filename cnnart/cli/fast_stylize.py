"""``cnnart fast-stylize``."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

import click
import cloup

from cnnart.cli.clips import clip_options, clip_settings_in, plan_photos_and_clips, take_clip_config
from cnnart.cli.options import (
    FileOptions,
    PresetCommand,
    RunOptions,
    TalkOptions,
    caches_for,
    check_options,
    each_style_by_itself,
    each_style_option,
    keep_preset,
    make_reporter,
    make_runtime,
    mask_option,
    photo_and_clip_options,
    photos_argument,
    runtime_options,
    save_preset_option,
    section,
    show_mask_option,
    split,
    style_option,
    talk_options,
    work_through,
)
from cnnart.cli.types import DURATION, PresetType, setting_option
from cnnart.commands.clips import check_clip_masks
from cnnart.commands.fast_stylize import FastStylize, parse_trained
from cnnart.commands.style_args import check_shown, parse_masks
from cnnart.errors import UsageError
from cnnart.methods.fast.config import FastConfig

if TYPE_CHECKING:
    from cnnart.run.outputs import Task


def _setting(name: str, **more: Any) -> Any:
    return setting_option(FastConfig, name, **more)


@cloup.command("fast-stylize", cls=PresetCommand)
@photos_argument()
@section(
    "Basic",
    style_option(
        "A trained style's name (`cnnart styles list`), any picture, a checkpoint, or FILE:NAME in "
        "one of several. Several blend."
    ),
    each_style_option,
    _setting("strength"),
    _setting("stroke"),
    _setting("size"),
    cloup.option("--preset", type=PresetType(), help="Options that --save-preset has kept."),
    save_preset_option,
    cloup.option(
        "--refine",
        type=DURATION,
        metavar="TIME",
        help="First train the style of a picture on these photos for so long: 60s, 5m.",
    ),
    cloup.option(
        "--save-style", metavar="FILE", help="Keep the refined style as this .safetensors."
    ),
)
@section("Color and place", _setting("color"), mask_option, show_mask_option)
@clip_options
@photo_and_clip_options
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
@talk_options(without=("save_every",))
@click.pass_context
def fast_stylize(
    ctx: click.Context,
    refine: float | None,
    save_style: str | None,
    preset: str | None,
    **given: Any,
) -> None:
    """Paint photos and clips in a trained style, or in that of any picture.

    PHOTO is a file, a folder, a glob or - for standard input; also a clip (.mp4, .mov, .mkv, .webm,
    .gif, ...), which keeps its sound, or numbered frames. Under torchrun, each process takes its
    share of the files.

    \b
    cnnart fast-stylize photo.jpg --style great-wave
    cnnart fast-stylize photos/ --style udnie:2 --style starry-night -o painted/
    cnnart fast-stylize photo.jpg --style my.safetensors --strength 0.8 --color keep
    cnnart fast-stylize photo.jpg --style any.safetensors:painting.jpg --refine 60s
    cnnart fast-stylize clip.mp4 --style great-wave --size 720 -o out.mp4
    """
    files, run, talk = split(given)
    check_options(files, talk)
    asked = clip_settings_in(given)
    command = command_of(**given)
    tasks = plan_photos_and_clips(command, files, asked)
    if talk.preview and not any(task.is_clip for task in tasks):
        raise UsageError("`preview` shows the newest frame of a clip, and there is none.")
    masks = parse_masks(given["masks"], given["show_mask"])
    check_shown(masks, tasks)
    check_clip_masks(masks, tasks)
    if save_style and refine is None:
        raise UsageError("`save_style` keeps what `refine` makes: give both.")
    keep_preset(ctx, files, talk)
    if refine is not None:
        with caches_for(files):
            command = _refined(command, tasks, refine, save_style, files, run, talk)
    ctx.exit(work_through(command, tasks, files, run, talk))


def command_of(
    styles: tuple[str, ...],
    masks: tuple[str, ...] = (),
    show_mask: str | None = None,
    batch: int | None = None,
    each_style: bool = False,
    **given: Any,
) -> Any:
    """The command that the options ask for, but for the shared ones."""
    make: Any = each_style_by_itself(FastStylize.make) if each_style else FastStylize.make
    clip = take_clip_config(given)
    trained = [parse_trained(text) for text in styles]
    return make(trained, parse_masks(masks, show_mask), given, batch, clip)


def _refined(
    command: Any,
    tasks: Sequence[Task],
    seconds: float,
    save_style: str | None,
    files: FileOptions,
    run: RunOptions,
    talk: TalkOptions,
) -> FastStylize:
    """The command in a style that was trained further, with a bar meanwhile."""
    from cnnart.commands.refine import Refinement
    from cnnart.run.report import duration

    if not isinstance(command, FastStylize):
        raise UsageError("`refine` is for one style: leave out `each_style`.")
    if any(task.is_clip for task in tasks):
        raise UsageError("`refine` learns from photos, not from clips.")
    photos = [task.source.path for task in tasks if task.source.path]
    if not photos:
        raise UsageError("`refine` learns from photos in files, not from standard input.")
    runtime = make_runtime(run, read_only=files.dry_run)
    work = Refinement(command, photos, seconds, runtime, save_style)
    if files.dry_run:
        files.notes.append(f"{work.path} would be trained first, for {duration(seconds)}.")
        return command
    reporter = make_reporter(talk, paths=False)
    reporter.start(work.start(runtime))
    try:
        for step in work.steps():
            reporter.step(step)
    finally:
        reporter.stop()
    return work.finished()
