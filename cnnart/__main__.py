"""``cnnart`` and ``python -m cnnart``: run a command and turn what happened into an exit code."""

from __future__ import annotations

import os
import sys

import click

from cnnart.errors import INTERRUPTED, CnnartError, as_flags


def main(argv: list[str] | None = None) -> int:
    """Run the command line ``argv`` (default: the process's own) and return its exit code.

    0 done; 1 cnnart could not do it; 2 wrong usage; 3 a batch with failures; 130 interrupted.
    """
    from cnnart.cli import cli

    argv = sys.argv[1:] if argv is None else argv
    debug = "--debug" in argv or os.environ.get("CNNART_DEBUG", "") not in ("", "0")
    _print_any_text()
    try:
        code = cli.main(argv, prog_name="cnnart", standalone_mode=False)
        sys.stdout.flush()  # here, where a closed pipe can still be met quietly
        return code if isinstance(code, int) else 0
    except BrokenPipeError:
        _silence_stdout()
        return 1
    except (click.Abort, KeyboardInterrupt):
        return _fail("interrupted.", INTERRUPTED)
    except CnnartError as error:
        return _fail(f"error: {as_flags(str(error))}", error.exit_code, debug)
    except click.ClickException as error:
        return _usage(error)
    except Exception as error:
        return _fail(
            f"error: this is a bug in cnnart ({_one_line(error)}). "
            "Run it again with --debug and report what it prints.",
            1,
            debug,
        )


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
    click.echo(f"cnnart: {message}", err=True)
    return code


def _one_line(error: Exception) -> str:
    text = " ".join(str(error).split())
    return f"{type(error).__name__}: {text}" if text else type(error).__name__


def _print_any_text() -> None:
    """Never die of a file name that the console cannot show (Windows code pages, stray bytes)."""
    for stream in (sys.stdout, sys.stderr):
        if reconfigure := getattr(stream, "reconfigure", None):
            utf8 = (stream.encoding or "").lower().replace("-", "") == "utf8"
            reconfigure(errors="surrogateescape" if utf8 else "backslashreplace")


def _silence_stdout() -> None:
    """The reader has gone (``cnnart ... | head``): keep Python's last flush from complaining."""
    os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())


if __name__ == "__main__":
    sys.exit(main())
