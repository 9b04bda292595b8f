"""The options that all commands of ``cnnart inspect`` share, and their values in one object."""

from __future__ import annotations

import sys
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal, TypeVar, overload

import click
import cloup

from cnnart.cli.options import Decorator, section
from cnnart.commands.inspect import FolderQuery, check_output, deliver, item_of, one_photo
from cnnart.errors import SOME_FAILED, ImageError, on_one_line
from cnnart.files import is_file
from cnnart.settings import LARGEST_SEED, PRECISIONS

if TYPE_CHECKING:
    import torch
    from torch import Tensor

    from cnnart.methods.inspect.pictures import Item
    from cnnart.methods.inspect.report import Inspection
    from cnnart.methods.inspect.series import PhotoSeries
    from cnnart.networks.base import Classifier, Network
    from cnnart.run.inputs import Source

T = TypeVar("T")

MAX_NAMED = 10  # pictures that could not be used are named one by one, up to so many


@dataclass(frozen=True)
class InspectOptions:
    """The shared values. ``output`` is None where the user left it to the command.

    Those with a default are options of the commands only that make use of them.
    """

    backbone: str
    output: str | None
    json: bool
    device: str
    offline: bool
    quiet: bool
    debug: bool
    precision: str = "fp32"
    seed: int = 0

    def target(self, stem: str, inputs: Iterable[Path | str] = ()) -> str:
        """Where the result goes: ``-o``, else ``{stem}.png`` in this folder. Checked already.

        ``stem`` says what it is, like ``pagoda-saliency``; ``inputs`` are never overwritten.
        Needs no torch: call it first. Raises UsageError.
        """
        output = self.output or f"{stem}.png"
        check_output(output, inputs, as_json=self.json)
        return output

    def pick_device(self) -> torch.device:
        """The device of ``--device``; the processor's cores are divided. Raises UsageError."""
        from cnnart.runtime import keep_to_cores, pick_device

        keep_to_cores()
        return pick_device(self.device)

    @overload
    def open_network(self, *, classifier: Literal[True]) -> Classifier: ...

    @overload
    def open_network(self, *, classifier: bool = ...) -> Network: ...

    def open_network(self, *, classifier: bool = False) -> Network:
        """The network of ``--backbone``, ``--device`` and ``--precision``, loaded.

        ``classifier``: it must have classes (``logits``, ``classes``). Raises UsageError,
        WeightsError.
        """
        from cnnart.networks.zoo import open_network
        from cnnart.runtime import pick_precision

        device = self.pick_device()
        return open_network(
            self.backbone,
            device=device,
            dtype=pick_precision(self.precision, device),
            offline=self.offline,
            classifier=classifier,
        )

    def deliver(
        self, inspection: Inspection, output: str, inputs: Iterable[Path | str] = ()
    ) -> None:
        """Write the result and print where it is, or its numbers."""
        self.print(deliver(inspection, output, inputs, as_json=self.json))

    def print(self, line: str | None) -> None:
        """A line of results on standard output, if there is one."""
        if line is not None:
            click.echo(on_one_line(line))

    def track(self, items: Iterable[T], total: int | None, label: str) -> Iterator[T]:
        """``items`` one by one, with a bar on standard error if that is a terminal."""
        if self.quiet or not sys.stderr.isatty():
            yield from items
            return
        from rich.console import Console
        from rich.progress import track

        label = on_one_line(label).replace("[", r"\[")  # a layer's name is no markup
        yield from track(items, label, total, console=Console(stderr=True), transient=True)

    def work(self, steps: Iterable[Any], total: int, label: str) -> None:
        """Run ``steps`` to their end, tracked."""
        for _ in self.track(steps, total, label):
            pass

    def warn(self, message: str) -> None:
        """One line on standard error, whatever ``--quiet`` says."""
        click.echo(on_one_line(f"cnnart: {message}"), err=True)

    def read(self, source: Source) -> Tensor:
        """The picture, ``1x3xHxW`` in [0, 1]; what there is to tell of its file is told."""
        picture = source.read()
        for line in picture.warnings:
            self.warn(line)
        return picture.rgb

    def say(self, message: str) -> None:
        """One line for people on standard error, unless ``--quiet``."""
        if not self.quiet:
            click.echo(on_one_line(message), err=True)

    def report_failures(self, failures: Sequence[tuple[str, str]], total: int) -> int:
        """Name the pictures that could not be used, and why; returns the exit code."""
        if not failures:
            return 0
        self.warn(f"{len(failures)} of {total} pictures could not be used:")
        for name, why in failures[:MAX_NAMED]:
            self.warn(f"  {name}: {why}")
        if len(failures) > MAX_NAMED:
            self.warn(f"  and {len(failures) - MAX_NAMED} more.")
        return SOME_FAILED


