"""What each result is called, checked before anything is computed."""

from __future__ import annotations

import os
import re
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from string import Formatter
from typing import ClassVar, TypeVar, cast

from cnnart.errors import UsageError
from cnnart.files import (
    ANIMATIONS,
    FORMATS,
    WRITABLE,
    as_path,
    check_writable,
    identity,
    is_folder,
    is_one_file,
    is_there,
    key_of,
    resolved,
    spelled_alike,
)
from cnnart.image.formats import check_writable_format
from cnnart.run.inputs import Source
from cnnart.run.record import is_unfinished

METADATA = ("public", "all", "none")
FIELDS = ("stem", "style", "parent", "ext")

T = TypeVar("T", bound="Task")


@dataclass(frozen=True)
class OutputOptions:
    """How results are written. ``quality``: of formats that lose some, 1 to 100; None: as
    ``write_image``. ``bit_depth``: of each color, 8 or (PNG and TIFF) 16.

    ``metadata``: what the result says beside its pixels, one of METADATA. ``public``: the record
    without the folders of this machine, and of the photo's EXIF what is fit for others. ``all``:
    the record with its paths as given, and the EXIF. ``none``: nothing.
    """

    quality: int | None = None
    metadata: str = "public"
    bit_depth: int = 8


AS_USUAL = OutputOptions()


@dataclass(frozen=True)
class Task:
    """One input, and where and how its result goes; ``target`` is None for standard output.

    ``trouble``: why the result cannot be written there, known beforehand. ``style``: which of
    several styles it is made in, each by itself. ``fresh``: parts of it that an earlier run has
    left do not count.
    """

    source: Source
    target: Path | None
    format: str
    options: OutputOptions = AS_USUAL
    trouble: str | None = None
    style: str | None = None
    fresh: bool = False
    is_clip: ClassVar[bool] = False

    @property
    def title(self) -> str:
        """What it is called in messages."""
        return f"{self.source.given} in {self.style}" if self.style else self.source.given

    @property
    def first_file(self) -> Path | None:
        """The first file that is written; the result itself, unless it is a folder."""
        return self.target

    def check(self) -> None:
        """Raise UsageError where the result is known to have no place; before any work."""
        if self.trouble:
            raise UsageError(self.trouble)

    def is_done(self) -> bool:
        """Whether the result is there to its end, and no interrupted run has left it unfinished."""
        from cnnart.image.whole import is_whole

        return self.target is not None and is_whole(self.target) and not is_unfinished(self.target)


def plan(
    sources: Sequence[Source],
    output: str | None,
    *,
    style: str | tuple[str, ...],
    format: str | None = None,
    protected: Iterable[Path] = (),
    options: OutputOptions = AS_USUAL,
    suffix: Callable[[Source], str] | None = None,
    place: Callable[[Source, Path | None], Task | None] = lambda source, target: None,
) -> list[Task]:
    """Give every source its target, or one for each of several styles.

    Args:
        output: a file (one source only), a folder, a pattern with ``{stem}``, ``{style}``,
            ``{parent}`` or ``{ext}``, ``-`` for standard output, or None for the default name
            ``{stem}-{style}.png`` in the current directory (a folder's pictures go to
            ``FOLDER-{style}/`` there).
        style: what ``{style}`` stands for; several: each source is made in each of them.
        format: one of FORMATS; None goes by the output's suffix, else PNG.
        protected: further files that must not be written over (styles, masks).
        options: how results are written.
        suffix: of the default name, where it is not ``format``'s for every source.
        place: gives the task of a source that is no picture, for a target or standard output.

    Raises UsageError before anything is computed: for an input that would be overwritten, two
    inputs with the same target, an unknown suffix or pattern field.
    """
    styles = (style,) if isinstance(style, str) else style
    count = len(sources) * len(styles)
    if output == "-":
        if count > 1:
            raise UsageError(f"Only one picture fits on standard output, not {count}.")
        if (task := place(sources[0], None)) is None:
            check_writable_format(format or "png", options.bit_depth)
            task = Task(sources[0], None, format or "png", options)
        return [task if isinstance(style, str) else replace(task, style=styles[0])]
    tasks = []
    for each in styles:
        name = _namer(output, each, suffix or (lambda source: f".{format or 'png'}"), count)
        made = [
            place(source, target := name(source)) or _task(source, target, format, options)
            for source in sources
        ]
        tasks += made if isinstance(style, str) else [replace(t, style=each) for t in made]
    tasks = _without_own_results(tasks, None if output is None else as_path(output))
    if not tasks:
        raise UsageError("Nothing to do: what is there are results of an earlier run.")
    refuse_clashes(tasks)
    refuse_overwriting(tasks, protected)
    return checked(tasks)


def _task(source: Source, target: Path, format: str | None, options: OutputOptions) -> Task:
    suffix = target.suffix.lower()
    if suffix not in WRITABLE:
        known = ", ".join(FORMATS)
        raise UsageError(
            f"cnnart writes {known}, not {suffix or 'a file without a suffix'} ({target}); "
            "end the output with a slash if it is a folder."
        )
    if format and WRITABLE[suffix] != format:
        raise UsageError(f"The output {str(target)!r} and `format` {format} contradict each other.")
    check_writable_format(WRITABLE[suffix], options.bit_depth)
    return Task(source, target, WRITABLE[suffix], options)


