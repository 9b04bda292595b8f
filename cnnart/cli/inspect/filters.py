"""``cnnart inspect filters``."""

from __future__ import annotations

import click

from cnnart.cli.inspect.options import InspectOptions, inspect_options, layer_option
from cnnart.config import FiltersConfig


@click.command("filters")
@layer_option(help="A convolution; `cnnart inspect layers BACKBONE` lists them.  [default: first]")
@click.option(
    "--channels",
    metavar="0-63,70",
    help="Which kernels.  [default: all of the first layer, 16 of a deeper one]",
)
@click.option(
    "--slices",
    type=click.IntRange(1),
    default=FiltersConfig.slices,
    show_default=True,
    help="Input channels of a deeper layer that are shown.",
)
@click.option("--on", "photo", metavar="PHOTO", help="Show beside each what it finds in a photo.")
@inspect_options(backbone="alexnet")
def filters(
    layer: str | None,
    channels: str | None,
    slices: int,
    photo: str | None,
    options: InspectOptions,
) -> None:
    """Show the kernels of a convolution: the first layer's in colour, deeper ones slice by slice.

    Grey is 0; each kernel is scaled by its own largest weight. With --on, each has beside it its
    activation map: black where it is 0 or less, white at its highest.

    \b
    cnnart inspect filters
    cnnart inspect filters --on photo.jpg --channels 0-15
    cnnart inspect filters --backbone vgg19 --layer conv2_1
    """
    from cnnart.cli.inspect.photo import one_photo
    from cnnart.jobs.sheets import parse_channels

    chosen = parse_channels(channels) if channels else None
    config = FiltersConfig(layer, chosen, slices)
    source, inputs = one_photo(photo) if photo else (None, [])
    stem = f"{source.stem}-" if source else ""
    output = options.target(f"{stem}{options.backbone}-filters".replace(":", "-"), inputs)

    from cnnart.image import read_image
    from cnnart.inspect.filters import filters_report, show_filters
    from cnnart.inspect.result import deliver

    picture = read_image(source.open()).rgb if source else None
    network = options.open_network()
    shown = show_filters(network, config, picture)
    deliver(filters_report(network, *shown), output, options.json, inputs)
