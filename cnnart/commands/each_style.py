"""Photos in each of several styles by itself, where these would otherwise blend."""

from __future__ import annotations

import functools
import threading
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any, Generic, TypeVar

from cnnart.errors import UsageError

if TYPE_CHECKING:
    from cnnart.run.command import Command, Run
    from cnnart.run.outputs import Task
    from cnnart.runtime import Runtime

C = TypeVar("C", bound="Command")

OPEN = 2  # styles at once: that of the photo that is computed, and of the one that is read


class EachStyle(Generic[C]):
    """As many commands as styles, run as one; see ``run.command.Command``.

    Args:
        commands: of one kind, at least one. ``first`` stands for what they have in common.

    A task's ``style`` is the label of the command that makes it. A style that cannot be read fails
    with the photos that were to be made in it; the others are made.
    """

    def __init__(self, commands: Sequence[C]) -> None:
        self.first = commands[0]
        self.name, self.program = self.first.name, self.first.program
        self._commands = {command.label: command for command in commands}
        self.label = tuple(command.label for command in commands)

    @classmethod
    def make(
        cls, make: Callable[..., C], styles: Sequence[Any], masks: Sequence[Any], *more: Any
    ) -> EachStyle[C]:
        """Of a command that ``make`` makes of styles, masks and ``more``: one for each style, with
        its mask, the first with the first. Raises UsageError.
        """
        if len(masks) > len(styles):
            raise UsageError(f"{len(masks)} masks for {len(styles)} styles: one each at most.")
        return cls([make([s], masks[i : i + 1], *more) for i, s in enumerate(styles)])

    def inputs(self) -> list[Path]:
        return [path for command in self._commands.values() for path in command.inputs()]

    def open(self, runtime: Runtime) -> Callable[[Task], Run]:
        lock = threading.Lock()  # photos may be read by several threads

        @functools.lru_cache(OPEN)
        def opened(label: str) -> Callable[[Task], Run]:
            return self._commands[label].open(runtime)

        def open_one(task: Task) -> Run:
            assert task.style is not None
            with lock:
                make = opened(task.style)
            return make(task)

        return open_one

    def record(self) -> dict[str, Any]:
        return {"each": {label: command.record() for label, command in self._commands.items()}}
