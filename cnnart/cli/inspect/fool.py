"""``cnnart inspect fool``."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import click

from cnnart.cli.inspect.options import InspectOptions, inspect_options
from cnnart.cli.options import setting
from cnnart.config import FoolConfig

LOSSLESS = (".png", ".tif", ".tiff")


def _setting(name: str, help: str, **more: Any) -> Any:
    return setting(FoolConfig, name, help, **more)


@click.command("fool")
@click.argument("photo", metavar="PHOTO")
@click.option(
    "--to",
    "named",
    metavar="CLASS",
    help="What it is to be taken for: name, index or WordNet id.  [default: drawn from --seed]",
)
@click.option(
    "--save",
    type=click.Path(path_type=Path),
    metavar="FILE",
    help="Write the fooled picture itself, at the photo's size: .png or .tiff.",
)
@_setting(
    "confidence",
    "The probability that the class must reach.",
    type=click.FloatRange(0, 1, min_open=True, max_open=True),
)
@_setting("steps", "Evaluations of the network.", type=click.IntRange(1))
@inspect_options(backbone="efficientnet-lite0")
def fool(
    photo: str, named: str | None, save: Path | None, options: InspectOptions, **settings: Any
) -> None:
    """Change PHOTO as little as it takes to be taken for something else.

    The sheet shows the photo, the fooled picture and ten times their difference. The fooled picture
    is made of whole 8-bit levels: saved with --save and opened again, it fools still.

    \b
    cnnart inspect fool photo.jpg --to ostrich
    cnnart inspect fool photo.jpg --to ostrich --save fooled.png
    """
    from cnnart.cli.inspect.photo import one_photo
    from cnnart.errors import UsageError
    from cnnart.inspect.result import check_output

    source, inputs = one_photo(photo)
    output = options.target(f"{source.stem}-fooled-sheet", inputs)
    if save is not None:
        _check_lossless(save)
        check_output(str(save), [*inputs, output])
    config = FoolConfig(**{name: value for name, value in settings.items() if value is not None})

    from cnnart.image import read_image, write_image
    from cnnart.inspect.fooling import Fool, another_class, confirm, fool_report
    from cnnart.inspect.result import deliver
    from cnnart.inspect.target import find_class, likeliest
    from cnnart.networks import class_name

    picture = read_image(source.open()).rgb
    network = options.open_network(classifier=True)
    seen = network.prepare(picture.to(network.device))
    top = likeliest(network, seen, 1)[0][0]
    target = find_class(network, named) if named else another_class(network, top, options.seed)
    if target == top:
        raise UsageError(
            f"{source.name} is seen as {class_name(network.classes, top)} already: "
            "choose another class."
        )
    work = Fool(network, picture, target, config)
    for _ in options.track(work.steps(), config.steps, "fooling"):
        pass
    report = fool_report(network, work)
    if save is not None:
        write_image(save, work.result().picture)
        confirm(network, read_image(save).rgb, target, str(save))
        report.numbers["saved"] = str(save)
    deliver(report, output, options.json, inputs)


def _check_lossless(save: Path) -> None:
    from cnnart.errors import UsageError

    if save.suffix.lower() not in LOSSLESS:
        raise UsageError(
            f"--save {save} would lose the change to compression: end it in .png or .tiff."
        )
