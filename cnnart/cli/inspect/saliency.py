"""``cnnart inspect saliency``."""

from __future__ import annotations

from typing import Any

import click
import cloup

from cnnart.cli.inspect.options import InspectOptions, inspect_options, target_options
from cnnart.cli.options import section, take
from cnnart.cli.types import setting_option
from cnnart.commands.inspect import one_photo, saliency_of
from cnnart.errors import UsageError
from cnnart.methods.inspect.config import SALIENCY_METHODS, SaliencyConfig
from cnnart.settings import make_config

ALL = "all"
DEFAULT = ("gradient", "guided-backprop", "smoothgrad", "grad-cam")


@cloup.command("saliency")
@cloup.argument("photo", metavar="PHOTO")
@section(
    "Basic",
    cloup.option(
        "-m",
        "--method",
        "methods",
        multiple=True,
        type=click.Choice([*SALIENCY_METHODS, ALL]),
        help="How; several are shown side by side; integrated-gradients needs captum."
        f"  [default: {', '.join(DEFAULT)}]",
    ),
    cloup.option("--mask", is_flag=True, help="Cut the object out by each map, as GrabCut does."),
    cloup.option(
        "--score",
        is_flag=True,
        help="Deletion and insertion scores, beside those of a random map.",
    ),
)
@target_options
@section(
    "Expert",
    cloup.option(
        "--cam-layer",
        metavar="NAME",
        help="Where grad-cam looks.  [default: the network's last map]",
    ),
    setting_option(SaliencyConfig, "samples"),
    setting_option(SaliencyConfig, "noise"),
    setting_option(SaliencyConfig, "steps"),
)
@inspect_options(backbone="efficientnet-lite0")
def saliency(
    photo: str,
    methods: tuple[str, ...],
    named: str | None,
    layer: str | None,
    channel: int | None,
    mask: bool,
    score: bool,
    cam_layer: str | None,
    **given: Any,
) -> None:
    """Draw which pixels of PHOTO a class, or a channel of a layer, depends on.

    \b
    cnnart inspect saliency photo.jpg
    cnnart inspect saliency photo.jpg --class espresso --method all --score
    cnnart inspect saliency photo.jpg --method smoothgrad --mask
    """
    options = take(given, InspectOptions)

    from cnnart.methods.inspect.target import TargetQuery

    query = TargetQuery(named, layer, channel)
    if score and layer is not None:
        raise UsageError("--score follows a class's probability: leave --layer out.")
    source, inputs = one_photo(photo)
    output = options.target(f"{source.stem}-saliency", inputs)
    chosen = SALIENCY_METHODS if ALL in methods else methods or DEFAULT
    config = make_config(SaliencyConfig, {**given, "seed": options.seed})

    picture = options.read(source)
    network = options.open_network(classifier=layer is None)
    report = saliency_of(picture, network, query, config, cam_layer, mask=mask, score=score)
    options.work(report.parts(chosen), len(chosen), "asking")
    options.deliver(report.result(), output, inputs)
