"""The ``cnnart`` command: a table of commands, each imported only when it runs."""

from __future__ import annotations

import click

from cnnart.cli.group import LazyGroup
from cnnart.version import __version__


def _stylize() -> click.Command:
    from cnnart.cli.stylize import stylize

    return stylize


def _texture() -> click.Command:
    from cnnart.cli.texture import texture

    return texture


def _dream() -> click.Command:
    from cnnart.cli.dream import dream

    return dream


def _train_style() -> click.Command:
    from cnnart.cli.train_style import train_style

    return train_style


def _fast_stylize() -> click.Command:
    from cnnart.cli.fast_stylize import fast_stylize

    return fast_stylize


def _sweep() -> click.Command:
    from cnnart.cli.sweep import sweep

    return sweep


def _inspect() -> click.Command:
    from cnnart.cli.inspect import inspect

    return inspect


def _export() -> click.Command:
    from cnnart.cli.export import export

    return export


def _styles() -> click.Command:
    from cnnart.cli.styles import styles

    return styles


def _presets() -> click.Command:
    from cnnart.cli.presets import presets

    return presets


def _weights() -> click.Command:
    from cnnart.cli.weights import weights

    return weights


def _info() -> click.Command:
    from cnnart.cli.info import info

    return info


def _rerun() -> click.Command:
    from cnnart.cli.rerun import rerun

    return rerun


def _studio() -> click.Command:
    from cnnart.cli.studio import studio

    return studio


def _serve() -> click.Command:
    from cnnart.cli.studio import serve

    return serve


def _bench() -> click.Command:
    from cnnart.cli.bench import bench

    return bench


def _completion() -> click.Command:
    from cnnart.cli.completion import completion

    return completion


# name: (what imports it, its line in `cnnart --help`). Kept here so that help imports nothing.
COMMANDS = {
    "stylize": (_stylize, "Paint photos in the style of one or more pictures."),
    "texture": (_texture, "Make more of a texture: any size, seamless."),
    "dream": (_dream, "Let a network paint what it sees into photos."),
    "train-style": (_train_style, "Train a network for your own style."),
    "fast-stylize": (_fast_stylize, "Paint photos in a trained style, in a blink."),
    "sweep": (_sweep, "Try several values of settings: one labelled sheet of all."),
    "studio": (_studio, "Open a page in the browser: see styles at once, and paint."),
    "serve": (_serve, "Serve other programs over HTTP: a photo in, a picture out."),
    "inspect": (_inspect, "Look into a network: what its layers see and want."),
    "export": (_export, "Write a trained style as ONNX or as a checkpoint."),
    "styles": (_styles, "List, show and check the built-in styles."),
    "presets": (_presets, "List, show and remove presets of your own."),
    "weights": (_weights, "List, verify, import and fetch network weights."),
    "info": (_info, "Show versions, devices and weights: what a bug report needs."),
    "bench": (_bench, "Measure this machine in a minute, beside others."),
    "rerun": (_rerun, "Make a picture again from the record inside it."),
    "completion": (_completion, "Let the shell complete commands, options and values."),
}


@click.group(
    cls=LazyGroup,
    table=COMMANDS,
    invoke_without_command=True,
    context_settings={"help_option_names": ["-h", "--help"], "max_content_width": 100},
    epilog="Exit codes: 0 done, 1 could not, 2 wrong usage, 3 some of a batch failed, 130 stopped.",
)
@click.version_option(__version__, "-V", "--version", prog_name="cnnart")
@click.option("--debug", is_flag=True, expose_value=False, help="Show a traceback on an error.")
@click.pass_context
def cli(ctx: click.Context) -> None:
    """Neural image stylization: any size, offline, on the hardware you have.

    \b
    Start with:  cnnart stylize PHOTO --style NAME|PICTURE
    """
    if ctx.invoked_subcommand is None:
        click.echo(ctx.get_help())
