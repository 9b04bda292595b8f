"""``cnnart rerun``."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import click

from cnnart.cli.options import FileOptions, RunOptions, TalkOptions, run_options, talk_options
from cnnart.errors import UsageError


@click.command("rerun")
@click.argument("picture", metavar="PICTURE")
@click.option(
    "-o",
    "--output",
    metavar="OUT",
    help="A file, a folder, a pattern or - for standard output.  [default: PICTURE-rerun.SUFFIX]",
)
@click.option(
    "--photo", metavar="FILE", help="The photo (or exemplar), if it has moved, or another."
)
@click.option(
    "-s", "--style", "styles", multiple=True, metavar="STYLE[:WEIGHT]", help="Likewise the styles."
)
@run_options
@talk_options
@click.pass_context
def rerun(
    ctx: click.Context,
    picture: str,
    output: str | None,
    photo: str | None,
    styles: tuple[str, ...],
    run: RunOptions,
    talk: TalkOptions,
) -> None:
    """Make a picture again from the record that cnnart put into it.

    The photo and the styles are looked for where they were, then beside PICTURE. Network and
    precision are the recorded ones unless given; the device is the best one here.
    """
    from cnnart.cli.paint import check_options, paint, work_through
    from cnnart.jobs.fast_stylizing import parse_trained
    from cnnart.jobs.noise_dreams import NoiseRecipe
    from cnnart.jobs.recipe import parse_style
    from cnnart.jobs.record import read_record_of
    from cnnart.jobs.replay import Replay
    from cnnart.jobs.sheets import SheetRecipe

    path = Path(picture).expanduser()
    if not path.is_file():
        raise UsageError(f"No such picture: {picture!r}.")
    record = read_record_of(path)
    parsers = {"stylize": parse_style, "fast-stylize": parse_trained}
    if styles and record["command"] not in parsers:
        raise UsageError(f"{picture!r} was made by cnnart {record['command']}: it has no --style.")
    anew = {"styles": [parsers[record["command"]](text) for text in styles]} if styles else {}
    replay = Replay(record, path.parent, photo=photo, **anew)
    if not talk.quiet:
        for warning in replay.warnings:
            click.echo(f"cnnart: warning: {warning}", err=True)
    recipe, output = replay.recipe, output or str(path.with_stem(f"{path.stem}-rerun"))
    photos = (replay.photo,) if replay.photo else ()
    files = FileOptions(photos, output, quality=record["run"].get("quality"))
    run = replace(
        run,
        backbone=run.backbone or record["run"]["backbone"],
        precision=run.precision or record["run"]["precision"],
    )
    if isinstance(recipe, NoiseRecipe | SheetRecipe):  # made from nothing: they name themselves
        check_options(files, talk)
        ctx.exit(work_through(recipe.tasks(output), recipe, files, run, talk))
    ctx.exit(paint(recipe, files, run, talk, protected=[path]))
