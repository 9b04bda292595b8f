"""What the addresses answer, with real networks at small sizes."""

from __future__ import annotations

import gc
import io
import json
from pathlib import Path
from typing import Any

import pytest
import torch
from PIL import Image
from starlette.testclient import TestClient

from cnnart.__main__ import main
from cnnart.run.record import read_record_of
from cnnart.studio.app import Studio

DRAFT = {"size": 32, "preset": "draft", "steps": 1}


def opened(content: bytes) -> Image.Image:
    return Image.open(io.BytesIO(content))


def events_of(client: TestClient, job: str) -> list[dict[str, Any]]:
    """All events of a painting, until it has ended."""
    with client.stream("GET", f"/api/jobs/{job}/events") as answer:
        assert answer.headers["content-type"].startswith("text/event-stream")
        lines = [line for line in answer.iter_lines() if line.startswith("data: ")]
    return [json.loads(line.removeprefix("data: ")) for line in lines]


def test_facts_are_what_a_page_needs(client: TestClient) -> None:
    facts = client.get("/api/facts").json()
    styles = {style["name"]: style for style in facts["styles"]}
    assert styles["great-wave"]["trained"]
    assert not styles["great-wave"]["picture"]
    assert styles["night-swirls"]["picture"]
    strength = facts["settings"]["fast-stylize"]["strength"]
    assert (strength["low"], strength["high"], strength["default"]) == (0, 1, 0.5)
    picture = client.get("/api/styles/night-swirls", params={"size": 64})
    assert opened(picture.content).size == (64, 64)
    assert client.get("/api/styles/great-wave").status_code == 404


def test_a_picture_comes_in_and_is_shown(
    client: TestClient, upload: dict[str, Any], photo: bytes
) -> None:
    assert (upload["name"], upload["width"], upload["height"]) == ("photo.png", 64, 48)
    address = f"/api/pictures/{upload['id']}"
    assert opened(client.get(address, params={"size": 32}).content).size == (32, 24)
    assert opened(client.get(address, params={"size": 2000}).content).size == (64, 48)
    assert client.get(address, params={"size": "1e9"}).status_code == 422
    file = client.get(f"{address}/file")
    assert file.content == photo
    assert file.headers["content-disposition"] == 'attachment; filename="photo.png"'
    assert client.delete(address).status_code == 204
    assert client.get(address).status_code == 404


def test_previews_are_of_the_fast_pass(
    client: TestClient, studio: Studio, upload: dict[str, Any]
) -> None:
    studio.worker.start()
    given = {"command": "fast-stylize", "photo": upload["id"], "styles": [{"name": "great-wave"}]}
    pictures = []
    for strength in (0, 1):
        settings = {"strength": strength, "size": 5000, "stroke": "pixels=1"}
        answer = client.post("/api/preview", json={**given, "settings": settings, "slot": "tab"})
        assert answer.headers["content-type"] == "image/jpeg"
        pictures.append(opened(answer.content))
    assert pictures[0].size == (64, 48)  # not enlarged
    assert pictures[0].tobytes() != pictures[1].tobytes()
    other = {**given, "command": "stylize", "styles": [{"name": "ink-wash"}]}
    assert client.post("/api/preview", json=other).json() == {
        "error": "Previews are of photos by fast-stylize; paint to see another command's."
    }
    wrong = client.post("/api/preview", json={**given, "slot": "x" * 99})
    assert wrong.json() == {"error": "`slot` is a short text."}
    wrong = client.post("/api/preview", json={**given, "rank": 2})
    assert wrong.json() == {"error": "`rank` is 0 or 1."}


def test_time_and_memory_are_told_before(
    client: TestClient, studio: Studio, upload: dict[str, Any], capsys: pytest.CaptureFixture[str]
) -> None:
    given = {
        "command": "stylize",
        "photo": upload["id"],
        "styles": [{"name": "ink-wash"}],
        "settings": {"size": 64, "preset": "draft"},
    }
    studio.worker.start()
    plan = client.post("/api/plan", json={**given, "slot": "tab"}).json()
    line = client.post("/api/command-line", json=given).json()["command_line"]
    assert main([*line.split()[1:], "--dry-run", "--json", "--device", "cpu"]) == 0
    shell = json.loads(capsys.readouterr().out.splitlines()[0])
    for name in ("size", "memory", "tile", "device", "precision", "seed"):
        assert plan[name] == shell[name], name
    assert 0 < plan["seconds"] < 60
    assert plan["warnings"] == []
    assert not Path("out").exists()
    # What is made in one pass is measured, too; of a patch method nobody knows it before.
    fast = {**given, "command": "fast-stylize", "settings": {"size": 64}}
    assert client.post("/api/plan", json=fast).json()["seconds"] > 0
    patches = {"command": "texture", "photo": upload["id"], "settings": {"method": "quilting"}}
    assert client.post("/api/plan", json=patches).json()["seconds"] is None
    # What would fail is told for the same reason.
    huge = client.post("/api/plan", json={**given, "settings": {"size": 99_999_999}})
    assert huge.status_code >= 422
    assert huge.json()["error"]


