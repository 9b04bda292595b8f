"""On a socket: many at once, slow ones, too much; and the end while something is painted."""

from __future__ import annotations

import http.client
import os
import signal
import socket
import threading
import time
from pathlib import Path

import httpx
import pytest

from cnnart.__main__ import main
from cnnart.cli import studio as cli_studio
from cnnart.errors import UsageError
from cnnart.run.inputs import Source
from cnnart.run.record import read_record_of
from cnnart.studio import server
from cnnart.studio.app import Studio
from tests.helpers.files import save_picture
from tests.studio.conftest import TOKEN

HEADERS = {"Authorization": f"Bearer {TOKEN}"}


def connect(studio: Studio) -> socket.socket:
    return socket.create_connection(("127.0.0.1", studio.access.port), timeout=10)


def head(studio: Studio, *lines: str) -> bytes:
    host = f"Host: 127.0.0.1:{studio.access.port}"
    given = ["POST /api/pictures HTTP/1.1", host, f"Authorization: Bearer {TOKEN}", *lines]
    return "\r\n".join([*given, "", ""]).encode()


def test_ten_gigabytes_are_refused_before_they_come(listening: Studio) -> None:
    with connect(listening) as link:
        link.sendall(head(listening, f"Content-Length: {10 << 30}"))
        assert link.recv(100).startswith(b"HTTP/1.1 413")
    with connect(listening) as link:  # without saying how much comes
        link.sendall(head(listening, "Transfer-Encoding: chunked"))
        assert taken(link, b"10000\r\n" + bytes(0x10000) + b"\r\n", 10_000) < 1000
    assert not list(listening.pictures.folder.iterdir())


def taken(link: socket.socket, piece: bytes, most: int) -> int:
    """How many pieces were sent before the other side had enough."""
    for count in range(most):
        try:
            link.sendall(piece)
        except OSError:
            return count
    return most


def test_who_goes_away_while_sending_leaves_nothing(listening: Studio) -> None:
    with connect(listening) as link:
        link.sendall(head(listening, "Content-Length: 100000") + b"some bytes")
        until(lambda: list(listening.pictures.folder.iterdir()))
    until(lambda: not list(listening.pictures.folder.iterdir()))


def test_who_does_not_come_to_the_point_is_let_go(
    listening: Studio, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(server, "SLOWEST_HEAD", 0.2)
    with connect(listening) as link:
        link.sendall(b"POST /api/pictures HTTP/1.1\r\nHost: ")
        assert link.recv(100) == b""


def test_two_hundred_at_once_are_all_answered(listening: Studio) -> None:
    photo = save_picture("photo.png").read_bytes()
    statuses: list[int] = []

    def ask(number: int) -> None:
        headers = HEADERS if number % 4 else {}
        link = http.client.HTTPConnection("127.0.0.1", listening.access.port, timeout=60)
        if number % 2:
            link.request("POST", "/api/pictures", photo, headers)
        else:
            link.request("GET", "/api/jobs", headers=headers)
        statuses.append(link.getresponse().status)
        link.close()

    threads = [threading.Thread(target=ask, args=(number,)) for number in range(200)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert {status: statuses.count(status) for status in set(statuses)} == {
        201: 100,
        200: 50,
        401: 50,
    }


def test_a_port_that_is_taken(listening: Studio, capsys: pytest.CaptureFixture[str]) -> None:
    port = listening.access.port
    assert main(["serve", "--port", str(port)]) == 1
    assert "Choose another --port" in capsys.readouterr().err
    assert server.free_port("127.0.0.1", port) == 0


def test_wrong_usage(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.chdir(tmp_path)
    save_picture("photo.png")
    assert main(["serve", "-o", "photo.png"]) == 2
    assert "is a file: name a folder" in capsys.readouterr().err
    monkeypatch.setattr("cnnart.cli.studio.expand", lambda given: [Source(None, "-", data=b"")])
    with pytest.raises(UsageError, match="The studio takes files: name them"):
        cli_studio.studio.main(["-"], standalone_mode=False)
    monkeypatch.setenv("CNNART_TOKEN", "short")
    assert main(["serve"]) == 2
    assert "CNNART_TOKEN is too short" in capsys.readouterr().err
    assert main(["serve", "--openapi"]) == 0
    assert '"openapi": "3.1.0"' in capsys.readouterr().out


def test_killed_while_painting_it_keeps_the_picture(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    photo = save_picture("photo.png").read_bytes()

    def use(studio: Studio) -> None:
        headers = {"Authorization": f"Bearer {studio.access.token}"}
        with httpx.Client(base_url=studio.access.address, headers=headers, timeout=60) as client:
            known = client.post("/api/pictures", params={"name": "a.png"}, content=photo).json()
            settings = {"size": 32, "steps": 900}
            given = {"command": "dream", "photo": known["id"], "settings": settings}
            job = client.post("/api/jobs", json=given).json()
            with client.stream("GET", f"/api/jobs/{job['id']}/events") as answer:
                for line in answer.iter_lines():
                    if line == "event: step" and not killed:
                        killed.append(True)  # twice would be without saving
                        os.kill(os.getpid(), signal.SIGTERM)

    clients: list[threading.Thread] = []
    killed: list[bool] = []

    def ready(studio: Studio) -> None:
        clients.append(threading.Thread(target=use, args=(studio,)))
        clients[0].start()

    server.serve(
        host="127.0.0.1",
        port=0,
        folder=Path("out"),
        page=False,
        ready=ready,
        most_upload=1 << 20,
        max_pixels=1_000_000,
        device="cpu",
    )
    clients[0].join()
    assert "interrupted_at" in read_record_of(Path("out/a-eyes.png"))
    assert not list(Path("out").glob("*.preview.jpg"))


def until(happens: object, seconds: float = 10) -> None:
    """Wait for something, but not for ever."""
    end = time.monotonic() + seconds
    while not happens():  # type: ignore[operator]
        assert time.monotonic() < end
        time.sleep(0.02)
