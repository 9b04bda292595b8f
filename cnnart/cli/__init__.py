"""The ``cnnart`` command: a table of commands, each imported only when it runs."""

from __future__ import annotations

import click

from cnnart import __version__
from cnnart.cli.lazy import LazyGroup

# name: (module, the line shown by `cnnart --help`). Kept here so that help imports nothing.
COMMANDS = {
    "stylize": ("cnnart.cli.stylize", "Paint photos in the style of one or more pictures."),
    "texture": ("cnnart.cli.texture", "Make more of a texture: any size, seamless."),
    "dream": ("cnnart.cli.dream", "Let a network paint what it sees into photos."),
    "train-style": ("cnnart.cli.train_style", "Train a network for your own style."),
    "fast-stylize": ("cnnart.cli.fast_stylize", "Paint photos in a trained style, in a blink."),
    "inspect": ("cnnart.cli.inspect", "Look into a network: what its layers see and want."),
    "export": ("cnnart.cli.export", "Write a trained style as ONNX or as a checkpoint."),
    "styles": ("cnnart.cli.styles", "List, show and check the built-in styles."),
    "weights": ("cnnart.cli.weights", "List, verify, import and fetch network weights."),
    "info": ("cnnart.cli.info", "Show versions, devices and weights: what a bug report needs."),
    "rerun": ("cnnart.cli.rerun", "Make a picture again from the record inside it."),
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
