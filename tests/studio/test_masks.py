"""Masks by name: found in a photo, shown, painted with, the same as ``--mask`` does."""

from __future__ import annotations

import io
from typing import Any

import pytest
from PIL import Image
from starlette.testclient import TestClient

from cnnart.studio.app import Studio


@pytest.fixture(autouse=True)
def halves(monkeypatch: pytest.MonkeyPatch) -> None:
    """The left half of every photo is its subject, and nobody is in it."""
    from cnnart.commands import named_masks

    def left(photo: Any) -> Any:
        mask = photo[:, :1] * 0
        mask[..., : mask.shape[-1] // 2] = 1
        return mask

    monkeypatch.setitem(named_masks.FINDERS, "subject", left)
    monkeypatch.setitem(named_masks.FINDERS, "person", lambda photo: None)


def test_what_is_found_is_shown(client: TestClient, studio: Studio, upload: dict[str, Any]) -> None:
    studio.worker.start()
    given = {"photo": upload["id"], "slot": "tab"}
    ends = {}
    for name in ("subject", "background", "inverse:subject"):
        answer = client.post("/api/mask", json={**given, "mask": name})
        assert answer.headers["content-type"] == "image/png"
        picture = Image.open(io.BytesIO(answer.content)).convert("L")
        assert picture.size == (64, 48)
        ends[name] = picture.getpixel((0, 0)), picture.getpixel((63, 0))
    assert ends == {"subject": (255, 0), "background": (0, 255), "inverse:subject": (0, 255)}


@pytest.mark.parametrize(
    ("change", "status", "message"),
    [
        ({"mask": "person"}, 415, "photo.png: no person found in it for `mask`."),
        ({"mask": "somebody"}, 422, "`mask` is subject, background, person, face or class:NAME."),
        ({"mask": "/etc/passwd"}, 422, "`mask` is subject"),
        ({"mask": ["subject"]}, 422, "`mask` is subject"),
        ({"mask": "class:nosuchthing"}, 422, "nosuchthing"),
        ({"mask": "subject", "path": "x"}, 422, "Unknown key 'path' of a mask."),
        ({"mask": "subject", "photo": "x"}, 404, "No such picture"),
    ],
)
def test_what_cannot_be_found(
    client: TestClient,
    studio: Studio,
    upload: dict[str, Any],
    change: dict[str, Any],
    status: int,
    message: str,
) -> None:
    studio.worker.start()
    answer = client.post("/api/mask", json={"photo": upload["id"], **change})
    assert answer.status_code == status
    assert message in answer.json()["error"]


def test_a_style_applies_there(client: TestClient, studio: Studio, upload: dict[str, Any]) -> None:
    studio.worker.start()
    style = {"name": "great-wave", "mask": "subject"}
    given = {"command": "fast-stylize", "photo": upload["id"], "styles": [style]}
    shown = client.post("/api/preview", json={**given, "settings": {"strength": 1}})
    plain = client.get(f"/api/pictures/{upload['id']}", params={"size": 64})
    painted, photo = (Image.open(io.BytesIO(each.content)) for each in (shown, plain))
    right, left = (40, 0, 64, 48), (0, 0, 24, 48)
    assert painted.crop(left).tobytes() != photo.crop(left).tobytes()
    difference = [
        abs(a - b)
        for a, b in zip(painted.crop(right).tobytes(), photo.crop(right).tobytes(), strict=True)
    ]
    assert sum(difference) / len(difference) < 2  # of 255: two JPEGs of the same pixels
