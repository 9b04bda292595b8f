"""``cnnart stylize``."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import click
import cloup

from cnnart.cli.clips import (
    check_for_clips,
    clip_options,
    clip_settings_in,
    plan_photos_and_clips,
    take_clip_config,
)
from cnnart.cli.options import (
    PresetCommand,
    check_options,
    each_style_by_itself,
    each_style_option,
    keep_preset,
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
from cnnart.cli.types import PresetType, setting_option
from cnnart.commands.clips import check_clip_masks
from cnnart.commands.style_args import check_shown, parse_masks, parse_style
from cnnart.commands.stylize import Stylize
from cnnart.errors import UsageError
from cnnart.files import as_path, obstacle
from cnnart.methods.stylize.config import FAST_IS_FOR_PHOTOS, PRESETS, STARTS, StylizeConfig


def _setting(name: str, **more: Any) -> Any:
    return setting_option(StylizeConfig, name, **more)


@cloup.command("stylize", cls=PresetCommand)
@photos_argument()
@section(
    "Basic",
    style_option(
        "A picture, or the name of a built-in style (`cnnart styles list`). Several blend."
    ),
    each_style_option,
    _setting("strength"),
    _setting("size"),
    _setting("preset", type=PresetType(tuple(PRESETS)), metavar=f"{'|'.join(PRESETS)}|NAME"),
    save_preset_option,
    _setting("style_scale"),
    _setting("seed"),
)
@section("Color and place", _setting("color"), _setting("faces"), mask_option, show_mask_option)
@clip_options
@photo_and_clip_options
@section(
    "Expert",
    cloup.option(
        "--init",
        metavar="|".join([*STARTS, "FILE"]),
        help="What to start from: the photo, noise, what fast-stylize paints, or a picture.  "
        f"[default: {StylizeConfig.init}]",
    ),
    _setting("optimizer"),
    _setting("steps"),
    _setting("content_weight"),
    _setting("style_weight"),
    _setting("tv_weight"),
    _setting("palette_weight"),
    _setting("content_layers"),
    _setting("style_layers"),
    _setting("statistic"),
    _setting("pooling"),
)
@runtime_options()
@talk_options()
@click.pass_context
def stylize(ctx: click.Context, **given: Any) -> None:
    """Paint photos and clips in the style of one picture, or a blend of several.

    PHOTO is a file, a folder, a glob or - for standard input; also a clip (.mp4, .mov, .mkv, .webm,
    .gif, ...), whose frames are each held to the one before. Ctrl-C stops and saves the picture, or
    the clip, so far.

    \b
    cnnart stylize photo.jpg --style night-swirls
    cnnart stylize photo.jpg --style painting.jpg --size 1024 -o out.jpg
    cnnart stylize photos/ --recursive --style sea-mosaic:2 --style river-dots -o painted/
    cnnart stylize photos/ --each-style --style sea-mosaic --style river-dots -o painted/
    cnnart stylize clip.mp4 --style night-swirls --preset draft --size 512 -o out.mp4
    """
    files, run, talk = split(given)
    asked = clip_settings_in(given)
    command = command_of(**given)
    check_options(files, talk)
    tasks = plan_photos_and_clips(command, files, asked)
    if any(task.is_clip for task in tasks):
        check_for_clips(run, talk)
        if given["init"] == "fast":
            raise UsageError(FAST_IS_FOR_PHOTOS)
    masks = parse_masks(given["masks"], given["show_mask"])
    check_shown(masks, tasks)
    check_clip_masks(masks, tasks)
    keep_preset(ctx, files, talk)
    ctx.exit(work_through(command, tasks, files, run, talk))


def command_of(
    styles: tuple[str, ...],
    masks: tuple[str, ...] = (),
    show_mask: str | None = None,
    init: str | None = None,
    each_style: bool = False,
    **given: Any,
) -> Any:
    """The command that the options ask for, but for the shared ones."""
    start = None if init in (None, *STARTS) else picture_to_start_from(str(init))
    given["init"] = init if init in STARTS else None
    clip = take_clip_config(given)
    make: Any = each_style_by_itself(Stylize.make) if each_style else Stylize.make
    return make(
        [parse_style(text) for text in styles], parse_masks(masks, show_mask), given, start, clip
    )


def picture_to_start_from(name: str) -> Path:
    """The file given with --init. Raises UsageError if there is none."""
    path = as_path(name)
    if why := obstacle(path):
        raise UsageError(
            f"--init {name!r}: neither content, noise, fast nor a file that is there ({why})."
        )
    return path
