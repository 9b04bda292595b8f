"""``cnnart sweep``: a command with several values of its settings, on one labelled sheet.

Each command under ``sweep`` has the options of the real one, whose settings may have several
values; each combination is made by the real command's ``command_of``.
"""

from __future__ import annotations

import contextlib
import copy
import itertools
import math
import sys
import tempfile
import textwrap
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, fields, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any, cast

import click

from cnnart.cli.dream import FLIGHT
from cnnart.cli.group import LazyGroup
from cnnart.cli.lines import say
from cnnart.cli.options import (
    USE_VGG19,
    FileOptions,
    RunOptions,
    TakesOwnPresets,
    TalkOptions,
    caches_for,
    check_options,
    dry_limits,
    journal_of,
    make_reporter,
    make_runtime,
    opening,
    split,
)
from cnnart.cli.types import PresetType, SizeType, StrokeType
from cnnart.commands.sweep import Cell, Sweep, check_folder, columns_of
from cnnart.errors import UsageError
from cnnart.files import as_path, is_there
from cnnart.run.inputs import Source, expand
from cnnart.run.outputs import Task, plan, refuse_clashes, refuse_overwriting
from cnnart.run.report import Plain, Plan, Reporter, Start, Summary, about, duration
from cnnart.settings import LARGEST_SEED

if TYPE_CHECKING:
    from cnnart.run.command import Run
    from cnnart.run.journal import Journal
    from cnnart.run.lanes import Lanes
    from cnnart.run.predict import Prediction

MANY = 100  # pictures, beyond which a slip of the finger is likelier than a wish

# Options that make something else than one picture, or say what the sweep says in its own way.
LEFT_OUT = {
    *("output", "recursive", "skip_existing", "save_every", "preview", "each_style"),
    *("list_presets", "source", "sheet", "frames", *FLIGHT),
    *("tiles", "companions", "ladder", "batch", "refine", "save_style"),
    *("start", "end", "fps", "codec", "crf", "stability"),
    *("save_preset", "bit_depth", "show_mask"),
}
# Settings on which the time depends: one picture's says little of another's.
LENGTHENING = {"size", "preset", "steps", "method", "octaves", "patch", "optimizer"}


class Values(dict[str, Any]):
    """Several values of a setting, by what was written."""


class Several(click.ParamType):
    """One value of a type, or several with commas between them."""

    def __init__(self, each: click.ParamType) -> None:
        self.each, self.name = each, each.name
        self.known = getattr(each, "known", ())  # of presets

    def convert(self, value: Any, param: Any, ctx: Any) -> Any:
        """Fails as wrong usage where one of the values does, or is missing."""
        texts = [text.strip() for text in str(value).split(",")]
        if len(texts) > 1 and "" in texts:
            self.fail(f"{value!r} lacks a value beside a comma.", param, ctx)
        values = Values()
        for text in texts:
            if (meant := self.each.convert(text, param, ctx)) not in values.values():
                values[text] = meant  # 0.2 and 0.20 are one picture
        own = [text for text in texts if text not in self.known]
        if len(texts) > 1 and own and isinstance(self.each, PresetType):
            self.fail(
                f"{value!r}: several presets must be ones that come with cnnart, and {own[0]!r} is "
                "your own.",
                param,
                ctx,
            )
        return values if len(values) > 1 else next(iter(values.values()))

    def shell_complete(self, ctx: Any, param: Any, incomplete: str) -> list[Any]:
        """What the type offers for the value after the last comma."""
        before, comma, last = incomplete.rpartition(",")
        offered = self.each.shell_complete(ctx, param, last)
        for item in offered:
            item.value = f"{before}{comma}{item.value}"
        return offered


@dataclass(frozen=True)
class Swept:
    """A real command. ``make``: its ``command_of``, called with sources and options; ``find``: the
    sources that are meant."""

    command: click.Command
    config: type
    make: Callable[..., Any]
    find: Callable[[FileOptions], Sequence[Any]]


def _photos(files: FileOptions) -> list[Source]:
    return expand(files.photos, notes=files.notes)


