"""``cnnart inspect classify``."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any

import click
import cloup

from cnnart.cli.inspect.options import InspectOptions, inspect_options
from cnnart.cli.options import recursive_option, section, take
from cnnart.commands.inspect import FolderQuery, find_items
from cnnart.errors import ImageError
from cnnart.files import is_file

if TYPE_CHECKING:
    from cnnart.methods.inspect.classify import Accuracy, Prediction
    from cnnart.methods.inspect.pictures import Item


@cloup.command("classify")
@cloup.argument("photos", metavar="PHOTO|FOLDER...", nargs=-1, required=True)
@section("Basic", recursive_option)
@inspect_options("efficientnet-lite0")
@click.pass_context
def classify(ctx: click.Context, photos: tuple[str, ...], recursive: bool, **given: Any) -> None:
    """Name what is on photos, and count how often that is right.

    A photo's class is known where its name begins with a WordNet id (n01440764_tench.jpg) or its
    folder is called like the class (zebra/1.jpg with -r); then the accuracy is printed too. With
    -o, the photos and their likeliest classes are drawn on a sheet.
    """
    options = take(given, InspectOptions)
    if options.output is None:
        items = find_items(photos, recursive=recursive, warn=options.warn)
    else:
        output = options.target("", [photo for photo in photos if is_file(Path(photo))])
        items = FolderQuery(photos, recursive).items(output, named=True, warn=options.warn)
    ctx.exit(_run(items, options))


def _run(items: list[Item], options: InspectOptions) -> int:
    """Classify, print, draw; returns the exit code."""
    from cnnart.methods.inspect.classify import SHEET, Accuracy, classify
    from cnnart.methods.inspect.pictures import Failures, stream
    from cnnart.methods.inspect.report import json_line

    network = options.open_network(classifier=True)
    failures, accuracy = Failures(), Accuracy()
    shown: list[Prediction] = []
    photos = stream(options.track(items, len(items), "photos"), failures)
    for prediction in classify(network, photos):
        accuracy.add(prediction)
        if options.output and len(shown) < SHEET:
            shown.append(prediction)
        options.print(json_line(prediction.row()) if options.json else prediction.line())
    if len(items) == 1 and failures.found:
        raise ImageError(": ".join(failures.found[0]))
    code = options.report_failures(failures.found, len(items))
    if not accuracy.photos:
        return 1
    _conclude(options, accuracy, shown)
    return code


def _conclude(options: InspectOptions, accuracy: Accuracy, shown: list[Prediction]) -> None:
    """The accuracy, and the sheet if one is asked for; the numbers come last."""
    from cnnart.methods.inspect.classify import classify_report
    from cnnart.methods.inspect.report import json_line

    if accuracy.labelled and not options.json:
        options.print(accuracy.text())
    if options.output and shown:
        if accuracy.photos > len(shown):
            options.say(f"The sheet shows the first {len(shown)} of {accuracy.photos} photos.")
        title = "\n".join([options.backbone] + ([accuracy.text()] if accuracy.labelled else []))
        options.deliver(classify_report(shown, title, accuracy.numbers()), options.output)
    elif options.json:
        options.print(json_line(accuracy.numbers()))
