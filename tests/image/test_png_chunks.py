"""PNGs with texts and profiles that Pillow alone refuses."""

import io
import struct
import zlib

import numpy as np
import pytest
from PIL import Image, ImageCms

from cnnart.image import png_chunks
from cnnart.image.png_chunks import without_long_chunks
from cnnart.image.read import read_image, read_record
from cnnart.image.write import write_image

PIXELS = np.random.default_rng(5).integers(0, 256, (6, 9, 3), dtype=np.uint8)
LONG = b"node " * 300_000
PACKED = zlib.compress(LONG)
PROFILE = ImageCms.ImageCmsProfile(ImageCms.createProfile("sRGB")).tobytes()


def chunk(kind: bytes, body: bytes) -> bytes:
    return struct.pack(">L", len(body)) + kind + body + struct.pack(">L", zlib.crc32(kind + body))


def png(*before: bytes, after: bytes = b"") -> bytes:
    buffer = io.BytesIO()
    Image.fromarray(PIXELS).save(buffer, "PNG")
    data = buffer.getvalue()
    return data[:33] + b"".join(before) + data[33:-12] + after + data[-12:]


def hwc(picture):
    return (picture.rgb[0].permute(1, 2, 0).numpy() * 255).round().astype(np.uint8)


@pytest.mark.parametrize(
    "data",
    [
        png(chunk(b"zTXt", b"workflow\0\0" + PACKED)),
        png(chunk(b"iTXt", b"XML:com.adobe.xmp\0\1\0\0\0" + PACKED)),
        png(chunk(b"iTXt", b"workflow\0\0\0en\0key\0" + LONG)),
        png(chunk(b"tEXt", b"workflow\0" + LONG)),
        png(after=chunk(b"iTXt", b"workflow\0\1\0\0\0" + PACKED)),
        png(*[chunk(b"zTXt", b"k\0\0" + zlib.compress(b"x" * 900_000))] * 80),
        png(chunk(b"zTXt", b"broken\0\0junk")),
    ],
)
def test_a_long_text_does_not_cost_the_picture(data):
    assert np.array_equal(hwc(read_image(io.BytesIO(data))), PIXELS)


def test_what_is_short_stays_as_it_is():
    data = png(
        chunk(b"tEXt", b"Title\0short"), after=chunk(b"zTXt", b"k\0\0" + zlib.compress(b"x"))
    )
    stream = io.BytesIO(data)
    assert without_long_chunks(stream) == (stream, None, None, False)
    assert stream.tell() == 0


def test_our_record_is_found_beside_a_long_text(tmp_path):
    write_image(tmp_path / "a.png", read_image(io.BytesIO(png())).rgb, record="{}")
    data = (tmp_path / "a.png").read_bytes()
    data = data[:-12] + chunk(b"zTXt", b"workflow\0\0" + PACKED) + data[-12:]
    assert read_record(io.BytesIO(data)) == "{}"


def test_a_long_profile_is_applied():
    """A profile of two megabytes, as printers' are; here one that changes nothing."""
    long = PROFILE + bytes(2_000_000)
    long = struct.pack(">L", len(long)) + long[4:]
    file = without_long_chunks(io.BytesIO(png(chunk(b"iCCP", b"p\0\0" + zlib.compress(long)))))
    assert file.profile == long
    assert b"iCCP" not in file.stream.read()
    data = png(chunk(b"iCCP", b"p\0\0" + zlib.compress(long)))
    assert np.array_equal(hwc(read_image(io.BytesIO(data))), PIXELS)


def test_a_bomb_of_a_profile_is_left_out_without_unpacking_it(monkeypatch):
    monkeypatch.setattr(png_chunks, "LONGEST_PROFILE", 1 << 21)
    unpacked = []
    inflated = png_chunks.inflated

    def watched(packed, most):
        unpacked.append(len(found := inflated(packed, most)))
        return found

    monkeypatch.setattr(png_chunks, "inflated", watched)
    data = png(chunk(b"iCCP", b"p\0\0" + zlib.compress(bytes(30_000_000))))
    assert np.array_equal(hwc(read_image(io.BytesIO(data))), PIXELS)
    assert unpacked == [1 << 21]


def test_chunks_that_lie_about_their_length_are_left_to_pillow():
    data = png() + b"tail"
    for length in (0xFFFFFFFF, 2**31, 5):
        broken = data[:33] + struct.pack(">L", length) + b"zTXt" + data[33:]
        file = without_long_chunks(io.BytesIO(broken))
        assert file.stream.read() == broken


def test_pixels_that_do_not_match_their_checksum_are_read_with_a_warning(tmp_path):
    data = bytearray(png())
    (length,) = struct.unpack(">L", data[33:37])
    data[41 + length] ^= 1  # the first byte of the checksum
    path = tmp_path / "a.png"
    path.write_bytes(data)
    picture = read_image(path)
    assert np.array_equal(hwc(picture), PIXELS)
    assert picture.warnings == (
        f"{path}: a checksum in it does not match: it may be damaged; look at the result.",
    )
    path.write_bytes(png())
    assert read_image(path).warnings == ()