def _stylize() -> click.Command:
    from cnnart.cli.stylize import command_of, stylize
    from cnnart.methods.stylize.config import StylizeConfig

    return sweep_of(Swept(stylize, StylizeConfig, lambda _, **given: command_of(**given), _photos))


def _fast_stylize() -> click.Command:
    from cnnart.cli.fast_stylize import command_of, fast_stylize
    from cnnart.methods.fast.config import FastConfig

    return sweep_of(
        Swept(fast_stylize, FastConfig, lambda _, **given: command_of(**given), _photos)
    )


def _dream() -> click.Command:
    from cnnart.cli.dream import command_of, dream
    from cnnart.methods.dream.config import DreamConfig

    return sweep_of(Swept(dream, DreamConfig, lambda _, **given: command_of(**given), _photos))


def _texture() -> click.Command:
    from cnnart.cli.texture import check_single, command_of, texture
    from cnnart.commands.texture import find_exemplars
    from cnnart.methods.texture.config import TextureConfig

    def find(files: FileOptions) -> Sequence[Any]:
        return find_exemplars(files.photos, False, files.notes)

    def make(exemplars: Sequence[Any], mix: bool, **given: Any) -> Any:
        if not mix:
            check_single(exemplars, FileOptions(()))
        return command_of(exemplars if mix else (), **given)

    return sweep_of(Swept(texture, TextureConfig, make, find))


TABLE = {
    "stylize": (_stylize, "Strengths, stroke sizes, colors, ... of a painting."),
    "fast-stylize": (_fast_stylize, "The same of a trained style."),
    "dream": (_dream, "Presets, strengths, octaves, ... of a dream."),
    "texture": (_texture, "Methods, patches, seeds, ... of a texture."),
}


class OfAPhoto(LazyGroup):
    """Where a picture stands in the place of a command, ``stylize`` is meant."""

    def resolve_command(
        self, ctx: click.Context, args: list[str]
    ) -> tuple[str | None, click.Command | None, list[str]]:
        word = args[0]
        if word not in self.table and (word == "-" or Path(word).suffix or is_there(as_path(word))):
            args = ["stylize", *args]
        return super().resolve_command(ctx, args)


@click.group("sweep", cls=OfAPhoto, table=TABLE)
def sweep() -> None:
    """Try several values of settings: one labelled sheet of all combinations.

    Without a command before the photo it is stylize.

    \b
    cnnart sweep photo.jpg --style night-swirls --strength 0.2,0.5,0.8 --style-scale 0.5,1,2
    cnnart sweep dream photo.jpg --preset eyes,birds,shells --size 256
    cnnart sweep photo.jpg --style night-swirls --variations 6 --keep six/
    """


def own_options() -> list[click.Parameter]:
    """The options of a sweep itself."""
    return [
        click.Option(
            ["-o", "--output"],
            metavar="SHEET",
            help="The sheet, or - for standard output.  [default: {stem}-{style}-sweep.png]",
        ),
        click.Option(
            ["--variations"],
            type=click.IntRange(2),
            metavar="N",
            help="As many seeds, from --seed on.",
        ),
        click.Option(
            ["--keep"],
            metavar="FOLDER",
            help="Keep the single pictures, too: a sweep that was stopped goes on with them.",
        ),
        click.Option(["--yes"], is_flag=True, help=f"Make more than {MANY} pictures."),
    ]


class SweepCommand(TakesOwnPresets):
    """Its help tells its own options, and of the real command's the names."""

    swept: Swept
    own: Sequence[click.Parameter]

    def format_options(self, ctx: click.Context, formatter: click.HelpFormatter) -> None:
        with formatter.section("Sweep"):
            records = [param.get_help_record(ctx) for param in self.own]
            formatter.write_dl([record for record in records if record])
        options = [param for param in self.params if isinstance(param, click.Option)]
        several = [param for param in options if isinstance(param.type, Several)]
        others = [param for param in options if param not in several and param not in self.own]
        path = f"cnnart {self.name} -h"
        for title, group in (("May have several values", several), ("As usual", others)):
            with formatter.section(title):
                text, width = ", ".join(map(_flags, group)), formatter.width - 2
                for line in textwrap.wrap(text, width, break_on_hyphens=False):
                    formatter.write(f"  {line}\n")
        formatter.write_paragraph()
        formatter.write_text(f"`{path}` says what each of these does.")


