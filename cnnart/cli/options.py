"""The options that several commands share, each written once, and how a command line runs.

A command's help has sections (``section``); its function gets the values of its settings, and those
of the shared options as one object for each group (``split``).
"""

from __future__ import annotations

import os
import sys
import time
from collections.abc import Callable, Mapping, Sequence
from contextlib import AbstractContextManager, nullcontext
from dataclasses import dataclass, field, fields, replace
from functools import partial
from itertools import pairwise
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypeVar

import click
import cloup
from cloup.constraints import mutually_exclusive

from cnnart.cli.lines import say
from cnnart.cli.types import DURATION, MEMORY
from cnnart.errors import UsageError
from cnnart.files import FORMATS
from cnnart.run.inputs import expand
from cnnart.run.outputs import METADATA, OutputOptions, Task, plan
from cnnart.settings import PRECISIONS
from cnnart.version import __version__
from cnnart.video.formats import FORMATS as CLIP_FORMATS

if TYPE_CHECKING:
    from cnnart.commands.each_style import EachStyle
    from cnnart.commands.sweep import Sweep
    from cnnart.run.batch import BatchOptions
    from cnnart.run.command import Command
    from cnnart.run.journal import Journal
    from cnnart.run.report import Reporter
    from cnnart.runtime import Runtime

    AnyCommand = Command | EachStyle[Any] | Sweep

ARGUMENTS = "cnnart.arguments"  # the key of a context's meta: what was parsed
USE_VGG19 = ("stylize", "dream")  # the commands that begin with the embedded network
IN_BATCHES = ("fast-stylize",)  # those whose photos take so little that reading them would show

T = TypeVar("T")
Decorator = Callable[[Callable[..., Any]], Callable[..., Any]]
section = cloup.option_group


@dataclass(frozen=True)
class FileOptions:
    """Which pictures, and where the results go."""

    photos: tuple[str, ...]
    output: str | None = None
    recursive: bool = False
    skip_existing: bool = False
    format: str | None = None
    quality: int | None = None
    bit_depth: int = 8
    metadata: str = "public"
    max_pixels: int | None = None
    fresh: bool = False
    save_preset: str | None = None
    dry_run: bool = False
    notes: list[str] = field(default_factory=list)  # to be told of the files before the work

    @property
    def writing(self) -> OutputOptions:
        """How results are written."""
        return OutputOptions(self.quality, self.metadata, self.bit_depth)


@dataclass(frozen=True)
class RunOptions:
    """What it runs on; None where the user left it to cnnart."""

    device: str | None = None
    precision: str | None = None
    backbone: str | None = None
    offline: bool = False
    max_memory: int | None = None
    time_budget: float | None = None


@dataclass(frozen=True)
class TalkOptions:
    """What is said and shown meanwhile."""

    quiet: bool = False
    json: bool = False
    save_every: int | None = None
    preview: bool | None = None
    open: bool = False
    show: bool = False
    debug: bool = False


def take(given: dict[str, Any], kind: type[T]) -> T:
    """The values of a group of options, taken out of all that were given."""
    names = [field.name for field in fields(kind)]  # type: ignore[arg-type]  # a dataclass
    return kind(**{name: given.pop(name) for name in names if name in given})


def split(given: dict[str, Any]) -> tuple[FileOptions, RunOptions, TalkOptions]:
    """The shared options, taken out of all that were given; the command's own are left."""
    return take(given, FileOptions), take(given, RunOptions), take(given, TalkOptions)


class TakesOwnPresets(click.Command):
    """A command whose ``--preset`` may also name one of the user's own: see ``own_presets``."""

    def parse_args(self, ctx: click.Context, args: list[str]) -> list[str]:
        if not ctx.resilient_parsing and self._is_about_own(args):
            from cnnart.cli.own_presets import expand

            args = expand(self, ctx, args)
            ctx.meta[ARGUMENTS] = list(args)
        return super().parse_args(ctx, args)

    def _is_about_own(self, args: Sequence[str]) -> bool:
        """Whether the arguments may keep or name a preset of the user's own."""
        kinds = [param.type for param in self.params if param.name == "preset"]
        known = [name for kind in kinds for name in getattr(kind, "known", ())]
        for word, after in pairwise([*args, ""]):
            flag, _, value = word.partition("=")
            if flag == "--save-preset" or (flag == "--preset" and (value or after) not in known):
                return True
        return False


