"""What is finished of a batch, and where its picture in progress stands: in files beside the
results, so that the same command goes on after a kill, a power cut or a full disk.

``.cnnart-KEY.journal`` is JSON: what makes the results, and which are whole. ``.cnnart-KEY.state``
is the picture in progress (``cnnart.run.saved_state``). The first is written after some seconds and
then now and again, so that a short run writes neither; both go when all results are whole.
A ``Lock`` is held while a run is at work. Nothing here imports torch at once.
"""

from __future__ import annotations

import json
import os
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import AbstractContextManager, ExitStack, nullcontext, suppress
from pathlib import Path
from typing import TYPE_CHECKING, Any

from cnnart.errors import UsageError, reason
from cnnart.files import (
    is_file,
    is_folder,
    is_there,
    open_file,
    sha256_of,
    write_atomically,
)
from cnnart.run.lock import Lock, hidden_beside
from cnnart.run.outputs import Task

if TYPE_CHECKING:
    from cnnart.optim.steps import State, Step

FORMAT = 1
LARGEST = 1 << 26  # bytes: a journal of some 100,000 results
FIRST = 10.0  # seconds until it is written first
EVERY = 20.0  # seconds between two times
SHARE = 20  # what takes a second to write is written again 20 seconds later at the soonest
TOLD = 3  # changed settings that are named
LONGEST = 100  # characters of what one was, or is
EACH = "each"  # what makes each of several kinds of results is under this name


