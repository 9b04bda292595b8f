"""The options of clips, for the commands that paint them as they paint photos."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from cnnart.cli.options import FileOptions, RunOptions, TalkOptions, section
from cnnart.cli.types import setting_option
from cnnart.commands.clips import plan_clips
from cnnart.errors import UsageError
from cnnart.run.inputs import expand
from cnnart.settings import make_config, settings_of
from cnnart.video.config import ClipConfig

if TYPE_CHECKING:
    from cnnart.run.outputs import Task

SETTINGS = [each.name for each, _ in settings_of(ClipConfig)]

clip_options = section("Clips", *(setting_option(ClipConfig, name) for name in SETTINGS))


def check_for_clips(run: RunOptions, talk: TalkOptions) -> None:
    """Raise UsageError for an option that is of no use to a clip of optimized frames."""
    if run.time_budget is not None:
        raise UsageError("`time_budget` is for photos: a clip's frames take `preset` or `steps`.")
    if talk.save_every:
        raise UsageError("`save_every` is for photos: a clip is kept in pieces as it is.")


def take_clip_config(given: dict[str, Any]) -> ClipConfig:
    """The settings of clips, taken out of the options. Raises UsageError."""
    return make_config(ClipConfig, {name: given.pop(name, None) for name in SETTINGS})


def clip_settings_in(given: dict[str, Any]) -> list[str]:
    """The settings of clips that were given."""
    return [name for name in SETTINGS if given.get(name) is not None]


def plan_photos_and_clips(
    command: Any, files: FileOptions, asked: Sequence[str] = (), protected: Sequence[Path] = ()
) -> list[Task]:
    """Each photo's and clip's task; names are checked before torch loads.

    ``command``: also one in each of several styles. ``asked``: the settings of clips that were
    given, which need a clip. ``protected``: further files that no result may overwrite. Raises
    UsageError.
    """
    tasks = plan_clips(
        expand(files.photos, recursive=files.recursive, notes=files.notes, clips=True),
        files.output,
        getattr(command, "first", command).clip,
        style=command.label,
        format=files.format,
        protected=[*command.inputs(), *protected],
        options=files.writing,
    )
    if asked and not any(task.is_clip for task in tasks):
        raise UsageError(f"`{asked[0]}` is for clips, and none is among the inputs.")
    return tasks
