"""``cnnart studio`` and ``cnnart serve``: the commands in a browser, and for other programs."""

from __future__ import annotations

import json
import os
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click
import cloup

from cnnart.cli.lines import say
from cnnart.cli.options import RUNTIME_OPTIONS, Decorator, photos_argument, section
from cnnart.cli.types import MEMORY
from cnnart.errors import CnnartError, UsageError
from cnnart.files import as_path, check_writable, is_folder
from cnnart.run.inputs import expand

if TYPE_CHECKING:
    from cnnart.studio.app import Studio

FOLDER = "cnnart-studio"
PORT = 8321
TOKEN = "CNNART_TOKEN"
SHORTEST_TOKEN = 16  # characters


def server_options(*more: Any) -> Decorator:
    """The sections of both commands; ``more``: further options of the first."""
    files = section(
        "Files",
        cloup.option(
            "-o",
            "--output",
            "folder",
            metavar="FOLDER",
            default=FOLDER,
            help=f"Where results go, and what they are made from.  [default: {FOLDER}]",
        ),
        cloup.option(
            "--max-upload",
            type=MEMORY,
            help="Refuse pictures that come in with more bytes.  [default: 100MB]",
        ),
        cloup.option(
            "--max-pixels",
            type=click.IntRange(1),
            metavar="N",
            help="Refuse to read pictures with more pixels.  [default: 100000000]",
        ),
    )
    server = section(
        "Server",
        *more,
        cloup.option(
            "--host",
            metavar="ADDRESS",
            default="127.0.0.1",
            help="Where to listen. Any but this machine's own opens it to the network; the token "
            "is still needed.  [default: 127.0.0.1]",
        ),
        cloup.option(
            "--port",
            type=click.IntRange(0, 65535),
            metavar="N",
            help=f"0: any that is free.  [default: {PORT}, or any if that is taken]",
        ),
    )
    names = ("device", "precision", "max_memory")
    runtime = section("Runtime", *(RUNTIME_OPTIONS[name] for name in names))
    return lambda command: server(files(runtime(command)))


@cloup.command("studio")
@photos_argument("[PHOTO]...", required=False)
@server_options(
    cloup.option("--no-open", is_flag=True, help="Only print the address; open no browser.")
)
def studio(photos: tuple[str, ...], no_open: bool, **given: Any) -> None:
    """Open a page in the browser: every style on your photo at once, and paint what you like.

    The page is served by this command, from this machine, to this machine. Ctrl-C ends it; the
    painting under way is stopped and kept. Needs `pip install 'cnnart[studio]'`.

    \b
    cnnart studio
    cnnart studio holiday/*.jpg -o painted/
    """
    sources = expand(photos) if photos else []
    if any(source.path is None for source in sources):
        raise UsageError("The studio takes files: name them, not standard input.")
    named = tuple((source.path, source.given) for source in sources)

    def ready(studio: Studio) -> None:
        address = f"{studio.access.address}?token={studio.access.token}"
        say(address)
        _say(studio)
        if not no_open:
            import webbrowser

            if not webbrowser.open(address):
                print("cnnart: no browser found: open the address above.", file=sys.stderr)

    _serve(ready, page=True, photos=named, **given)


@cloup.command("serve")
@server_options(
    cloup.option(
        "--openapi", is_flag=True, help="Print the description of the server as JSON, and end."
    )
)
def serve(openapi: bool, **given: Any) -> None:
    """Serve other programs: POST a photo, get a picture; paintings as jobs with their progress.

    The first line of standard output is the address, the second the token, which every request
    has to bring (CNNART_TOKEN sets another). Needs `pip install 'cnnart[studio]'`.

    \b
    cnnart serve
    cnnart serve --host 0.0.0.0 --port 8000 -o painted/
    cnnart serve --openapi > openapi.json
    """
    if openapi:
        from cnnart.studio.openapi import describe

        click.echo(json.dumps(describe(f"http://127.0.0.1:{given['port'] or PORT}/"), indent=2))
        return

    def ready(studio: Studio) -> None:
        say(studio.access.address)
        say(studio.access.token)
        _say(studio)

    token = os.environ.get(TOKEN) or None
    if token is not None and len(token) < SHORTEST_TOKEN:
        raise UsageError(f"{TOKEN} is too short: {SHORTEST_TOKEN} characters at least.")
    _serve(ready, page=False, token=token, **given)


def _say(studio: Studio) -> None:
    sys.stdout.flush()
    if studio.access.public:
        say(
            f"cnnart: warning: listening on {studio.access.host}: whoever reaches this machine and "
            "has the token can bring pictures in, see those here and use its processor. The "
            "connection is not encrypted.",
            err=True,
        )
    say(f"cnnart: results go to {studio.paintings.folder}; Ctrl-C ends.", err=True)


def _serve(ready: Any, **given: Any) -> None:
    folder = as_path(given.pop("folder"))
    if folder.exists() and not is_folder(folder):
        raise UsageError(f"-o {str(folder)!r} is a file: name a folder.")
    check_writable(folder / "picture.png")
    try:
        from cnnart.studio.server import free_port, serve
    except ModuleNotFoundError as error:
        if (error.name or "").partition(".")[0] not in ("starlette", "uvicorn", "anyio", "h11"):
            raise
        raise CnnartError(
            f"The studio needs the package {error.name}: pip install 'cnnart[studio]'."
        ) from None
    port = given.pop("port")
    if port is None:
        port = free_port(given["host"], PORT)
    limits: dict[str, Any] = {"most_upload": int(given.pop("max_upload") or 100 << 20)}
    limits["max_pixels"] = given.pop("max_pixels") or 100_000_000
    runtime = {k: v for k, v in given.items() if v is not None}
    serve(ready=ready, port=port, folder=Path(folder), **limits, **runtime)
