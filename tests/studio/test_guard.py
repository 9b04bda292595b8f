"""Who is answered, and what is refused; nothing that is refused leaves a trace."""

from __future__ import annotations

import asyncio
import struct
import zlib
from pathlib import Path

import pytest
from starlette.testclient import TestClient

from cnnart.errors import UsageError
from cnnart.studio import guard
from cnnart.studio.app import Studio, make_app
from cnnart.studio.guard import Access
from cnnart.studio.request import read_request
from tests.studio.conftest import ADDRESS, TOKEN


@pytest.fixture
def stranger(studio: Studio) -> TestClient:
    return TestClient(make_app(studio), base_url=ADDRESS, follow_redirects=False)


EVERYWHERE = ["/", "/studio.css", "/openapi.json", "/api/facts", "/api/jobs", "/api/events"]


@pytest.mark.parametrize("path", EVERYWHERE)
def test_without_the_token_nothing_is_answered(stranger: TestClient, path: str) -> None:
    for headers in ({}, {"Authorization": "Bearer wrong"}, {"Cookie": "cnnart-8321=wrong"}):
        answer = stranger.get(path, headers=headers)
        assert answer.status_code == 401
        assert answer.json() == {
            "error": "The token is missing or wrong: use the address cnnart printed."
        }
    assert stranger.get(path, params={"token": "wrong"}).status_code == 401


def test_the_token_in_the_address_becomes_a_cookie(stranger: TestClient) -> None:
    answer = stranger.get("/", params={"token": TOKEN})
    assert answer.status_code == 303
    assert answer.headers["location"] == "/"
    cookie = answer.headers["set-cookie"]
    assert "HttpOnly" in cookie
    assert "SameSite=strict" in cookie
    assert stranger.get("/").status_code == 200  # the client keeps cookies
    assert stranger.get("/api/facts", params={"token": TOKEN}).status_code == 200
    # Another server on this machine gets the cookie, too, but does not take it for its own.
    other = Access("127.0.0.1", 9999, "another")
    assert other.cookie != "cnnart-8321"


HOSTS = ["evil.example", "evil.example:8321", "127.0.0.1.evil.example:8321", "127.0.0.1:80", ""]


@pytest.mark.parametrize("host", [*HOSTS, "127.0.0.1:8321@evil.example", "10.0.0.1:8321"])
def test_a_name_that_leads_here_is_not_enough(client: TestClient, host: str) -> None:
    answer = client.get("/api/facts", headers={"Host": host})
    assert answer.status_code == 421


@pytest.mark.parametrize("host", ["127.0.0.1:8321", "localhost:8321", "[::1]:8321"])
def test_names_of_this_machine(client: TestClient, host: str) -> None:
    assert client.get("/api/facts", headers={"Host": host}).status_code == 200


@pytest.mark.parametrize(
    "origin", ["http://evil.example", "null", "http://127.0.0.1:9999", "http://localhost:8321"]
)
def test_another_page_is_not_answered(client: TestClient, photo: bytes, origin: str) -> None:
    for method in ("GET", "POST"):
        answer = client.request(method, "/api/pictures", content=photo, headers={"Origin": origin})
        assert answer.status_code == 403
        assert answer.json() == {"error": "Requests of another page are not answered."}
    own = client.post("/api/pictures", content=photo, headers={"Origin": ADDRESS})
    assert own.status_code == 201


def test_what_another_page_embeds_is_not_answered(client: TestClient) -> None:
    for site in ("cross-site", "same-site"):
        answer = client.get("/api/facts", headers={"Sec-Fetch-Site": site})
        assert answer.status_code == 403
    assert client.get("/api/facts", headers={"Sec-Fetch-Site": "same-origin"}).status_code == 200


def test_open_to_the_network_addresses_are_known_and_names_are_not() -> None:
    access = Access("0.0.0.0", 8321, TOKEN)
    assert access.public
    assert access.address == "http://127.0.0.1:8321/"
    assert access.knows_host("192.168.1.7:8321")
    assert not access.knows_host("evil.example:8321")
    assert Access("studio.local", 8321, TOKEN).knows_host("studio.local:8321")
    assert not Access("127.0.0.1", 8321, TOKEN).public
    assert TOKEN not in repr(access)


def test_answers_forbid_what_is_not_theirs(client: TestClient) -> None:
    for path in ("/", "/api/facts", "/nowhere"):
        headers = client.get(path).headers
        assert "default-src 'none'" in headers["content-security-policy"]
        assert headers["x-content-type-options"] == "nosniff"


def chunk(kind: bytes, data: bytes) -> bytes:
    return struct.pack(">I", len(data)) + kind + data + struct.pack(">I", zlib.crc32(kind + data))


