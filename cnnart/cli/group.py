"""A group of commands, each imported only when it runs."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

import click

from cnnart.errors import did_you_mean


class LazyGroup(click.Group):
    """A group that knows its commands by name and imports one when it is used.

    Args:
        table: command name -> (function that imports and returns it, the line in the group's help).
    """

    def __init__(
        self,
        *args: Any,
        table: Mapping[str, tuple[Callable[[], click.Command], str]],
        **more: Any,
    ) -> None:
        super().__init__(*args, **more)
        self.table = table

    def list_commands(self, ctx: click.Context) -> list[str]:
        return list(self.table)

    def get_command(self, ctx: click.Context, name: str) -> click.Command | None:
        if name not in self.table:
            return None
        return _accept_debug(self.table[name][0]())

    def resolve_command(
        self, ctx: click.Context, args: list[str]
    ) -> tuple[str | None, click.Command | None, list[str]]:
        if args[0] not in self.table and not args[0].startswith("-"):
            ctx.fail(f"No command {args[0]!r}.{did_you_mean(args[0], list(self.table))}")
        return super().resolve_command(ctx, args)

    def format_commands(self, ctx: click.Context, formatter: click.HelpFormatter) -> None:
        with formatter.section("Commands"):
            formatter.write_dl([(name, line) for name, (_, line) in self.table.items()])


def _accept_debug(command: click.Command) -> click.Command:
    """Let a command and its sub-commands take --debug, which ``__main__`` acts on."""
    if not any(param.name == "debug" for param in command.params):
        debug = click.Option(
            ["--debug"], is_flag=True, expose_value=False, help="Show a traceback on an error."
        )
        command.params.append(debug)
        if (shown := getattr(command, "ungrouped_options", None)) is not None:
            shown.append(debug)  # a cloup command lists its options apart
        if isinstance(command, click.Group):
            for child in command.commands.values():
                _accept_debug(child)
    return command
