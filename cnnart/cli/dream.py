"""``cnnart dream``."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import click
import cloup

from cnnart.cli.clips import (
    SETTINGS,
    check_for_clips,
    clip_settings_in,
    plan_photos_and_clips,
    take_clip_config,
)
from cnnart.cli.lines import say
from cnnart.cli.options import (
    PresetCommand,
    check_options,
    keep_preset,
    photo_and_clip_options,
    photos_argument,
    runtime_options,
    save_preset_option,
    section,
    show_mask_option,
    split,
    talk_options,
    work_through,
)
from cnnart.cli.types import LayersType, PresetType, setting_option
from cnnart.commands.clips import check_clip_masks
from cnnart.commands.dream import Dream, find_guide, parse_place
from cnnart.commands.flight import Flight
from cnnart.commands.style_args import check_shown, parse_masks
from cnnart.commands.visualize import FromNoise, LayerSheet
from cnnart.errors import UsageError
from cnnart.methods.dream.config import DreamConfig, FlightConfig
from cnnart.methods.dream.presets import DREAMS
from cnnart.settings import layer_weights
from cnnart.video.config import ClipConfig

FLIGHT = ("zoom", "rotate", "loop")  # what needs --frames
FPS = "Frames a second: of a clip, evenly spaced, or of a flight."


def _setting(name: str, *flags: str, **more: Any) -> Any:
    return setting_option(DreamConfig, name, *flags, **more)


def _list_presets(ctx: click.Context, param: click.Parameter, value: bool) -> None:
    """For ``--list-presets``: what ``--preset`` takes."""
    if not value or ctx.resilient_parsing:
        return
    width = max(map(len, DREAMS))
    for name, preset in DREAMS.items():
        say(f"{name:<{width}}  {preset.description}")
    ctx.exit()


@cloup.command("dream", cls=PresetCommand)
@photos_argument("[PHOTO]...", required=False)
@section(
    "Basic",
    _setting(
        "preset",
        type=PresetType(tuple(DREAMS)),
        help="What to dream of, by name: see --list-presets.",
    ),
    save_preset_option,
    cloup.option(
        "--list-presets",
        is_flag=True,
        is_eager=True,
        expose_value=False,
        callback=_list_presets,
        help="Show the names that --preset takes.",
    ),
    cloup.option("--guide", metavar="PICTURE", help="Dream of what is in this picture."),
    _setting("strength"),
    _setting("size"),
    _setting("seed"),
)
@section(
    "Color and place",
    _setting("color"),
    cloup.option(
        "--mask",
        metavar="MASK",
        help="Where to dream: subject, background, person, face or class:NAME, found in each "
        "photo; a picture, white there; 'alpha' for the photo's own; inverse:MASK turns it round.",
    ),
    show_mask_option,
    _setting("feather"),
)
@section(
    "Layers and channels",
    _setting(
        "layers", "-l", "--layer", "--layers", multiple=True, type=str, metavar=LayersType.name
    ),
    _setting("channels", "--channel", "--channels"),
    _setting("neuron"),
    _setting("objective"),
)
@section(
    "Without a photo",
    cloup.option(
        "--from",
        "source",
        type=click.Choice(("photo", "noise")),
        default="photo",
        help="noise: needs no PHOTO, shows what a layer, channel or preset wants.  "
        "[default: photo]",
    ),
    cloup.option(
        "--sheet",
        metavar="LAYER",
        help="Needs no PHOTO: what each channel of LAYER (those of --channels) wants, on one "
        "sheet.",
    ),
)
@section(
    "Flight",
    cloup.option(
        "--frames", type=click.IntRange(1), metavar="N", help="Fly into the dream: N frames."
    ),
    *(setting_option(FlightConfig, name) for name in FLIGHT),
)
@section(
    "Clips",
    *(
        setting_option(ClipConfig, name, **({"help": FPS} if name == "fps" else {}))
        for name in SETTINGS
    ),
)
@photo_and_clip_options
@section(
    "Expert",
    _setting("octaves"),
    _setting("octave_scale"),
    _setting("steps", help="Steps at each octave; without a photo, in all."),
    _setting("step_size"),
    _setting("jitter"),
    _setting("smoothing"),
)
@runtime_options()
@talk_options()
@click.pass_context
def dream(
    ctx: click.Context, source: str, sheet: str | None, frames: int | None, **given: Any
) -> None:
    """Let a network paint what it sees into photos and clips.

    PHOTO is a file, a folder, a glob or - for standard input; also a clip (.mp4, .mov, .mkv, .webm,
    .gif, ...), each of whose frames dreams on from the one before. Ctrl-C stops and saves the
    picture, or the clip, so far.

    \b
    cnnart dream photo.jpg
    cnnart dream photo.jpg --preset birds --size 1024 -o out.jpg
    cnnart dream photo.jpg --layer relu3_3 --strength 0.3
    cnnart dream photo.jpg --guide flowers.jpg --mask sky.png
    cnnart dream --sheet relu4_3 --channels 0-63
    cnnart dream photo.jpg --frames 60 --zoom 1.03 -o flight.webp
    cnnart dream clip.mp4 --preset birds --size 480 -o out.mp4
    """
    files, run, talk = split(given)
    check_options(files, talk)
    settings = {name: value for name, value in given.items() if value not in (None, ())}
    flight = {name: settings.pop(name) for name in FLIGHT if name in settings}
    if flight and frames is None:
        raise UsageError(f"--{next(iter(flight))} is for flights: also say --frames N.")
    if frames is not None and "fps" in settings:
        flight["fps"] = settings.pop("fps")
    asked = clip_settings_in(settings)
    command: Dream | Flight | FromNoise | LayerSheet
    if sheet or source == "noise":
        if files.photos or frames:
            raise UsageError("--sheet and --from noise start from nothing: no PHOTO, no --frames.")
        check_no_clip(asked)
        settings = parsed(settings)
        command = LayerSheet.make(sheet, settings) if sheet else FromNoise.make(settings)
    else:
        command = command_of(**settings)
        if not files.photos:
            raise UsageError(
                "No PHOTO given; without one there are --from noise and --sheet LAYER."
            )
        if frames is not None:
            check_no_clip(asked)
            command = Flight(command, FlightConfig(frames=frames, **flight))
    if isinstance(command, Dream):
        tasks = plan_photos_and_clips(command, files, asked)
        if any(task.is_clip for task in tasks):
            check_for_clips(run, talk)
        check_shown([command.mask], tasks)
        check_clip_masks([command.mask], tasks)
    else:
        tasks = command.plan(
            files.photos,
            files.output,
            format=files.format,
            options=files.writing,
            recursive=files.recursive,
        )
    keep_preset(ctx, files, talk)
    ctx.exit(work_through(command, tasks, files, run, talk))


def check_no_clip(asked: Sequence[str]) -> None:
    """Raise UsageError where a setting of clips was given, and none can be among the inputs."""
    if asked:
        raise UsageError(f"`{asked[0]}` is for clips, and none is among the inputs.")


def command_of(
    guide: str | None = None,
    mask: str | None = None,
    show_mask: str | None = None,
    **settings: Any,
) -> Dream:
    """The command that the options ask for where photos are dreamed of, but for the shared ones."""
    masks = parse_masks([mask] if mask else [], show_mask)
    clip = take_clip_config(settings)
    return Dream.make(
        parsed(settings), find_guide(guide) if guide else None, masks[0] if masks else None, clip
    )


def parsed(settings: dict[str, Any]) -> dict[str, Any]:
    """The settings that are given, without those that are left to cnnart."""
    found = {name: value for name, value in settings.items() if value not in (None, ())}
    if "layers" in found:
        found["layers"] = parse_layers(found["layers"])
    if "neuron" in found:
        found["neuron"] = parse_place(found["neuron"])
    return found


def parse_layers(texts: Sequence[str]) -> dict[str, float]:
    """``["relu4_2,relu5_1:0.5", "relu3_3:-1"]`` -> weights by layer name; they may be negative."""
    layers = ",".join(texts)
    if not all(item.partition(":")[0].strip() for item in layers.split(",")):
        raise UsageError("A layer's name is missing: write them like relu4_2,relu5_1:0.5.")
    return layer_weights(layers, negative=True)
