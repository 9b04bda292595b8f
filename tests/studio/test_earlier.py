"""What earlier sessions have left in the folder is in the strip again."""

from __future__ import annotations

import shlex
from pathlib import Path

import pytest
from starlette.testclient import TestClient

from cnnart.__main__ import main
from cnnart.studio import earlier
from cnnart.studio.app import Studio
from cnnart.studio.earlier import earlier_results
from tests.helpers.files import save_picture


def test_results_are_found_by_their_records(client: TestClient, studio: Studio) -> None:
    Path("out/inputs").mkdir(parents=True)
    save_picture("out/inputs/photo.png")
    made = ["out/inputs/photo.png", "-s", "great-wave", "--strength", "0.7", "--size", "32"]
    assert main(["fast-stylize", *made, "-q", "-o", "out/wave.png"]) == 0
    quilt = ["--method", "quilting", "--patch", "8", "--size", "40x32", "-o", "out/more.png"]
    assert main(["texture", "out/inputs/photo.png", *quilt, "-q"]) == 0
    save_picture("out/not-ours.png")
    Path("out/broken.png").write_text("no picture")
    Path("out/notes.txt").write_text("no picture")
    (Path("out") / "folder.png").mkdir()
    wave, more = earlier_results(Path("out"), studio.pictures)
    assert (wave["command"], wave["label"]) == (
        "fast-stylize",
        "great-wave --size 32 --strength 0.7",
    )
    assert (wave["state"], wave["result"]["width"]) == ("done", 32)
    assert more["command"] == "texture"
    assert more["label"].startswith("--size 40x32 --method quilting")
    shown = client.get(f"/api/pictures/{wave['result']['id']}", params={"size": 64})
    assert shown.status_code == 200
    # The line makes the same picture again.
    assert wave["command_line"] == (
        "cnnart rerun out/wave.png --inputs out/inputs -o out/wave-again.png"
    )
    assert main([*shlex.split(wave["command_line"])[1:], "-q"]) == 0
    assert Path("out/wave-again.png").read_bytes() == Path("out/wave.png").read_bytes()
    # It is a photo like any other.
    given = {"command": "texture", "photo": wave["result"]["id"]}
    line = client.post("/api/command-line", json=given).json()["command_line"]
    assert line == "cnnart texture out/wave.png"


def test_the_latest_are_enough(studio: Studio, monkeypatch: pytest.MonkeyPatch) -> None:
    assert earlier_results(Path("out"), studio.pictures) == []
    monkeypatch.setattr(earlier, "MOST_EARLIER", 1)
    save_picture("photo.png")
    for name in ("a", "b"):
        main(["fast-stylize", "photo.png", "-s", "udnie", "-q", "-o", f"out/{name}.png"])
    (found,) = earlier_results(Path("out"), studio.pictures)
    assert found["result"]["name"] == "b.png"
