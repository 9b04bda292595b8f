"""``cnnart inspect fool``."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import click
import cloup

from cnnart.cli.inspect.options import InspectOptions, inspect_options
from cnnart.cli.options import section, take
from cnnart.cli.types import setting_option
from cnnart.commands.inspect import check_lossless, check_output, one_photo, save_fooled
from cnnart.methods.inspect.config import FoolConfig
from cnnart.settings import make_config


@cloup.command("fool")
@cloup.argument("photo", metavar="PHOTO")
@section(
    "Basic",
    cloup.option(
        "--to",
        "named",
        metavar="CLASS",
        help="What it is to be taken for: name, index or WordNet id.  [default: drawn from --seed]",
    ),
    cloup.option(
        "--save",
        type=click.Path(path_type=Path),
        metavar="FILE",
        help="Write the fooled picture itself, at the photo's size: .png or .tiff.",
    ),
    setting_option(FoolConfig, "confidence"),
    setting_option(FoolConfig, "steps"),
)
@inspect_options(backbone="efficientnet-lite0")
def fool(photo: str, named: str | None, save: Path | None, **given: Any) -> None:
    """Change PHOTO as little as it takes to be taken for something else.

    The sheet shows the photo, the fooled picture and ten times their difference. The fooled picture
    is made of whole 8-bit levels: saved with --save and opened again, it fools still.

    \b
    cnnart inspect fool photo.jpg --to ostrich
    cnnart inspect fool photo.jpg --to ostrich --save fooled.png
    """
    options = take(given, InspectOptions)
    source, inputs = one_photo(photo)
    output = options.target(f"{source.stem}-fooled-sheet", inputs)
    if save is not None:
        check_lossless(save)
        check_output(str(save), [*inputs, output])
    config = make_config(FoolConfig, given)

    from cnnart.methods.inspect.fooling import Fool, choose_class, fool_report

    picture = options.read(source)
    network = options.open_network(classifier=True)
    target = choose_class(network, picture, named, source.name, seed=options.seed)
    work = Fool(network, picture, target, config)
    options.work(work.steps(), config.steps, "fooling")
    report = fool_report(network, work)
    if save is not None:
        save_fooled(save, work)
        report.numbers["saved"] = str(save)
    options.deliver(report, output, inputs)
