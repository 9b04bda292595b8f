"""``cnnart inspect saliency``."""

from __future__ import annotations

from typing import Any

import click

from cnnart.cli.inspect.options import InspectOptions, inspect_options
from cnnart.cli.inspect.target import target_options
from cnnart.cli.options import setting
from cnnart.config import SALIENCY_METHODS, SaliencyConfig

ALL = "all"
DEFAULT = ("gradient", "guided-backprop", "smoothgrad", "grad-cam")


def _setting(name: str, help: str, **more: Any) -> Any:
    return setting(SaliencyConfig, name, help, **more)


@click.command("saliency")
@click.argument("photo", metavar="PHOTO")
@click.option(
    "-m",
    "--method",
    "methods",
    multiple=True,
    type=click.Choice([*SALIENCY_METHODS, ALL]),
    help="How; several are shown side by side; integrated-gradients needs captum."
    f"  [default: {', '.join(DEFAULT)}]",
)
@target_options
@click.option("--mask", is_flag=True, help="Cut the object out by each map, as GrabCut does.")
@click.option(
    "--score", is_flag=True, help="Deletion and insertion scores, beside those of a random map."
)
@click.option(
    "--cam-layer", metavar="NAME", help="Where grad-cam looks.  [default: the network's last map]"
)
@_setting("samples", "Noisy copies for smoothgrad.", type=click.IntRange(1))
@_setting("noise", "Their deviation; pictures span 0 to 1.", type=click.FloatRange(0, 1))
@_setting("steps", "Of the integral of integrated-gradients.", type=click.IntRange(1))
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
    options: InspectOptions,
    **settings: Any,
) -> None:
    """Draw which pixels of PHOTO a class, or a channel of a layer, depends on.

    \b
    cnnart inspect saliency photo.jpg
    cnnart inspect saliency photo.jpg --class espresso --method all --score
    cnnart inspect saliency photo.jpg --method smoothgrad --mask
    """
    from cnnart.cli.inspect.photo import one_photo
    from cnnart.errors import UsageError
    from cnnart.inspect.asked import Asked

    asked = Asked(named, layer, channel)
    if score and layer is not None:
        raise UsageError("--score follows a class's probability: leave --layer out.")
    source, inputs = one_photo(photo)
    output = options.target(f"{source.stem}-saliency", inputs)
    chosen = SALIENCY_METHODS if ALL in methods else methods or DEFAULT
    config = SaliencyConfig(
        **{name: value for name, value in settings.items() if value is not None}, seed=options.seed
    )

    from cnnart.image import read_image
    from cnnart.inspect.result import deliver
    from cnnart.inspect.saliency import SaliencyMaps
    from cnnart.inspect.saliency_report import SaliencyReport
    from cnnart.inspect.target import choose_target
    from cnnart.inspect.view import view_of

    picture = read_image(source.open()).rgb
    network = options.open_network(classifier=layer is None)
    view = view_of(network, picture)
    target = choose_target(network, view.seen, asked)
    maps = SaliencyMaps(network, target, view.seen, config, cam_layer)
    report = SaliencyReport(maps, view, target, mask=mask, score=score)
    for _ in options.track(report.parts(chosen), len(chosen), "asking"):
        pass
    deliver(report.result(), output, options.json, inputs)
