"""The boxes of photos, from a text file."""

import pytest

from cnnart.commands.boxes_file import read_boxes
from cnnart.errors import UsageError
from cnnart.methods.inspect.boxes import Box
from cnnart.methods.inspect.localize import Truth


def read(tmp_path, text, encoding="utf-8"):
    path = tmp_path / "boxes.csv"
    path.write_bytes(text.encode(encoding))
    return read_boxes(path)


def test_lines_with_and_without_a_class(tmp_path):
    found = read(
        tmp_path,
        "\ufeffPhoto,left,top,right,bottom,class\r\n# drawn by hand\r\n\r\n"
        'a.jpg,1,2,30,40,tench\r\na.jpg, 5,6,7.5,8\r\n"odd, name.jpg",0,0,1,1,\r\n',
    )
    assert found == {
        "a.jpg": [Truth(Box(1, 2, 30, 40), "tench"), Truth(Box(5, 6, 7.5, 8))],
        "odd, name.jpg": [Truth(Box(0, 0, 1, 1))],
    }


@pytest.mark.parametrize(
    "line",
    [
        "a.jpg,1,2,3",
        "a.jpg,1,2,3,4,tench,more",
        "a.jpg,one,2,3,4",
        "a.jpg,3,2,1,4",
        "a.jpg,1,4,3,4",
        "a.jpg,-1,2,3,4",
        "a.jpg,1,2,inf,4",
        "a.jpg,nan,2,3,4",
        ",1,2,3,4",
    ],
)
def test_a_line_of_another_form_is_named(tmp_path, line):
    with pytest.raises(UsageError, match=r"boxes\.csv, line 2: no box; write photo,left,top"):
        read(tmp_path, f"a.jpg,1,2,3,4\n{line}\n")


def test_a_file_without_boxes(tmp_path):
    for text in ("", "photo,left,top,right,bottom\n", "# nothing\n"):
        with pytest.raises(UsageError, match="holds no box: write a line for each photo"):
            read(tmp_path, text)


def test_what_cannot_be_read(tmp_path):
    with pytest.raises(UsageError, match="there is no such file"):
        read_boxes(tmp_path / "none.csv")
    with pytest.raises(UsageError, match="the boxes cannot be read"):
        read(tmp_path, "ä.jpg,1,2,3,4\n", "latin-1")
    with pytest.raises(UsageError, match="the boxes cannot be read"):
        read(tmp_path, "a" * 200_000)
