"""From options to a batch: what ``cnnart stylize`` and ``cnnart rerun`` have in common."""

from __future__ import annotations

import sys
from collections.abc import Sequence
from pathlib import Path

from cnnart.cli.options import FileOptions, RunOptions, TalkOptions
from cnnart.errors import UsageError
from cnnart.jobs.files import expand
from cnnart.jobs.naming import plan
from cnnart.jobs.recipe import Recipe


def paint(
    recipe: Recipe,
    files: FileOptions,
    run: RunOptions,
    talk: TalkOptions,
    protected: Sequence[Path] = (),
) -> int:
    """Paint all the photos; returns the exit code. Names are checked before torch is imported.

    ``protected``: further files that no result may overwrite.
    """
    _check(files, talk)
    tasks = plan(
        expand(files.photos, recursive=files.recursive),
        files.output,
        style=recipe.label,
        format=files.format,
        protected=[*recipe.files(), *protected],
    )
    import psutil

    from cnnart.api import Stylizer
    from cnnart.jobs.batch import Batch, Habits
    from cnnart.jobs.progress import make_reporter
    from cnnart.jobs.studio import Studio, Writing

    given = {name: value for name, value in vars(run).items() if value is not None}
    stylizer = Stylizer(**given, begun=psutil.Process().create_time())
    studio = Studio(recipe, stylizer, Writing(files.quality, files.metadata, files.max_pixels))
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


def _check(files: FileOptions, talk: TalkOptions) -> None:
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
