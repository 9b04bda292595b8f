"""Delivery of an inspection: sheet or page, path or JSON; and the early refusals."""

import base64
import io
import json
import math
import re
from pathlib import Path

import pytest
import torch
from PIL import Image

from cnnart.errors import ImageError, UsageError
from cnnart.image import draw_sheet, read_image
from cnnart.inspect.page import make_page
from cnnart.inspect.result import Inspection, check_output, deliver, json_line

RNG = torch.Generator().manual_seed(0)


@pytest.fixture(autouse=True)
def folder(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)


@pytest.fixture
def inspection():
    cells = [
        ("filter 1\n<b>bold</b>", torch.rand(1, 3, 40, 50, generator=RNG)),
        ("filter 2", torch.rand(1, 3, 120, 110, generator=RNG)),
    ]
    numbers = {
        "layer": "conv1",
        "score": 0.123456,
        "none": None,
        "rows": [{"a": 1}, {"b": "</script>"}],
    }
    numbers |= {"group": {"inner": 2, "long": list(range(30))}}
    return Inspection("What <conv1> sees", cells, numbers)


def test_a_picture_is_the_sheet_and_its_path_is_printed(inspection, capsys):
    deliver(inspection, "out.png")
    assert capsys.readouterr().out == "out.png\n"
    sheet = draw_sheet(inspection.cells, None, title=inspection.title)
    torch.testing.assert_close(read_image("out.png").rgb, sheet, atol=0.5 / 255, rtol=0)


@pytest.mark.parametrize("name", ["a/b/out.jpg", "out.WEBP", "out.tiff"])
def test_other_formats_and_folders(inspection, name):
    deliver(inspection, name)
    with Image.open(name) as picture:
        assert picture.format.lower()[:3] in name.lower() or picture.format == "JPEG"


def test_json_is_the_last_line(inspection, capsys):
    deliver(inspection, "out.png", json=True)
    lines = capsys.readouterr().out.splitlines()
    assert json.loads(lines[-1]) == {**inspection.numbers, "output": "out.png"}
    assert len(lines) == 1


def test_standard_output_gets_a_png(inspection, capfdbinary):
    deliver(inspection, "-")
    with Image.open(io.BytesIO(capfdbinary.readouterr().out)) as picture:
        assert picture.format == "PNG"


def test_a_page_holds_the_pictures_and_the_numbers(inspection, capsys):
    deliver(inspection, "out.html")
    assert capsys.readouterr().out == "out.html\n"
    page = Path("out.html").read_text(encoding="utf-8")
    assert page == make_page(inspection)
    pictures = re.findall(r'src="data:image/png;base64,([^"]+)"', page)
    assert len(pictures) == len(inspection.cells)
    for data, (_, picture) in zip(pictures, inspection.cells, strict=True):
        with Image.open(io.BytesIO(base64.b64decode(data))) as found:
            assert found.size == (picture.shape[3], picture.shape[2])
    assert "src=" not in re.sub(r'src="data:[^"]+"', "", page)  # it needs no other file
    assert "href=" not in page
    assert "<b>" not in page  # labels are text
    assert "&lt;b&gt;bold&lt;/b&gt;" in page
    numbers = re.search(r'<script type="application/json"[^>]*>(.*?)</script>', page, re.S)
    assert json.loads(numbers[1]) == inspection.numbers
    for cell in (
        "<td>score</td><td>0.1235</td>",
        "<caption>group</caption>",
        "<th>a</th><th>b</th>",
    ):
        assert cell in page
    assert "<td>0, 1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, ...</td>" in page


def test_one_channel_pictures_go_on_a_page():
    page = make_page(Inspection("grey", [("", torch.rand(1, 1, 8, 8))], columns=3))
    assert 'class="small"' in page
    assert "repeat(3, 1fr)" in page


def test_json_knows_no_nan():
    line = json_line({"a": math.nan, "b": [math.inf, 1.5], "c": ("é", True), 4: {"d": None}})
    assert json.loads(line) == {"a": None, "b": [None, 1.5], "c": ["é", True], "4": {"d": None}}


@pytest.mark.parametrize("name", ["photo.png", "./photo.png", "../{here}/photo.png"])
def test_an_input_is_never_overwritten(inspection, name, tmp_path):
    Path("photo.png").write_bytes(b"precious")
    name = name.format(here=tmp_path.name)
    for refuse in (
        lambda: check_output(name, ["other.png", "photo.png"]),
        lambda: deliver(inspection, name, inputs=[Path("photo.png")]),
    ):
        with pytest.raises(UsageError, match=r"would overwrite the input 'photo\.png'"):
            refuse()
    assert Path("photo.png").read_bytes() == b"precious"


@pytest.mark.parametrize(
    ("output", "message"),
    [
        ("out.gif", r"'out.gif' names no kind of file: end it in .png"),
        ("out", r"'out' names no kind of file"),
        ("file/out.png", r"is a file, not a folder"),
        ("folder.png", r"that is a folder"),
    ],
)
def test_what_cannot_be_written_is_told_before_the_work(output, message):
    Path("file").write_text("", encoding="utf-8")
    Path("folder.png").mkdir()
    with pytest.raises(UsageError, match=message):
        check_output(output)


def test_json_and_a_picture_do_not_share_standard_output():
    with pytest.raises(UsageError, match="both want standard output"):
        check_output("-", json=True)
    check_output("-")


def test_a_page_that_cannot_be_written_is_an_error_in_one_line(inspection, monkeypatch):
    monkeypatch.setattr(
        "pathlib.Path.write_bytes", lambda *a: (_ for _ in ()).throw(OSError(28, "disk full"))
    )
    with pytest.raises(ImageError, match=r"out.html: cannot write the page \(disk full\)"):
        deliver(inspection, "out.html")