class PresetCommand(TakesOwnPresets, cloup.Command):
    """The same with sections in its help."""


save_preset_option: Any = cloup.option(
    "--save-preset",
    metavar="NAME",
    help="Keep the options given here, for --preset NAME (see `cnnart presets`).",
)


def keep_preset(ctx: click.Context, files: FileOptions, talk: TalkOptions) -> None:
    """Do what ``--save-preset`` asks for, when all that was given has been understood."""
    if files.save_preset is None:
        return
    if files.dry_run:
        raise UsageError("`dry_run` writes nothing, no preset either: leave `save_preset` out.")
    from cnnart.cli.own_presets import keep

    path = keep(ctx, ctx.meta[ARGUMENTS], files.save_preset)
    if not (talk.quiet or talk.json):
        say(f"cnnart: the preset {files.save_preset!r} is kept: {path}", err=True)


def style_option(help: str, *, required: bool = True) -> Any:
    """``--style``: several, each with its weight, as text."""
    return cloup.option(
        "-s",
        "--style",
        "styles",
        multiple=True,
        required=required,
        metavar="STYLE[:WEIGHT]",
        help=help,
    )


each_style_option: Any = cloup.option(
    "--each-style", is_flag=True, help="Every photo in every style by itself: they do not blend."
)
fresh_option: Any = cloup.option(
    "--fresh", is_flag=True, help="Begin anew, where an unfinished run would go on."
)
dry_run_option: Any = cloup.option(
    "--dry-run",
    is_flag=True,
    help="Only say what would be made, on what, and how long it takes; write nothing.",
)
mask_option: Any = cloup.option(
    "--mask",
    "masks",
    multiple=True,
    metavar="MASK",
    help="Where the first style (then the second, ...) applies: subject, background, person, face "
    "or class:NAME, found in each photo; a picture, white there; 'alpha' for the photo's own; "
    "inverse:MASK turns it round.",
)

show_mask_option: Any = cloup.option(
    "--show-mask",
    metavar="FILE",
    help="Also write the mask as a picture; {stem} in it is the photo's.",
)


def photos_argument(metavar: str = "PHOTO...", *, required: bool = True) -> Any:
    """The pictures to work on."""
    return cloup.argument("photos", nargs=-1, required=required, metavar=metavar)


output_option: Any = cloup.option(
    "-o",
    "--output",
    metavar="OUT",
    help="A file, a folder, a pattern such as 'out/{stem}-{style}.jpg' (also {parent}, "
    "{ext}), or - for standard output.  [default: {stem}-{style}.png in this folder]",
)
recursive_option: Any = cloup.option(
    "-r", "--recursive", is_flag=True, help="Look into folders' folders too."
)

metadata_options: Any = (
    cloup.option(
        "--metadata",
        type=click.Choice(METADATA),
        default="public",
        help="What goes into the picture beside its pixels. public: the settings (see `cnnart "
        "rerun`), and of the photo's EXIF time, camera, lens and copyright; all: its place, names "
        "and serial numbers, and full paths, too; none.  [default: public]",
    ),
    cloup.option(
        "--no-metadata",
        "metadata",
        flag_value="none",
        default="public",
        help="The same as --metadata none.",
    ),
)


