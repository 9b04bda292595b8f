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
@click.option("--photo", metavar="FILE", help="The photo, if it has moved, or another one.")
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
    from cnnart.cli.paint import paint
    from cnnart.jobs.recipe import parse_style
    from cnnart.jobs.record import read_record_of
    from cnnart.jobs.replay import Replay

    path = Path(picture).expanduser()
    if not path.is_file():
        raise UsageError(f"No such picture: {picture!r}.")
    record = read_record_of(path)
    replay = Replay(record, path.parent, photo=photo, styles=[parse_style(text) for text in styles])
    if not talk.quiet:
        for warning in replay.warnings:
            click.echo(f"cnnart: warning: {warning}", err=True)
    files = FileOptions(
        (replay.photo,),
        output or str(path.with_stem(f"{path.stem}-rerun")),
        quality=record["run"].get("quality"),
    )
    run = replace(
        run,
        backbone=run.backbone or record["run"]["backbone"],
        precision=run.precision or record["run"]["precision"],
    )
    ctx.exit(paint(replay.recipe, files, run, talk, protected=[path]))
