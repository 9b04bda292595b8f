"""``cnnart inspect occlusion``."""

from __future__ import annotations

import click

from cnnart.cli.inspect.options import InspectOptions, inspect_options
from cnnart.cli.inspect.target import target_options


@click.command("occlusion")
@click.argument("photo", metavar="PHOTO")
@target_options
@click.option(
    "--window",
    type=click.IntRange(1),
    metavar="N",
    help="Side of the square, in pixels of what the network sees.  [default: a fifth of it]",
)
@click.option(
    "--stride",
    type=click.IntRange(1),
    metavar="N",
    help="From place to place, in the same pixels.  [default: a quarter of the window]",
)
@inspect_options(backbone="efficientnet-lite0")
def occlusion(
    photo: str,
    named: str | None,
    layer: str | None,
    channel: int | None,
    window: int | None,
    stride: int | None,
    options: InspectOptions,
) -> None:
    """Slide a grey square over PHOTO and draw how much the network misses what it hides.

    The heat map shows, per pixel, the mean drop of the class's probability (or of a unit's
    activation) over the squares that hide it.

    \b
    cnnart inspect occlusion photo.jpg
    cnnart inspect occlusion photo.jpg --class espresso --window 32 --stride 8
    cnnart inspect occlusion photo.jpg --backbone vgg19 --layer relu5_3 --channel 40
    """
    from cnnart.cli.inspect.photo import one_photo
    from cnnart.inspect.asked import Asked

    asked = Asked(named, layer, channel)
    source, inputs = one_photo(photo)
    output = options.target(f"{source.stem}-occlusion", inputs)

    from cnnart.image import read_image
    from cnnart.inspect.occlusion import Occluder, occlusion_report
    from cnnart.inspect.result import deliver
    from cnnart.inspect.target import choose_target
    from cnnart.inspect.view import view_of

    picture = read_image(source.open()).rgb
    network = options.open_network(classifier=layer is None)
    view = view_of(network, picture)
    target = choose_target(network, view.seen, asked)
    work = Occluder(target.value, view.seen, window, stride)
    for _ in options.track(work.parts(), work.rounds, "hiding"):
        pass
    deliver(occlusion_report(work.result(), view, target), output, options.json, inputs)