def _file_options(formats: Sequence[str], usual: str) -> Any:
    """The section on files, for a command that writes these formats."""
    return section(
        "Files",
        output_option,
        recursive_option,
        cloup.option("--skip-existing", is_flag=True, help="Leave out what is already there."),
        fresh_option,
        dry_run_option,
        cloup.option(
            "--format", type=click.Choice(formats), help=f"Default: as OUT is named, else {usual}."
        ),
        cloup.option(
            "--quality",
            type=click.IntRange(1, 100),
            help="As JPEG counts it, of all formats that lose some.  [default: 95]",
        ),
        cloup.option(
            "--bit-depth",
            type=click.Choice(("8", "16")),
            default="8",
            callback=lambda ctx, param, value: int(value),
            help="Bits of each color; 16 in PNG and TIFF.  [default: 8]",
        ),
        *metadata_options,
        cloup.option(
            "--max-pixels",
            type=click.IntRange(1),
            metavar="N",
            help="Refuse to read pictures with more pixels.  [default: 200000000]",
        ),
    )


file_options = _file_options(FORMATS, "png")
photo_and_clip_options = _file_options(
    (*FORMATS, *(format for format in CLIP_FORMATS if format not in FORMATS)),
    "png, of clips mp4",
)

RUNTIME_OPTIONS: dict[str, Any] = {
    "device": cloup.option(
        "--device", metavar="NAME", help="auto, cpu, cuda, cuda:N, xpu or mps.  [default: auto]"
    ),
    "precision": cloup.option(
        "--precision",
        type=click.Choice(PRECISIONS),
        help="Precision of the network; all else is fp32.  [default: auto]",
    ),
    "backbone": cloup.option(
        "--backbone",
        metavar="NAME",
        help="The network: see `cnnart weights list`.  [default: vgg19]",
    ),
    "offline": cloup.option("--offline", is_flag=True, help="Never download anything."),
    "max_memory": cloup.option(
        "--max-memory",
        type=MEMORY,
        help="The most it may take, all included: 4GB, 800MB.  [default: most of what is free]",
    ),
    "time_budget": cloup.option(
        "--time-budget",
        type=DURATION,
        help="The best picture that is ready in 90s, 5m, 1h.  [default: as --preset says]",
    ),
}


def runtime_options(*, without: Sequence[str] = ()) -> Decorator:
    """The section on what it runs on, but for the options named by ``without``."""
    return section(
        "Runtime", *(option for name, option in RUNTIME_OPTIONS.items() if name not in without)
    )


TALK_OPTIONS: dict[str, Any] = {
    "quiet": cloup.option("-q", "--quiet", is_flag=True, help="Say nothing but errors."),
    "json": cloup.option("--json", is_flag=True, help="Report as JSON lines on standard output."),
    "save_every": cloup.option(
        "--save-every",
        type=click.IntRange(1),
        metavar="N",
        help="Keep a snapshot of every N-th step.",
    ),
    "preview": cloup.option(
        "--preview/--no-preview",
        default=None,
        help="A live preview file beside the result.  [default: on a terminal]",
    ),
    "open": cloup.option(
        "--open",
        is_flag=True,
        help="Show the result in the desktop's viewer; of several, their folder.",
    ),
    "show": cloup.option(
        "--show",
        is_flag=True,
        help="Show the result in the terminal, if it can: kitty, Ghostty, iTerm2, WezTerm, sixels.",
    ),
    "debug": cloup.option(
        "--debug",
        is_flag=True,
        envvar="CNNART_DEBUG",
        help="Say where the time went, and show a traceback on an error.",
    ),
}


def talk_options(*, without: Sequence[str] = ()) -> Decorator:
    """The section on what is said meanwhile, but for the options named by ``without``."""
    listed = section(
        "Progress", *(option for name, option in TALK_OPTIONS.items() if name not in without)
    )
    return lambda command: quiet_or_json(listed(command))


# A decorator: one of the two, or neither.
quiet_or_json: Decorator = cloup.constraint(
    mutually_exclusive.rephrased(error="--quiet and --json contradict each other."),
    ["quiet", "json"],
)


