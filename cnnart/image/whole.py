"""Whether a picture file is there to its end: by its structure, without decoding it."""

from __future__ import annotations

import struct
from collections.abc import Callable
from pathlib import Path
from typing import BinaryIO

from cnnart.errors import ImageError
from cnnart.files import open_file

TAIL = 1 << 16  # bytes at the end of a JPEG among which its last marker is looked for
OFFSETS, COUNTS = (273, 324), (279, 325)  # TIFF: of strips, of tiles
SIZES = {1: 1, 2: 1, 3: 2, 4: 4, 5: 8, 6: 1, 7: 1, 8: 2, 9: 4, 10: 8, 11: 4, 12: 8}  # TIFF's types


def is_whole(path: Path) -> bool:
    """Whether nothing is missing at the end of a file of a kind that cnnart writes.

    Zeros, say, which a power cut can leave under a name, are no such file.
    """
    try:
        with open_file(path) as file:
            head = file.read(16)
            size = file.seek(0, 2)
            check = next((found for mark, found in CHECKS.items() if head.startswith(mark)), None)
            if head[4:8] in (b"ftyp", b"JXL "):
                check = _boxes
            return check is not None and check(file, size)
    except (OSError, struct.error, ValueError, OverflowError, IndexError):
        return False


def _png(file: BinaryIO, size: int) -> bool:
    at = 8
    while at + 12 <= size:
        file.seek(at)
        length, kind = struct.unpack(">I4s", file.read(8))
        at += 12 + length
        if kind == b"IEND":
            return at <= size
    return False


def _jpeg(file: BinaryIO, size: int) -> bool:
    at = 2
    while at + 4 <= size:
        file.seek(at)
        mark, kind, length = struct.unpack(">BBH", file.read(4))
        if mark != 0xFF:
            return False
        at += 2 + length
        if kind == 0xDA:  # what follows is the picture
            begin = max(at, size - TAIL)
            file.seek(begin)
            return b"\xff\xd9" in file.read()
    return False


def _webp(file: BinaryIO, size: int) -> bool:
    file.seek(4)
    (length,) = struct.unpack("<I", file.read(4))
    return bool(length) and 8 + length <= size


def _gif(file: BinaryIO, size: int) -> bool:
    file.seek(size - 1)
    return file.read(1) == b";"


def _tiff(file: BinaryIO, size: int) -> bool:
    file.seek(0)
    order = "<" if file.read(2) == b"II" else ">"
    version, at = struct.unpack(f"{order}HI", file.read(6))
    if version != 42:  # BigTIFF
        return True
    file.seek(at)
    (count,) = struct.unpack(f"{order}H", file.read(2))
    found = {}
    for _ in range(count):
        tag, kind, values, where = struct.unpack(f"{order}HHI4s", file.read(12))
        needed = SIZES.get(kind, 1) * values
        (place,) = struct.unpack(f"{order}I", where)
        if needed > 4 and place + needed > size:
            return False
        found[tag] = kind, values, where, place
    if file.tell() + 4 > size:  # where the next picture is
        return False
    for offsets, counts in zip(OFFSETS, COUNTS, strict=True):
        if offsets in found and counts in found:
            ends = zip(
                *(_numbers(file, order, *found[tag]) for tag in (offsets, counts)), strict=True
            )
            return all(begin + length <= size for begin, length in ends)
    return False


def _numbers(
    file: BinaryIO, order: str, kind: int, count: int, where: bytes, place: int
) -> tuple[int, ...]:
    """The values of a TIFF's entry, 16 or 32 bits each."""
    letter = {3: "H", 4: "I"}[kind] if kind in (3, 4) else "B"
    needed = struct.calcsize(f"{order}{count}{letter}")
    if needed > 4:
        file.seek(place)
        where = file.read(needed)
    return struct.unpack(f"{order}{count}{letter}", where[:needed])


def _boxes(file: BinaryIO, size: int) -> bool:
    at, kinds = 0, set()
    while at + 8 <= size:
        file.seek(at)
        length, kind = struct.unpack(">I4s", file.read(8))
        if length == 1:
            (length,) = struct.unpack(">Q", file.read(8))
        if kind == b"jxlp" and file.read(1)[0] & 0x80:  # of the parts the last one says so
            kind = b"jxlc"
        kinds.add(kind)
        at = at + length if length else size
        if 0 < length < 8:
            return False
    return at == size and not kinds.isdisjoint((b"moov", b"meta", b"jxlc"))


def _jxl(file: BinaryIO, size: int) -> bool:
    """JPEG XL without boxes says nothing of its end."""
    from cnnart.image.read import read_image

    try:
        read_image(Path(file.name))
    except ImageError:
        return False
    return True


def _matroska(file: BinaryIO, size: int) -> bool:
    """MKV and WebM: the size of all is written when all is there."""
    at = 0
    for name in (b"\x1a\x45\xdf\xa3", b"\x18\x53\x80\x67"):  # its head, and all else
        file.seek(at)
        if file.read(4) != name:
            return False
        (first,) = file.read(1)
        more = 8 - first.bit_length()  # bytes of the size
        length = bytes([first & (0x7F >> more)]) + file.read(more)
        value = int.from_bytes(length, "big")
        if len(length) <= more or value == (1 << 7 * (more + 1)) - 1:  # cut, or not known yet
            return False
        at = file.tell() + value
    return at <= size


CHECKS: dict[bytes, Callable[[BinaryIO, int], bool]] = {
    b"\x89PNG\r\n\x1a\n": _png,
    b"\xff\xd8": _jpeg,
    b"RIFF": _webp,
    b"GIF8": _gif,
    b"\xff\x0a": _jxl,
    b"\x1a\x45\xdf\xa3": _matroska,
    b"II": _tiff,
    b"MM": _tiff,
}
