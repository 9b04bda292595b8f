"""The options that say what a command asks about: a class, or a channel of a layer."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import click

from cnnart.cli.inspect.options import layer_option
from cnnart.cli.options import Decorator


def target_options(command: Callable[..., Any]) -> Callable[..., Any]:
    """Add --class, --layer and --channel: the arguments of ``cnnart.inspect.asked.Asked``."""
    options: list[Decorator] = [
        click.option(
            "--class",
            "named",
            metavar="NAME",
            help="The class: its name, index or WordNet id.  [default: the likeliest]",
        ),
        layer_option(help="Ask about a channel of this layer instead of a class."),
        click.option(
            "--channel",
            type=click.IntRange(0),
            metavar="N",
            help="The channel: its mean activation counts.  [default: the most active]",
        ),
    ]
    for option in reversed(options):
        command = option(command)
    return command
