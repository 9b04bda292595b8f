"""PNGs with texts and profiles that Pillow alone refuses."""

import io
import struct
import zlib

import numpy as np
import pytest
from PIL import Image, ImageCms

from cnnart.errors import ImageError
from cnnart.image import png_chunks
from cnnart.image.png_chunks import without_long_chunks
from cnnart.image.read import read_image, read_record, recognized
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
    assert without_long_chunks(stream) == (stream, None, None)
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


# Pixels that are not all there


def chunks_of(body: bytes, header: bytes) -> bytes:
    """A PNG of such a header, its packed pixels in two chunks."""
    half = len(body) // 2
    parts = ((b"IHDR", header), (b"IDAT", body[:half]), (b"IDAT", body[half:]), (b"IEND", b""))
    return png_chunks.SIGNATURE + b"".join(chunk(*part) for part in parts)


KINDS = {"L": (8, 0, 1), "RGB": (8, 2, 3), "RGBA": (8, 6, 4), "I": (16, 0, 2)}


def cut_png(mode: str, share: float, side: int = 64, interlaced: int = 0) -> bytes:
    """A whole stream of fewer bytes of pixels than the picture has."""
    depth, color, per_pixel = KINDS[mode]
    rng = np.random.default_rng(1)
    rows = b"".join(
        b"\0" + rng.integers(1, 256, side * per_pixel, dtype=np.uint8).tobytes()
        for _ in range(side)
    )
    header = struct.pack(">LLBBBBB", side, side, depth, color, 0, 0, interlaced)
    return chunks_of(zlib.compress(rows[: round(share * len(rows))]), header)


@pytest.mark.parametrize("mode", ["L", "RGB", "RGBA", "I"])
@pytest.mark.parametrize(("share", "missing"), [(0.5, 32), (63 / 64, 1), (0.25, 48)])
def test_a_png_whose_pixels_end_early_and_properly_is_refused(tmp_path, mode, share, missing):
    path = tmp_path / "a.png"
    path.write_bytes(cut_png(mode, share))
    with pytest.raises(ImageError) as caught:
        read_image(path)
    assert str(caught.value) == (
        f"{path}: the file is truncated or damaged ({missing} of its 64 rows of pixels are "
        "missing); get it again."
    )
    path.write_bytes(cut_png(mode, 1))
    assert read_image(path).warnings == ()


def test_a_short_interlaced_png_and_an_animated_one_are_refused():
    with pytest.raises(ImageError, match="truncated or damaged"):
        read_image(io.BytesIO(cut_png("RGB", 0.5, interlaced=1)))
    buffer = io.BytesIO()
    frames = [Image.fromarray(PIXELS), Image.fromarray(PIXELS[::-1].copy())]
    frames[0].save(buffer, "PNG", save_all=True, append_images=frames[1:])
    data = buffer.getvalue()
    at = data.index(b"IDAT")
    (length,) = struct.unpack(">L", data[at - 4 : at])
    short = zlib.compress(zlib.decompress(data[at + 4 : at + 4 + length])[:60])
    with pytest.raises(ImageError, match="truncated or damaged"):
        read_image(io.BytesIO(data[: at - 4] + chunk(b"IDAT", short) + data[at + 8 + length :]))


def test_a_black_last_row_is_a_row():
    pixels = PIXELS.copy()
    pixels[-2:] = 0
    buffer = io.BytesIO()
    Image.fromarray(pixels).save(buffer, "PNG")
    assert np.array_equal(hwc(read_image(io.BytesIO(buffer.getvalue()))), pixels)


def test_a_look_at_the_header_does_not_read_the_pixels():
    class Counting(io.BytesIO):
        seen = 0

        def read(self, size=-1):
            found = super().read(size)
            self.seen += len(found)
            return found

    stream = Counting(cut_png("RGB", 1, side=400))
    with recognized(stream, "a.png", 10**6) as image:
        assert image.size == (400, 400)
    assert stream.seen < 2000
