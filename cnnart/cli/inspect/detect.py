"""``cnnart inspect detect``."""

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
from cnnart.cli.types import setting_option
from cnnart.methods.inspect.config import DetectConfig
from cnnart.settings import make_config

NETWORKS = (
    "The network: blazeface (faces; part of cnnart), or torchvision's fasterrcnn, retinanet, "
    "ssdlite or maskrcnn (the 80 kinds of things of COCO), downloaded once."
)


@cloup.command("detect")
@cloup.argument("photos", metavar="PHOTO|FOLDER...", nargs=-1, required=True)
@section(
    "Basic",
    setting_option(DetectConfig, "score"),
    setting_option(DetectConfig, "most"),
    recursive_option,
)
@inspect_options("blazeface", NETWORKS, precision=False, seed=False)
@click.pass_context
def detect(ctx: click.Context, photos: tuple[str, ...], recursive: bool, **given: Any) -> None:
    """Find faces on PHOTO, or things, and draw a box with its name and score around each.

    maskrcnn colors the pixels of each, too.

    \b
    cnnart inspect detect photo.jpg
    cnnart inspect detect photos/ --json
    cnnart inspect detect street.jpg --backbone maskrcnn --score 0.7 -o street.html
    """
    options = take(given, InspectOptions)
    config = make_config(DetectConfig, given)
    items, output = photos_of(photos, "detected", options, recursive=recursive)

    from cnnart.methods.inspect.detect import detection_finding
    from cnnart.methods.inspect.series import PhotoSeries
    from cnnart.networks.detection import open_detector

    detector = open_detector(
        options.backbone, device=options.pick_device(), offline=options.offline
    )
    series = PhotoSeries(partial(detection_finding, detector, config), alone=len(items) == 1)

    def title() -> tuple[str, dict[str, Any]]:
        return f"Detection: {detector.name}", {"network": detector.name}

    ctx.exit(look_at_photos(series, items, output, options, title))
