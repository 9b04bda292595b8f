"""``cnnart dream``."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import click
import cloup

from cnnart.cli.options import (
    PresetCommand,
    check_options,
    file_options,
    keep_preset,
    photos_argument,
    plan_tasks,
    runtime_options,
    save_preset_option,
    section,
    show_mask_option,
    split,
    talk_options,
    work_through,
)
from cnnart.cli.types import LayersType, PresetType, setting_option
from cnnart.commands.dream import Dream, find_guide, parse_place
from cnnart.commands.flight import Flight
from cnnart.commands.style_args import check_shown, parse_masks
from cnnart.commands.visualize import FromNoise, LayerSheet
from cnnart.errors import UsageError
from cnnart.methods.dream.config import DreamConfig, FlightConfig
from cnnart.methods.dream.presets import DREAMS
from cnnart.settings import layer_weights

FLIGHT = ("zoom", "rotate", "fps", "loop")  # what needs --frames


def _setting(name: str, *flags: str, **more: Any) -> Any:
    return setting_option(DreamConfig, name, *flags, **more)


def _list_presets(ctx: click.Context, param: click.Parameter, value: bool) -> None:
    """For ``--list-presets``: what ``--preset`` takes."""
    if not value or ctx.resilient_parsing:
        return
    width = max(map(len, DREAMS))
    for name, preset in DREAMS.items():
        click.echo(f"{name:<{width}}  {preset.description}")
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
@file_options
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
    """Let a network paint what it sees into photos.

    PHOTO is a file, a folder, a glob or - for standard input. Ctrl-C stops and saves the picture so
    far.

    \b
    cnnart dream photo.jpg
    cnnart dream photo.jpg --preset birds --size 1024 -o out.jpg
    cnnart dream photo.jpg --layer relu3_3 --strength 0.3
    cnnart dream photo.jpg --guide flowers.jpg --mask sky.png
    cnnart dream --sheet relu4_3 --channels 0-63
    cnnart dream photo.jpg --frames 60 --zoom 1.03 -o flight.webp
    """
    files, run, talk = split(given)
    check_options(files, talk)
    settings = {name: value for name, value in given.items() if value not in (None, ())}
    flight = {name: settings.pop(name) for name in FLIGHT if name in settings}
    if flight and frames is None:
        raise UsageError(f"--{next(iter(flight))} is for flights: also say --frames N.")
    command: Dream | Flight | FromNoise | LayerSheet
    if sheet or source == "noise":
        if files.photos or frames:
            raise UsageError("--sheet and --from noise start from nothing: no PHOTO, no --frames.")
        settings = parsed(settings)
        command = LayerSheet.make(sheet, settings) if sheet else FromNoise.make(settings)
    else:
        command = command_of(**settings)
        if not files.photos:
            raise UsageError(
                "No PHOTO given; without one there are --from noise and --sheet LAYER."
            )
        if frames is not None:
            command = Flight(command, FlightConfig(frames=frames, **flight))
    if isinstance(command, Dream):
        tasks = plan_tasks(command, files)
        check_shown([command.mask], tasks)
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


def command_of(
    guide: str | None = None,
    mask: str | None = None,
    show_mask: str | None = None,
    **settings: Any,
) -> Dream:
    """The command that the options ask for where photos are dreamed of, but for the shared ones."""
    masks = parse_masks([mask] if mask else [], show_mask)
    return Dream.make(
        parsed(settings), find_guide(guide) if guide else None, masks[0] if masks else None
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
