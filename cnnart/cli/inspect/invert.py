"""``cnnart inspect invert``."""

from __future__ import annotations

import click

from cnnart.cli.inspect.options import InspectOptions, inspect_options
from cnnart.config import InvertConfig


@click.command("invert")
@click.argument("photo", metavar="PHOTO")
@click.option(
    "--layers",
    metavar="LAYER,...",
    help="Which, in this order.  [default: relu1_1 to relu5_1, or five of the network's]",
)
@click.option("--gram", is_flag=True, help="From Gram matrices: of each layer and those before it.")
@click.option(
    "--size",
    type=click.IntRange(16),
    default=InvertConfig.size,
    show_default=True,
    help="Long side in pixels.",
)
@click.option(
    "--steps",
    type=click.IntRange(1),
    default=InvertConfig.steps,
    show_default=True,
    help="Evaluations for each layer.",
)
@click.option(
    "--tv-weight",
    type=click.FloatRange(0),
    default=InvertConfig.tv_weight,
    show_default=True,
    help="Smoothness: times as usual.",
)
@inspect_options(backbone="vgg19")
def invert(
    photo: str,
    layers: str | None,
    gram: bool,
    size: int,
    steps: int,
    tv_weight: float,
    options: InspectOptions,
) -> None:
    """Reconstruct PHOTO from what each layer of a network keeps of it.

    Below each picture: how far its pixels are from the photo's (0 to 1), and how far its features
    are, relative to the photo's.

    \b
    cnnart inspect invert photo.jpg
    cnnart inspect invert photo.jpg --gram
    cnnart inspect invert photo.jpg --layers relu4_2,relu5_4 --size 320 --steps 400
    """
    from cnnart.cli.inspect.photo import one_photo

    source, inputs = one_photo(photo)
    output = options.target(f"{source.stem}-inverted", inputs)

    from cnnart.image import read_image
    from cnnart.inspect.inversion import Inversion, inversion_report
    from cnnart.inspect.result import deliver

    picture = read_image(source.open()).rgb
    names = tuple(name.strip() for name in layers.split(",")) if layers else None
    config = InvertConfig(names, size, steps, tv_weight, gram, options.seed)
    work = Inversion(picture, config, options.open_network())
    for _ in options.track(work.steps(), work.total, "inverting"):
        pass
    deliver(inversion_report(work), output, options.json, inputs)
