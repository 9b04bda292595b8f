"""``cnnart inspect filters``."""

from __future__ import annotations

from typing import Any

import cloup

from cnnart.cli.inspect.options import InspectOptions, inspect_options
from cnnart.cli.options import section, take
from cnnart.cli.types import setting_option
from cnnart.commands.inspect import one_photo
from cnnart.methods.inspect.config import FiltersConfig
from cnnart.settings import make_config


@cloup.command("filters")
@section(
    "Basic",
    setting_option(FiltersConfig, "layer"),
    setting_option(FiltersConfig, "channels"),
    setting_option(FiltersConfig, "slices"),
    cloup.option(
        "--on", "photo", metavar="PHOTO", help="Show beside each what it finds in a photo."
    ),
)
@inspect_options(backbone="alexnet")
def filters(photo: str | None, **given: Any) -> None:
    """Show the kernels of a convolution: the first layer's in color, deeper ones slice by slice.

    Gray is 0; each kernel is scaled by its own largest weight. With --on, each has beside it its
    activation map: black where it is 0 or less, white at its highest.

    \b
    cnnart inspect filters
    cnnart inspect filters --on photo.jpg --channels 0-15
    cnnart inspect filters --backbone vgg19 --layer conv2_1
    """
    options = take(given, InspectOptions)
    config = make_config(FiltersConfig, given)
    source, inputs = one_photo(photo) if photo else (None, [])
    stem = f"{source.stem}-" if source else ""
    output = options.target(f"{stem}{options.backbone}-filters".replace(":", "-"), inputs)

    from cnnart.methods.inspect.filters import filters_report, show_filters

    picture = options.read(source) if source else None
    network = options.open_network()
    options.deliver(
        filters_report(network, *show_filters(network, config, picture)), output, inputs
    )
