"""Ctrl-C as a request: the first one asks to stop with what is there, the second quits at once."""

from __future__ import annotations

import contextlib
import os
import signal
import threading
from types import FrameType, TracebackType
from typing import Any

# The empty line at the end is what the live display of two lines clears when it redraws itself.
MESSAGE = b"\ncnnart: stopping; the picture so far will be saved (Ctrl-C again quits at once)\n\n"


class Interrupt:
    """Catches SIGINT and SIGTERM while it is entered, in the main thread; elsewhere does nothing.

    While ``armed``, the first signal only sets ``asked``. Otherwise, and from the second signal on,
    KeyboardInterrupt is raised: there is nothing to save, or the user does not want to wait.
    """

    def __init__(self, *, quiet: bool = False) -> None:
        self.armed = False
        self.asked = False
        self._quiet = quiet
        self._previous: dict[int, Any] = {}

    def __enter__(self) -> Interrupt:
        if threading.current_thread() is threading.main_thread():
            for number in (signal.SIGINT, signal.SIGTERM):
                self._previous[number] = signal.signal(number, self._handle)
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        for number, handler in self._previous.items():
            signal.signal(number, handler)

    def _handle(self, number: int, frame: FrameType | None) -> None:
        if self.asked or not self.armed:
            raise KeyboardInterrupt
        self.asked = True
        if not self._quiet:
            # Not print(): a signal can arrive in the middle of another print. And now, not at the
            # next step: at a large size that can be half a minute away.
            with contextlib.suppress(OSError):
                os.write(2, MESSAGE)
