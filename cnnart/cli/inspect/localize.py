"""``cnnart inspect localize``."""

from __future__ import annotations

from functools import partial
from pathlib import Path
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
from cnnart.errors import UsageError
from cnnart.methods.inspect.config import LocalizeConfig
from cnnart.settings import make_config


@cloup.command("localize")
@cloup.argument("photos", metavar="PHOTO|FOLDER...", nargs=-1, required=True)
@section(
    "Basic",
    cloup.option(
        "--class",
        "named",
        metavar="NAME",
        help="Where is this class: its name, index or WordNet id.  [default: the likeliest]",
    ),
    setting_option(LocalizeConfig, "method"),
    setting_option(LocalizeConfig, "threshold"),
    recursive_option,
)
@section(
    "Evaluation",
    cloup.option(
        "--evaluate",
        "boxes",
        type=click.Path(dir_okay=False, path_type=Path),
        metavar="FILE",
        help="Compare with the boxes in FILE: lines of photo,left,top,right,bottom[,class].",
    ),
)
@inspect_options("efficientnet-lite0", seed=False)
@click.pass_context
def localize(
    ctx: click.Context,
    photos: tuple[str, ...],
    named: str | None,
    recursive: bool,
    boxes: Path | None,
    **given: Any,
) -> None:
    """Name what PHOTO shows and draw one box around it.

    The box is around the largest region of the class's activation map. --evaluate counts how often
    the center of the true box lies inside it, and how far the two overlap.

    \b
    cnnart inspect localize photo.jpg
    cnnart inspect localize photos/ -r -o boxes.html
    cnnart inspect localize photos/ --evaluate boxes.csv --json
    """
    options = take(given, InspectOptions)
    config = make_config(LocalizeConfig, given)

    from cnnart.commands.boxes_file import read_boxes

    truths = read_boxes(boxes) if boxes else {}
    items, output = photos_of(
        photos, "localized", options, recursive=recursive, inputs=[boxes] if boxes else []
    )

    from cnnart.methods.inspect.localize import LocalizationScore, finding
    from cnnart.methods.inspect.series import PhotoSeries
    from cnnart.methods.inspect.target import find_class

    score = LocalizationScore(truths)
    if truths and not any(score.of(item.name) for item in items):
        others = " or the others" if len(items) > 1 else ""
        raise UsageError(
            f"{boxes} has no box for {items[0].name}{others}: it names {next(iter(truths))}."
        )
    network = options.open_network(classifier=True)
    index = None if named is None else find_class(network, named)
    look = partial(finding, network, config, index, score)
    series = PhotoSeries(look, alone=len(items) == 1)

    def title() -> tuple[str, dict[str, Any]]:
        text = f"Localization: {network.name}, {config.method}"
        if not score.overlaps:
            return text, {"boxes": 0} if truths else {}
        options.say(score.text())
        return (text, {}) if series.alone else (f"{text}\n{score.text()}", score.numbers())

    ctx.exit(look_at_photos(series, items, output, options, title))
