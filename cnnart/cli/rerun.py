"""``cnnart rerun``."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any

import click
import cloup

from cnnart.cli.clips import plan_photos_and_clips
from cnnart.cli.lines import say
from cnnart.cli.options import (
    FileOptions,
    RunOptions,
    TalkOptions,
    check_options,
    dry_run_option,
    fresh_option,
    metadata_options,
    plan_tasks,
    runtime_options,
    section,
    take,
    talk_options,
    work_through,
)
from cnnart.errors import CnnartError, UsageError
from cnnart.files import WRITABLE, as_path, is_folder, obstacle
from cnnart.image.formats import DEEP


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
    fresh_option,
    dry_run_option,
    cloup.option(
        "--inputs",
        multiple=True,
        metavar="FOLDER",
        help="Look for the photo, styles and masks there, too.",
    ),
    *metadata_options,
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
    inputs: tuple[str, ...],
    metadata: str,
    fresh: bool,
    dry_run: bool,
    **given: Any,
) -> None:
    """Make a picture again from the record that cnnart put into it.

    The photo and the styles are looked for where they were, beside PICTURE and in --inputs.
    Network and precision are the recorded ones unless given; the device is the best one here.
    """
    from cnnart.commands.rerun import Rerun
    from cnnart.run.record import read_record_of

    run, talk = take(given, RunOptions), take(given, TalkOptions)
    path = as_path(picture)
    if why := obstacle(path):
        raise UsageError(f"No such picture: {picture!r} ({why}).")
    record = read_record_of(path)
    anew = {"styles": _styles(record["command"], styles, picture)} if styles else {}
    folders = [as_path(folder) for folder in inputs]
    if missing := [
        given for given, folder in zip(inputs, folders, strict=True) if not is_folder(folder)
    ]:
        raise UsageError(f"--inputs {missing[0]!r}: there is no such folder.")
    again = Rerun(record, path, photo=photo, inputs=folders, **anew)
    if not talk.quiet:
        for warning in again.warnings:
            say(f"cnnart: warning: {warning}", err=True)
    command, output = again.command, output or _literal(path.with_stem(f"{path.stem}-rerun"))
    photos = (again.photo,) if again.photo else ()
    backbone, precision, writing = trusted(record.get("run"), run.backbone)
    if WRITABLE.get(as_path(output).suffix.lower(), "png") not in DEEP:
        writing["bit_depth"] = 8
    files = FileOptions(photos, output, metadata=metadata, fresh=fresh, dry_run=dry_run, **writing)
    run = replace(run, backbone=backbone, precision=run.precision or precision)
    check_options(files, talk)
    if hasattr(command, "clip"):
        tasks = plan_photos_and_clips(command, files, protected=[path])
    # What names its own results: made from nothing, or into other files than pictures.
    elif plan_own := getattr(command, "plan", None):
        tasks = plan_own(files.photos, output, options=files.writing, protected=[path])
    else:
        tasks = plan_tasks(command, files, protected=[path])
    ctx.exit(work_through(command, tasks, files, run, talk))


def trusted(recorded: Any, backbone: str | None) -> tuple[str | None, str | None, dict[str, Any]]:
    """Backbone, precision, and quality and bit depth of a recorded run, as far as they can be what
    cnnart wrote.

    ``backbone``: given anew, it replaces the recorded one. Raises UsageError where that is a
    program: a picture that somebody sent is not to say which programs are run.
    """
    if not isinstance(recorded, Mapping):
        raise CnnartError("The record is damaged: it does not say what it ran on.")
    recorded_backbone = recorded.get("backbone")
    if backbone is None and isinstance(recorded_backbone, str):
        if ":" in recorded_backbone:
            raise UsageError(
                f"The record names {recorded_backbone!r} as the network, which is a program: if "
                f"you trust it, say --backbone {recorded_backbone}."
            )
        backbone = recorded_backbone
    precision, quality = recorded.get("precision"), recorded.get("quality")
    return (
        backbone,
        precision if isinstance(precision, str) else None,
        {
            "quality": quality if isinstance(quality, int) and 1 <= quality <= 100 else None,
            "bit_depth": 16 if recorded.get("bit_depth") == 16 else 8,
        },
    )


def _literal(path: Path) -> str:
    """A path as -o takes it: its braces name no field."""
    return str(path).replace("{", "{{").replace("}", "}}")


def _styles(command: str, texts: tuple[str, ...], picture: str) -> list[Any]:
    """The styles given anew, as the command that made the picture takes them."""
    if command == "stylize":
        from cnnart.commands.style_args import parse_style

        return [parse_style(text) for text in texts]
    if command == "fast-stylize":
        from cnnart.commands.fast_stylize import parse_trained

        return [parse_trained(text) for text in texts]
    raise UsageError(f"{picture!r} was made by cnnart {command}: it has no --style.")
