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


def _size(value: int) -> bytes:
    """As Matroska has it, in eight bytes."""
    return b"\x01" + value.to_bytes(7, "big")


def test_films_in_matroska(tmp_path: Path) -> None:
    path, head = tmp_path / "a.mkv", b"\x1a\x45\xdf\xa3\x84webm"
    data = head + b"\x18\x53\x80\x67" + _size(100) + bytes(100)
    path.write_bytes(data)
    assert is_whole(path)
    for end in (0, 1, 4, 8, 9, 12, 14, 20, len(data) - 1):
        path.write_bytes(data[:end])
        assert not is_whole(path), end
    path.write_bytes(head + b"\x18\x53\x80\x67\x01" + b"\xff" * 7 + bytes(100))
    assert not is_whole(path)  # its size was to be written in the end
    path.write_bytes(head + bytes(100))
    assert not is_whole(path)


@pytest.mark.parametrize("suffix", ["mp4", "mov", "mkv", "webm"])
def test_clips_as_they_are_written(suffix: str, tmp_path: Path) -> None:
    pytest.importorskip("av")
    from tests.helpers.clips import save_clip

    path = tmp_path / f"a.{suffix}"
    save_clip(path, codec="libvpx-vp9" if suffix == "webm" else "libx264")
    data = path.read_bytes()
    assert is_whole(path)
    for end in (1, len(data) // 2, len(data) - 1):
        path.write_bytes(data[:end])
        assert not is_whole(path), end


@pytest.mark.parametrize("record", [None, "x" * 300])  # with boxes, and without
def test_jpeg_xl(record: str | None, tmp_path: Path) -> None:
    pytest.importorskip("pillow_jxl")
    path = tmp_path / "a.jxl"
    write_image(path, make_photo(64, 48), record=record)
    assert is_whole(path)
    data = path.read_bytes()
    for end in (0, 1, 2, 12, 40, len(data) // 2, len(data) - 1):
        path.write_bytes(data[:end])
        assert not is_whole(path), end


@pytest.mark.parametrize("data", [b"\0", b"\0" * 5000, b"a note", b"\x89PNG", b"<html></html>"])
def test_what_is_of_no_kind_that_is_written_is_not_whole(data: bytes, tmp_path: Path) -> None:
    """Zeros are what a power cut leaves of a file that a program did not flush."""
    path = tmp_path / "a.png"
    path.write_bytes(data)
    assert not is_whole(path)


def test_what_is_no_file_is_not_whole(tmp_path: Path) -> None:
    assert not is_whole(tmp_path / "missing.png")
    assert not is_whole(tmp_path)
    (tmp_path / "empty.png").touch()
    assert not is_whole(tmp_path / "empty.png")