class Journal:
    """The journal of the results of some tasks, to be entered while they are worked on.

    Args:
        tasks: the first one's result names the files.
        made_of: what makes the results, as JSON holds it: settings, checksums.
        fresh: forget what an earlier run has written.
        read_only: write and remove nothing; what is refused is the same.

    Entering raises UsageError where an unfinished run with other settings has left a journal, and
    CnnartError where another run is at work on the same results. What else is wrong with the files
    of an earlier run is told by ``warn``; the work then begins anew. Without a result that is a
    file of its own, nothing is written.

    ``warn``: told in one line what people should know; lines before it is set are kept for it.
    """

    def __init__(
        self,
        tasks: Sequence[Task] = (),
        made_of: Mapping[str, Any] | None = None,
        *,
        fresh: bool = False,
        read_only: bool = False,
    ) -> None:
        self._read_only = read_only
        self._made_of = json.loads(json.dumps(made_of or {}))
        self._fresh = fresh
        self._targets = [
            task.target
            for task in tasks
            if task.target and not task.trouble and _is_plain(task.target)
        ]
        self._folder: Path | None = None
        self._lock: Lock | None = None
        self._whole: dict[str, dict[str, Any]] = {}
        self._in_progress: str | None = None  # the result whose state is kept
        self._ended = False
        self._on_disk = self._changed = self._warned = False
        self._locked = ExitStack()
        self._lines: list[str] = []
        self._warn: Callable[[str], None] = self._lines.append
        self._begun = time.monotonic()
        self._next = self._begun + FIRST
        if self._targets:
            first = self._targets[0]
            self._folder = first.parent
            self.path = hidden_beside(first, "journal")
            self.state_path = hidden_beside(first, "state")
            self._lock = Lock(first)

    def __enter__(self) -> Journal:
        if self._lock is None:
            return self
        if self._read_only:
            self._lock.look()
            self._read()
            return self
        with ExitStack() as stack:
            stack.enter_context(self._lock)
            self._read()
            self._locked = stack.pop_all()
        return self

    def __exit__(self, *_: object) -> None:
        self._locked.close()

    def at_work_on(self, task: Task) -> AbstractContextManager[object]:
        """To be entered while a result is made: raises CnnartError where another run makes it, of
        other tasks.
        """
        if self._lock is None or task.target is None or task.target == self._targets[0]:
            return nullcontext()
        is_other = is_there(task.target) and not (is_file(task.target) or is_folder(task.target))
        return nullcontext() if is_other else Lock(task.target)

    def tell(self, warn: Callable[[str], None]) -> None:
        """From now on ``warn`` is told what people should know; first what it has missed."""
        self._warn = warn
        while self._lines:
            warn(self._lines.pop(0))

    # What an earlier run has left

    def _read(self) -> None:
        if self._fresh:
            self._remove()
            return
        if not os.path.lexists(self.path):  # a link that leads nowhere is damage
            self._remove()  # the state is of no use alone
            return
        try:
            with open_file(self.path) as file:
                data = file.read(LARGEST + 1)
            found: dict[str, Any] = json.loads(data) if len(data) <= LARGEST else {}
            made_of, whole = dict(found["made_of"]), dict(found["whole"])
            in_progress, ended = found["in_progress"], bool(found["ended"])
            if found["format"] != FORMAT or not all(_is_entry(each) for each in whole.values()):
                raise ValueError
        except (OSError, ValueError, KeyError, TypeError, RecursionError):
            self._warn(
                f"{self.path} is damaged, or of another version: what an earlier run had done is "
                "not known, and the work begins anew."
            )
            self._remove()
            return
        if changes := list(differences(made_of, self._made_of)):
            if ended:  # it had come to its end, but for what could not be made
                self._remove()
                return
            raise other_settings(self.path, changes)
        self._on_disk, self._whole, self._in_progress = True, whole, in_progress
        done = sum(self._name(target) in whole for target in self._targets)
        if done:
            self._warn(
                f"going on with an unfinished run: {done} of {len(self._targets)} results are "
                "there (`fresh` begins anew)."
            )

    @property
    def goes_on(self) -> bool:
        """Whether an earlier run has left something."""
        return bool(self._whole or self._in_progress)

    def is_whole(self, task: Task) -> bool:
        """Whether a task's result is finished, as it was written, and of the photo as it is now."""
        if task.target is None or (entry := self._whole.get(self._name(task.target))) is None:
            return False
        try:
            unchanged = (
                task.target.stat().st_size == entry["size"]
                and sha256_of(task.target) == entry["sha256"]
            )
        except OSError:
            unchanged = False
        if unchanged and _is_other_photo(task, entry):
            self._warn(
                f"{task.source.given} has changed since its result was made: it is made anew."
            )
            unchanged = False
        if not unchanged:
            del self._whole[self._name(task.target)]
        return unchanged

    def is_in_progress(self, task: Task) -> bool:
        """Whether a task's result has been begun, and its state is kept."""
        return task.target is not None and self._in_progress == self._name(task.target)

    def state_of(self, task: Task, photo: str | None) -> State | None:
        """Where a task's picture in progress stands; None: it is to be begun.

        ``photo``: the SHA-256 of its photo.
        """
        if not self.is_in_progress(task):
            return None
        from cnnart.run.saved_state import DamagedState, read_state

        try:
            facts, state = read_state(self.state_path)
        except (DamagedState, OSError) as error:
            why = reason(error)
            self._warn(f"{self.state_path} cannot be used ({why}): the picture is begun anew.")
            return None
        if facts != self._facts(task, photo):
            if facts.get("photo") != photo:
                why = f"{task.source.given} has changed since"
            else:
                why = "it is another run's"
            self._warn(f"{self.state_path} is not used, as {why}: the picture is begun anew.")
            return None
        return state

    def forget_state(self) -> None:
        """The picture in progress is to be begun anew."""
        self._in_progress = None
        with suppress(OSError):
            self.state_path.unlink(missing_ok=True)

    def _facts(self, task: Task, photo: str | None) -> dict[str, Any]:
        made_of = json.dumps(self._made_of, sort_keys=True).encode()
        name = self._name(task.target) if task.target else ""
        return {"target": name, "photo": photo, "made_of": sha256_of(made_of)}

    # What this run does

    def keep(self, task: Task, photo: str | None, step: Step, *, now: bool = False) -> bool:
        """Keep where a picture stands, if it is time or is to be ``now``; returns whether it did.

        What the file system does not take is told once: the run goes on.
        """
        if self._folder is None or task.target is None or step.state is None:
            return False
        if not _is_plain(task.target) or not (now or self._is_due()):
            return False
        from cnnart.run.saved_state import write_state

        began = time.monotonic()
        try:
            if not self.is_in_progress(task) or not self._on_disk or self._changed:
                self._in_progress = self._name(task.target)
                self._write()
            write_state(self.state_path, self._facts(task, photo), step.state())
        except OSError as error:
            self._tell_unwritten(error)
            return False
        finally:
            self._put_off(began)
        return True

    def entry(self, task: Task, photo: str | None) -> dict[str, Any] | None:
        """What is to be known of a result that has just been written; may be asked in a thread."""
        if self._folder is None or task.target is None or not is_file(task.target):
            return None
        try:
            entry: dict[str, Any] = {
                "size": task.target.stat().st_size,
                "sha256": sha256_of(task.target),
                "photo": photo,
            }
            if task.source.path:
                found = task.source.path.stat()
                entry["seen"] = [found.st_size, found.st_mtime_ns]
        except OSError:  # removed already
            return None
        return entry

    def finished(self, task: Task, entry: dict[str, Any] | None) -> None:
        """Note a result."""
        if task.target is None or entry is None:
            return
        self._whole[self._name(task.target)] = entry
        self._changed = True
        was_in_progress = self.is_in_progress(task)
        if was_in_progress:
            self._in_progress = None
        if len(self._whole) < len(self._targets) and (self._is_due() or was_in_progress):
            self._save()
        if was_in_progress:
            self.forget_state()

    def close(self, *, interrupted: bool, failed: bool) -> None:
        """The run has ended: keep what the next one needs, nothing if all is whole."""
        if self._folder is None:
            return
        lasting = self._on_disk or time.monotonic() - self._begun >= FIRST
        kept = self._whole or self._in_progress
        if not (interrupted or failed):
            self._remove()
        elif kept and (lasting or interrupted):
            self._ended = not interrupted
            self._save()

    def _is_due(self) -> bool:
        return time.monotonic() >= self._next

    def _put_off(self, began: float) -> None:
        now = time.monotonic()
        self._next = now + max(EVERY, SHARE * (now - began))

    def _save(self) -> None:
        began = time.monotonic()
        try:
            self._write()
        except OSError as error:
            self._tell_unwritten(error)
        self._put_off(began)

    def _write(self) -> None:
        kept = {
            "format": FORMAT,
            "made_of": self._made_of,
            "whole": self._whole,
            "in_progress": self._in_progress,
            "ended": self._ended,
        }
        write_atomically(self.path, json.dumps(kept).encode())
        self._on_disk, self._changed = True, False

    def _tell_unwritten(self, error: OSError) -> None:
        if not self._warned:
            self._warned = True
            self._warn(
                f"{self.path} cannot be kept ({reason(error)}): the run goes on, but if it is cut "
                "off, the next one may begin anew."
            )

    def _remove(self) -> None:
        self._on_disk, self._whole, self._in_progress = False, {}, None
        if self._read_only:
            return
        for path in (self.state_path, self.path):
            with suppress(OSError):
                path.unlink(missing_ok=True)

    def _name(self, target: Path) -> str:
        """A result, from where the journal lies: the folder of both may be moved."""
        if self._folder is None:
            return str(target)
        try:
            return os.path.relpath(target, self._folder)
        except (ValueError, OSError):  # on another drive of Windows; the current folder is gone
            return str(target)


