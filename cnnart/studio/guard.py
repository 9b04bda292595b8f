"""Who may ask: the right host, the right origin and the token. No body is too large or too slow.

The threats: another web page in the same browser (by a request of its own, or with a name that it
lets lead to 127.0.0.1), another user of the machine, and with ``--host`` whoever is on the network.
"""

from __future__ import annotations

import asyncio
import ipaddress
import secrets
import socket
import time
from collections.abc import AsyncIterator
from dataclasses import dataclass, field
from urllib.parse import parse_qs, urlsplit

from starlette.datastructures import Headers, MutableHeaders
from starlette.requests import Request, cookie_parser
from starlette.responses import JSONResponse, RedirectResponse, Response
from starlette.types import ASGIApp, Message, Receive, Scope, Send

IDLE = 20.0  # seconds without a byte of a body
LONGEST = 600.0  # seconds for a whole body
YEAR = 31_536_000

# Nothing from elsewhere, no inline script, in nobody's frame.
POLICY = (
    "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self' blob: data:; "
    "media-src 'self' blob:; connect-src 'self'; base-uri 'none'; form-action 'none'; "
    "frame-ancestors 'none'"
)
HEADERS = {
    "Content-Security-Policy": POLICY,
    "X-Content-Type-Options": "nosniff",
    "Referrer-Policy": "no-referrer",
    "Cross-Origin-Opener-Policy": "same-origin",
    "Cross-Origin-Resource-Policy": "same-origin",
    "Cache-Control": "no-store",
}


class Refused(Exception):
    """A request that is not answered as asked. ``status``: of HTTP."""

    def __init__(self, status: int, message: str) -> None:
        super().__init__(message)
        self.status = status


def new_token() -> str:
    """A token that nobody guesses."""
    return secrets.token_urlsafe(24)


@dataclass(frozen=True)
class Access:
    """Where a server is reached, and the token that it wants.

    ``host``: the address or name that it listens on; ``public``: whether others can reach it.
    """

    host: str
    port: int
    token: str = field(repr=False)

    @property
    def public(self) -> bool:
        return self.host != "localhost" and not _is_loopback(self.host)

    @property
    def cookie(self) -> str:
        """Browsers do not tell cookies of one host apart by port."""
        return f"cnnart-{self.port}"

    @property
    def address(self) -> str:
        """For people on this machine, without the token."""
        everywhere = self.host in ("0.0.0.0", "::", "")
        host = "127.0.0.1" if everywhere else self.host
        return f"http://[{host}]:{self.port}/" if ":" in host else f"http://{host}:{self.port}/"

    def knows_host(self, given: str) -> bool:
        """Whether a Host header can be meant for this server.

        A page that lets its own name lead to this machine (DNS rebinding) sends that name. So a
        name has to be known; an address cannot lead elsewhere.
        """
        try:
            parts = urlsplit(f"//{given}")
            name, port = parts.hostname or "", parts.port or 80
        except ValueError:
            return False
        if port != self.port or "@" in given or parts.path:
            return False
        if name == "localhost" or _is_loopback(name):
            return True
        if not self.public:
            return False
        return _is_address(name) or name in (self.host.lower(), socket.gethostname().lower())

    def fits(self, given: str | None) -> bool:
        """Whether a token is the right one."""
        return given is not None and secrets.compare_digest(given.encode(), self.token.encode())


def _is_address(name: str) -> bool:
    try:
        ipaddress.ip_address(name)
    except ValueError:
        return False
    return True


def _is_loopback(name: str) -> bool:
    return _is_address(name) and ipaddress.ip_address(name).is_loopback


class Guard:
    """Lets through to ``app`` what comes from the right place with the right token."""

    def __init__(self, app: ASGIApp, access: Access) -> None:
        self._app, self._access = app, access

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "http":
            await self._app(scope, receive, send)
            return

        async def send_guarded(message: Message) -> None:
            if message["type"] == "http.response.start":
                headers = MutableHeaders(scope=message)
                for name, value in HEADERS.items():
                    headers.setdefault(name, value)
            await send(message)

        try:
            answer = self._welcome(scope) if self._check(scope) else None
        except Refused as refused:
            answer = told(refused)
        await (answer or self._app)(scope, receive, send_guarded)

    def _check(self, scope: Scope) -> bool:
        """Raise Refused; returns whether the token came in the address of the page."""
        headers = Headers(scope=scope)
        hosts = headers.getlist("host")
        if len(hosts) != 1 or not self._access.knows_host(hosts[0]):
            raise Refused(421, "This server is not known by that name: use the address it printed.")
        origin = headers.get("origin")
        if origin is not None and urlsplit(origin).netloc.lower() != hosts[0].lower():
            raise Refused(403, "Requests of another page are not answered.")
        asked = parse_qs(scope.get("query_string", b"").decode("latin-1")).get("token", [None])[0]
        if scope["path"] == "/" and scope["method"] == "GET" and self._access.fits(asked):
            return True
        if headers.get("sec-fetch-site", "none") not in ("none", "same-origin"):
            raise Refused(403, "Requests of another page are not answered.")
        kind, _, bearer = headers.get("authorization", "").partition(" ")
        given = bearer.strip() if kind.lower() == "bearer" else None
        given = given or cookie_parser(headers.get("cookie", "")).get(self._access.cookie)
        if not self._access.fits(given):
            raise Refused(401, "The token is missing or wrong: use the address cnnart printed.")
        return False

    def _welcome(self, scope: Scope) -> Response:
        """The page again without the token in its address, which would be in the history."""
        answer = RedirectResponse("/", 303)
        answer.set_cookie(
            self._access.cookie, self._access.token, httponly=True, samesite="strict", path="/"
        )
        return answer


def told(refused: Refused) -> Response:
    """The answer to a refused request."""
    headers = {"Connection": "close"} if refused.status in (408, 413) else {}
    if refused.status == 401:
        headers["WWW-Authenticate"] = "Bearer"
    return JSONResponse({"error": str(refused)}, refused.status, headers)


async def body_chunks(request: Request, most: int) -> AsyncIterator[bytes]:
    """A request's body, piece by piece. Raises Refused when it is too large or too slow."""
    length = request.headers.get("content-length", "0")
    if not length.isdecimal() or int(length[:20]) > most:
        raise Refused(413, f"Too large: {most >> 20} MB at most.")
    count, until = 0, time.monotonic() + LONGEST
    stream = request.stream()
    while True:
        left = min(IDLE, until - time.monotonic())
        try:
            chunk = await asyncio.wait_for(anext(stream), max(0.0, left))
        except StopAsyncIteration:
            return
        except asyncio.TimeoutError:  # its own class before Python 3.11
            raise Refused(408, "The rest did not come in time.") from None
        count += len(chunk)
        if count > most:
            raise Refused(413, f"Too large: {most >> 20} MB at most.")
        yield chunk


async def body_of(request: Request, most: int) -> bytes:
    """A small request's whole body. Raises Refused."""
    return b"".join([chunk async for chunk in body_chunks(request, most)])
