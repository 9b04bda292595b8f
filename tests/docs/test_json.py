"""docs/json.md names the events and keys that programs get, and no others."""

from __future__ import annotations

import json
import re
from pathlib import Path

import pytest

from cnnart import runtime
from cnnart.__main__ import main
from cnnart.optim import multiscale
from cnnart.run.report import JsonLines, Summary
from tests.docs.pages import ROOT
from tests.helpers.fast import TINY, photo_folder
from tests.helpers.files import save_picture
from tests.helpers.tiny_vgg import tiny_weights

Event = dict[str, object]


def rows(heading: str) -> dict[str, list[str]]:
    """The rows of the table whose first column is ``heading``: first cell -> names in the second.

    A first cell that names several stands for each of them.
    """
    text = (ROOT / "docs" / "json.md").read_text(encoding="utf-8")
    table = text.split(f"| {heading} | keys |\n|---|---|\n", 1)[1].split("\n\n", 1)[0]
    found = {}
    for row in table.splitlines():
        first, second = row.strip("| ").split(" | ", 1)
        for name in re.findall(r"`([^`]+)`", first):
            found[name] = re.findall(r"`([^`]+)`", second)
    return found


EVENTS = rows("event")
OWN = rows("command")


@pytest.fixture(autouse=True)
def files(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(runtime, "load_vgg", lambda *_, **__: tiny_weights())
    save_picture("photo.png", 40, 32)
    save_picture("painting.png", 40, 40, seed=1)


def events(capsys: pytest.CaptureFixture[str], *arguments: str) -> list[Event]:
    """What a command reports."""
    assert main([*arguments, "--json", "--device", "cpu", "--precision", "fp32"]) == 0
    return [json.loads(line) for line in capsys.readouterr().out.splitlines()]


def check(told: list[Event], command: str) -> None:
    """Each event has the documented keys; the first has the command's own, too."""
    for event in told:
        kind = event.pop("event")
        wanted = EVENTS[str(kind)]
        if kind in ("start", "plan"):
            assert event["command"] == command.split()[0]
            assert set(event) == {*wanted, *OWN[command]}
        elif kind == "found":
            assert set(event) <= set(wanted)
        else:
            assert set(event) == set(wanted), kind


def test_stylize(capsys: pytest.CaptureFixture[str]) -> None:
    arguments = ("photo.png", "--style", "painting.png", "--steps", "2", "--save-every", "1")
    told = events(capsys, "stylize", *arguments)
    assert {event["event"] for event in told} >= {"start", "step", "saved", "done"}
    assert {event["kind"] for event in told if event["event"] == "saved"} == {"result", "snapshot"}
    check(told, "stylize")
    again = events(capsys, "stylize", *arguments, "--skip-existing")
    assert [event["event"] for event in again] == ["skipped", "done"]
    check(again, "stylize")


def test_what_comes_before_the_first_step(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(multiscale, "COARSEST", 16)
    arguments = ("photo.png", "--style", "night-swirls", "--steps", "2", "--preset", "draft")
    told = events(capsys, "stylize", *arguments, "--preview")
    assert [event["event"] for event in told][:4] == ["start", "first_look", "predicted", "step"]
    check(told, "stylize")


def test_texture(capsys: pytest.CaptureFixture[str]) -> None:
    save_picture("normal.png", 40, 40, seed=2)
    told = events(
        capsys,
        *("texture", "painting.png", "--method", "quilting", "--size", "48", "--patch", "12"),
        *("--tileable", "both", "--preview-tiled", "2x2", "--companion", "normal.png"),
    )
    found = {key for event in told if event["event"] == "found" for key in event}
    assert found == {"event", *EVENTS["found"]}
    check(told, "texture")


def test_dreams(capsys: pytest.CaptureFixture[str]) -> None:
    check(events(capsys, "dream", "photo.png", "--layer", "relu2_1", "--steps", "1"), "dream")
    flight = ("photo.png", "--layer", "relu2_1", "--steps", "1", "--frames", "2")
    check(events(capsys, "dream", *flight, "-o", "flight.webp"), "dream --frames")
    sheet = ("--sheet", "relu1_1", "--channels", "0-1", "--size", "32", "--steps", "2")
    check(events(capsys, "dream", *sheet), "dream --sheet")


def test_fast_stylize(capsys: pytest.CaptureFixture[str]) -> None:
    told = events(capsys, "fast-stylize", "photo.png", "--style", "great-wave")
    check(told, "fast-stylize")


def test_train_style(capsys: pytest.CaptureFixture[str]) -> None:
    photo_folder(Path("photos"))
    told = events(
        capsys,
        *("train-style", "painting.png", "--photos", "photos", "-o", "my.safetensors"),
        *("--arch", TINY, "--size", "64", "--batch", "2", "--style-size", "64", "--steps", "2"),
        *("--workers", "0"),
    )
    check(told, "train-style")


def test_a_dry_run(capsys: pytest.CaptureFixture[str]) -> None:
    arguments = ("photo.png", "--style", "painting.png", "--steps", "2", "--dry-run")
    told = events(capsys, "stylize", *arguments)
    assert [event["event"] for event in told] == ["plan", "done"]
    check(told, "stylize")


def test_what_goes_wrong(capsys: pytest.CaptureFixture[str]) -> None:
    reporter = JsonLines()
    reporter.warning("low on memory")
    reporter.failed("photo.png", "not a picture", 1)
    reporter.done(Summary(failures=[("photo.png", "not a picture")]))
    told = [json.loads(line) for line in capsys.readouterr().out.splitlines()]
    assert [event["event"] for event in told] == ["warning", "failed", "done"]
    check(told, "")


def test_every_documented_event_is_one_of_the_reporter() -> None:
    assert set(EVENTS) <= {name for name in vars(JsonLines) if not name.startswith("_")}