def test_requests_leave_nothing_behind(client: TestClient, studio: Studio, photo: bytes) -> None:
    """As many tensors and pictures after a hundred requests as before: memory stays flat."""
    studio.worker.start()

    def once() -> None:
        known = client.post("/api/pictures", params={"name": "a.png"}, content=photo).json()
        given = {"command": "fast-stylize", "photo": known["id"], "styles": [{"name": "udnie"}]}
        assert client.post("/api/preview", json=given).status_code == 200
        assert client.get(f"/api/pictures/{known['id']}").status_code == 200
        assert client.delete(f"/api/pictures/{known['id']}").status_code == 204

    def held() -> int:
        gc.collect()
        return sum(type(each) is torch.Tensor for each in gc.get_objects())

    for _ in range(4):
        once()
    before = held()
    for _ in range(25):
        once()
    assert held() <= before + 2
    assert not list(studio.pictures.folder.iterdir())


def test_a_preview_of_somebody_who_went_is_dropped(studio: Studio, upload: dict[str, Any]) -> None:
    """A closed tab's previews are not computed."""
    import asyncio

    from starlette.requests import ClientDisconnect, Request

    from cnnart.studio.app import _awaited

    async def receive() -> dict[str, str]:
        return {"type": "http.disconnect"}

    done: list[int] = []
    future = studio.worker.preview(lambda runtime: done.append(1))
    request = Request({"type": "http", "headers": [], "method": "POST", "path": "/"}, receive)  # type: ignore[arg-type]
    with pytest.raises(ClientDisconnect):
        asyncio.run(_awaited(request, future))
    assert future.cancelled()
    studio.worker.start()
    studio.worker.preview(lambda runtime: None).result(10)
    assert not done


def test_a_photo_stays_until_it_is_painted_though_nobody_waits(
    client: TestClient, studio: Studio, photo: bytes, monkeypatch: pytest.MonkeyPatch
) -> None:
    """As when the camera is switched off while a frame is under way."""
    from starlette.requests import ClientDisconnect

    given_up: list[Any] = []

    async def give_up(request: Any, future: Any) -> None:
        future.set_running_or_notify_cancel()
        given_up.append(future)
        raise ClientDisconnect

    monkeypatch.setattr("cnnart.studio.app._awaited", give_up)
    answer = client.post("/api/fast-stylize", params={"style": "udnie"}, content=photo)
    assert answer.status_code == 499
    assert len(list(studio.pictures.folder.iterdir())) == 1
    given_up[0].set_result(None)
    assert not list(studio.pictures.folder.iterdir())


def test_a_painting_is_followed_downloaded_and_run_again(
    client: TestClient, studio: Studio, upload: dict[str, Any]
) -> None:
    studio.worker.start()
    given = {
        "command": "stylize",
        "photo": upload["id"],
        "styles": [{"name": "ink-wash", "mask": upload["id"]}],
        "settings": DRAFT,
    }
    job = client.post("/api/jobs", json=given)
    assert job.status_code == 202
    assert job.json()["state"] == "queued"
    events = events_of(client, job.json()["id"])
    kinds = [event["event"] for event in events]
    assert kinds[:2] == ["queued", "start"]
    assert kinds[-2:] == ["saved", "ended"]
    steps = [event for event in events if event["event"] == "step"]
    assert {"content", "style", "palette"} <= set(steps[-1]["losses"])
    assert steps[-1]["seconds_left"] == 0
    ended = events[-1]
    assert (ended["state"], ended["asked"]) == ("done", given)
    path = Path("out/photo-ink-wash.png")
    assert ended["command_line"] == (
        "cnnart stylize out/inputs/photo.png --style ink-wash --mask out/inputs/photo.png "
        "--size 32 --preset draft --steps 1 -o out/photo-ink-wash.png"
    )
    made = client.get(f"/api/pictures/{ended['result']['id']}/file").content
    assert made == path.read_bytes()
    # The record makes the same picture again, and so does the command line that was shown.
    assert main(["rerun", str(path), "-o", "again.png", "-q"]) == 0
    assert Path("again.png").read_bytes() == made
    path.unlink()
    assert main([*ended["command_line"].split()[1:], "-q"]) == 0
    assert path.read_bytes() == made
    # A result is a photo, too; its own result gets another name.
    given["photo"], given["styles"] = ended["result"]["id"], [{"name": "ink-wash"}]
    lines = [client.post("/api/jobs", json=given).json()["command_line"] for _ in range(2)]
    assert lines[0].endswith("-o out/photo-ink-wash-ink-wash.png")
    assert lines[1].endswith("-o out/photo-ink-wash-ink-wash-2.png")


