"""``cnnart`` and ``python -m cnnart``: run a command and turn what happened into an exit code."""

from __future__ import annotations

import codecs
import contextlib
import os
import re
import signal
import sys
import threading
import warnings
from collections.abc import Iterator
from pathlib import Path
from types import FrameType
from typing import Any

import click

from cnnart.errors import INTERRUPTED, CnnartError, as_flags, in_words, on_one_line


def main(argv: list[str] | None = None) -> int:
    """Run the command line ``argv`` (default: the process's own) and return its exit code.

    0 done; 1 cnnart could not do it; 2 wrong usage; 3 a batch with failures; 130 interrupted.
    """
    open_streams()
    if not sys.warnoptions:  # what a library warns of names no file, and is for its developers
        warnings.simplefilter("ignore")
    from cnnart.cli import cli

    argv = sys.argv[1:] if argv is None else argv
    debug = "--debug" in argv or os.environ.get("CNNART_DEBUG", "") not in ("", "0")
    _print_any_text()
    _stand_somewhere()
    for warning in _leave_out_odd_threads():
        if not {"-q", "--quiet"} & set(argv):
            click.echo(f"cnnart: warning: {warning}", err=True)
    try:
        with _interrupted_by_signals():
            code = cli.main(argv, prog_name="cnnart", standalone_mode=False)
        sys.stdout.flush()  # here, where a closed pipe can still be met quietly
        return code if isinstance(code, int) else 0
    except BrokenPipeError:
        _silence_stdout()
        return 1
    except SystemExit as error:  # Click's, where a pipe is broken and when a shell has asked it
        _silence_stdout()
        return error.code if isinstance(error.code, int) else 1
    except (click.Abort, KeyboardInterrupt):
        return _fail("interrupted.", INTERRUPTED)
    except CnnartError as error:
        return _fail(f"error: {as_flags(str(error))}", error.exit_code, debug)
    except click.ClickException as error:
        return _usage(error)
    except (Exception, GeneratorExit) as error:
        if (line := in_words(error)) is not None:  # what the world does is no bug
            return _fail(f"error: {as_flags(line)}", 1, debug)
        return _fail(
            f"error: this is a bug in cnnart ({_one_line(error)}). "
            "Run it again with --debug and report what it prints.",
            1,
            debug,
        )
    finally:
        _flush_or_silence_stdout()


@contextlib.contextmanager
def _interrupted_by_signals() -> Iterator[None]:
    """Take what a scheduler sends (SIGTERM), and a terminal that is closed (SIGHUP), for Ctrl-C:
    what is under way is removed, or kept to be gone on with. What is ignored stays so (``nohup``).
    """

    def interrupt(number: int, frame: FrameType | None) -> None:
        raise KeyboardInterrupt

    found = [getattr(signal, name) for name in ("SIGTERM", "SIGHUP") if hasattr(signal, name)]
    is_main = threading.current_thread() is threading.main_thread()
    taken = [each for each in found if is_main and signal.getsignal(each) is signal.SIG_DFL]
    for each in taken:
        signal.signal(each, interrupt)
    try:
        yield
    finally:
        for each in taken:
            signal.signal(each, signal.SIG_DFL)


def _usage(error: click.ClickException) -> int:
    if type(error).__name__ == "NoArgsIsHelpError":  # a group without a command: Click >= 8.2
        click.echo(error.format_message(), err=True)
        return error.exit_code
    context = getattr(error, "ctx", None)
    hint = f" ({context.command_path} --help shows what there is.)" if context else ""
    return _fail(f"error: {' '.join(error.format_message().split())}{hint}", error.exit_code)


def _fail(message: str, code: int, debug: bool = False) -> int:
    if debug:
        import traceback

        traceback.print_exc()
    click.echo(on_one_line(f"cnnart: {message}"), err=True)
    return code


def _one_line(error: BaseException) -> str:
    text = " ".join(str(error).split())
    return f"{type(error).__name__}: {text}" if text else type(error).__name__


