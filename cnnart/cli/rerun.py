"""``cnnart rerun``."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import Any

import click
import cloup

from cnnart.cli.options import (
    FileOptions,
    RunOptions,
    TalkOptions,
    check_options,
    plan_tasks,
    runtime_options,
    section,
    take,
    talk_options,
    work_through,
)
from cnnart.errors import UsageError


@cloup.command("rerun")
@cloup.argument("picture", metavar="PICTURE")
@section(
    "Basic",
    cloup.option(
        "-o",
        "--output",
        metavar="OUT",
        help="A file, a folder, a pattern or - for standard output.  "
        "[default: PICTURE-rerun.SUFFIX]",
    ),
    cloup.option(
        "--photo", metavar="FILE", help="The photo (or exemplar), if it has moved, or another."
    ),
    cloup.option(
        "-s",
        "--style",
        "styles",
        multiple=True,
        metavar="STYLE[:WEIGHT]",
        help="The styles, if they have moved, or others.",
    ),
)
@runtime_options()
@talk_options()
@click.pass_context
def rerun(
    ctx: click.Context,
    picture: str,
    output: str | None,
    photo: str | None,
    styles: tuple[str, ...],
    **given: Any,
) -> None:
    """Make a picture again from the record that cnnart put into it.

    The photo and the styles are looked for where they were, then beside PICTURE. Network and
    precision are the recorded ones unless given; the device is the best one here.
    """
    from cnnart.commands.rerun import Rerun
    from cnnart.run.record import read_record_of

    run, talk = take(given, RunOptions), take(given, TalkOptions)
    path = Path(picture).expanduser()
    if not path.is_file():
        raise UsageError(f"No such picture: {picture!r}.")
    record = read_record_of(path)
    anew = {"styles": _styles(record["command"], styles, picture)} if styles else {}
    again = Rerun(record, path, photo=photo, **anew)
    if not talk.quiet:
        for warning in again.warnings:
            click.echo(f"cnnart: warning: {warning}", err=True)
    command, output = again.command, output or str(path.with_stem(f"{path.stem}-rerun"))
    photos = (again.photo,) if again.photo else ()
    files = FileOptions(photos, output, quality=record["run"].get("quality"))
    run = replace(
        run,
        backbone=run.backbone or record["run"]["backbone"],
        precision=run.precision or record["run"]["precision"],
    )
    check_options(files, talk)
    # What names its own results: made from nothing, or into other files than pictures.
    if plan_own := getattr(command, "plan", None):
        tasks = plan_own(files.photos, output, options=files.writing, protected=[path])
    else:
        tasks = plan_tasks(command, files, protected=[path])
    ctx.exit(work_through(command, tasks, files, run, talk))


def _styles(command: str, texts: tuple[str, ...], picture: str) -> list[Any]:
    """The styles given anew, as the command that made the picture takes them."""
    if command == "stylize":
        from cnnart.commands.style_args import parse_style

        return [parse_style(text) for text in texts]
    if command == "fast-stylize":
        from cnnart.commands.fast_stylize import parse_trained

        return [parse_trained(text) for text in texts]
    raise UsageError(f"{picture!r} was made by cnnart {command}: it has no --style.")
