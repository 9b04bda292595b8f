"""``cnnart inspect class-model``."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import click
import cloup

from cnnart.cli.inspect.options import InspectOptions, inspect_options
from cnnart.cli.options import section, take
from cnnart.cli.types import setting_option
from cnnart.errors import UsageError
from cnnart.methods.inspect.config import ClassModelConfig
from cnnart.settings import make_config

if TYPE_CHECKING:
    from torch import Tensor

    from cnnart.networks.base import Classifier


@cloup.command("class-model")
@section(
    "Basic",
    cloup.option(
        "--class",
        "names",
        metavar="NAME",
        multiple=True,
        required=True,
        help="A class: its name, index or WordNet id. Several are drawn side by side.",
    ),
    setting_option(ClassModelConfig, "recipe"),
    setting_option(ClassModelConfig, "steps"),
)
@section(
    "Facets",
    cloup.option(
        "--facets",
        type=click.IntRange(1),
        default=1,
        show_default=True,
        help="Pictures of each class, from different starts.",
    ),
    cloup.option(
        "--photos",
        metavar="FOLDER",
        help="Photos of the class: the starts are the means of their clusters, one for each facet.",
    ),
)
@inspect_options(backbone="efficientnet-lite0")
@click.pass_context
def class_model(
    ctx: click.Context, names: tuple[str, ...], facets: int, photos: str | None, **given: Any
) -> None:
    """Draw the picture that a classifier takes for its class most surely.

    \b
    cnnart inspect class-model --class pineapple --class "tree frog" --class castle
    cnnart inspect class-model --class pineapple --recipe simonyan
    cnnart inspect class-model --class "bell pepper" --facets 4 --photos peppers/
    """
    options = take(given, InspectOptions)
    if photos is not None and len(names) > 1:
        raise UsageError("--photos are of one class: give one --class.")
    config = make_config(ClassModelConfig, {**given, "seed": options.seed})
    output = options.target(f"{_file_name(names[0])}-class-model")

    from cnnart.methods.inspect.class_model import ClassModel, class_model_report
    from cnnart.methods.inspect.target import find_class

    network = options.open_network(classifier=True)
    classes = [find_class(network, name) for name in names for _ in range(facets)]
    seeds = [options.seed + facet for _ in names for facet in range(facets)]
    starts, code = None, 0
    if photos is not None:
        starts, code = _starts(network, photos, facets, options)
    work = ClassModel(network, classes, config, seeds=seeds, starts=starts)
    options.work(work.steps(), work.count, "drawing")
    options.deliver(class_model_report(work, facets), output)
    ctx.exit(code)


def _starts(
    network: Classifier, folder: str, facets: int, options: InspectOptions
) -> tuple[Tensor, int]:
    """Pictures to start from, and the exit code: some photos may not be readable."""
    from cnnart.commands.inspect import find_items
    from cnnart.methods.inspect.class_model import FacetSearch

    search = FacetSearch(network, find_items([folder], warn=options.warn))
    options.work(search.parts(), len(search.items), "photos")
    starts = search.starts(facets, seed=options.seed)
    return starts, options.report_failures(search.failures.found, len(search.items))


def _file_name(text: str) -> str:
    """A class's name as part of a file's."""
    return "".join(letter if letter.isalnum() else "-" for letter in text.lower()).strip("-")
