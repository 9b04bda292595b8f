"""A studio without a socket, and one that listens."""

from __future__ import annotations

import threading
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

pytest.importorskip("starlette", reason="the extra [studio] is not installed")

from starlette.testclient import TestClient

from cnnart.studio.app import Studio, make_app
from cnnart.studio.guard import Access
from cnnart.studio.paintings import Paintings
from cnnart.studio.pictures import Pictures
from cnnart.studio.worker import Worker
from tests.helpers.files import save_picture

TOKEN = "a-token-for-tests"
ADDRESS = "http://127.0.0.1:8321"


@pytest.fixture
def studio(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Studio]:
    """Its worker is started by what needs it; results go to ``out``, relative as usual."""
    monkeypatch.chdir(tmp_path)
    pictures = Pictures(max_pixels=1_000_000)
    worker = Worker(device="cpu")
    made = Studio(
        Access("127.0.0.1", 8321, TOKEN),
        worker,
        pictures,
        Paintings(Path("out"), pictures),
        1 << 20,
    )
    yield made
    worker.close()
    pictures.close()


@pytest.fixture
def client(studio: Studio) -> Iterator[TestClient]:
    """Somebody with the token."""
    headers = {"Authorization": f"Bearer {TOKEN}"}
    with TestClient(
        make_app(studio), base_url=ADDRESS, headers=headers, raise_server_exceptions=False
    ) as made:
        yield made


@pytest.fixture
def photo(tmp_path: Path) -> bytes:
    """The bytes of a small photo, which is a file of the current folder, too."""
    return save_picture(tmp_path / "photo.png").read_bytes()


@pytest.fixture
def upload(client: TestClient, photo: bytes) -> dict[str, Any]:
    """The facts of a picture that came in."""
    answer = client.post("/api/pictures", params={"name": "photo.png"}, content=photo)
    assert answer.status_code == 201, answer.text
    found: dict[str, Any] = answer.json()
    return found


@pytest.fixture
def listening(studio: Studio) -> Iterator[Studio]:
    """The studio on a socket of its own, in a thread."""
    import uvicorn

    from cnnart.studio.server import Protocol, Server, bind

    made = bind("127.0.0.1", 0)
    studio.access = Access("127.0.0.1", made.getsockname()[1], TOKEN)
    config = uvicorn.Config(
        make_app(studio), http=Protocol, ws="none", lifespan="off", log_level="error"
    )
    server = Server(config, studio)
    thread = threading.Thread(target=server.run, kwargs={"sockets": [made]})
    thread.start()
    yield studio
    studio.closing = server.should_exit = True
    thread.join()
