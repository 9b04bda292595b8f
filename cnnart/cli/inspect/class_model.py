"""``cnnart inspect class-model``."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import click

from cnnart.cli.inspect.options import InspectOptions, inspect_options
from cnnart.cli.options import setting
from cnnart.config import CLASS_RECIPES, ClassModelConfig

if TYPE_CHECKING:
    from torch import Tensor

    from cnnart.networks import Classifier


def _setting(name: str, help: str, **more: Any) -> Any:
    return setting(ClassModelConfig, name, help, **more)


@click.command("class-model")
@click.option(
    "--class",
    "names",
    metavar="NAME",
    multiple=True,
    required=True,
    help="A class: its name, index or WordNet id. Several are drawn side by side.",
)
@_setting(
    "recipe",
    "What keeps the noise away: a Fourier basis and shaking; blur and clipping; L2 only.",
    type=click.Choice(CLASS_RECIPES),
)
@click.option(
    "--facets",
    type=click.IntRange(1),
    default=1,
    show_default=True,
    help="Pictures of each class, from different starts.",
)
@click.option(
    "--photos",
    metavar="FOLDER",
    help="Photos of the class: the starts are the means of their clusters, one for each facet.",
)
@_setting("steps", "Of gradient ascent.", type=click.IntRange(1), shown="as the recipe says")
@inspect_options(backbone="efficientnet-lite0")
@click.pass_context
def class_model(
    ctx: click.Context,
    names: tuple[str, ...],
    facets: int,
    photos: str | None,
    options: InspectOptions,
    **settings: Any,
) -> None:
    """Draw the picture that a classifier takes for its class most surely.

    \b
    cnnart inspect class-model --class pineapple --class "tree frog" --class castle
    cnnart inspect class-model --class pineapple --recipe simonyan
    cnnart inspect class-model --class "bell pepper" --facets 4 --photos peppers/
    """
    from cnnart.errors import UsageError

    if photos is not None and len(names) > 1:
        raise UsageError("--photos are of one class: give one --class.")
    config = ClassModelConfig(
        **{name: value for name, value in settings.items() if value is not None}, seed=options.seed
    )
    output = options.target(f"{_file_name(names[0])}-class-model")

    from cnnart.inspect.class_model import ClassModel, class_model_report
    from cnnart.inspect.result import deliver
    from cnnart.inspect.target import find_class

    network = options.open_network(classifier=True)
    classes = [find_class(network, name) for name in names for _ in range(facets)]
    seeds = [options.seed + facet for _ in names for facet in range(facets)]
    starts, code = None, 0
    if photos is not None:
        starts, code = _starts(network, photos, facets, options)
    work = ClassModel(network, classes, config, seeds=seeds, starts=starts)
    for _ in options.track(work.steps(), work.count, "drawing"):
        pass
    deliver(class_model_report(work, facets), output, options.json)
    ctx.exit(code)


def _starts(
    network: Classifier, folder: str, facets: int, options: InspectOptions
) -> tuple[Tensor, int]:
    """Pictures to start from, and the exit code: some photos may not be readable."""
    from cnnart.cli.inspect.folders import tell_failures
    from cnnart.inspect.facets import FacetSearch
    from cnnart.inspect.folder import find_items

    search = FacetSearch(network, find_items([folder]))
    for _ in options.track(search.parts(), len(search.items), "photos"):
        pass
    starts = search.starts(facets, seed=options.seed)
    return starts, tell_failures(options, search.failures.found, len(search.items))


def _file_name(text: str) -> str:
    """A class's name as part of a file's."""
    return "".join(letter if letter.isalnum() else "-" for letter in text.lower()).strip("-")