def _flags(option: click.Option) -> str:
    return "/".join([*option.opts, *option.secondary_opts])


def sweep_of(swept: Swept) -> click.Command:
    """The command that sweeps a real one's settings."""
    own = own_options()
    names = {field.name for field in fields(swept.config)}
    params = [
        _with_several(param) if _may_have_several(param, names) else param
        for param in swept.command.params
        if param.name not in LEFT_OUT
    ]

    @click.pass_context
    def run(ctx: click.Context, **given: Any) -> None:
        ctx.exit(_sweep(swept, given))

    command = SweepCommand(
        swept.command.name,
        callback=run,
        params=[*params, *own],
        help=f"Several values of the settings of `cnnart {swept.command.name}`: one labelled "
        "sheet.\n\nThe values have commas between them. Those of the first option stand one above "
        "the other, those of the others side by side. A combination that cannot be made is named, "
        "and the others are made; Ctrl-C keeps the sheet so far.",
    )
    command.swept, command.own = swept, own
    return command


def _may_have_several(param: click.Parameter, settings: set[str]) -> bool:
    if not isinstance(param, click.Option) or param.multiple or param.is_flag:
        return False
    kinds = (click.Choice, click.IntRange, click.FloatRange, SizeType, StrokeType)
    return param.name in settings and (
        isinstance(param.type, kinds)
        or param.type in (click.INT, click.FLOAT)
        or param.name == "preset"  # dream's has no list of choices
    )


def _with_several(option: click.Parameter) -> click.Parameter:
    changed = copy.copy(option)
    changed.type = Several(option.type)
    return changed


def _sweep(swept: Swept, given: dict[str, Any]) -> int:
    variations, keep, yes = (given.pop(name) for name in ("variations", "keep", "yes"))
    files, run, talk = split(given)
    if talk.quiet and talk.json:
        raise UsageError("--quiet and --json contradict each other.")
    check_options(files, talk)
    axes = {name: value for name, value in given.items() if isinstance(value, Values)}
    if variations:
        axes["seed"] = seeds(swept, given, variations)
    if not axes:
        raise UsageError(
            "Nothing to sweep: give a setting several values (--strength 0.2,0.5,0.8), or say "
            "--variations N."
        )
    combinations = list(itertools.product(*(values.items() for values in axes.values())))
    if len(combinations) > MANY and not yes:
        raise UsageError(
            f"{len(combinations)} pictures are many: give fewer values, or say --yes if they are "
            "meant."
        )
    found = swept.find(files)
    sources = [each if isinstance(each, Source) else each[0] for each in found]
    if len(sources) > 1 and not given.get("mix"):
        raise UsageError(f"A sweep is of one picture, and these are {len(sources)}.")
    cells = [
        _cell(swept, found, given, dict(zip(axes, combination, strict=True)))
        for combination in combinations
    ]
    if all(cell.trouble for cell in cells):
        raise UsageError(str(cells[0].trouble))
    made = Sweep(sources[0], cells, columns_of({name: list(axes[name]) for name in axes}))
    (sheet,) = plan(
        sources[:1],
        files.output,
        style=f"{made.label}-sweep",
        format=files.format,
        protected=made.inputs(),
        options=files.writing,
    )
    return _work_through(made, sheet, keep, files, run, talk, axes)


def seeds(swept: Swept, given: Mapping[str, Any], count: int) -> Values:
    """The seeds of so many variations. Raises UsageError where there is none, or several."""
    if "seed" not in given:
        raise UsageError(f"{swept.command.name} has no seed: there are no variations of it.")
    first = given["seed"] or 0
    if isinstance(first, Values):
        raise UsageError("--variations counts on from one --seed, and there are several.")
    if first + count - 1 > LARGEST_SEED:
        raise UsageError(f"Seeds end at {LARGEST_SEED}: give a smaller --seed.")
    return Values({str(seed): seed for seed in range(first, first + count)})


