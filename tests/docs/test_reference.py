"""The pages that programs write are what the programs would write now."""

from __future__ import annotations

import pytest

from tests.docs.pages import GENERATED, ROOT, commands
from tools import make_cli_reference, make_pictures


def test_the_command_line_reference_is_current() -> None:
    text = GENERATED.read_text(encoding="utf-8")
    assert make_cli_reference.is_current(text), "run: python tools/make_cli_reference.py"


def test_the_man_page_is_current() -> None:
    text = make_cli_reference.MAN_PAGE.read_text(encoding="utf-8")
    assert make_cli_reference.is_current_man_page(text), "run: python tools/make_cli_reference.py"
    assert not make_cli_reference.is_current_man_page(text.replace("strength", "power"))
    other = text.replace("click ", "click 0.", 1)
    assert make_cli_reference.is_current_man_page(other.replace("FLOAT RANGE", "FLOAT"))
    assert not make_cli_reference.is_current_man_page(other.replace("\\-strength", "\\-power"))


def test_the_man_page_is_roff_of_every_command() -> None:
    text = make_cli_reference.man_page()
    sections = [line.replace("\\-", "-") for line in text.splitlines() if line.startswith(".SS ")]
    assert sections == [f".SS {name}" for name, _ in commands()]
    requests = {".TH", ".SH", ".SS", ".B", ".I", ".RI", ".nf", ".fi", '.\\"'}
    assert {
        line.split()[0] for line in text.splitlines() if line.startswith((".", "'"))
    } <= requests
    shared = (ROOT / "pyproject.toml").read_text(encoding="utf-8")
    assert '"docs/cnnart.1" = "share/man/man1/cnnart.1"' in shared


def test_it_has_every_command_and_option() -> None:
    text = make_cli_reference.page()
    for name, command in commands():
        section = text.split(f"# {name}\n", 1)[1].split("\n#", 1)[0]
        for param in command.params:
            for flag in getattr(param, "opts", []) if param.param_type_name == "option" else []:
                assert flag in section, f"{name} {flag}"


def test_it_does_not_depend_on_the_terminal(monkeypatch: pytest.MonkeyPatch) -> None:
    text = make_cli_reference.page()
    monkeypatch.setenv("COLUMNS", "40")
    monkeypatch.setenv("CNNART_DEBUG", "1")
    assert make_cli_reference.page() == text
    assert all(len(line) <= make_cli_reference.WIDTH for line in text.splitlines())


def test_a_stale_reference_is_seen() -> None:
    text = make_cli_reference.page()
    assert not make_cli_reference.is_current(text.replace("--strength", "--power"))
    assert not make_cli_reference.is_current(text.replace("How far to go", "How far"))
    # Another Click lays the help out in another way; its words may differ, its options may not.
    other = text.replace("<!-- click ", "<!-- click 0.")
    assert make_cli_reference.is_current(other.replace("FLOAT RANGE", "FLOAT"))
    assert not make_cli_reference.is_current(other.replace("--strength", "--power"))


def test_the_gallery_is_current() -> None:
    text = make_pictures.PAGE.read_text(encoding="utf-8")
    assert text == make_pictures.page(), "run: python tools/make_pictures.py --page"


def test_the_gallery_has_every_picture() -> None:
    made = {f"{name}{picture.suffix}" for name, picture in make_pictures.PICTURES.items()}
    assert made == {path.name for path in (ROOT / "docs" / "pictures").iterdir()}