def _namer(
    output: str | None, style: str, suffix: Callable[[Source], str], count: int
) -> Callable[[Source], Path]:
    """The function from a source to its target path."""

    def usual(source: Source, folder: Path) -> Path:
        return folder / (source.folder or "") / f"{source.stem}-{style}{suffix(source)}"

    if output is None:
        return lambda source: usual(source, _beside(source, style))
    path = as_path(output)
    if "{" in output and not is_folder(path):
        _check_pattern(output)
        return lambda source: as_path(output.format_map(_fields(source, style)))
    if is_folder(path) or output.endswith(("/", os.sep)) or not path.suffix:
        if is_there(path) and not is_folder(path):
            raise UsageError(f"The output folder {output!r} is a file: choose another -o.")
        return lambda source: usual(source, path)
    if count > 1 and path.suffix.lower() in (*WRITABLE, *ANIMATIONS):
        raise UsageError(
            f"{count} pictures cannot go into the one file {output!r}: "
            "give a folder (out/) or a pattern ('{stem}-new.png')."
        )
    return lambda source: path


def _beside(source: Source, style: str) -> Path:
    return Path(f"{resolved(source.root).name or 'root'}-{style}") if source.root else Path()


def _check_pattern(pattern: str) -> None:
    try:
        parsed = list(Formatter().parse(pattern))
        fields = [field for _, field, _, _ in parsed if field is not None]
        if any(spec and re.search(r"[{}]|\d{4}", spec) for _, _, spec, _ in parsed):
            raise ValueError("a field is too wide")
    except ValueError as error:
        raise UsageError(
            f"The output pattern {pattern!r} is malformed ({error}): write it like "
            "'{stem}-new.png'."
        ) from None
    for field in fields:
        if field not in FIELDS:
            known = ", ".join(f"{{{name}}}" for name in FIELDS)
            raise UsageError(f"Unknown field {{{field}}} in the output pattern; there is {known}.")


def _fields(source: Source, style: str) -> dict[str, str]:
    if source.root is not None and source.folder is not None:
        parent = (Path(resolved(source.root).name) / source.folder).as_posix()
    else:
        parent = resolved(source.path).parent.name if source.path else ""
    ext = source.path.suffix.removeprefix(".") if source.path else ""
    # An empty {parent} would turn "{parent}/{stem}" into an absolute path.
    return {"stem": source.stem, "style": style, "parent": parent or ".", "ext": ext or "png"}


def _without_own_results(tasks: list[Task], output: Path | None) -> list[Task]:
    """Leave out what an earlier run wrote into a folder that is now read.

    A second run over a folder must not stylize the first run's results: neither files that this
    run would write for other inputs nor anything in an output folder inside the input folder.
    """
    targets = {key_of(task.target) for task in tasks if task.target}
    folder = resolved(output) if output and is_folder(output) else None

    def is_result(source: Source) -> bool:
        if source.root is None or source.path is None:
            return False
        if folder and resolved(source.root) in folder.parents:
            return folder in resolved(source.path).parents
        return key_of(source.path) in targets

    return [task for task in tasks if not is_result(task.source)]


def refuse_clashes(
    tasks: Iterable[Task],
    remedy: str = "add {parent} or {ext} to an output pattern",
    key: Callable[[Path], Path] = lambda target: target,
) -> None:
    """Raise UsageError where two inputs have the same target, or the same ``key`` of it.

    The same to the disk: some do not tell ``A.png`` from ``a.png``.
    """
    seen: dict[str, Task] = {}
    alike: dict[str, Task] = {}
    for task in tasks:
        if task.target is None:
            continue
        target = key(task.target)
        other = seen.setdefault(key_of(target), task)
        if other is task:
            near = alike.setdefault(spelled_alike(key_of(target)), task)
            if near is task or not is_one_file(key(cast(Path, near.target)), target):
                continue
            raise UsageError(
                f"{near.title!r} and {task.title!r} would both become {str(task.target)!r}, as this"
                " disk does not tell their names apart: rename one of the two."
            )
        if other.source is task.source:
            if other.style == task.style:
                remedy = "rename one of the two styles"
            else:
                remedy = "give a folder, or add {style} to the output pattern"
        raise UsageError(
            f"{other.title!r} and {task.title!r} would both become {str(task.target)!r}: {remedy}."
        )


def refuse_overwriting(tasks: Sequence[Task], protected: Iterable[Path] = ()) -> None:
    """Raise UsageError where a result would replace an input."""
    inputs = [task.source.path for task in tasks if task.source.path]
    guarded = {identity(path): path for path in [*inputs, *protected]}
    for task in tasks:
        if task.target and (path := guarded.get(identity(task.target))):
            raise UsageError(overwritten(path))


def checked(tasks: Sequence[T]) -> list[T]:
    """The tasks, with the ``trouble`` of those whose results cannot be written.

    Of many photos one may have too long a name. Raises UsageError where none can be written.
    """
    found = []
    for task in tasks:
        try:
            if task.first_file:
                check_writable(task.first_file)
            found.append(task)
        except UsageError as error:
            found.append(replace(task, trouble=str(error)))
    if all(task.trouble for task in found):
        found[0].check()
    return found


def overwritten(path: Path) -> str:
    """The sentence for an input that a result would replace."""
    return f"The result would overwrite the input {str(path)!r}: choose another -o."
