"""What a painting would take, before it is asked for: the same as ``--dry-run``."""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING, Any

from cnnart.errors import UsageError
from cnnart.run.batch import BatchOptions
from cnnart.run.dry_run import DryRun
from cnnart.run.inputs import Source
from cnnart.run.journal import Journal
from cnnart.run.outputs import Task
from cnnart.run.report import JsonLines
from cnnart.studio.request import Asked

if TYPE_CHECKING:
    from cnnart.runtime import Runtime

TOLD = ("size", "seconds", "memory", "tile", "device", "device_reason", "precision", "seed")


class Heard(JsonLines):
    """A dry run's reporter: keeps the plan of one picture, and what is warned of."""

    def __init__(self) -> None:
        self.plan_facts: dict[str, Any] = {}
        self.warnings: list[str] = []

    def _event(self, event: str, **facts: Any) -> None:
        if event == "plan":
            self.plan_facts = {name: facts[name] for name in TOLD}
        elif event == "warning":
            self.warnings.append(facts["message"])


def plan(asked: Asked, runtime: Runtime, between_steps: Callable[[], None]) -> dict[str, Any]:
    """Size, seconds (None: not known before), bytes and warnings of what is asked for.

    Raises CnnartError where the painting would fail before its first step.
    """
    if asked.photo.seconds is not None:
        raise UsageError("What a clip takes is told while it is painted.")
    heard = Heard()
    options = BatchOptions(quiet=True)
    task = Task(Source(asked.photo.path, asked.photo.given), None, "png")
    with Journal(read_only=True) as journal:
        DryRun(asked.command.open(runtime), heard, options, journal, between_steps).run([task])
    return heard.plan_facts | {"warnings": heard.warnings}