def _cell(
    swept: Swept,
    found: Sequence[Any],
    given: Mapping[str, Any],
    chosen: Mapping[str, tuple[str, Any]],
) -> Cell:
    values = {name: text for name, (text, _) in chosen.items()}
    settings = {**given, **{name: value for name, (_, value) in chosen.items()}}
    try:
        return Cell(values, swept.make(found, **settings))
    except UsageError as error:
        return Cell(values, None, str(error))


def _work_through(
    made: Sweep,
    sheet: Task,
    keep: str | None,
    files: FileOptions,
    run: RunOptions,
    talk: TalkOptions,
    axes: Mapping[str, object],
) -> int:
    with contextlib.ExitStack() as stack:
        if keep is None:  # they are needed for the sheet alone
            folder = Path(stack.enter_context(tempfile.TemporaryDirectory(prefix="cnnart-sweep-")))
            tasks = made.tasks(folder, "png", files.writing)
        else:
            check_folder(as_path(keep))
            tasks = made.tasks(as_path(keep), files.format or "png", files.writing)
            refuse_clashes([*tasks, sheet])
            refuse_overwriting(tasks, made.inputs())
        if made.name in USE_VGG19 and run.backbone is None:
            from cnnart.weights.embedded import expand_ahead

            expand_ahead()
        journal = stack.enter_context(journal_of(made, tasks if keep else (), files, run))
        stack.enter_context(caches_for(files))
        from cnnart.run.batch import Batch, BatchOptions

        more = dry_limits(run) if files.dry_run else {}
        runtime = make_runtime(run, max_pixels=files.max_pixels, **more)
        runtime.open_ahead()
        open_one = made.open(runtime)
        lanes = None
        if made.fills_lanes and not (files.dry_run or run.max_memory or run.time_budget):
            lanes = stack.enter_context(lanes_of(tasks, open_one, journal))
            open_one = lanes.open
        told: Reporter = make_reporter(talk)
        if files.dry_run:
            told = told if talk.quiet or talk.json else Plain()
        elif not (talk.quiet or talk.json):
            told = Lines(
                [task.title for task in tasks],
                even=not LENGTHENING & set(axes),
                at_a_time=lambda: lanes.count if lanes else 1,
            )
        told = opening(told, talk)
        for line in (*files.notes, *runtime.notes):
            told.warning(line)
        reporter = WithSheet(told, made, tasks, sheet, kept=keep is not None)
        options = BatchOptions(quiet=talk.quiet, debug=talk.debug)
        if files.dry_run:
            from cnnart.run.dry_run import DryRun

            return DryRun(open_one, cast("Reporter", reporter), options, journal).run(tasks)
        try:
            return Batch(open_one, cast("Reporter", reporter), options, journal).run(tasks)
        except KeyboardInterrupt:
            reporter.deliver(0.0)
            raise


def lanes_of(tasks: Sequence[Task], open_one: Callable[[Task], Run], journal: Journal) -> Lanes:
    """Lanes for the pictures that are not there yet."""
    from cnnart.run.lanes import Lanes

    def is_new(task: Task) -> bool:
        return not (task.trouble or journal.is_whole(task) or journal.is_in_progress(task))

    return Lanes(tasks, open_one, is_new)


