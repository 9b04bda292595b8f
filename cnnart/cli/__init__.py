"""The ``cnnart`` command: a table of commands, each imported only when it runs."""

from __future__ import annotations

from importlib import import_module

import click

from cnnart import __version__
from cnnart.errors import did_you_mean

# name: (module, the line shown by `cnnart --help`). Kept here so that help imports nothing.
COMMANDS = {
    "stylize": ("cnnart.cli.stylize", "Paint photos in the style of one or more pictures."),
    "styles": ("cnnart.cli.styles", "List, show and check the built-in styles."),
    "weights": ("cnnart.cli.weights", "List, verify, import and fetch network weights."),
    "info": ("cnnart.cli.info", "Show versions, devices and weights: what a bug report needs."),
    "rerun": ("cnnart.cli.rerun", "Make a picture again from the record inside it."),
}


class LazyGroup(click.Group):
    """A group that knows its commands by name and imports one when it is used."""

    def list_commands(self, ctx: click.Context) -> list[str]:
        return list(COMMANDS)

    def get_command(self, ctx: click.Context, name: str) -> click.Command | None:
        if name not in COMMANDS:
            return None
        module = import_module(COMMANDS[name][0])
        commands = (value for value in vars(module).values() if isinstance(value, click.Command))
        return _accept_debug(next(command for command in commands if command.name == name))

    def resolve_command(
        self, ctx: click.Context, args: list[str]
    ) -> tuple[str | None, click.Command | None, list[str]]:
        if args[0] not in COMMANDS and not args[0].startswith("-"):
            ctx.fail(f"No command {args[0]!r}.{did_you_mean(args[0], list(COMMANDS))}")
        return super().resolve_command(ctx, args)

    def format_commands(self, ctx: click.Context, formatter: click.HelpFormatter) -> None:
        with formatter.section("Commands"):
            formatter.write_dl([(name, line) for name, (_, line) in COMMANDS.items()])


def _accept_debug(command: click.Command) -> click.Command:
    """Let a command and its sub-commands take --debug, which ``__main__`` acts on."""
    if not any(param.name == "debug" for param in command.params):
        command.params.append(
            click.Option(
                ["--debug"], is_flag=True, expose_value=False, help="Show a traceback on an error."
            )
        )
        if isinstance(command, click.Group):
            for child in command.commands.values():
                _accept_debug(child)
    return command


@click.group(
    cls=LazyGroup,
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
