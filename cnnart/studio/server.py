"""The server itself: a socket, uvicorn on it, and an end at which nothing is lost."""

from __future__ import annotations

import asyncio
import contextlib
import signal
import socket
import threading
from collections.abc import Callable, Iterator
from pathlib import Path
from types import FrameType
from typing import Any

import uvicorn
from uvicorn.protocols.http.h11_impl import H11Protocol

from cnnart.errors import CnnartError, reason
from cnnart.studio.app import Studio, make_app
from cnnart.studio.earlier import earlier_results
from cnnart.studio.guard import Access, Refused, new_token
from cnnart.studio.paintings import Paintings
from cnnart.studio.pictures import Pictures
from cnnart.studio.worker import Worker

SLOWEST_HEAD = 20.0  # seconds in which a connection has to have sent the head of a request
CONNECTIONS = 512  # at once


class Protocol(H11Protocol):
    """Uvicorn's, which lets go of connections that do not come to the point."""

    def connection_made(self, transport: Any) -> None:
        super().connection_made(transport)
        self._patience = self.loop.call_later(SLOWEST_HEAD, self._give_up)

    def handle_events(self) -> None:
        super().handle_events()
        if self.cycle is not None:
            self._patience.cancel()

    def connection_lost(self, exc: Exception | None) -> None:
        self._patience.cancel()
        super().connection_lost(exc)

    def _give_up(self) -> None:
        if self.cycle is None and not self.transport.is_closing():
            self.transport.close()


class Server(uvicorn.Server):
    """Uvicorn's, for which a signal is the usual end, and no error afterwards."""

    def __init__(self, config: uvicorn.Config, studio: Studio) -> None:
        super().__init__(config)
        self._studio = studio
        studio.stop = self.end

    def end(self) -> None:
        """End soon; streams of events end at once."""
        self._studio.closing = self.should_exit = True

    @contextlib.contextmanager
    def capture_signals(self) -> Iterator[None]:
        if threading.current_thread() is not threading.main_thread():
            yield
            return
        numbers = [signal.SIGINT, signal.SIGTERM]
        before = {number: signal.signal(number, self.handle_exit) for number in numbers}
        try:
            yield
        finally:
            for number, handler in before.items():
                signal.signal(number, handler)

    def handle_exit(self, sig: int, frame: FrameType | None) -> None:
        if self.should_exit:
            raise KeyboardInterrupt
        self.end()


def bind(host: str, port: int) -> socket.socket:
    """A socket that listens there. Raises CnnartError."""
    try:
        family = socket.AF_INET6 if ":" in host else socket.AF_INET
        made = socket.socket(family, socket.SOCK_STREAM)
        made.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        made.bind((host, port))
        made.listen(256)
    except (OSError, OverflowError) as error:
        raise CnnartError(
            f"Cannot listen on {host}, port {port}: {reason(error)}. Choose another `port`."
        ) from None
    return made


def free_port(host: str, wanted: int) -> int:
    """The port, or 0, which is any, where it is taken."""
    try:
        bind(host, wanted).close()
    except CnnartError:
        return 0
    return wanted


def serve(
    *,
    host: str,
    port: int,
    folder: Path,
    page: bool,
    ready: Callable[[Studio], None],
    token: str | None = None,
    photos: tuple[tuple[Path, str], ...] = (),
    most_upload: int,
    max_pixels: int,
    **runtime: Any,
) -> None:
    """Serve until a signal comes; the painting under way then is stopped and kept.

    Args:
        port: 0: any that is free.
        folder: where results go.
        page: serve the page, too.
        ready: called when connections are taken.
        token: None: a random one.
        photos: to begin with, and how the shell names them.
        runtime: settings of ``cnnart.runtime.Runtime``.

    Raises CnnartError.
    """
    made = bind(host, port)
    access = Access(host, made.getsockname()[1], token or new_token())
    pictures = Pictures(max_pixels)
    worker = Worker(max_pixels=max_pixels, **runtime)
    try:
        studio = Studio(access, worker, pictures, Paintings(folder, pictures), most_upload, page)
        config = uvicorn.Config(
            make_app(studio),
            http=Protocol,
            ws="none",
            lifespan="off",
            log_level="error",
            access_log=False,
            limit_concurrency=CONNECTIONS,
            timeout_graceful_shutdown=5,
            server_header=False,
        )
        server = Server(config, studio)
        worker.start()

        async def main() -> None:
            studio.loading = asyncio.ensure_future(asyncio.to_thread(_load, studio, photos))
            ready(studio)
            await server.serve(sockets=[made])

        asyncio.run(main())
    finally:
        made.close()
        worker.close()
        pictures.close()


def _load(studio: Studio, photos: tuple[tuple[Path, str], ...]) -> None:
    """Know the photos that were named at the start, and what earlier sessions have left."""
    for path, given in photos:
        try:
            studio.given.append(studio.pictures.add(path, given=given))
        except Refused as refused:
            studio.warnings.append(str(refused))
    studio.earlier.extend(earlier_results(studio.paintings.folder, studio.pictures))