def test_stop_keeps_what_there_is(
    client: TestClient, studio: Studio, upload: dict[str, Any]
) -> None:
    given = {"command": "dream", "photo": upload["id"], "settings": {"size": 32, "steps": 900}}
    running, waiting = (client.post("/api/jobs", json=given).json()["id"] for _ in range(2))
    dropped = client.post(f"/api/jobs/{waiting}/stop").json()
    assert dropped["state"] == "dropped"
    studio.worker.start()
    with client.stream("GET", f"/api/jobs/{running}/events") as answer:
        for line in answer.iter_lines():
            if line == "event: step":
                client.post(f"/api/jobs/{running}/stop")
    facts = client.get(f"/api/jobs/{running}").json()
    assert facts["state"] == "stopped"
    assert 0 < facts["latest"]["step"]["step"] < facts["latest"]["step"]["steps"]
    assert "interrupted_at" in read_record_of(Path("out/photo-eyes.png"))
    assert not list(Path("out").glob("*.preview.jpg"))
    assert [job["state"] for job in client.get("/api/jobs").json()] == ["stopped", "dropped"]
    assert client.get(f"/api/jobs/{running}/preview").status_code == 404
    assert client.get("/api/jobs/none").status_code == 404


def test_what_goes_wrong_while_painting_is_told(
    client: TestClient, studio: Studio, upload: dict[str, Any]
) -> None:
    studio.worker.start()
    settings = {"style_layers": "relu9_9"}
    given = {"command": "stylize", "photo": upload["id"], "styles": [{"name": "ink-wash"}]}
    job = client.post("/api/jobs", json={**given, "settings": settings}).json()
    ended = events_of(client, job["id"])[-1]
    assert ended["state"] == "failed"
    assert "relu9_9" in ended["latest"]["failed"]["error"]


def test_what_a_network_looks_at(
    client: TestClient, studio: Studio, upload: dict[str, Any], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("cnnart.studio.inspections.METHODS", ("gradient",))
    studio.worker.start()
    given = {"what": "saliency", "photo": upload["id"], "named": "espresso"}
    line = client.post("/api/inspect/command-line", json=given).json()["command_line"]
    assert line == "cnnart inspect saliency photo.png --class espresso"
    sheet = opened(client.post("/api/inspect", json=given).content)
    assert main([*line.split()[1:], "--method", "gradient", "-o", "shell.png", "-q"]) == 0
    assert sheet.size == Image.open("shell.png").size
    for change, message in (
        ({"what": "teeth"}, "Unknown inspection 'teeth'"),
        ({"layer": "x"}, "Unknown key 'layer' of an inspection."),
        ({"named": 3}, "`named` is the name of a class."),
        ({"named": "no such thing"}, "no such thing"),
    ):
        answer = client.post("/api/inspect", json={**given, **change})
        assert answer.status_code == 422
        assert message in answer.json()["error"]


def test_a_folder_that_went_is_told(client: TestClient, upload: dict[str, Any]) -> None:
    Path("out").write_text("not a folder any more")
    given = {"command": "texture", "photo": upload["id"]}
    answer = client.post("/api/jobs", json=given)
    assert answer.status_code == 500
    assert answer.json()["error"].startswith("out cannot be written to: ")


def test_a_photo_in_a_picture_out(client: TestClient, studio: Studio, photo: bytes) -> None:
    studio.worker.start()
    query = {"style": "great-wave:2", "strength": "0.7", "size": "32", "name": "me.png"}
    answer = client.post("/api/fast-stylize", params=query, content=photo)
    assert answer.headers["content-type"] == "image/png"
    Path("answer.png").write_bytes(answer.content)
    record = read_record_of(Path("answer.png"))
    assert record["settings"]["strength"] == 0.7
    assert record["photo"]["name"] == "me.png"
    line = ["--style", "great-wave:2", "--strength", "0.7", "--size", "32", "-o", "shell.png"]
    assert main(["fast-stylize", "photo.png", *line, "-q"]) == 0
    assert opened(answer.content).tobytes() == Image.open("shell.png").tobytes()
    query["format"] = "webp"
    answer = client.post("/api/fast-stylize", params=query, content=photo)
    assert opened(answer.content).format == "WEBP"
    assert not list(studio.pictures.folder.iterdir())
    for wrong in ({"style": "great"}, {"format": "exe"}, {"strenth": 1}, {"strength": "x"}):
        answer = client.post("/api/fast-stylize", params={**query, **wrong}, content=photo)
        assert answer.status_code == 422, wrong
    assert not Path("out").exists()


def test_the_description_is_whole(client: TestClient, studio: Studio) -> None:
    text = client.get("/openapi.json").text
    described = json.loads(text)
    schemas = described["components"]["schemas"]
    for reference in text.split('"$ref":"')[1:]:
        assert reference.partition('"')[0].removeprefix("#/components/schemas/") in schemas
    from cnnart.studio.app import make_app

    inside = make_app(studio)
    addresses = {
        (route.path, method.lower())
        for route in inside.routes
        for method in route.methods or ()
        if method != "HEAD" and route.path.startswith("/api/")
    }
    told = {(path, method) for path, each in described["paths"].items() for method in each}
    assert told == addresses
