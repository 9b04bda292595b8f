"""Neighbors of a photo in a folder that a browser sends, picture by picture."""

from __future__ import annotations

import io
import json
import threading
from pathlib import Path
from typing import Any

import pytest
from PIL import Image
from starlette.testclient import TestClient

from cnnart.__main__ import main
from cnnart.studio import folders
from cnnart.studio.app import Studio
from cnnart.studio.folders import Folders
from cnnart.studio.guard import Refused
from tests.helpers.files import save_picture


def bring(client: TestClient, path: Path, **query: str) -> dict[str, Any]:
    """Send a folder as the page does."""
    folder = client.post("/api/folders", params={"name": path.name, **query})
    assert folder.status_code == 201
    address = f"/api/folders/{folder.json()['id']}/pictures"
    for picture in sorted(path.iterdir()):
        sent = client.post(address, params={"name": picture.name}, content=picture.read_bytes())
        assert sent.status_code == 201
    found: dict[str, Any] = sent.json()
    return found


@pytest.fixture
def beach(tmp_path: Path) -> Path:
    """Four pictures, one of which is none; the first is the tests' photo."""
    folder = tmp_path / "beach"
    folder.mkdir()
    (folder / "a.png").write_bytes(save_picture(tmp_path / "photo.png").read_bytes())
    save_picture(folder / "b.png", seed=4)
    save_picture(folder / "c.png", 40, 60, seed=5)
    (folder / "broken.png").write_text("no picture")
    return folder


def test_neighbors_as_the_shell_finds_them(
    client: TestClient, studio: Studio, beach: Path, upload: dict[str, Any]
) -> None:
    studio.worker.start()
    folder = bring(client, beach)
    assert (folder["name"], folder["pictures"]) == ("beach", 4)
    given = {"what": "neighbors", "photo": upload["id"], "folder": folder["id"]}
    line = client.post("/api/inspect/command-line", json=given).json()["command_line"]
    assert line == "cnnart inspect neighbors photo.png --in beach/"
    answer = client.post("/api/inspect", json=given)
    assert answer.headers["content-type"] == "image/jpeg"
    # In the shell the photo is a file of the folder: it is not its own neighbor.
    where = ["inspect", "neighbors", "beach/a.png", "--in", "beach/", "--device", "cpu"]
    assert main([*where, "-o", "sheet.png", "-q"]) in (0, 3)
    sheet, shell = Image.open(io.BytesIO(answer.content)), Image.open("sheet.png").convert("RGB")
    assert sheet.size == shell.size
    pairs = zip(sheet.tobytes(), shell.tobytes(), strict=True)
    assert sum(abs(a - b) for a, b in pairs) / len(sheet.tobytes()) < 3  # of 255: JPEG
    # With a folder in it, the line says so.
    nested = bring(client, beach, recursive="1")
    given["folder"] = nested["id"]
    line = client.post("/api/inspect/command-line", json=given).json()["command_line"]
    assert line.endswith("--in beach/ --recursive")


@pytest.mark.parametrize(
    ("change", "status", "message"),
    [
        ({"folder": "/home"}, 404, "No such folder: choose it on the page. A path is never opened"),
        ({"folder": "../.."}, 404, "A path is never opened"),
        ({"folder": ["x"]}, 404, "A path is never opened"),
        ({"folder": None}, 422, "No folder to look for neighbors in: choose one."),
        ({"named": "espresso"}, 422, "Unknown key 'named' of an inspection."),
    ],
)
def test_no_path_is_a_folder(
    client: TestClient,
    upload: dict[str, Any],
    change: dict[str, Any],
    status: int,
    message: str,
) -> None:
    given = {"what": "neighbors", "photo": upload["id"], "folder": "x", **change}
    for address in ("/api/inspect", "/api/inspect/command-line"):
        answer = client.post(address, json=given)
        assert answer.status_code == status
        assert message in answer.json()["error"]


def test_names_from_outside_stay_inside(
    client: TestClient, studio: Studio, photo: bytes, tmp_path: Path
) -> None:
    answer = client.post("/api/folders", params={"name": "../../etc"})
    assert answer.json()["name"] == "etc"
    address = f"/api/folders/{answer.json()['id']}/pictures"
    for name in ("../../a.png", "/tmp/a.png", "a.png", "-x.png"):
        assert client.post(address, params={"name": name}, content=photo).status_code == 201
    (inside,) = studio.pictures.folder.glob("folder-*")
    names = ["a-2.png", "a-3.png", "a.png", "x.png"]
    assert sorted(path.name for path in inside.iterdir()) == names
    assert client.post("/api/folders", params={"name": ".."}).json()["name"] == "picture"
    big = client.post(address, params={"name": "big.png"}, content=bytes(1 << 21))
    assert big.status_code == 413
    assert len(list(inside.iterdir())) == 4
    assert client.post("/api/folders/none/pictures", content=photo).status_code == 404


def test_nothing_to_find(client: TestClient, studio: Studio, upload: dict[str, Any]) -> None:
    studio.worker.start()
    folder = client.post("/api/folders", params={"name": "empty"}).json()
    given = {"what": "neighbors", "photo": upload["id"], "folder": folder["id"]}
    answer = client.post("/api/inspect", json=given)
    assert answer.json() == {"error": "Not one of the pictures could be read; check the folder."}


def test_folders_are_bounded(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(folders, "MOST_PICTURES", 2)
    made = Folders(tmp_path)
    first = made.new("first")
    for _ in range(2):
        first.place("a.png").write_bytes(b"x")
    with pytest.raises(Refused, match="A folder of 2 pictures and 4 GB at most"):
        first.place("b.png")
    others = [made.new("other") for _ in range(folders.MOST_FOLDERS)]
    with pytest.raises(Refused):
        made[first.id]
    assert not first.path.exists()
    assert made[others[0].id] is others[0]


def test_a_search_ends_when_nobody_waits(
    client: TestClient, studio: Studio, beach: Path, upload: dict[str, Any]
) -> None:
    """And another goes on from what it has found."""
    from starlette.requests import ClientDisconnect

    from cnnart.studio import inspections

    folder = bring(client, beach)
    studio.worker.start()
    described: list[int] = []

    def between() -> None:
        described.append(1)
        raise ClientDisconnect

    asked = inspections.read_inspection(
        {"what": "neighbors", "photo": upload["id"], "folder": folder["id"]},
        studio.pictures,
        _folders_of(client),
    )
    done = threading.Event()

    def work(runtime: Any) -> None:
        with pytest.raises(ClientDisconnect):
            inspections.inspect(asked, runtime, 1_000_000, between)
        done.set()

    studio.worker.preview(work).result(60)
    assert done.is_set()
    assert described == [1]
    assert asked.folder is not None
    assert asked.folder.index.exists()
    given = {"what": "neighbors", "photo": upload["id"], "folder": folder["id"]}
    assert client.post("/api/inspect", content=json.dumps(given)).status_code == 200


def _folders_of(client: TestClient) -> Folders:
    """Those of the application behind a client."""
    app: Any = client.app
    (route,) = (route for route in app.routes if getattr(route, "path", "") == "/api/inspect")
    found: Folders = route.endpoint.__self__._folders
    return found
