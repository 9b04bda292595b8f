"""``cnnart weights``: which networks are on this machine, and how to bring others."""

from __future__ import annotations

from pathlib import Path

import click

from cnnart.cli.lines import say, say_path
from cnnart.cli.table import add_row, echo_table
from cnnart.errors import CnnartError, WeightsError


@click.group()
def weights() -> None:
    """List, verify, import and fetch the networks cnnart looks at pictures with.

    vgg19, alexnet and efficientnet-lite0 are part of cnnart: nothing needs to be downloaded.
    """


@weights.command("list")
@click.option("--json", "as_json", is_flag=True, help="Print JSON instead of a table.")
def list_(as_json: bool) -> None:
    """Show the networks: where they come from, whether they are here, size, license.

    Of torchvision's other networks (resnet50, fasterrcnn_resnet50_fpn_v2, ...), which `cnnart
    weights fetch` brings as well, only those that are here are listed.
    """
    from dataclasses import asdict

    from cnnart.weights.store import network_names, status

    rows = [status(name) for name in network_names()]
    if as_json:
        import json

        # The key keeps the spelling that programs know.
        told = [{"licence" if k == "license" else k: v for k, v in asdict(r).items()} for r in rows]
        click.echo(json.dumps(told, indent=2))
        return
    from rich.table import Table

    table = Table("network", "comes from", "here", "size", "licence", box=None, pad_edge=False)
    for row in rows:
        size = f"{row.bytes / 2**20:.0f} MiB" if row.bytes else "?"
        add_row(table, row.name, row.source, row.present, size, row.license)
    echo_table(table)


@weights.command()
@click.argument("name", required=False)
def path(name: str | None) -> None:
    """Print where NAME lies; without NAME, the folder of imported networks."""
    from cnnart.weights.backbones import EMBEDDED
    from cnnart.weights.cache import cached_path
    from cnnart.weights.store import missing, status

    if name is None:
        say_path(cached_path(EMBEDDED).parent)
        return
    found = status(name)
    if found.present == "missing":
        raise WeightsError(missing(name))
    say_path(found.path)


@weights.command()
@click.argument("names", metavar="[NAME]...", nargs=-1)
def verify(names: tuple[str, ...]) -> None:
    """Test checksums: of every NAME, or of all networks on this machine."""
    from cnnart.weights.store import network_names, status
    from cnnart.weights.store import verify as verify_one

    chosen = names or [n for n in network_names() if status(n).present != "missing"]
    failed: list[CnnartError] = []
    for name in chosen:
        try:
            say(f"{name}: ok, {verify_one(name)}")
        except WeightsError as error:
            say(f"{name}: {error}", err=True)
            failed.append(error)
    _raise_if_failed(failed, len(chosen), exit_code=1)


@weights.command("import")
@click.argument(
    "files", metavar="FILE...", nargs=-1, required=True, type=click.Path(path_type=Path)
)
@click.option(
    "--as", "name", metavar="NAME", help="Which network it is, where its content cannot tell."
)
def import_(files: tuple[Path, ...], name: str | None) -> None:
    """Take in FILE (.pth or .safetensors); its content says which network it is, not its name."""
    from cnnart.weights.store import import_file

    failed: list[CnnartError] = []
    for file in files:
        try:
            done = import_file(file, name=name)
        except WeightsError as error:
            if len(files) > 1:
                say(error, err=True)
            failed.append(error)
            continue
        kind = "published file" if done.verified else "not the published file, but its shapes fit"
        say(f"{file.name} is {done.name} ({kind}): {done.path}")
    _raise_if_failed(failed, len(files), exit_code=3)


@weights.command()
@click.argument("names", metavar="NAME...", nargs=-1, required=True)
@click.option("--offline", is_flag=True, help="Never download: fail if the network is not here.")
def fetch(names: tuple[str, ...], offline: bool) -> None:
    """Download NAME through torchvision and verify it.

    Any network of torchvision that classifies, detects or segments will do; of a VGG the
    convolutions are kept apart too.
    """
    from cnnart.weights.store import fetch as fetch_one

    for name in names:
        say(f"{name}: {fetch_one(name, offline=offline)}")


def _raise_if_failed(failed: list[CnnartError], count: int, *, exit_code: int) -> None:
    """The error itself if it was about the only item, else one that counts them."""
    if count == 1 and failed:
        raise failed[0]
    if failed:
        error = WeightsError(f"{len(failed)} of {count} failed, see above.")
        error.exit_code = exit_code
        raise error
