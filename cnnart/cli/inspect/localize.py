"""``cnnart inspect localize``."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import click
import cloup

from cnnart.cli.inspect.options import InspectOptions, inspect_options, photos_of
from cnnart.cli.options import recursive_option, section, take
from cnnart.cli.types import setting_option
from cnnart.errors import ImageError, UsageError
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
@inspect_options(backbone="efficientnet-lite0")
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

    from cnnart.methods.inspect.localize import LocalizationScore, LocalizedPhotos
    from cnnart.methods.inspect.pictures import Failures, stream
    from cnnart.methods.inspect.report import json_line
    from cnnart.methods.inspect.target import find_class

    score = LocalizationScore(truths)
    if truths and not any(score.of(item.name) for item in items):
        others = " or the others" if len(items) > 1 else ""
        raise UsageError(
            f"{boxes} has no box for {items[0].name}{others}: it names {next(iter(truths))}."
        )
    network = options.open_network(classifier=True)
    index = None if named is None else find_class(network, named)
    failures = Failures()
    alone = len(items) == 1
    tell = options.say if alone or output == "-" else options.print
    work = LocalizedPhotos(network, config, index, failures, score, alone=alone)
    for line, numbers in work.rows(stream(options.track(items, len(items), "photos"), failures)):
        tell(json_line(numbers) if options.json and not alone else line)
    if alone and failures.found:
        raise ImageError(": ".join(failures.found[0]))
    code = options.report_failures(failures.found, len(items))
    if not work.photos:
        ctx.exit(1)
    if score.overlaps:
        options.say(score.text())
    options.deliver(work.report(), output)
    ctx.exit(code)
