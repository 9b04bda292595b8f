"""A picture file that is cut off anywhere is told from a whole one, without decoding it."""

from __future__ import annotations

from pathlib import Path

import pytest
from PIL import Image

from cnnart.image.read import read_record
from cnnart.image.whole import is_whole
from cnnart.image.write import write_image
from tests.helpers.pictures import make_photo

FORMATS = ("png", "jpg", "webp", "tiff")


@pytest.mark.parametrize("suffix", FORMATS)
@pytest.mark.parametrize("size", [(16, 16), (200, 300)])
@pytest.mark.parametrize("record", [None, "x" * 3000])
def test_what_cnnart_writes_is_whole_and_no_part_of_it(
    suffix: str, size: tuple[int, int], record: str | None, tmp_path: Path
) -> None:
    path = tmp_path / f"a.{suffix}"
    write_image(path, make_photo(*size), record=record, dpi=(72, 72))
    assert is_whole(path)
    assert read_record(path) == record
    data = path.read_bytes()
    for end in {*range(0, len(data), max(1, len(data) // 40)), len(data) - 1}:
        path.write_bytes(data[:end])
        assert not is_whole(path), end


@pytest.mark.parametrize("compression", [None, "tiff_lzw", "jpeg"])
def test_other_tiffs(compression: str | None, tmp_path: Path) -> None:
    path = tmp_path / "a.tif"
    Image.new("RGB", (300, 400), (9, 99, 199)).save(path, compression=compression)
    assert is_whole(path)
    path.write_bytes(path.read_bytes()[:-5])
    assert not is_whole(path)


def test_a_jpeg_with_something_behind_its_end_is_whole(tmp_path: Path) -> None:
    path = tmp_path / "a.jpg"
    write_image(path, make_photo(64, 64))
    path.write_bytes(path.read_bytes() + b"a film that a telephone puts here")
    assert is_whole(path)


def test_animations(tmp_path: Path) -> None:
    frames = [Image.new("RGB", (20, 20), (value, 0, 0)) for value in (0, 100, 200)]
    for name in ("a.gif", "a.webp"):
        path = tmp_path / name
        frames[0].save(path, save_all=True, append_images=frames[1:])
        assert is_whole(path)
        path.write_bytes(path.read_bytes()[:-3])
        assert not is_whole(path)
    boxes = [b"\0\0\0\x0cftypisom", b"\0\0\0\x0amdat..", b"\0\0\0\x08moov"]
    (tmp_path / "a.mp4").write_bytes(b"".join(boxes))
    assert is_whole(tmp_path / "a.mp4")
    for part in (boxes[:2], [*boxes[:2], b"\0\0\0\x09moov"], [boxes[0], b"\0\0\0\x00mdat"]):
        (tmp_path / "a.mp4").write_bytes(b"".join(part))
        assert not is_whole(tmp_path / "a.mp4")


def test_what_is_no_file_is_not_whole(tmp_path: Path) -> None:
    assert not is_whole(tmp_path / "missing.png")
    assert not is_whole(tmp_path)
    (tmp_path / "empty.png").touch()
    assert not is_whole(tmp_path / "empty.png")