def bomb(side: int) -> bytes:
    """A PNG of a few bytes that says it has so many pixels a side."""
    header = struct.pack(">IIBBBBB", side, side, 8, 2, 0, 0, 0)
    data = zlib.compress(bytes(1 << 20))
    return (
        b"\x89PNG\r\n\x1a\n" + chunk(b"IHDR", header) + chunk(b"IDAT", data) + chunk(b"IEND", b"")
    )


@pytest.mark.parametrize(
    ("content", "status"),
    [
        (b"", 400),
        (b"no picture", 415),
        (bomb(60_000), 415),
        (b"\xff\xd8\xff" + bytes(100), 415),
        (bytes((1 << 20) + 1), 413),
        (b"<svg xmlns='http://www.w3.org/2000/svg'/>", 415),
    ],
)
def test_what_is_no_photo_is_refused_and_gone(
    client: TestClient, studio: Studio, content: bytes, status: int
) -> None:
    answer = client.post("/api/pictures", content=content)
    assert answer.status_code == status
    assert str(studio.pictures.folder) not in answer.text
    assert not list(studio.pictures.folder.iterdir())
    assert not Path("out").exists()


def test_a_body_without_a_length_is_counted(client: TestClient, studio: Studio) -> None:
    answer = client.post("/api/pictures", content=(bytes(100_000) for _ in range(1000)))
    assert answer.status_code == 413
    assert answer.json() == {"error": "Too large: 1 MB at most."}
    assert not list(studio.pictures.folder.iterdir())
    assert client.post("/api/preview", content=bytes(1 << 17)).status_code == 413


def test_a_slow_body_is_given_up(monkeypatch: pytest.MonkeyPatch) -> None:
    from starlette.requests import Request

    monkeypatch.setattr(guard, "IDLE", 0.05)

    async def receive() -> dict[str, object]:
        await asyncio.sleep(5)
        return {}

    async def read() -> None:
        scope = {"type": "http", "headers": [], "method": "POST", "path": "/"}
        await guard.body_of(Request(scope, receive), 100)  # type: ignore[arg-type]

    with pytest.raises(guard.Refused, match="did not come in time") as raised:
        asyncio.run(read())
    assert raised.value.status == 408


PATHS = ["../../etc/passwd", "..%2f..%2fetc%2fpasswd", "C:\\x.png", "%00"]


@pytest.mark.parametrize("path", PATHS)
def test_no_field_is_a_path(
    client: TestClient, studio: Studio, photo: bytes, upload: dict[str, str], path: str
) -> None:
    secret = Path("secret.png")
    secret.write_bytes(photo)
    for name in (path, str(secret.absolute())):
        styled = {"command": "fast-stylize", "photo": upload["id"]}
        requests = [
            {**styled, "photo": name, "styles": [{"name": "great-wave"}]},
            {**styled, "styles": [{"name": name}]},
            {**styled, "styles": [{"picture": name}]},
            {**styled, "styles": [{"name": "great-wave", "mask": name}]},
            {"command": name, "photo": upload["id"]},
            {"command": "stylize", "photo": upload["id"], "styles": [{"name": name}]},
            {"command": "dream", "photo": upload["id"], "guide": name},
            {"command": "dream", "photo": upload["id"], "mask": name},
            {"command": "texture", "photo": upload["id"], "output": name},
            {"command": "stylize", "photo": upload["id"], "settings": {"init": name}},
        ]
        for given in requests:
            for address in ("/api/command-line", "/api/jobs", "/api/preview"):
                answer = client.post(address, json=given)
                assert 400 <= answer.status_code < 500, (given, address, answer.text)
        for address in (
            "pictures/{}",
            "pictures/{}/file",
            "styles/{}",
            "jobs/{}",
            "jobs/{}/preview",
        ):
            assert 400 <= client.get(f"/api/{address.format(name)}").status_code < 500
        known = client.post("/api/pictures", params={"name": name}, content=photo).json()
        stored = studio.pictures[known["id"]].path
        assert stored.parent.parent == studio.pictures.folder
        assert set(known["name"]).isdisjoint('/\\:\0"<>|*?')
    assert not Path("out").exists()


def test_bodies_that_are_no_request(client: TestClient, studio: Studio) -> None:
    for content in (b"", b"[]", b"{", b"\xff", b'"x"', b"[" * 5000):
        assert client.post("/api/jobs", content=content).status_code == 400
    for given in (
        {},
        {"command": "stylize", "photo": 3},
        {"command": ["stylize"], "photo": {}},
        {"command": "texture", "settings": []},
        {"command": "texture", "settings": {"size": [1, 2, 3]}},
        {"command": "stylize", "photo": None, "settings": {"strength": "x"}},
    ):
        assert 400 <= client.post("/api/jobs", json=given).status_code < 500
    with pytest.raises(UsageError, match="What is asked for is a JSON object"):
        read_request([], studio.pictures)
