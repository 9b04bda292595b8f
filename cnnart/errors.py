"""The errors cnnart raises on purpose. Each message is one line: what, why, and what to do.

A setting is named as Python callers know it, in backquotes: ``allow more with `max_memory`.``; the
command line spells it as its flag (``as_flags``).
"""

from __future__ import annotations

import errno
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
    "can't start new thread",  # its stack does not fit, or the number of threads is limited
    "storage size calculation overflowed",
)


def is_out_of_memory(error: BaseException) -> bool:
    """Whether an error of Python's, torch's or ours means that memory ran out."""
    if isinstance(error, MemoryError | OutOfMemory):
        return True
    return isinstance(error, RuntimeError) and any(sign in str(error).lower() for sign in NO_MEMORY)


# What the system says of a file or a stream, where a person would not say it like that.
REASONS = {
    errno.ENOENT: "there is no such file or folder",
    errno.EACCES: "no permission",
    errno.EPERM: "no permission",
    errno.ELOOP: "it is a link that leads back to itself",
    errno.ENAMETOOLONG: "the name is too long",
    errno.ENOTDIR: "a part of its path is a file, not a folder",
    errno.EISDIR: "it is a folder",
    errno.EROFS: "the file system is read-only",
    errno.ENXIO: "it is a socket or a device, not a file",
    errno.EMFILE: "too many files are open (ulimit -n)",
    errno.EIO: "input/output error: the disk, or the way to it, has failed",
}
NO_TEMPORARY = "No usable temporary directory"  # as tempfile says it
# What can be done about it.
REMEDIES = {
    errno.ENOSPC: "Free some space or choose another place; what is finished stays.",
    errno.EDQUOT: "Free some space or choose another place; what is finished stays.",
    errno.ENAMETOOLONG: "Give the result a shorter name with -o.",
    errno.EROFS: "Choose another place with -o.",
}


def reason(error: BaseException) -> str:
    """Why a file or a stream could not be used, in a clause."""
    if isinstance(error, OSError):
        number = error.errno or 0
        if NO_TEMPORARY in str(error):
            return "no folder for temporary files can be written: set TMPDIR to one that can"
        return REASONS.get(number) or error.strerror or " ".join(str(error).split())
    if isinstance(error, ValueError) and "null" in str(error):
        return "no file's name holds a NUL character"
    # A library's backquotes name no setting of ours: see ``as_flags``.
    return " ".join(str(error).split()).replace("`", "'") or type(error).__name__


def in_words(error: BaseException) -> str | None:
    """One line about an error that is the world's doing; None for what is a bug in cnnart.

    The world is a file system, a stream, the memory, the network, and packages of others.
    """
    if isinstance(error, CnnartError):
        return str(error)
    if is_out_of_memory(error):
        return "Not enough memory: choose a smaller `size`, or close other programs."
    if isinstance(error, ImportError):
        return _unloaded(error)
    if not isinstance(error, OSError):
        return None
    where = "" if error.filename is None else f"{error.filename}: "
    remedy = REMEDIES.get(error.errno or 0, "")
    why = reason(error)
    return f"{where}{why if where else why[:1].upper() + why[1:]}.{remedy and ' ' + remedy}"


def _unloaded(error: ImportError) -> str | None:
    """One line about a package that cannot be loaded; None where it is one of cnnart's own."""
    name = (error.name or "").partition(".")[0]
    if name == "cnnart":
        return None
    if isinstance(error, ModuleNotFoundError):
        return f"The package {name} is missing: install cnnart again."
    why = reason(error)
    if "failed to map segment" in why:
        return f"Not enough memory to load torch ({why}): close other programs, or raise ulimit -v."
    return (
        f"A library cannot be loaded ({why}): install cnnart again, in an environment of its own."
    )


def as_flags(message: str) -> str:
    """A message for the command line, ``on_one_line``: ```max_memory``` becomes ``--max-memory``.

    Only single words in backquotes are settings; a command (```cnnart styles list```) stays.
    """
    message = on_one_line(message)
    return re.sub(r"`([a-z][a-z_]*)`", lambda found: f"--{found[1].replace('_', '-')}", message)


# Of ASCII and Latin-1; line and paragraph separators; what overrides the direction of writing.
CONTROLS = r"[\x00-\x1f\x7f-\x9f\u2028-\u202e\u2066-\u2069]"


def on_one_line(text: str) -> str:
    """Text with ``\\n``, ``\\x1b`` and the like for its control characters.

    A file's name may hold them: they would break the line, tell the terminal what to do, or turn
    the order of what is read.
    """
    return re.sub(CONTROLS, lambda found: found[0].encode("unicode_escape").decode(), text)
