"""``cnnart inspect occlusion``."""

from __future__ import annotations

from typing import Any

import click
import cloup

from cnnart.cli.inspect.options import InspectOptions, inspect_options, target_options
from cnnart.cli.options import section, take
from cnnart.commands.inspect import occlusion_of, one_photo


@cloup.command("occlusion")
@cloup.argument("photo", metavar="PHOTO")
@target_options
@section(
    "Square",
    cloup.option(
        "--window",
        type=click.IntRange(1),
        metavar="N",
        help="Side of the square, in pixels of what the network sees.  [default: a fifth of it]",
    ),
    cloup.option(
        "--stride",
        type=click.IntRange(1),
        metavar="N",
        help="From place to place, in the same pixels.  [default: a quarter of the window]",
    ),
)
@inspect_options(backbone="efficientnet-lite0")
def occlusion(
    photo: str,
    named: str | None,
    layer: str | None,
    channel: int | None,
    window: int | None,
    stride: int | None,
    **given: Any,
) -> None:
    """Slide a gray square over PHOTO and draw how much the network misses what it hides.

    The heat map shows, per pixel, the mean drop of the class's probability (or of a unit's
    activation) over the squares that hide it.

    \b
    cnnart inspect occlusion photo.jpg
    cnnart inspect occlusion photo.jpg --class espresso --window 32 --stride 8
    cnnart inspect occlusion photo.jpg --backbone vgg19 --layer relu5_3 --channel 40
    """
    options = take(given, InspectOptions)

    from cnnart.methods.inspect.target import TargetQuery

    query = TargetQuery(named, layer, channel)
    source, inputs = one_photo(photo)
    output = options.target(f"{source.stem}-occlusion", inputs)

    picture = options.read(source)
    network = options.open_network(classifier=layer is None)
    work, conclude = occlusion_of(picture, network, query, window, stride)
    options.work(work.parts(), work.rounds, "hiding")
    options.deliver(conclude(), output, inputs)