def photos_of(
    given: Sequence[str],
    what: str,
    options: InspectOptions,
    *,
    recursive: bool,
    inputs: Sequence[Path] = (),
) -> tuple[list[Item], str]:
    """The pictures of ``PHOTO|FOLDER...``, unread, and where the result goes.

    ``what`` ends the result's name where the user left it open; ``inputs``: other files that it
    may not overwrite. A single ``-`` is standard input. Raises UsageError.
    """
    if list(given) == ["-"]:
        source, _ = one_photo("-")
        output = options.target(f"{source.stem}-{what}", inputs)
        return [item_of(source, warn=options.warn)], output
    query = FolderQuery(tuple(given), recursive)
    first = Path(given[0])
    stem = first.stem if is_file(first) else query.name
    stem = "photos" if set(stem) & set("*?[") else stem
    files = [Path(name) for name in given if is_file(Path(name))]
    output = options.target(f"{stem}-{what}", [*files, *inputs])
    items = query.items(output, named=options.output is not None, warn=options.warn)
    return items, output


def look_at_photos(
    series: PhotoSeries,
    items: Sequence[Item],
    output: str,
    options: InspectOptions,
    title: Callable[[], tuple[str, dict[str, Any]]],
) -> int:
    """Look at each photo, tell what was found, and draw the sheet; returns the exit code.

    ``title``: of the sheet, and what there is to tell of all photos, asked for in the end. Raises
    ImageError where the only photo cannot be used.
    """
    from cnnart.methods.inspect.pictures import stream
    from cnnart.methods.inspect.report import json_line
    from cnnart.methods.inspect.series import SHEET

    tell = options.say if series.alone or output == "-" else options.print
    photos = stream(options.track(items, len(items), "photos"), series.failures)
    for found in series.rows(photos):
        row = series.last
        tell(json_line(row) if options.json and not series.alone else found.line)
    if series.alone and series.failures.found:
        raise ImageError(": ".join(series.failures.found[0]))
    code = options.report_failures(series.failures.found, len(items))
    if not series.photos:
        return 1
    if series.photos > SHEET:
        options.say(f"The sheet shows the first {SHEET} of {series.photos} photos.")
    options.deliver(series.report(*title()), output)
    return code


CLASSIFIERS = (
    "The network: vgg19, alexnet or efficientnet-lite0 (part of cnnart); any "
    "classification network of torchvision (resnet50, googlenet, ...); or your own "
    "MODULE:FUNCTION that returns an nn.Module."
)

_precision: Any = cloup.option(
    "--precision",
    type=click.Choice(PRECISIONS),
    default="fp32",
    show_default=True,
    help="Precision of the network.",
)
_seed: Any = cloup.option(
    "--seed",
    type=click.IntRange(0, LARGEST_SEED),
    metavar="INTEGER",
    default=0,
    show_default=True,
    help="Seed of all randomness.",
)


def inspect_options(
    backbone: str, networks: str = CLASSIFIERS, *, precision: bool = True, seed: bool = True
) -> Decorator:
    """The sections of the shared options; ``take(given, InspectOptions)`` gets their values.

    ``backbone`` is the command's default network, ``networks`` says which there are; ``precision``,
    ``seed``: whether it has these options.
    """
    output = section(
        "Output",
        cloup.option(
            "-o",
            "--output",
            metavar="OUT",
            help="A picture (.png, .jpg, .webp, .tiff), a page (.html), or - for standard output.",
        ),
        cloup.option("--json", is_flag=True, help="Print the numbers as JSON, on the last line."),
        cloup.option("-q", "--quiet", is_flag=True, help="Say nothing but results and errors."),
    )
    runtime = section(
        "Runtime",
        cloup.option(
            "--backbone",
            metavar="NAME",
            default=backbone,
            show_default=True,
            help=networks,
        ),
        cloup.option(
            "--device",
            metavar="NAME",
            default="auto",
            show_default=True,
            help="auto, cpu, cuda, cuda:N, xpu or mps.",
        ),
        *([_precision] if precision else []),
        cloup.option("--offline", is_flag=True, help="Never download anything."),
        *([_seed] if seed else []),
        cloup.option(
            "--debug", is_flag=True, envvar="CNNART_DEBUG", help="Show a traceback on an error."
        ),
    )
    return lambda command: output(runtime(command))


index_option: Any = cloup.option(
    "--index",
    type=click.Path(dir_okay=False, path_type=Path),
    metavar="FILE",
    help="Where features are kept between runs.  [default: FOLDER-LAYER.safetensors beside OUT]",
)
features_option: Any = cloup.option(
    "--layer", metavar="NAME", help="Layer of the features.  [default: the last before the classes]"
)
# The arguments of ``cnnart.methods.inspect.target.TargetQuery``.
target_options: Decorator = section(
    "Target",
    cloup.option(
        "--class",
        "named",
        metavar="NAME",
        help="The class: its name, index or WordNet id.  [default: the likeliest]",
    ),
    cloup.option(
        "--layer", metavar="NAME", help="Ask about a channel of this layer instead of a class."
    ),
    cloup.option(
        "--channel",
        type=click.IntRange(0),
        metavar="N",
        help="The channel: its mean activation counts.  [default: the most active]",
    ),
)
