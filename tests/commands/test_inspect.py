"""Around the inspections: pictures in folders, resumable state, and the delivery of results."""

import io
import json
import os
from pathlib import Path

import pytest
import torch
from PIL import Image

from cnnart.commands import inspect as module
from cnnart.commands.inspect import (
    FolderQuery,
    check_output,
    deliver,
    every,
    find_items,
    read_state,
    write_state,
)
from cnnart.errors import CnnartError, ImageError, UsageError
from cnnart.image.contact_sheet import draw_sheet
from cnnart.image.read import read_image
from cnnart.methods.inspect.report import Inspection, make_page
from tests.helpers.files import save_picture


@pytest.fixture(autouse=True)
def here(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)


# Pictures in


@pytest.fixture
def folders():
    for name in ("a/p10.png", "a/p9.png", "a/dogs/x.png", "b/p9.png"):
        save_picture(name)


def names(*given, **more):
    return [item.name for item in find_items(given, **more)]


def test_names_are_those_below_the_folder_in_natural_order(folders):
    assert names("a") == ["dogs/x.png", "p9.png", "p10.png"]
    assert names("a", recursive=False) == ["p9.png", "p10.png"]
    assert names("a/p9.png") == ["a/p9.png"]
    assert names("a", "b") == ["a/dogs/x.png", "a/p9.png", "a/p10.png", "b/p9.png"]


def test_a_stamp_changes_with_the_file_and_a_key_does_not_with_its_name(folders):
    (before,) = find_items(["b"])
    os.utime("b/p9.png", ns=(1, 1))
    (after,) = find_items(["b"])
    assert before.stamp != after.stamp == (Path("b/p9.png").stat().st_size, 1)
    assert after.key == find_items([str(Path("b/p9.png").resolve())])[0].key


def test_items_are_read_when_their_turn_comes(folders):
    (item,) = find_items(["b"])
    assert item.read().shape == (1, 3, 48, 64)
    Path("b/p9.png").write_text("gone")
    with pytest.raises(ImageError, match="text file"):
        item.read()


def test_names_that_lead_to_nothing(folders):
    with pytest.raises(UsageError, match=r"No such file or folder: 'c'"):
        find_items(["c"])
    with pytest.raises(UsageError, match="holds one picture: name a folder"):
        find_items(["-"])


def test_an_earlier_result_is_no_picture_and_a_chosen_name_may_be_a_photo(folders):
    query = FolderQuery(("a",))
    assert query.name == "a"
    assert [item.name for item in query.items("a/p9.png", named=False)] == ["p10.png"]
    with pytest.raises(UsageError, match=r"would overwrite 'a/p9\.png', which is one of the"):
        query.items("a/p9.png", named=True)
    assert len(query.items("elsewhere.png", named=True)) == 2


# Work that can be interrupted


def test_every_says_when_it_is_time(monkeypatch):
    now = [100.0]
    monkeypatch.setattr(module.time, "monotonic", lambda: now[0])
    is_time = every(30)
    told = []
    for now[0] in (100, 129, 130, 131, 159.9, 160, 300, 301):
        told.append(is_time())
    assert told == [False, False, True, False, False, True, True, False]


def test_a_state_comes_back_from_its_file():
    path = Path("sub/state.json")
    assert read_state(path) is None
    write_state(path, {"settings": {"size": 3}, "done": 2})
    assert read_state(path) == {"settings": {"size": 3}, "done": 2}
    for text, message in (("{", "the unfinished run is damaged"), ("[]", "no unfinished run of")):
        path.write_text(text)
        with pytest.raises(CnnartError, match=message):
            read_state(path)
    path.unlink()
    if hasattr(os, "mkfifo"):
        os.mkfifo(path)
        with pytest.raises(CnnartError, match="it is a pipe"):  # which nobody writes into
            read_state(path)


def test_a_state_that_cannot_be_written(monkeypatch):
    def full(path, data):
        raise OSError(28, "No space left on device", str(path))

    monkeypatch.setattr(module, "write_atomically", full)
    with pytest.raises(CnnartError, match=r"the state cannot be written \(No space left"):
        write_state(Path("state.json"), {})


# Results out


@pytest.fixture
def inspection():
    rng = torch.Generator().manual_seed(0)
    cells = [
        ("filter 1\n<b>bold</b>", torch.rand(1, 3, 40, 50, generator=rng)),
        ("filter 2", torch.rand(1, 3, 120, 110, generator=rng)),
    ]
    return Inspection("What <conv1> sees", cells, {"layer": "conv1", "rows": [{"a": 1}, {"b": 2}]})


def test_a_picture_is_the_sheet_and_its_path_is_what_to_print(inspection, capsys):
    assert deliver(inspection, "out.png") == "out.png"
    assert capsys.readouterr() == ("", "")  # printing is the command line's
    sheet = draw_sheet(inspection.cells, None, title=inspection.title)
    torch.testing.assert_close(read_image("out.png").rgb, sheet, atol=0.5 / 255, rtol=0)


@pytest.mark.parametrize(
    ("name", "format"), [("a/b/out.jpg", "JPEG"), ("out.WEBP", "WEBP"), ("out.tiff", "TIFF")]
)
def test_other_formats_and_folders(inspection, name, format):
    deliver(inspection, name)
    with Image.open(name) as picture:
        assert picture.format == format


def test_json_is_one_line(inspection):
    line = deliver(inspection, "out.png", as_json=True)
    assert json.loads(line) == {**inspection.numbers, "output": "out.png"}
    assert "\n" not in line


def test_standard_output_gets_a_png(inspection, capfdbinary):
    assert deliver(inspection, "-") is None
    with Image.open(io.BytesIO(capfdbinary.readouterr().out)) as picture:
        assert picture.format == "PNG"


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
        check_output("-", as_json=True)
    check_output("-")


def test_a_page(inspection):
    assert deliver(inspection, "out.html") == "out.html"
    assert Path("out.html").read_text(encoding="utf-8") == make_page(inspection)


def test_a_page_that_cannot_be_written_is_an_error_in_one_line(inspection, monkeypatch):
    monkeypatch.setattr(
        "cnnart.commands.inspect.write_atomically",
        lambda *a: (_ for _ in ()).throw(OSError(28, "disk full")),
    )
    with pytest.raises(ImageError, match=r"out.html: cannot write the page \(disk full\)"):
        deliver(inspection, "out.html")