class WithSheet:
    """A reporter that does the same, and in the end writes the sheet of what was made.

    ``kept``: the single pictures stay; if not, nobody is told of their paths.
    """

    def __init__(
        self, reporter: Reporter, made: Sweep, tasks: Sequence[Task], sheet: Task, *, kept: bool
    ) -> None:
        self._reporter, self._kept = reporter, kept
        self._made, self._tasks, self._sheet = made, tasks, sheet
        self._paths: set[Path] = set()

    def __getattr__(self, name: str) -> Any:
        return getattr(self._reporter, name)

    def start(self, start: Start) -> None:
        self._reporter.start(self._of_the_sheet(start))

    def plan(self, plan: Plan) -> None:
        start = self._of_the_sheet(plan.start)
        settings = self._made.cells[start.index - 1].title
        said = replace(start, about=f"{start.about}, {settings}")
        self._reporter.plan(replace(plan, start=said))

    def _of_the_sheet(self, start: Start) -> Start:
        output = start.output if self._kept else str(self._sheet.target or "-")
        swept = {"sweep": dict(self._made.cells[start.index - 1].values)}
        return replace(start, output=output, details={**start.details, **swept})

    def saved(self, path: Path | None, kind: str, seconds: float) -> None:
        if path:
            self._paths.add(path)
        self._reporter.saved(path if self._kept else None, kind, seconds)

    def skipped(self, name: str, path: Path) -> None:
        self._paths.add(path)
        self._reporter.skipped(name, path)

    def done(self, summary: Summary) -> None:
        self.deliver(summary.seconds)
        self._reporter.done(summary)

    def deliver(self, seconds: float) -> None:
        """Write the sheet, if there is anything to be seen on it. Raises ImageError."""
        if not self._paths:
            return
        from cnnart.image.write import write_image

        quality = self._sheet.options.quality
        more: dict[str, Any] = {} if quality is None else {"quality": quality}
        rgb = self._made.sheet(self._tasks, self._paths)
        write_image(self._sheet.target or sys.stdout.buffer, rgb, format=self._sheet.format, **more)
        self._reporter.saved(self._sheet.target, "sheet", seconds)


class Lines(Plain):
    """For people: a line for each picture on standard error, with the time that is left.

    Args:
        titles: of all pictures.
        even: whether all take about as long as the first.
        at_a_time: asked when the first is open: how many are computed at a time.
    """

    predicts = True

    def __init__(
        self, titles: Sequence[str], *, even: bool, at_a_time: Callable[[], int] = lambda: 1
    ) -> None:
        super().__init__()
        self._titles, self._even, self._at_a_time = titles, even, at_a_time
        self._index = 0
        self._times: list[float] = []
        self._warned: set[str] = set()

    def start(self, start: Start) -> None:
        if not self._index:
            height, width = start.size
            several = f", {self._at_a_time()} at a time" if self._at_a_time() > 1 else ""
            self._say(
                f"{start.count} pictures, the first of {width} x {height} px, {start.about}, "
                f"on {start.device_reason}, {start.precision}{several}"
            )
        self._index = start.index

    def predicted(self, prediction: Prediction) -> None:
        if self._even and not self._times:
            each = prediction.seconds
            left = len(self._titles) - max(0, self._index - 1)
            rounds = math.ceil(left / self._at_a_time())
            self._say(f"takes about {about(rounds * each)}: {about(each)} for each picture")

    def warning(self, message: str) -> None:
        if message not in self._warned:  # once, though it holds for every picture
            self._warned.add(message)
            super().warning(message)

    def saved(self, path: Path | None, kind: str, seconds: float) -> None:
        if kind == "sheet":
            super().saved(path, kind, seconds)
            return
        self._times.append(seconds)
        left, lanes = len(self._titles) - self._index, self._at_a_time()
        # Of those computed beside it, none lasts much longer.
        rounds = math.ceil(len(self._times) / lanes)
        to_come = math.ceil((len(self._times) + left) / lanes) - rounds
        time_left = to_come * sum(self._times) / rounds
        # How long one of several took after its turn had come says nothing.
        took = duration(seconds) if lanes == 1 else "done"
        end = "stopped" if kind == "interrupted" else took
        more = f"; about {about(time_left)} left" if to_come and kind == "result" else ""
        number, title = f"{self._index}/{len(self._titles)}", self._titles[self._index - 1]
        self._say(f"{number}  {title}: {end}{more}")

    def failed(self, name: str, error: str, exit_code: int) -> None:
        self._say(f"{name}: failed")  # why stands in the table at the end

    def _say(self, line: str) -> None:
        say(f"cnnart: {line}", err=True)
