"""``--open``: what is shown, and what is said where nothing can be."""

from __future__ import annotations

import sys
from pathlib import Path

import click
import pytest

from cnnart import runtime as engine
from cnnart.__main__ import main
from cnnart.cli import viewer
from tests.helpers.files import only_builtin_style, save_picture
from tests.helpers.tiny_vgg import tiny_weights

QUICK = ["--size", "32", "--preset", "draft", "--steps", "1", "--device", "cpu", "--open"]
STYLIZE = ["stylize", "photo.png", "-s", "mosaic", *QUICK]
FAST = ["fast-stylize", "photo.png", "-s", "great-wave", "--size", "32", "--device", "cpu"]


@pytest.fixture(autouse=True)
def shown(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """What would be opened."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(engine, "load_vgg", lambda *_, **__: tiny_weights())
    save_picture("photo.png")
    save_picture("other.png")
    found: list[str] = []
    monkeypatch.setattr(viewer, "has_desktop", lambda: True)
    monkeypatch.setattr(click, "launch", lambda path: found.append(path) or 0)
    return found


@pytest.fixture
def mosaic(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    only_builtin_style(monkeypatch, tmp_path / "builtin")


@pytest.mark.parametrize(
    ("arguments", "name"),
    [
        ([*STYLIZE, "-o", "out.png"], "out.png"),
        ([*STYLIZE, "other.png", "-o", "out/"], "out"),
        ([*STYLIZE, "-o", "out.png", "--json"], "out.png"),
        (["sweep", *STYLIZE, "--strength", "0.2,0.8", "-o", "s.png"], "s.png"),
        (["sweep", *STYLIZE, "--strength", "0.2,0.8", "-o", "s.png", "--keep", "k"], "s.png"),
    ],
)
def test_the_result_is_shown(
    arguments: list[str], name: str, mosaic: None, shown: list[str], tmp_path: Path
) -> None:
    assert main(arguments) == 0
    assert shown == [str(tmp_path / name)]


def test_of_a_fast_style_too(shown: list[str], tmp_path: Path) -> None:
    assert main([*FAST, "--open", "-o", "fast.png"]) == 0
    assert shown == [str(tmp_path / "fast.png")]
    assert main([*FAST, "-o", "fast.png"]) == 0
    assert len(shown) == 1


def test_nothing_is_shown_where_nothing_was_made(mosaic: None, shown: list[str]) -> None:
    Path("photo.png").write_text("no picture")
    assert main([*STYLIZE, "-o", "out.png"]) == 1
    assert shown == []


def test_without_a_desktop_it_is_one_line(
    mosaic: None, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(click, "launch", lambda path: 1)  # no xdg-open
    assert main([*STYLIZE, "-o", "out.png"]) == 0
    told = capsys.readouterr()
    assert told.out == "out.png\n"
    assert told.err == f"cnnart: there is no desktop to open {Path('out.png').absolute()} on.\n"
    monkeypatch.setattr(viewer, "has_desktop", lambda: False)
    monkeypatch.setattr(click, "launch", lambda path: pytest.fail("it was tried"))
    viewer.show(Path("out.png"))
    assert len(capsys.readouterr().err.splitlines()) == 1


def test_standard_output_cannot_be_shown(mosaic: None, capsys: pytest.CaptureFixture[str]) -> None:
    assert main([*STYLIZE, "-o", "-"]) == 2
    assert "--open shows a file, and -o - writes none" in capsys.readouterr().err


def test_a_desktop_is_known_by_its_display(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.undo()
    for name in ("DISPLAY", "WAYLAND_DISPLAY"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setattr(sys, "platform", "linux")
    assert not viewer.has_desktop()
    monkeypatch.setenv("WAYLAND_DISPLAY", "wayland-0")
    assert viewer.has_desktop()
    monkeypatch.setattr(sys, "platform", "darwin")
    monkeypatch.delenv("WAYLAND_DISPLAY")
    assert viewer.has_desktop()
