"""A painting: a command's run on one photo, what it tells meanwhile, and its result."""

from __future__ import annotations

import itertools
import secrets
import time
from collections import deque
from collections.abc import Callable, Iterator
from contextlib import suppress
from dataclasses import dataclass, field
from pathlib import Path
from threading import Lock
from typing import TYPE_CHECKING, Any

from cnnart.errors import CnnartError, reason
from cnnart.files import check_writable
from cnnart.run.batch import Batch, BatchOptions
from cnnart.run.outputs import Task
from cnnart.run.report import JsonLines
from cnnart.studio.guard import Refused
from cnnart.studio.pictures import KnownPicture, Pictures, free_name
from cnnart.studio.request import Asked, read_request

if TYPE_CHECKING:
    from cnnart.runtime import Runtime

MOST_EVENTS = 4000  # that are kept for those who ask later
KEPT_INPUTS = "inputs"  # the folder, beside the results, of what they were made from
ENDED = ("done", "stopped", "failed", "dropped")


class Events:
    """What happens to the paintings, in order, each with a number from 1."""

    def __init__(self) -> None:
        self._kept: deque[tuple[int, dict[str, Any]]] = deque(maxlen=MOST_EVENTS)
        self._numbers = itertools.count(1)
        self._lock = Lock()

    def tell(self, painting: str, facts: dict[str, Any]) -> None:
        with self._lock:
            self._kept.append((next(self._numbers), {"job": painting, **facts}))

    def since(self, number: int, painting: str | None = None) -> list[tuple[int, dict[str, Any]]]:
        """Those after ``number``, of one painting or all."""
        with self._lock:
            found = [each for each in self._kept if each[0] > number]
        return [each for each in found if painting in (None, each[1]["job"])]

    @property
    def last(self) -> int:
        """The number of the last one."""
        with self._lock:
            return self._kept[-1][0] if self._kept else 0


class Told(JsonLines):
    """A painting's reporter: the events of ``--json``, and a pause for previews at each step."""

    def __init__(self, painting: Painting, between_steps: Callable[[], None]) -> None:
        self._painting, self._between_steps = painting, between_steps

    def step(self, step: Any) -> None:
        super().step(step)
        self._between_steps()

    def _event(self, event: str, **facts: Any) -> None:
        self._painting.note(event, facts)


@dataclass
class Painting:
    """One painting. ``state``: queued, running, done, stopped, failed or dropped.

    ``result``: the picture, when it is there. ``latest``: the last event of each kind.
    """

    asked: Asked
    task: Task
    events: Events = field(repr=False)
    known: Callable[[Path], KnownPicture] = field(repr=False)
    settings: Any = None  # as they were asked for
    id: str = field(default_factory=lambda: secrets.token_hex(8))
    state: str = "queued"
    result: KnownPicture | None = None
    latest: dict[str, dict[str, Any]] = field(default_factory=dict)
    ended_at: float = 0.0
    _batch: Batch | None = field(default=None, repr=False)
    _stop: bool = False
    _shown: float = 0.0

    def __post_init__(self) -> None:
        self.events.tell(self.id, {"event": "queued", **self.facts()})

    @property
    def target(self) -> Path:
        """Where the result goes."""
        assert self.task.target
        return self.task.target

    @property
    def command_line(self) -> str:
        return self.asked.command_line(self.target)

    def facts(self) -> dict[str, Any]:
        """For programs."""
        return {
            "id": self.id,
            "state": self.state,
            "command": self.asked.command.name,
            "label": self.asked.command.label,
            "command_line": self.command_line,
            "asked": self.settings,
            "result": self.result.facts() if self.result else None,
            "latest": {k: v for k, v in self.latest.items() if k in ("start", "step", "failed")},
        }

    @property
    def preview(self) -> Path | None:
        """The file of what it looks like so far."""
        path = self.latest.get("start", {}).get("preview")
        return Path(path) if path and self.state == "running" else None

    def run(self, runtime: Runtime, between_steps: Callable[[], None]) -> None:
        """Paint. What goes wrong is told by an event."""
        self.state = "running"
        try:
            check_writable(self.target)
            between_steps()
            open_one = self.asked.command.open(runtime)
            self._batch = Batch(
                open_one, Told(self, between_steps), BatchOptions(preview=True, quiet=True)
            )
            if self._stop:
                self._batch.stop()
            with suppress(Exception):  # it has been told by the reporter
                self._batch.run([self.task])
        except Exception as error:  # before there was a batch to tell it
            from cnnart.errors import in_words

            self.failed(in_words(error) or f"a bug in cnnart ({type(error).__name__}: {error})")
        finally:
            self._batch = None
            if self.state == "running":
                self.failed("it ended without a picture.")

    def stop(self) -> None:
        """Stop after the step under way, and keep what there is."""
        self._stop = True
        if (batch := self._batch) is not None:
            batch.stop()

    def dropped(self) -> None:
        """It was taken out of the queue."""
        self._end("dropped")

    def failed(self, why: str) -> None:
        self.note("failed", {"error": why})

    def note(self, event: str, facts: dict[str, Any]) -> None:
        """Something happened: an event of ``cnnart.run.report.JsonLines``."""
        self.latest[event] = facts
        if event == "done":
            return  # of a batch of one there is nothing more to say
        self.events.tell(self.id, {"event": event, **facts})
        if event == "saved" and facts["kind"] in ("result", "interrupted"):
            try:
                self.result = self.known(self.target)
            except Refused as refused:
                self.failed(str(refused))
                return
            self._end("done" if facts["kind"] == "result" else "stopped")
        elif event == "failed":
            self._end("failed")
        elif (preview := self.preview) is not None:
            with suppress(OSError):
                if (shown := preview.stat().st_mtime) != self._shown:
                    self._shown = shown
                    self.events.tell(self.id, {"event": "preview"})

    def _end(self, state: str) -> None:
        self.state, self.ended_at = state, time.time()
        self.events.tell(self.id, {"event": "ended", **self.facts()})


class Paintings:
    """All paintings by id; results go to ``folder``."""

    def __init__(self, folder: Path, pictures: Pictures) -> None:
        self.folder, self.events = folder, Events()
        self._pictures = pictures
        self._all: dict[str, Painting] = {}
        self._names: set[Path] = set()

    def __getitem__(self, id: str) -> Painting:
        """Raises Refused."""
        if id not in self._all:
            raise Refused(404, "No such painting.")
        return self._all[id]

    def __iter__(self) -> Iterator[Painting]:
        return iter(list(self._all.values()))

    def new(self, given: Any) -> Painting:
        """A painting as asked for in JSON; what it is made from is kept beside its result.

        Raises UsageError, Refused.
        """
        read_request(given, self._pictures)  # what is wrong is told before a file is copied
        folder = self.folder / KEPT_INPUTS
        try:
            asked = read_request(
                given, self._pictures, lambda known: self._pictures.kept(known, folder)
            )
            suffix = ".png" if asked.photo.seconds is None else ".mp4"
            target = self.folder / f"{asked.photo.path.stem}-{asked.command.label}{suffix}"
            target = free_name(target, self._names)
            task = asked.task(target)
        except OSError as error:
            raise CnnartError(f"{self.folder} cannot be written to: {reason(error)}.") from None
        self._names.add(target)
        painting = Painting(asked, task, self.events, self._known, given)
        self._all[painting.id] = painting
        return painting

    def _known(self, path: Path) -> KnownPicture:
        return self._pictures.add(path, given=str(path), clip=path.suffix == ".mp4")
