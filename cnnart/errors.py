"""The errors cnnart raises on purpose. Each message is one line: what, why, and what to do.

A setting is named as Python callers know it, in backquotes: ``allow more with `max_memory`.``; the
command line spells it as its flag (``as_flags``).
"""

from __future__ import annotations

import re

# Exit codes beside 0 (done), 1 (could not) and 2 (wrong usage).
SOME_FAILED = 3
INTERRUPTED = 130


class CnnartError(Exception):
    """cnnart could not do what was asked. The command line prints the message and exits 1."""

    exit_code = 1


class UsageError(CnnartError):
    """The request itself makes no sense (a wrong name, a value out of range). Exits 2."""

    exit_code = 2


class ImageError(CnnartError):
    """A picture could not be read or written."""


class WeightsError(CnnartError):
    """Network weights are missing, damaged, or not what they claim to be."""


class OutOfMemory(CnnartError):
    """The device has too little memory, even for the smallest step cnnart can take."""


def did_you_mean(name: str, known: list[str]) -> str:
    """' Did you mean X?' for the closest known name, or '' when none is close."""
    import difflib

    close = difflib.get_close_matches(name, known, n=1, cutoff=0.5)
    return f" Did you mean {close[0]}?" if close else ""


# torch says so in words: the CPU allocator and MPS raise a plain RuntimeError.
NO_MEMORY = (
    "out of memory",
    "not enough memory",
    "can't allocate memory",
    "cannot allocate memory",
    "out_of_device_memory",  # Intel's Level Zero, past torch's own allocator
)


def is_out_of_memory(error: BaseException) -> bool:
    """Whether an error of Python's, torch's or ours means that memory ran out."""
    text = str(error).lower()
    return isinstance(error, MemoryError | OutOfMemory) or (
        isinstance(error, RuntimeError) and any(sign in text for sign in NO_MEMORY)
    )


def as_flags(message: str) -> str:
    """A message for the command line: ```max_memory``` becomes ``--max-memory``.

    Only single words in backquotes are settings; a command (```cnnart styles list```) stays.
    """
    return re.sub(r"`([a-z][a-z_]*)`", lambda found: f"--{found[1].replace('_', '-')}", message)
