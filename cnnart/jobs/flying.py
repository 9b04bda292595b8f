"""What a flight into a dream is made of, and what its files are called; all by name."""

from __future__ import annotations

import os
import re
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from importlib.util import find_spec
from pathlib import Path
from typing import TYPE_CHECKING

from cnnart.config import ANIMATIONS, FlightConfig, check_flight_config
from cnnart.errors import UsageError
from cnnart.jobs.dreaming import DreamRecipe
from cnnart.jobs.files import Source, identity, key_of
from cnnart.jobs.naming import Task

if TYPE_CHECKING:
    from cnnart.engine import Engine
    from cnnart.jobs.flight_studio import FlightStudio
    from cnnart.jobs.writing import Writing

FRAMES = "frames"  # the format of a folder of numbered pictures


@dataclass(frozen=True)
class FlightRecipe:
    """A flight into the dream of a photo. Raises UsageError for settings that make no sense."""

    dream: DreamRecipe
    flight: FlightConfig

    def __post_init__(self) -> None:
        check_flight_config(self.flight)

    @property
    def label(self) -> str:
        """What stands for it in file names."""
        return self.dream.label

    def files(self) -> list[Path]:
        """Every file it reads, none of which a result may overwrite."""
        return self.dream.files()

    def studio(self, engine: Engine, writing: Writing) -> FlightStudio:
        """See ``craft.Recipe``."""
        from cnnart.jobs.flight_studio import FlightStudio

        return FlightStudio(self, engine, writing)


def plan_flights(
    sources: Sequence[Source], output: str | None, label: str, protected: Iterable[Path] = ()
) -> list[Task]:
    """Give every photo's flight its file, or its folder of numbered frames.

    Args:
        output: a .webp, .gif or .mp4 file or a folder (one photo only), a pattern with ``{stem}``
            or ``{style}``, ``-`` for standard output (WebP), or None for ``{stem}-{label}.webp``.
        protected: further files that must not be written over.

    Raises UsageError before anything is computed: for another suffix, .mp4 without PyAV, two
    flights with one name, an input that would be overwritten.
    """
    if output == "-":
        if len(sources) > 1:
            raise UsageError(f"Only one flight fits on standard output, not {len(sources)}.")
        return [Task(sources[0], None, "webp")]
    pattern = f"{{stem}}-{label}.webp" if output is None else output
    if len(sources) > 1 and "{stem}" not in pattern:
        raise UsageError(
            f"{len(sources)} flights cannot go into {pattern!r}: give a pattern, '{{stem}}.mp4', "
            "or '{stem}/' for folders of frames."
        )
    tasks = [_task(source, _fill(pattern, source, label)) for source in sources]
    _refuse_clashes(tasks)
    guarded = [task.source.path for task in tasks if task.source.path] + list(protected)
    _refuse_overwriting(tasks, guarded)
    return tasks


def _fill(pattern: str, source: Source, label: str) -> str:
    for field in re.findall(r"\{\w*\}", pattern):
        if field not in ("{stem}", "{style}"):
            raise UsageError(
                f"Unknown field {field} in the output pattern; there is {{stem}}, {{style}}."
            )
    return pattern.replace("{stem}", source.stem).replace("{style}", label)


def _task(source: Source, name: str) -> Task:
    path = Path(name).expanduser()
    suffix = path.suffix.lower()
    if name.endswith(("/", os.sep)) or not suffix or path.is_dir():
        return Task(source, path, FRAMES)
    if suffix not in ANIMATIONS:
        raise UsageError(
            f"A flight is written as {', '.join(ANIMATIONS)}, not {suffix} ({name}); end the "
            "output with a slash for a folder of frames."
        )
    if suffix == ".mp4" and find_spec("av") is None:
        from cnnart.image.animation import import_av

        import_av()  # which says so
    return Task(source, path, suffix[1:])


def _refuse_clashes(tasks: Sequence[Task]) -> None:
    names: dict[str, Source] = {}
    for task in tasks:
        assert task.target
        other = names.setdefault(key_of(task.target.with_suffix("")), task.source)
        if other is not task.source:
            raise UsageError(
                f"{other.given!r} and {task.source.given!r} would both become "
                f"{str(task.target)!r}: fly into them one by one."
            )


def _refuse_overwriting(tasks: Sequence[Task], guarded: Iterable[Path]) -> None:
    inputs = {identity(path): path for path in guarded}
    for task in tasks:
        assert task.target
        path = inputs.get(identity(task.target))
        if task.format == FRAMES:
            inside = (p for p in inputs.values() if _is_frame_of(p, task.target))
            path = next(inside, path)
        if path:
            raise UsageError(
                f"The result would overwrite the input {str(path)!r}: choose another -o."
            )


def _is_frame_of(path: Path, folder: Path) -> bool:
    """Whether a file lies where a frame may come to lie."""
    return path.resolve().parent == folder.resolve() and path.stem.isdecimal()
