"""The options that all commands of ``cnnart inspect`` share, and their values in one object."""

from __future__ import annotations

import sys
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass, fields
from functools import wraps
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal, TypeVar, overload

import click

from cnnart.cli.options import Decorator
from cnnart.inspect.result import check_output

if TYPE_CHECKING:
    from cnnart.networks import Classifier, Network

T = TypeVar("T")


@dataclass(frozen=True)
class InspectOptions:
    """The shared values. ``output`` is None where the user left it to the command."""

    backbone: str
    output: str | None
    json: bool
    device: str
    precision: str
    offline: bool
    seed: int
    quiet: bool
    debug: bool

    def target(self, stem: str, inputs: Iterable[Path | str] = ()) -> str:
        """Where the result goes: ``-o``, else ``{stem}.png`` in this folder. Checked already.

        ``stem`` says what it is, like ``pagoda-saliency``; ``inputs`` are never overwritten.
        Needs no torch: call it first. Raises UsageError.
        """
        output = self.output or f"{stem}.png"
        check_output(output, inputs, json=self.json)
        return output

    @overload
    def open_network(self, *, classifier: Literal[True]) -> Classifier: ...

    @overload
    def open_network(self, *, classifier: bool = ...) -> Network: ...

    def open_network(self, *, classifier: bool = False) -> Network:
        """The network of ``--backbone``, ``--device`` and ``--precision``, loaded.

        ``classifier``: it must have classes (``logits``, ``classes``). Raises UsageError,
        WeightsError.
        """
        from cnnart.device import pick_device, pick_precision
        from cnnart.networks import open_network

        device = pick_device(self.device)
        return open_network(
            self.backbone,
            device=device,
            dtype=pick_precision(self.precision, device),
            offline=self.offline,
            classifier=classifier,
        )

    def track(self, items: Iterable[T], total: int | None, label: str) -> Iterator[T]:
        """``items`` one by one, with a bar on standard error if that is a terminal."""
        if self.quiet or not sys.stderr.isatty():
            yield from items
            return
        from rich.console import Console
        from rich.progress import track

        yield from track(items, label, total, console=Console(stderr=True), transient=True)

    def warn(self, message: str) -> None:
        """One line on standard error, whatever ``--quiet`` says."""
        click.echo(f"cnnart: {message}", err=True)

    def say(self, message: str) -> None:
        """One line for people on standard error, unless ``--quiet``."""
        if not self.quiet:
            click.echo(message, err=True)


def inspect_options(backbone: str) -> Decorator:
    """A decorator that adds the shared options; the command gets them as ``options``.

    ``backbone`` is the command's default network.
    """
    names = [f.name for f in fields(InspectOptions)]

    def decorate(command: Callable[..., Any]) -> Callable[..., Any]:
        @wraps(command)
        def collected(*context: Any, **values: Any) -> Any:
            group = InspectOptions(**{name: values.pop(name) for name in names})
            return command(*context, **values, options=group)

        result: Callable[..., Any] = collected
        for option in reversed(_options(backbone)):
            result = option(result)
        return result

    return decorate


def _options(backbone: str) -> list[Decorator]:
    return [
        click.option(
            "--backbone",
            metavar="NAME",
            default=backbone,
            show_default=True,
            help="The network: vgg19, alexnet or efficientnet-lite0 (part of cnnart); any "
            "classification network of torchvision (resnet50, googlenet, ...); or your own "
            "MODULE:FUNCTION that returns an nn.Module.",
        ),
        click.option(
            "-o",
            "--output",
            metavar="OUT",
            help="A picture (.png, .jpg, .webp, .tiff), a page (.html), or - for standard output.",
        ),
        click.option("--json", is_flag=True, help="Print the numbers as JSON, on the last line."),
        click.option(
            "--device",
            metavar="NAME",
            default="auto",
            show_default=True,
            help="auto, cpu, cuda, cuda:N or mps.",
        ),
        click.option(
            "--precision",
            type=click.Choice(["auto", "fp32", "bf16", "fp16"]),
            default="fp32",
            show_default=True,
            help="Of the network.",
        ),
        click.option("--offline", is_flag=True, help="Never download anything."),
        click.option(
            "--seed", type=int, default=0, show_default=True, help="Of whatever is random."
        ),
        click.option("-q", "--quiet", is_flag=True, help="Say nothing but results and errors."),
        click.option(
            "--debug", is_flag=True, envvar="CNNART_DEBUG", help="Show a traceback on an error."
        ),
    ]


def layer_option(required: bool = False, **more: Any) -> Decorator:
    """``--layer NAME``; ``help`` may say more than that."""
    help = more.pop("help", "The layer; `cnnart inspect layers BACKBONE` lists them.")
    return click.option("--layer", metavar="NAME", required=required, help=help, **more)