def _is_plain(target: Path) -> bool:
    """Whether a result is or will be a file, and not a folder, a pipe or a device."""
    return is_file(target) or not is_there(target)


def _is_entry(entry: Any) -> bool:
    return (
        isinstance(entry, dict)
        and isinstance(entry.get("size"), int)
        and isinstance(entry.get("sha256"), str)
    )


def _is_other_photo(task: Task, entry: Mapping[str, Any]) -> bool:
    """Whether the photo is not the one that a result was made from."""
    if task.source.path is None:
        return entry.get("photo") != sha256_of(task.source.data or b"")
    try:
        found = task.source.path.stat()
        if entry.get("seen") == [found.st_size, found.st_mtime_ns]:
            return False
        return entry.get("photo") != sha256_of(task.source.path)
    except OSError:  # reading it will tell
        return True


def other_settings(path: Path, changes: Sequence[str]) -> UsageError:
    """That an unfinished run has left ``path``, which was made with others."""
    more = f"; and {len(changes) - TOLD} more" if len(changes) > TOLD else ""
    return UsageError(
        f"An unfinished run with other settings has left {str(path)!r}: "
        f"{'; '.join(changes[:TOLD])}{more}. Give the same settings to go on with it, or "
        "`fresh` to begin anew."
    )


def differences(then: Any, now: Any, name: str = "") -> Iterator[str]:
    """What differs between two sets of settings, each in a phrase.

    Files are compared by their content: the same one may be called by another path.
    """
    if isinstance(then, dict) and isinstance(now, dict):
        is_file = "sha256" in then and "sha256" in now
        if is_file and then["sha256"] != now["sha256"]:
            yield f"{now.get('name')} is not the {then.get('name')} that it was"
        skipped = ("path", "name", "sha256") if is_file else ()
        keys = [key for key in dict.fromkeys((*then, *now)) if key not in skipped]
        if name == EACH:  # what is made besides is no change
            keys = [key for key in keys if key in then and key in now]
        for key in keys:
            yield from differences(then.get(key), now.get(key), str(key))
    elif isinstance(then, list) and isinstance(now, list) and len(then) == len(now):
        for before, after in zip(then, now, strict=True):
            yield from differences(before, after, name)
    elif then != now:
        shown = f"`{name}`" if name.replace("_", "").isalpha() else name  # a layer is no flag
        yield f"{shown} was {_brief(then)}, now {_brief(now)}"


def _brief(value: Any) -> str:
    """A value in a few words."""
    if isinstance(value, dict):
        text = str(value.get("name", "another"))
    elif isinstance(value, list):
        names = [each["name"] for each in value if isinstance(each, dict) and "name" in each]
        text = ", ".join(map(str, names or value)) or "none"
    else:
        text = "not given" if value is None else repr(value)
    return text if len(text) <= LONGEST else f"{text[:LONGEST]}..."