def check_options(files: FileOptions, talk: TalkOptions) -> None:
    """Refuse options that contradict each other where standard output is concerned."""
    if files.output != "-":
        return
    if talk.json:
        raise UsageError("--json and -o - both want standard output: give -o a file.")
    if talk.save_every or talk.preview:
        raise UsageError("--save-every and --preview need an output file, not standard output.")
    if talk.open:
        raise UsageError("--open shows a file, and -o - writes none: give -o a file.")
    if talk.show:
        raise UsageError("--show shows a file, and -o - writes none: give -o a file.")
    if getattr(sys.stdout, "name", "") == os.devnull:  # see ``open_streams``
        raise UsageError("-o - writes to standard output, which is closed: give -o a file.")
    if sys.stdout.isatty():
        raise UsageError("-o - writes the result to standard output: redirect it (> out.png).")


def plan_tasks(
    command: AnyCommand, files: FileOptions, protected: Sequence[Path] = ()
) -> list[Task]:
    """Each photo's task; names are checked before torch loads.

    ``protected``: further files that no result may overwrite.
    """
    return plan(
        expand(files.photos, recursive=files.recursive, notes=files.notes),
        files.output,
        style=command.label,
        format=files.format,
        protected=[*command.inputs(), *protected],
        options=files.writing,
    )


def each_style_by_itself(make: Callable[..., Any]) -> Callable[..., Any]:
    """For ``--each-style``: what makes a command for each style, called as ``make`` is for all."""
    from cnnart.commands.each_style import EachStyle

    return partial(EachStyle.make, make)


def journal_of(
    command: AnyCommand, tasks: Sequence[Task], files: FileOptions, run: RunOptions
) -> Journal:
    """The journal of a run, to be entered; see there for what it raises.

    What only limits a run may change when it is taken up again: it can go on with less memory.
    """
    from cnnart.run.journal import Journal

    runtime = {name: getattr(run, name) for name in ("device", "precision", "backbone")}
    made_of = {
        "cnnart": __version__,
        "command": command.name,
        **command.record(),
        "runtime": {**runtime, "time_budget": run.time_budget},
        "output": {"quality": files.quality, "metadata": files.metadata},
    }
    if files.bit_depth != 8:  # as earlier versions wrote it else
        made_of["output"]["bit_depth"] = files.bit_depth
    return Journal(tasks, made_of, fresh=files.fresh, read_only=files.dry_run)


def work_through(
    command: AnyCommand,
    tasks: Sequence[Task],
    files: FileOptions,
    run: RunOptions,
    talk: TalkOptions,
) -> int:
    """Make every task's picture, after ``check_options``, or go on with what an earlier run has
    left; returns the exit code.

    While torch loads, which takes longest, the weights are expanded; then the first photo is read
    and the device opened while the styles are read. Under torchrun, a command of ``IN_BATCHES`` has
    this process's share of the tasks.
    """
    import psutil

    begun, until = psutil.Process().create_time(), {"command line": time.time()}
    if command.name in USE_VGG19 and run.backbone is None:
        from cnnart.weights.embedded import expand_ahead

        expand_ahead()
    tasks = [replace(task, fresh=files.fresh) for task in tasks]
    clips = any(task.is_clip for task in tasks)
    in_batches = command.name in IN_BATCHES and not clips  # clips read ahead themselves
    reporter = make_reporter(talk, paths=files.output != "-")
    if in_batches and len(tasks) > 1 and not (talk.quiet or talk.json):
        from cnnart.run.report import Plain

        reporter = Plain()  # a header and a bar for each would be in each other's way
    share: AbstractContextManager[Sequence[Task]] = nullcontext(tasks)
    notes = list(files.notes)
    if command.name in IN_BATCHES:
        from cnnart.methods.fast.torchrun_env import ignored, shared

        share = shared(tasks, reporter.warning)
        notes += filter(None, [ignored()])
    with (
        share as mine,
        journal_of(command, mine, files, run) as journal,
        caches_for(files),
    ):
        from cnnart.run.batch import Batch
        from cnnart.run.report import Finding

        more = dry_limits(run) if files.dry_run else {"begun": begun}
        runtime = make_runtime(run, max_pixels=files.max_pixels, **more)
        until["imports"] = time.time()
        runtime.open_ahead()
        runtime.tell = lambda line: reporter.found(Finding(line, {"note": line}))
        skips = files.skip_existing or journal.goes_on
        if mine and mine[0].source.path and not (in_batches or mine[0].is_clip or skips):
            mine[0].source.read_ahead(runtime.max_pixels)
        open_one = command.open(runtime)
        until["styles"] = time.time()
        for line in (*notes, *runtime.notes):
            reporter.warning(line)
        if talk.debug:
            reporter = with_timings(reporter, runtime, until)
        reporter, options = opening(reporter, talk), batch_options(files, talk)
        if files.dry_run:
            from cnnart.run.dry_run import DryRun

            return DryRun(open_one, reporter, options, journal).run(mine)
        if in_batches:
            from cnnart.run.prefetch import PrefetchingBatch

            one: Any = getattr(command, "first", command)  # where each style is made by itself
            size = one.batch_size(runtime)
            return PrefetchingBatch(open_one, reporter, options, size, journal).run(mine)
        return Batch(open_one, reporter, options, journal).run(mine)


