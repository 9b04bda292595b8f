"""``cnnart inspect classify``."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

import click

from cnnart.cli.inspect.folders import recursive_option, tell_failures, without
from cnnart.cli.inspect.options import InspectOptions, inspect_options
from cnnart.errors import ImageError

if TYPE_CHECKING:
    from cnnart.inspect.classify import Tally, Verdict
    from cnnart.inspect.streaming import Item


@click.command("classify")
@click.argument("photos", metavar="PHOTO|FOLDER...", nargs=-1, required=True)
@recursive_option
@inspect_options("efficientnet-lite0")
@click.pass_context
def classify(
    ctx: click.Context, photos: tuple[str, ...], recursive: bool, options: InspectOptions
) -> None:
    """Name what is on photos, and count how often that is right.

    A photo's class is known where its name begins with a WordNet id (n01440764_tench.jpg) or its
    folder is called like the class (zebra/1.jpg with -r); then the accuracy is printed too. With
    -o, the photos and their likeliest classes are drawn on a sheet.
    """
    from cnnart.inspect.folder import find_items

    items = find_items(photos, recursive=recursive)
    if options.output:
        output = options.target("", [photo for photo in photos if Path(photo).is_file()])
        items = without(items, output)
    ctx.exit(_run(items, options))


def _run(items: list[Item], options: InspectOptions) -> int:
    """Classify, print, draw; returns the exit code."""
    from cnnart.inspect.classify import SHEET, Tally, classify
    from cnnart.inspect.result import json_line
    from cnnart.inspect.streaming import Failures, stream

    network = options.open_network(classifier=True)
    failures, tally = Failures(), Tally()
    shown: list[Verdict] = []
    photos = stream(options.track(items, len(items), "photos"), failures)
    for verdict in classify(network, photos):
        tally.add(verdict)
        if options.output and len(shown) < SHEET:
            shown.append(verdict)
        click.echo(json_line(verdict.row()) if options.json else _line(verdict))
    if len(items) == 1 and failures.found:
        raise ImageError(": ".join(failures.found[0]))
    code = tell_failures(options, failures.found, len(items))
    if not tally.photos:
        return 1
    _conclude(options, tally, shown)
    return code


def _line(verdict: Verdict) -> str:
    """A photo's classes on one line; the right one is marked."""
    guesses = ", ".join(
        f"{g.name}{' (right)' if g.index == verdict.label else ''} {g.probability:.1%}"
        for g in verdict.guesses
    )
    return f"{verdict.photo}: {guesses}"


def _conclude(options: InspectOptions, tally: Tally, shown: list[Verdict]) -> None:
    """The accuracy, and the sheet if one is asked for; the numbers come last."""
    from cnnart.inspect.classify import sheet_of
    from cnnart.inspect.result import deliver, json_line

    if tally.labelled and not options.json:
        click.echo(tally.text())
    if options.output and shown:
        if tally.photos > len(shown):
            options.say(f"The sheet shows the first {len(shown)} of {tally.photos} photos.")
        title = "\n".join([options.backbone] + ([tally.text()] if tally.labelled else []))
        deliver(sheet_of(shown, title, tally.numbers()), options.output, options.json)
    elif options.json:
        click.echo(json_line(tally.numbers()))
