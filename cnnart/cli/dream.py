"""``cnnart dream``."""

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
from cnnart.cli.values import SIZE
from cnnart.config import COLOR_MODES, DREAM_OBJECTIVES, DreamConfig, FlightConfig

AS_PRESET = "as --preset says"


def _setting(name: str, help: str, *flags: str, **more: Any) -> Any:
    return setting(DreamConfig, name, help, *flags, **more)


def _list_presets(ctx: click.Context, param: click.Parameter, value: bool) -> None:
    """For ``--list-presets``: what ``--preset`` takes."""
    if not value or ctx.resilient_parsing:
        return
    from cnnart.dreaming.presets import DREAMS

    width = max(map(len, DREAMS))
    for name, preset in DREAMS.items():
        click.echo(f"{name:<{width}}  {preset.description}")
    ctx.exit()


@click.command("dream")
@_setting("preset", "What to dream of: see --list-presets.", metavar="NAME")
@click.option(
    "--list-presets",
    is_flag=True,
    is_eager=True,
    expose_value=False,
    callback=_list_presets,
    help="Show the names that --preset takes.",
)
@click.option(
    "-l",
    "--layer",
    "layers",
    multiple=True,
    metavar="LAYER[:WEIGHT],...",
    help=f"Raise these layers instead; negative weights suppress.  [default: {AS_PRESET}]",
)
@click.option(
    "--channel",
    "--channels",
    "channels",
    metavar="N,A-B,...",
    help=f"Only these channels of them.  [default: {AS_PRESET}]",
)
@click.option("--neuron", metavar="X,Y", help="Only the unit at this place: 0.5,0.5 is the middle.")
@click.option("--guide", metavar="PICTURE", help="Dream of what is in this picture.")
@click.option(
    "--mask",
    metavar="MASK",
    help="Where to dream: a picture, white there; or 'alpha' for the photo's own; inverse:MASK "
    "turns it round.",
)
@_setting("strength", "How far it goes; 0: the photo.", type=click.FloatRange(0, 1))
@_setting("size", "Long side, or width x height.", type=SIZE, shown="the photo's own")
@_setting(
    "color",
    "Colours of the dream, or kept from the photo: wholly, by luma, by histogram.",
    type=click.Choice(COLOR_MODES),
)
@file_options
@click.option(
    "--from",
    "source",
    type=click.Choice(("photo", "noise")),
    default="photo",
    help="noise: needs no PHOTO, shows what a layer, channel or preset wants.  [default: photo]",
)
@click.option(
    "--sheet",
    metavar="LAYER",
    help="Needs no PHOTO: what each channel of LAYER (those of --channels) wants, on one sheet.",
)
@click.option("--frames", type=click.IntRange(1), metavar="N", help="Fly into the dream: N frames.")
@setting(FlightConfig, "zoom", "Of --frames, per frame.", type=float)
@setting(FlightConfig, "rotate", "Of --frames: degrees per frame.", type=float)
@setting(FlightConfig, "fps", "Of --frames: frames per second.", type=float)
@click.option("--loop", is_flag=True, help="Of --frames: the end fades into the beginning.")
@_setting("seed", "Of all randomness.", type=int)
@_setting(
    "objective", "Raise squares or means.", type=click.Choice(DREAM_OBJECTIVES), shown=AS_PRESET
)
@_setting("octaves", "Sizes it passes through.", type=click.IntRange(1), shown="as many as help")
@_setting("octave_scale", "From one to the next.", type=click.FloatRange(1.05, 4))
@_setting("steps", "At each octave.", type=click.IntRange(1), shown=AS_PRESET)
@_setting("step_size", "Mean change per step.", type=click.FloatRange(0), shown=AS_PRESET)
@_setting("jitter", "Pixels.", type=click.IntRange(0))
@_setting("smoothing", "Of the gradient: pixels.", type=click.FloatRange(0), shown=AS_PRESET)
@_setting("feather", "Of a mask: share of the long side.", type=click.FloatRange(0, 0.5))
@run_options
@talk_options
@click.pass_context
def dream(
    ctx: click.Context,
    files: FileOptions,
    run: RunOptions,
    talk: TalkOptions,
    **given: Any,
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
    from cnnart.cli.dreams import work_on

    ctx.exit(work_on(given, files, run, talk))


# --sheet and --from noise need none.
next(param for param in dream.params if param.name == "photos").required = False
