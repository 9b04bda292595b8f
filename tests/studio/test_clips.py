"""Short clips that come in, are painted as the shell does, and what is none."""

from __future__ import annotations

import io
from pathlib import Path
from typing import Any

import pytest

pytest.importorskip("av", reason="the extra [video] is not installed")

from PIL import Image
from starlette.testclient import TestClient

from cnnart.__main__ import main
from cnnart.run.record import read_record_of
from cnnart.studio import clips
from cnnart.studio.app import Studio
from tests.helpers.clips import frames_in, save_clip, times_of
from tests.studio.test_app import events_of

STYLE = [{"name": "great-wave"}]


def bring(client: TestClient, path: Path) -> Any:
    return client.post("/api/clips", params={"name": path.name}, content=path.read_bytes())


def test_a_clip_is_painted(client: TestClient, studio: Studio, tmp_path: Path) -> None:
    studio.worker.start()
    came = bring(client, save_clip(tmp_path / "wave.mp4", 8))
    assert came.status_code == 201
    facts = came.json()
    assert (facts["width"], facts["height"], facts["seconds"]) == (64, 48, 0.32)
    shown = client.get(f"/api/pictures/{facts['id']}", params={"size": 2000})
    assert Image.open(io.BytesIO(shown.content)).size == (64, 48)  # its first frame
    given = {"command": "fast-stylize", "clip": facts["id"], "styles": STYLE, "seconds": 0.2}
    job = client.post("/api/jobs", json=given).json()
    events = events_of(client, job["id"])
    assert [event["frames"] for event in events if event["event"] == "start"] == [5]
    ended = events[-1]
    assert ended["state"] == "done"
    assert ended["command_line"] == (
        "cnnart fast-stylize out/inputs/wave.mp4 --style great-wave --end 0.2 "
        "-o out/wave-great-wave.mp4"
    )
    made = client.get(f"/api/pictures/{ended['result']['id']}/file")
    assert made.headers["content-type"] == "video/mp4"
    path = Path("out/wave-great-wave.mp4")
    assert made.content == path.read_bytes()
    assert len(times_of(path)) == 5
    assert read_record_of(path)["clip"]["end"] == 0.2
    assert not list(Path("out").glob("*.pieces*"))
    # The line that is shown makes the same.
    frames = frames_in(path)
    path.unlink()
    assert main([*ended["command_line"].split()[1:], "-q"]) == 0
    pairs = zip(frames_in(path), frames, strict=True)
    assert all((one == other).all() for one, other in pairs)


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"photo": "clip"}, "Either `photo` or `clip`: one is painted."),
        ({"clip": None, "photo": "clip"}, "wave.mp4 is a clip: a picture is needed here."),
        ({"clip": "photo"}, "photo.png is a picture: a clip is needed here."),
        ({"clip": "x"}, "No such picture"),
        ({"seconds": 61}, "`seconds` of a clip is a number up to 60."),
        ({"seconds": "5"}, "`seconds` of a clip is a number up to 60."),
        ({"styles": [{"name": "udnie", "mask": "clip"}]}, "wave.mp4 is a clip"),
        ({"command": "stylize"}, "Unknown key 'clip' of a request."),
    ],
)
def test_what_makes_no_sense(
    client: TestClient,
    studio: Studio,
    upload: dict[str, Any],
    tmp_path: Path,
    change: dict[str, Any],
    message: str,
) -> None:
    ids = {"clip": bring(client, save_clip(tmp_path / "wave.mp4", 3)).json()["id"]}
    ids["photo"] = upload["id"]

    def with_ids(value: Any) -> Any:
        if isinstance(value, dict):
            return {k: with_ids(v) for k, v in value.items()}
        if isinstance(value, list):
            return [with_ids(each) for each in value]
        return ids.get(value, value) if isinstance(value, str) else value

    given = {"command": "fast-stylize", "clip": "clip", "styles": STYLE, **change}
    answer = client.post("/api/jobs", json={k: with_ids(v) for k, v in given.items()})
    assert answer.status_code in (404, 422)
    assert message in answer.json()["error"]
    assert not Path("out").exists()


def test_what_is_told_only_of_photos(client: TestClient, studio: Studio, tmp_path: Path) -> None:
    studio.worker.start()
    id = bring(client, save_clip(tmp_path / "wave.mp4", 3)).json()["id"]
    given = {"command": "fast-stylize", "clip": id, "styles": STYLE}
    assert "Previews are of photos" in client.post("/api/preview", json=given).json()["error"]
    plan = client.post("/api/plan", json=given)
    assert plan.json() == {"error": "What a clip takes is told while it is painted."}


def test_what_is_no_clip_is_refused_and_gone(
    client: TestClient, studio: Studio, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A playlist names further files: libav would open them."""
    secret = save_clip(tmp_path / "secret.mp4", 3)
    playlist = f"#EXTM3U\n#EXT-X-TARGETDURATION:9\n#EXTINF:9,\n{secret}\n#EXT-X-ENDLIST\n"
    concat = f"ffconcat version 1.0\nfile '{secret}'\n"
    wanted = "WebM, Matroska, MP4 and QuickTime are taken"
    bodies = [playlist.encode(), concat.encode(), b"no clip", b"\x89PNG\r\n\x1a\n"]
    for body in bodies:
        for name in ("a.mp4", "a.m3u8", "../../a.webm", "a"):
            answer = client.post("/api/clips", params={"name": name}, content=body)
            assert answer.status_code == 415
            assert wanted in answer.json()["error"]
    half = save_clip(tmp_path / "half.mp4", 3).read_bytes()[:200]
    assert client.post("/api/clips", content=half).status_code == 415
    studio.pictures.max_pixels = 64 * 48 - 1
    answer = bring(client, secret)
    assert answer.status_code == 415
    assert answer.json() == {
        "error": "secret.mp4: 64 x 48 pixels are more than the 3071 that are taken."
    }
    studio.pictures.max_pixels = 1_000_000
    monkeypatch.setattr(clips, "LONGEST_CLIP", 0.1)
    assert "clips of 0 s at the most are taken" in bring(client, secret).json()["error"]
    assert client.post("/api/clips", content=b"").status_code == 400
    assert not list(studio.pictures.folder.iterdir())
