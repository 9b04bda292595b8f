"""localize on the command line: files, numbers, refusals."""

import json

import pytest
from click.testing import CliRunner
from PIL import Image

from cnnart.__main__ import main
from cnnart.cli import cli
from tests.helpers.files import save_picture

PROBE = ("--backbone", "tests.helpers.inspection:make_probe", "--device", "cpu")


@pytest.fixture
def here(tmp_path, monkeypatch):
    """A folder with photo.png (90 x 60) and photos/ of two, which is the current one."""
    monkeypatch.chdir(tmp_path)
    save_picture("photo.png", 90, 60, seed=2)
    save_picture("photos/a.png", 90, 60, seed=3)
    save_picture("photos/b.png", 40, 80, seed=4)
    return tmp_path


def run(*arguments):
    command = ["inspect", "localize", *arguments, *PROBE]
    return CliRunner().invoke(cli, command, catch_exceptions=False)


def refusal(capsys, *arguments):
    """The exit code and the one line that a wrong command gets."""
    code = main(["inspect", "localize", *arguments, *PROBE])
    lines = capsys.readouterr().err.splitlines()
    assert len(lines) == 1
    return code, lines[0]


def test_one_photo_gets_a_picture_and_numbers(here):
    result = run("photo.png", "--class", "patch", "--json", "-q")
    assert result.exit_code == 0
    numbers = json.loads(result.output)
    assert (numbers["output"], numbers["class"]) == ("photo-localized.png", "patch")
    assert 0 <= numbers["box"]["left"] < numbers["box"]["right"] <= 90
    assert Image.open("photo-localized.png").width > 2 * 90


def test_a_folder_is_one_sheet_and_a_line_each(here):
    result = run("photos", "-o", "sheet.html")
    assert result.exit_code == 0
    lines = result.output.splitlines()
    assert [line.partition(":")[0] for line in lines[:2]] == ["a.png", "b.png"]
    assert lines[-1] == "sheet.html"
    page = (here / "sheet.html").read_text(encoding="utf-8")
    assert page.count("<img") == 2
    assert "http" not in page


def test_evaluation(here):
    (here / "boxes.csv").write_text("photo,left,top,right,bottom,class\na.png,0,0,90,60,nothing\n")
    result = run("photos", "--evaluate", "boxes.csv", "--json", "--method", "occlusion")
    assert result.exit_code == 0
    rows = [json.loads(line) for line in result.stdout.splitlines() if line.startswith("{")]
    assert rows[0]["center_inside"] in (True, False)
    assert "iou" not in rows[1]
    assert (rows[2]["photos"], rows[2]["boxes"]) == (2, 1)
    assert rows[2]["mean_iou"] == rows[0]["iou"]
    assert "center of the object inside the box" in result.stderr


def test_a_bad_photo_is_named_and_the_others_go_on(here):
    (here / "photos" / "bad.png").write_bytes(b"no picture")
    result = run("photos")
    assert result.exit_code == 3
    assert "1 of 3 pictures could not be used" in result.stderr
    assert (here / "photos-localized.png").exists()


def test_a_sheet_on_standard_output_is_nothing_but_the_sheet(here):
    result = run("photos", "-o", "-")
    assert result.exit_code == 0
    assert result.stdout_bytes.startswith(b"\x89PNG")


def test_refusals(here, capsys):
    (here / "boxes.csv").write_text("z.png,0,0,9,9\n")
    code, line = refusal(capsys, "photos", "--evaluate", "boxes.csv")
    assert code == 2
    assert line == "cnnart: error: boxes.csv has no box for a.png or the others: it names z.png."
    code, line = refusal(capsys, "photos", "--evaluate", "none.csv")
    assert (code, "there is no such file" in line) == (2, True)
    code, line = refusal(capsys, "photo.png", "--class", "unicorn")
    assert (code, "unicorn" in line) == (2, True)
    code, line = refusal(capsys, "photo.png", "--threshold", "1")
    assert (code, "threshold" in line) == (2, True)
    code, line = refusal(capsys, "photo.png", "-o", "photo.png")
    assert (code, "overwrite" in line) == (2, True)
    (here / "bad.png").write_bytes(b"no picture")
    code, line = refusal(capsys, "bad.png")
    assert code == 1
    (here / "one").mkdir()
    (here / "one" / "bad.png").write_bytes(b"no picture")
    code, line = refusal(capsys, "one")
    assert code == 1
