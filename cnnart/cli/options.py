"""The options that several commands share, each written once, and their values in one object.

A group is a decorator; the command gets one dataclass per group instead of a dozen arguments.
"""

from __future__ import annotations

import functools
from collections.abc import Callable, Mapping
from dataclasses import MISSING, dataclass, fields
from typing import Any

import click

from cnnart.cli.values import DURATION, MEMORY
from cnnart.jobs.naming import FORMATS

Decorator = Callable[[Callable[..., Any]], Callable[..., Any]]


@dataclass(frozen=True)
class FileOptions:
    """Which pictures, and where the results go."""

    photos: tuple[str, ...]
    output: str | None = None
    recursive: bool = False
    skip_existing: bool = False
    format: str | None = None
    quality: int | None = None
    metadata: bool = True
    max_pixels: int | None = None


@dataclass(frozen=True)
class RunOptions:
    """What it runs on; None where the user left it to cnnart."""

    device: str | None
    precision: str | None
    backbone: str | None
    offline: bool
    max_memory: int | None
    time_budget: float | None


@dataclass(frozen=True)
class TalkOptions:
    """What is said and shown meanwhile."""

    quiet: bool
    json: bool
    save_every: int | None
    preview: bool | None
    debug: bool


def style_option(help: str) -> Decorator:
    """``--style``: several, each with its weight, as text."""
    return click.option(
        "-s",
        "--style",
        "styles",
        multiple=True,
        required=True,
        metavar="STYLE[:WEIGHT]",
        help=help,
    )


mask_option: Decorator = click.option(
    "--mask",
    "masks",
    multiple=True,
    metavar="MASK",
    help="Where the first style (then the second, ...) applies: a picture, white there; or 'alpha' "
    "for the photo's own; inverse:MASK turns it round.",
)


def _group(argument: str, kind: type, options: list[Decorator]) -> Decorator:
    """A decorator that adds ``options`` and hands their values over as one ``kind``."""
    names = [f.name for f in fields(kind)]

    def decorate(command: Callable[..., Any]) -> Callable[..., Any]:
        @functools.wraps(command)
        def collected(*context: Any, **values: Any) -> Any:
            group = kind(**{name: values.pop(name) for name in names})
            return command(*context, **values, **{argument: group})

        result: Callable[..., Any] = collected
        for option in reversed(options):
            result = option(result)
        return result

    return decorate


def setting(config: type, name: str, help: str, *flags: str, **more: Any) -> Decorator:
    """An option for a field of a config dataclass, whose default the help shows.

    Its value is None where the user did not give it, so that a style's own recommendation holds.
    """
    field = next(f for f in fields(config) if f.name == name)
    made = field.default_factory
    shown = more.pop("shown", field.default if made is MISSING else made())
    if isinstance(shown, Mapping):
        shown = ",".join(key if value == 1 else f"{key}:{value:g}" for key, value in shown.items())
    flag = f"--{name.replace('_', '-')}"
    return click.option(
        flag, name, *flags, default=None, help=f"{help}  [default: {shown}]", **more
    )


file_options = _group(
    "files",
    FileOptions,
    [
        click.argument("photos", nargs=-1, required=True, metavar="PHOTO..."),
        click.option(
            "-o",
            "--output",
            metavar="OUT",
            help="A file, a folder, a pattern such as 'out/{stem}-{style}.jpg' (also {parent}, "
            "{ext}), or - for standard output.  [default: {stem}-{style}.png in this folder]",
        ),
        click.option("-r", "--recursive", is_flag=True, help="Look into folders' folders too."),
        click.option("--skip-existing", is_flag=True, help="Leave out what is already there."),
        click.option(
            "--format", type=click.Choice(FORMATS), help="Default: as OUT is named, else png."
        ),
        click.option(
            "--quality", type=click.IntRange(1, 100), help="Of JPEG and WebP.  [default: 95]"
        ),
        click.option(
            "--metadata/--no-metadata",
            default=True,
            help="Keep the photo's EXIF, and put the settings into the picture for `cnnart rerun`.",
        ),
        click.option(
            "--max-pixels",
            type=click.IntRange(1),
            metavar="N",
            help="Refuse to read pictures with more pixels.  [default: 200000000]",
        ),
    ],
)

run_options = _group(
    "run",
    RunOptions,
    [
        click.option(
            "--device", metavar="NAME", help="auto, cpu, cuda, cuda:N or mps.  [default: auto]"
        ),
        click.option(
            "--precision",
            type=click.Choice(["auto", "fp32", "bf16", "fp16"]),
            help="Of the network; all else is fp32.  [default: auto]",
        ),
        click.option(
            "--backbone",
            metavar="NAME",
            help="The network: see `cnnart weights list`.  [default: vgg19]",
        ),
        click.option("--offline", is_flag=True, help="Never download anything."),
        click.option(
            "--max-memory",
            type=MEMORY,
            help="The most it may take, all included: 4GB, 800MB.  [default: most of what is free]",
        ),
        click.option(
            "--time-budget",
            type=DURATION,
            help="The best picture that is ready in 90s, 5m, 1h.  [default: as --preset says]",
        ),
    ],
)

talk_options = _group(
    "talk",
    TalkOptions,
    [
        click.option("-q", "--quiet", is_flag=True, help="Say nothing but errors."),
        click.option("--json", is_flag=True, help="Report as JSON lines on standard output."),
        click.option(
            "--save-every",
            type=click.IntRange(1),
            metavar="N",
            help="Keep a snapshot of every N-th step.",
        ),
        click.option(
            "--preview/--no-preview",
            default=None,
            help="A live preview file beside the result.  [default: on a terminal]",
        ),
        click.option(
            "--debug", is_flag=True, envvar="CNNART_DEBUG", help="Show a traceback on an error."
        ),
    ],
)