def _stand_somewhere() -> None:
    """Be in a folder that exists, even if the one that the shell is in was deleted."""
    try:
        os.getcwd()  # noqa: PTH109
    except OSError:
        from cnnart.files import leave_deleted_folder

        leave_deleted_folder()


def _leave_out_odd_threads() -> list[str]:
    """Take numbers of threads that are none out of the environment; returns what there is to tell.

    The OpenMP library would tell of them on standard error, in its own words, as torch is loaded.
    """
    told = []
    for name in ("OMP_NUM_THREADS", "OMP_THREAD_LIMIT"):
        value = os.environ.get(name)
        if value is None or re.fullmatch(r"\s*0*[1-9]\d{0,8}\s*(,\s*0*[1-9]\d{0,8}\s*)*", value):
            continue
        del os.environ[name]
        if value.strip():
            told.append(f"{name} is {value!r}, which is no number of threads: it is left out.")
    return told


class Unfailing:
    """Standard error, where a failure could not be told: a full disk, a terminal that has gone."""

    def __init__(self, stream: Any) -> None:
        self._stream = stream

    def write(self, text: str) -> int:
        with contextlib.suppress(OSError, ValueError):
            self._stream.write(text)
        return len(text)

    def flush(self) -> None:
        with contextlib.suppress(OSError, ValueError):
            self._stream.flush()

    def __getattr__(self, name: str) -> Any:
        return getattr(self._stream, name)


def open_streams() -> None:
    """Put what swallows everything in the place of closed standard streams (``>&-``, cron).

    Python has None there, and the next file that is opened would get the stream's number, and with
    it what a library prints. ``sys.stdin`` stays None: nothing can be read from it.
    """
    for number, name in enumerate(("stdin", "stdout", "stderr")):
        if getattr(sys, name) is not None:
            continue
        with contextlib.suppress(OSError):
            try:
                os.fstat(number)
            except OSError:
                os.open(os.devnull, os.O_RDWR)  # gets the lowest number that is free: this one
        if name != "stdin":
            setattr(sys, name, Path(os.devnull).open("w", encoding="utf-8"))  # noqa: SIM115
    if not isinstance(sys.stderr, Unfailing):
        sys.stderr = Unfailing(sys.stderr)


def _print_any_text() -> None:
    """Never die of a file name that the console cannot show (Windows code pages, stray bytes)."""
    codecs.register_error("cnnart", _shown)
    for stream in (sys.stdout, sys.stderr):
        if reconfigure := getattr(stream, "reconfigure", None):
            reconfigure(errors="cnnart")


def _shown(error: UnicodeError) -> tuple[str | bytes, int]:
    """What stands for text that a stream's encoding has no place for.

    A byte of a name that is no text stays that byte, so that other programs find the file; anything
    else is told by its number.
    """
    if not isinstance(error, UnicodeEncodeError):
        raise error
    text = error.object[error.start : error.end]
    shown = b"".join(
        bytes([ord(each) - 0xDC00])
        if "\udc80" <= each <= "\udcff"
        else each.encode("ascii", "backslashreplace")
        for each in text
    )
    return shown, error.end


def _flush_or_silence_stdout() -> None:
    """What could not be written is told by now: Python is not to try it again at the end."""
    try:
        sys.stdout.flush()
    except (OSError, ValueError):
        _silence_stdout()


def _silence_stdout() -> None:
    """The reader has gone (``cnnart ... | head``): keep Python's last flush from complaining."""
    with contextlib.suppress(OSError, ValueError):  # in a test it is no file
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())


def run() -> None:
    """The program: ``main``, and out, without waiting for threads of a network of the user's."""
    code = main()
    guests = getattr(sys.modules.get("cnnart.networks.guest"), "begun", ())
    if any(thread.is_alive() and not thread.daemon for thread in guests):
        sys.stderr.flush()
        os._exit(code)
    sys.exit(code)


if __name__ == "__main__":
    run()
