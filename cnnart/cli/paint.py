"""From options to a batch: what all commands that make pictures have in common."""

from __future__ import annotations

import sys
from collections.abc import Sequence
from pathlib import Path

from cnnart.cli.options import FileOptions, RunOptions, TalkOptions
from cnnart.errors import UsageError
from cnnart.jobs.craft import Recipe
from cnnart.jobs.files import expand
from cnnart.jobs.naming import Task, plan


def paint(
    recipe: Recipe,
    files: FileOptions,
    run: RunOptions,
    talk: TalkOptions,
    protected: Sequence[Path] = (),
) -> int:
    """Make a picture of each photo; returns the exit code. Names are checked before torch loads.

    ``protected``: further files that no result may overwrite.
    """
    check_options(files, talk)
    tasks = plan(
        expand(files.photos, recursive=files.recursive),
        files.output,
        style=recipe.label,
        format=files.format,
        protected=[*recipe.files(), *protected],
    )
    return work_through(tasks, recipe, files, run, talk)


def work_through(
    tasks: Sequence[Task], recipe: Recipe, files: FileOptions, run: RunOptions, talk: TalkOptions
) -> int:
    """Do tasks planned before, after ``check_options``; returns the exit code."""
    import psutil

    from cnnart.engine import Engine
    from cnnart.jobs.batch import Batch, Habits
    from cnnart.jobs.progress import make_reporter
    from cnnart.jobs.writing import Writing

    given = {name: value for name, value in vars(run).items() if value is not None}
    engine = Engine(**given, begun=psutil.Process().create_time())
    studio = recipe.studio(engine, Writing(files.quality, files.metadata, files.max_pixels))
    preview = talk.preview
    if preview is None:
        preview = sys.stderr.isatty() and not (talk.quiet or talk.json) and files.output != "-"
    habits = Habits(files.skip_existing, preview, talk.save_every or 0, talk.quiet, talk.debug)
    reporter = make_reporter(quiet=talk.quiet, json_lines=talk.json, paths=files.output != "-")
    return Batch(studio.open, reporter, habits).run(tasks)


def picture_to_start_from(name: str) -> Path:
    """The file given with --init. Raises UsageError if there is none."""
    path = Path(name).expanduser()
    if not path.is_file():
        raise UsageError(f"--init {name!r}: neither content, noise nor a file that is there.")
    return path


def check_options(files: FileOptions, talk: TalkOptions) -> None:
    """Refuse options that contradict each other."""
    if talk.quiet and talk.json:
        raise UsageError("--quiet and --json contradict each other.")
    if files.output != "-":
        return
    if talk.json:
        raise UsageError("--json and -o - both want standard output: give -o a file.")
    if talk.save_every or talk.preview:
        raise UsageError("--save-every and --preview need an output file, not standard output.")
    if sys.stdout.isatty():
        raise UsageError("-o - writes a picture to standard output: redirect it (> out.png).")
