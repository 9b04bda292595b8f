"""PNG chunks that Pillow refuses a picture for, does not know, or does not look at.

Pillow takes a text or color profile that unpacks to more than a megabyte for an attack and opens
nothing. Image generators write their workflow into such texts, Photoshop its history, and printers'
profiles are long. Here they are left out before Pillow sees the file.
"""

from __future__ import annotations

import io
import zlib
from collections.abc import Iterator
from contextlib import contextmanager
from typing import BinaryIO, NamedTuple

SIGNATURE = b"\x89PNG\r\n\x1a\n"
PIXELS = b"IDAT"
CHANNELS = {0: 1, 2: 3, 3: 1, 4: 2, 6: 4}  # by the header's color type
TEXTS = (b"tEXt", b"zTXt", b"iTXt")
LONGEST = 1 << 20  # bytes of one text, unpacked, or of a profile that Pillow takes
ALL_TEXTS = 1 << 24  # bytes of all texts together
LONGEST_PROFILE = 1 << 24
BLOCK = 1 << 20


class PngFile(NamedTuple):
    """``stream``: the file, without chunks that are too long. ``profile``: an ICC profile that was
    left out for its length. ``cicp``: the content of a cICP chunk (PNG, 3rd edition, 11.3.2.6).
    """

    stream: BinaryIO
    profile: bytes | None = None
    cicp: bytes | None = None


def without_long_chunks(stream: BinaryIO) -> PngFile:
    """The PNG as Pillow opens it; ``stream`` itself where nothing is too long."""
    profile = cicp = None
    left_out: list[tuple[int, int]] = []
    room = ALL_TEXTS
    start = stream.seek(len(SIGNATURE))
    end = stream.seek(0, io.SEEK_END)
    while start + 12 <= end:
        stream.seek(start)
        head = stream.read(8)
        length, kind = int.from_bytes(head[:4], "big"), head[4:]
        stop = start + 12 + length
        if stop > end or kind == b"IEND":
            break
        if kind in TEXTS:
            size = text_size(kind, stream.read(length), min(LONGEST, room))
            room -= size
            if size >= LONGEST or room <= 0:
                left_out.append((start, stop))
        elif kind == b"iCCP" and profile is None:
            packed = stream.read(length).partition(b"\0")[2][1:]
            unpacked = inflated(packed, LONGEST_PROFILE)
            if len(unpacked) >= LONGEST:
                left_out.append((start, stop))
                profile = unpacked if len(unpacked) < LONGEST_PROFILE else None
        elif kind == b"cICP" and length == 4:
            cicp = stream.read(length)
        start = stop
    if left_out:
        stream = io.BytesIO(cut_out(stream, left_out))
    stream.seek(0)
    return PngFile(stream, profile, cicp)


def is_altered(stream: BinaryIO) -> bool:
    """Whether a checksum of the pixels does not match, which Pillow does not look at."""
    with staying(stream):
        return any(
            checksum(stream, PIXELS, length) != int.from_bytes(stream.read(4), "big")
            for length in pixel_chunks(stream)
        )


def missing_rows(stream: BinaryIO) -> int:
    """How many rows of pixels are not there, which Pillow leaves black.

    0 for an interlaced picture: of those Pillow tells.
    """
    with staying(stream):
        stream.seek(len(SIGNATURE) + 8)
        header = stream.read(13)
        width, height = (int.from_bytes(header[at : at + 4], "big") for at in (0, 4))
        depth, color, interlaced = header[8], header[9], header[12]
        row = 1 + (width * CHANNELS.get(color, 1) * depth + 7) // 8
        if interlaced:
            return 0
        return max(0, height - sum(map(len, unpacked_pixels(stream))) // row)


def unpacked_pixels(stream: BinaryIO) -> Iterator[bytes]:
    """The rows of a PNG, each with its filter's byte before it, in pieces; as far as they go."""
    unpack = zlib.decompressobj()
    for length in pixel_chunks(stream):
        left = length
        while left > 0 and (packed := stream.read(min(left, BLOCK))):
            left -= len(packed)
            try:
                while packed and not unpack.eof:
                    yield unpack.decompress(packed, BLOCK)
                    packed = unpack.unconsumed_tail
            except zlib.error:
                return
    yield unpack.flush()


def pixel_chunks(stream: BinaryIO) -> Iterator[int]:
    """The length of each chunk of pixels; the stream is at its content then."""
    start = len(SIGNATURE)
    end = stream.seek(0, io.SEEK_END)
    while start + 12 <= end:
        stream.seek(start)
        head = stream.read(8)
        length = int.from_bytes(head[:4], "big")
        start += 12 + length
        if start > end or head[4:] == b"IEND":
            return
        if head[4:] == PIXELS:
            yield length


@contextmanager
def staying(stream: BinaryIO) -> Iterator[None]:
    """Afterwards the stream is where it was: Pillow goes on from there."""
    at = stream.tell()
    try:
        yield
    finally:
        stream.seek(at)


def checksum(stream: BinaryIO, kind: bytes, length: int) -> int:
    """The CRC-32 of a chunk of which the content comes next."""
    found = zlib.crc32(kind)
    while length > 0 and (block := stream.read(min(length, BLOCK))):
        found, length = zlib.crc32(block, found), length - len(block)
    return found


def text_size(kind: bytes, body: bytes, most: int) -> int:
    """Bytes of a text chunk as Pillow keeps it, ``most`` if more."""
    _, _, text = body.partition(b"\0")
    if kind == b"tEXt":
        return min(len(text), most)
    if kind == b"zTXt":
        return len(inflated(text[1:], most))
    packed, rest = text[:1] == b"\1", text[2:]
    for _ in ("language", "keyword in it"):
        rest = rest.partition(b"\0")[2]
    return len(inflated(rest, most)) if packed else min(len(rest), most)


def inflated(packed: bytes, most: int) -> bytes:
    """What zlib unpacks it to, the first ``most`` bytes at most; nothing where it is damaged."""
    try:
        return zlib.decompressobj().decompress(packed, max(1, most))
    except zlib.error:
        return b""


def cut_out(stream: BinaryIO, places: list[tuple[int, int]]) -> bytes:
    """The stream's content without what lies between each start and stop."""
    parts, at = [], 0
    for start, stop in places:
        stream.seek(at)
        parts.append(stream.read(start - at))
        at = stop
    stream.seek(at)
    return b"".join([*parts, stream.read()])
