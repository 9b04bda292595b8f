"""``cnnart inspect layers``."""

from __future__ import annotations

from typing import TYPE_CHECKING

import click
import cloup

from cnnart.cli.lines import say
from cnnart.cli.table import add_row, echo_table
from cnnart.errors import UsageError

if TYPE_CHECKING:
    from rich.table import Table

    from cnnart.methods.inspect.layers import LayerFacts


MOST_PIXELS = 1 << 16  # each way: networks of one's own are run on such a picture


@cloup.command("layers")
@cloup.argument("backbone", default="efficientnet-lite0", metavar="[BACKBONE]")
@cloup.option(
    "--size",
    type=click.IntRange(1, MOST_PIXELS),
    metavar="N",
    help="Side of the picture that the shapes are given for.  [default: 224, or as trained]",
)
@cloup.option("--whole", is_flag=True, help="With its classes: of a VGG or AlexNet, all of it.")
@cloup.option("-o", "--output", metavar="OUT.html", help="Write the list as a page.")
@cloup.option("--json", "as_json", is_flag=True, help="As one JSON object.")
@cloup.option("--offline", is_flag=True, help="Never download anything.")
def layers(
    backbone: str,
    size: int | None,
    whole: bool,
    output: str | None,
    as_json: bool,
    offline: bool,
) -> None:
    """List the layers of BACKBONE [efficientnet-lite0]: shapes, strides, receptive fields.

    BACKBONE is vgg19, alexnet or efficientnet-lite0 (part of cnnart), any classification network
    of torchvision (resnet50, googlenet, ...), or your own MODULE:FUNCTION.
    """
    from cnnart.commands.inspect import check_output, deliver, is_page

    if output is not None:
        if not is_page(output):
            raise UsageError(f"{output!r} is no page: a list of layers goes to a file in .html.")
        check_output(output)

    from cnnart.methods.inspect.layers import describe_layers, layers_report
    from cnnart.methods.inspect.report import json_line
    from cnnart.networks.zoo import open_network

    network = open_network(backbone, offline=offline, classifier=whole)
    side = size or int(getattr(network, "input_size", 224))
    rows = describe_layers(network, side)
    report = layers_report(network, side, rows)
    if output is not None:
        say(deliver(report, output, as_json=as_json))
        return
    if as_json:
        click.echo(json_line(report.numbers))
        return
    echo_table(_table(rows, side))


def _table(rows: list[LayerFacts], side: int) -> Table:
    from rich.table import Table

    table = Table(box=None, pad_edge=False, header_style="bold")
    table.add_column("layer", no_wrap=True)
    table.add_column("kind", no_wrap=True)
    for head in ("channels", "stride", "sees", f"at {side} x {side}"):
        table.add_column(head, justify="right", no_wrap=True)
    for row in rows:
        sees = "all" if row.receptive_field is None else f"{row.receptive_field} px"
        add_row(
            table,
            row.name,
            row.kind,
            str(row.channels),
            str(row.stride or ""),
            sees if row.local or row.receptive_field is None else f"{sees} + all",
            " x ".join(map(str, row.shape)),
        )
    return table