def caches_for(files: FileOptions) -> AbstractContextManager[None]:
    """Within it a dry run keeps nothing of what it measures."""
    if not files.dry_run:
        return nullcontext()
    from cnnart.networks.convolution import unrecorded

    return unrecorded()


def dry_limits(run: RunOptions) -> dict[str, Any]:
    """For the runtime of a dry run. Raises WeightsError for a network that is to be fetched."""
    from cnnart.run.dry_run import refuse_fetching

    if run.backbone and not run.offline:
        refuse_fetching(run.backbone)
    return {"read_only": True}


def opening(reporter: Reporter, talk: TalkOptions) -> Reporter:
    """The reporter, which also shows or opens what was made, if that is asked for."""
    if talk.show:
        from cnnart.cli.terminal_picture import then_show

        reporter = then_show(reporter)
    if talk.open:
        from cnnart.cli.viewer import then_open

        reporter = then_open(reporter)
    return reporter


def with_timings(reporter: Reporter, runtime: Runtime, until: Mapping[str, float]) -> Reporter:
    """The reporter, which in the end also says where the time went since the process was made.

    ``until``: when its first parts ended (``time.time()``), by name.
    """
    import psutil

    from cnnart.run.timings import Timings

    return Timings(psutil.Process().create_time(), until).watched(reporter, runtime)


def make_runtime(run: RunOptions, **more: Any) -> Runtime:
    """The runtime that the options ask for."""
    from cnnart.runtime import Runtime

    given: Mapping[str, Any] = {**vars(run), **more}
    return Runtime(**{name: value for name, value in given.items() if value is not None})


def batch_options(files: FileOptions, talk: TalkOptions) -> BatchOptions:
    """How the batch behaves; a preview is shown to people at a terminal."""
    from cnnart.run.batch import BatchOptions

    preview = talk.preview
    if preview is None:
        preview = sys.stderr.isatty() and not (talk.quiet or talk.json) and files.output != "-"
    return BatchOptions(files.skip_existing, preview, talk.save_every or 0, talk.quiet, talk.debug)


def make_reporter(talk: TalkOptions, *, paths: bool = True) -> Reporter:
    """The reporter for these options and for where standard error leads.

    ``paths``: whether the results' paths go to standard output.
    """
    from cnnart.run.report import JsonLines, Plain, Reporter

    if talk.json:
        return JsonLines()
    if talk.quiet:
        return Reporter()
    if not sys.stderr.isatty():
        return Plain(paths=paths)
    if os.environ.get("TERM", "") in ("dumb", "unknown"):  # where rich draws nothing
        from cnnart.run.bar import Bar

        return Bar(paths=paths)
    from cnnart.run.terminal import Terminal

    return Terminal(paths=paths)
