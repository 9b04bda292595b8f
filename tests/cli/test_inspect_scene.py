"""detect and segment on the command line: files, numbers, refusals."""

import json
import shutil

import pytest
from click.testing import CliRunner
from PIL import Image

from cnnart.__main__ import main
from cnnart.cli import cli
from tests.docs.pages import ROOT
from tests.helpers.files import save_picture


@pytest.fixture
def here(tmp_path, monkeypatch):
    """A folder with face.jpg and photos/ of two, which is the current one."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("TORCH_HOME", str(tmp_path / "torch"))
    shutil.copy(ROOT / "examples" / "astronaut.jpg", "face.jpg")
    save_picture("photos/a.png", 90, 60, seed=3)
    save_picture("photos/b.png", 40, 80, seed=4)
    return tmp_path


def run(*arguments):
    return CliRunner().invoke(
        cli, ["inspect", *arguments, "--device", "cpu"], catch_exceptions=False
    )


def refusal(capsys, *arguments):
    """The exit code and the one line that a wrong command gets."""
    code = main(["inspect", *arguments, "--device", "cpu"])
    lines = capsys.readouterr().err.splitlines()
    assert len(lines) == 1
    return code, lines[0]


def test_a_face_is_found(here):
    result = run("detect", "face.jpg", "--json", "-q")
    assert result.exit_code == 0
    numbers = json.loads(result.output)
    assert (numbers["found"], numbers["network"]) == (1, "blazeface")
    assert numbers["output"] == "face-detected.png"
    assert Image.open("face-detected.png").width > 500
    assert json.loads(run("detect", "face.jpg", "--score", "1", "--json").stdout)["found"] == 0


def test_people_are_colored(here):
    result = run("segment", "face.jpg", "--backbone", "person", "-o", "out/page.html")
    assert (result.exit_code, result.stdout) == (0, "out/page.html\n")
    assert result.stderr.startswith("face.jpg: person ")
    page = (here / "out" / "page.html").read_text(encoding="utf-8")
    assert 'alt="person ' in page
    assert "http" not in page


@pytest.mark.parametrize("command", ["detect", "segment"])
def test_folders_are_one_sheet_and_a_line_each(here, command):
    (here / "photos" / "bad.png").write_bytes(b"no picture")
    result = run(command, "photos", "--json")
    assert result.exit_code == 3
    rows = [json.loads(line) for line in result.stdout.splitlines()]
    assert [row["photo"] for row in rows[:2]] == ["a.png", "b.png"]
    assert rows[2]["photos"] == 2
    assert (here / f"photos-{command}ed.png").exists()


def test_a_sheet_of_many_shows_the_first(here, monkeypatch):
    monkeypatch.setattr("cnnart.methods.inspect.series.SHEET", 1)
    result = run("detect", "photos/*.png")
    assert result.exit_code == 0
    assert "The sheet shows the first 1 of 2 photos." in result.stderr
    assert result.stdout.splitlines() == [
        "photos/a.png: nothing found", "photos/b.png: nothing found", "photos-detected.png"
    ]  # fmt: skip


def test_a_photo_from_standard_input(here):
    photo = (here / "face.jpg").read_bytes()
    command = ["inspect", "detect", "-", "-o", "-", "--device", "cpu"]
    result = CliRunner().invoke(cli, command, input=photo, catch_exceptions=False)
    assert result.exit_code == 0
    assert result.stdout_bytes.startswith(b"\x89PNG")
    assert result.stderr.startswith("-: face ")


@pytest.mark.parametrize("command", ["detect", "segment"])
def test_refusals(here, capsys, command):
    code, line = refusal(capsys, command, "face.jpg", "--backbone", "resnet50")
    assert (code, "Unknown" in line) == (2, True)
    name = {"detect": "retinanet", "segment": "fcn"}[command]
    code, line = refusal(capsys, command, "face.jpg", "--backbone", name, "--offline")
    assert code == 1
    assert f"{name}_resnet50" in line
    assert "cnnart weights import FILE" in line
    code, line = refusal(capsys, command, "face.jpg", "-o", "face.jpg")
    assert (code, "overwrite" in line) == (2, True)
    code, line = refusal(capsys, command, "none.jpg")
    assert code == 2
    (here / "bad.png").write_bytes(b"no picture")
    assert refusal(capsys, command, "bad.png")[0] == 1


def test_a_score_out_of_range(here, capsys):
    code, line = refusal(capsys, "detect", "face.jpg", "--score", "2")
    assert (code, "score" in line) == (2, True)
