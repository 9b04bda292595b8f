"""``cnnart inspect segment``."""

from __future__ import annotations

from functools import partial
from typing import Any

import click
import cloup

from cnnart.cli.inspect.options import (
    InspectOptions,
    inspect_options,
    look_at_photos,
    photos_of,
)
from cnnart.cli.options import recursive_option, section, take

NETWORKS = (
    "The network: subject or person (part of cnnart), or torchvision's deeplabv3, fcn or lraspp "
    "(the 20 kinds of things of Pascal VOC), downloaded once."
)


@cloup.command("segment")
@cloup.argument("photos", metavar="PHOTO|FOLDER...", nargs=-1, required=True)
@section("Basic", recursive_option)
@inspect_options("subject", NETWORKS, precision=False, seed=False)
@click.pass_context
def segment(ctx: click.Context, photos: tuple[str, ...], recursive: bool, **given: Any) -> None:
    """Give each pixel of PHOTO a class, and draw the classes in color over it, with a legend.

    \b
    cnnart inspect segment photo.jpg
    cnnart inspect segment photo.jpg --backbone person
    cnnart inspect segment photos/ --backbone deeplabv3 --json
    """
    options = take(given, InspectOptions)
    items, output = photos_of(photos, "segmented", options, recursive=recursive)

    from cnnart.methods.inspect.segment import segmentation_finding
    from cnnart.methods.inspect.series import PhotoSeries
    from cnnart.networks.segmentation import open_segmenter

    segmenter = open_segmenter(
        options.backbone, device=options.pick_device(), offline=options.offline
    )
    series = PhotoSeries(partial(segmentation_finding, segmenter), alone=len(items) == 1)

    def title() -> tuple[str, dict[str, Any]]:
        return f"Segmentation: {segmenter.name}", {"network": segmenter.name}

    ctx.exit(look_at_photos(series, items, output, options, title))
