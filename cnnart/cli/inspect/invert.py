"""``cnnart inspect invert``."""

from __future__ import annotations

from typing import Any

import click
import cloup

from cnnart.cli.inspect.options import InspectOptions, inspect_options
from cnnart.cli.options import section, take
from cnnart.cli.types import setting_option
from cnnart.commands.inspect import one_photo
from cnnart.methods.inspect.config import InvertConfig
from cnnart.settings import SMALLEST_SIDE, make_config, setting_of


@cloup.command("invert")
@cloup.argument("photo", metavar="PHOTO")
@section(
    "Basic",
    setting_option(InvertConfig, "layers"),
    cloup.option("--gram", is_flag=True, help=setting_of(InvertConfig, "gram")[1].help),
    setting_option(InvertConfig, "size", type=click.IntRange(SMALLEST_SIDE), metavar="N"),
    setting_option(InvertConfig, "steps"),
    setting_option(InvertConfig, "tv_weight"),
)
@inspect_options(backbone="vgg19")
def invert(photo: str, layers: str | None, **given: Any) -> None:
    """Reconstruct PHOTO from what each layer of a network keeps of it.

    Below each picture: how far its pixels are from the photo's (0 to 1), and how far its features
    are, relative to the photo's.

    \b
    cnnart inspect invert photo.jpg
    cnnart inspect invert photo.jpg --gram
    cnnart inspect invert photo.jpg --layers relu4_2,relu5_4 --size 320 --steps 400
    """
    options = take(given, InspectOptions)
    source, inputs = one_photo(photo)
    output = options.target(f"{source.stem}-inverted", inputs)

    from cnnart.methods.inspect.inversion import Inversion, inversion_report

    picture = options.read(source)
    names = tuple(name.strip() for name in layers.split(",")) if layers else None
    config = make_config(InvertConfig, {**given, "layers": names, "seed": options.seed})
    work = Inversion(picture, config, options.open_network())
    options.work(work.steps(), work.total, "inverting")
    options.deliver(inversion_report(work), output, inputs)
