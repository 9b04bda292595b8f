"""TIFFs as devices write them: raw files, thumbnails, many pages, and whites of all kinds."""

import io
import struct

import numpy as np
import pytest
import torch
from PIL import Image

from cnnart.errors import ImageError
from cnnart.image.read import read_image, to_picture

Y, X = np.mgrid[0:24, 0:32]
RAMP = (X + 2 * Y) / (31 + 46)  # 0 at the top left, 1 at the bottom right
FULL, REDUCED = 0, 1
TYPES = {1: "<u", 2: "<i", 3: "<f"}  # SampleFormat


def entries(tags):
    packed = b""
    for tag, (kind, value) in sorted(tags.items()):
        packed += struct.pack("<HHL", tag, kind, 1) + struct.pack(
            "<HH" if kind == 3 else "<L", value, *[0] * (kind == 3)
        )
    return struct.pack("<H", len(tags)) + packed


def tiff(*pages, order=b"II"):
    """A little-endian TIFF of gray pages: (values, photometric, sample format, further tags)."""
    data, starts, at = b"", [], 8
    for values, photometric, samples, more in pages:
        pixels = values.tobytes()
        height, width = values.shape
        tags = {
            256: (4, width),
            257: (4, height),
            258: (3, 8 * values.itemsize),
            259: (3, 1),
            262: (3, photometric),
            273: (4, at),
            277: (3, 1),
            278: (4, height),
            279: (4, len(pixels)),
            339: (3, samples),
            **more,
        }
        starts.append(at + len(pixels))
        data += pixels + entries(tags)
        following = at + len(pixels) + 2 + 12 * len(tags) + 4
        data += struct.pack(
            "<L", following + pages[len(starts)][0].nbytes if len(starts) < len(pages) else 0
        )
        at = following
    return b"II*\0" + struct.pack("<L", starts[0]) + data


def gray(values, photometric=1, samples=1, **more):
    return tiff((values, photometric, samples, {int(k[1:]): v for k, v in more.items()}))


def read(data):
    picture = read_image(io.BytesIO(data))
    return picture.rgb[0, 0].numpy(), [line.removeprefix("<stream>: ") for line in picture.warnings]


def refusal(data, name="photo.tif", tmp_path=None):
    source = io.BytesIO(data)
    if tmp_path:
        source = tmp_path / name
        source.write_bytes(data)
    with pytest.raises(ImageError) as caught:
        read_image(source)
    return str(caught.value)


# White and black


@pytest.mark.parametrize(
    ("values", "samples"),
    [
        ((255 * RAMP).round().astype("u1"), 1),
        ((65535 * RAMP).round().astype("<u2"), 1),
        (RAMP.astype("<f4"), 3),
    ],
)
def test_white_is_zero_at_every_depth(values, samples):
    white = 1 if samples == 3 else 256**values.itemsize - 1
    for photometric, stored in ((1, values), (0, (white - values).astype(values.dtype))):
        shown, told = read(gray(stored, photometric, samples))
        assert np.abs(shown - RAMP).max() < 1 / 255
        assert told == []


def test_white_is_zero_of_a_picture_that_is_open_already():
    data = gray((65535 * (1 - RAMP)).round().astype("<u2"), 0)
    assert torch.equal(
        to_picture(Image.open(io.BytesIO(data))).rgb, read_image(io.BytesIO(data)).rgb
    )


@pytest.mark.parametrize("samples", [1, 2])
def test_white_is_zero_at_32_bits(samples):
    white = 2**32 - 1 if samples == 1 else 2**31 - 1
    values = (white * (1 - RAMP.astype("f8"))).astype("<u4" if samples == 1 else "<i4")
    assert np.abs(read(gray(values, 0, samples))[0] - RAMP).max() < 1e-6


def test_white_is_zero_of_16_bits_in_big_endian(tmp_path):
    image = Image.fromarray((65535 * (1 - RAMP)).round().astype(">u2"))
    image.save(tmp_path / "a.tif")
    data = bytearray((tmp_path / "a.tif").read_bytes())
    assert data[:2] == b"MM"
    at = data.index(struct.pack(">HHLH", 262, 3, 1, 1)) + 8
    data[at : at + 2] = b"\0\0"
    assert np.abs(read(bytes(data))[0] - RAMP).max() < 1e-4


def test_a_kind_that_pillow_does_not_know_is_named():
    line = refusal(gray(np.zeros((4, 4), "<f8"), 1, 3))
    assert "(1 x 64 bits, floats); save it as PNG" in line


@pytest.mark.parametrize(
    ("values", "white", "told"),
    [
        (4095 * RAMP, 4095, "span 0..4095, and 4095 is taken for white."),
        (1023 * RAMP, 1023, "span 0..1023, and 1023 is taken for white."),
        (3000 * RAMP, 4095, "span 0..3000, and 4095 is taken for white."),
        (200 * RAMP, 255, "span 0..200, and 255 is taken for white."),
        (16383 * RAMP, 65535, "span 0..16383, and 65535 is taken for white."),  # dark: told
        (40000 * RAMP, 65535, None),
        (0 * RAMP, 65535, None),
    ],
)
def test_integers_of_16_bits_that_use_a_part_of_them(values, white, told):
    values = values.round().astype("<u2")
    shown, lines = read(gray(values))
    assert np.abs(shown - values / white).max() < 1e-6
    assert lines == ([f"its values {told}"] if told else [])


def test_a_stated_white_is_taken_without_a_word():
    values = (16383 * RAMP).round().astype("<u2")
    shown, told = read(gray(values, t281=(3, 16383)))
    assert np.abs(shown - values / 16383).max() < 1e-6
    assert told == []
    # It may also be just the largest value that occurs, which says nothing about white.
    assert read(gray((40000 * RAMP).astype("<u2"), t281=(3, 40000)))[0].max() < 0.62


@pytest.mark.parametrize(
    ("values", "samples", "top"),
    [
        ((1023 * RAMP).astype("<i4"), 2, 1),
        ((100_000 * RAMP).astype("<i4"), 2, 100_000 / (2**18 - 1)),
        ((2**31 * RAMP).clip(0, 2**31 - 1).astype("<i4"), 2, 1),
        ((2**32 * RAMP).clip(0, 2**32 - 1).astype("<u4"), 1, 1),
    ],
)
def test_integers_of_32_bits_are_never_black(values, samples, top):
    shown, told = read(gray(values, 1, samples))
    assert shown.max() == pytest.approx(top, abs=1e-6)
    assert np.abs(shown / top - RAMP).max() < 2e-3
    assert bool(told) == (values.max() < 2**30)


@pytest.mark.parametrize(
    ("values", "expected", "told"),
    [
        (np.where(RAMP == 0, 1.02, RAMP), RAMP, False),  # a light a little over white
        (np.where(RAMP == 1, -0.01, RAMP), RAMP, False),
        (4 * RAMP, 4 * RAMP, True),  # a picture of high dynamic range
        (np.where(RAMP == 1, 5000, RAMP), RAMP, True),  # with the sun in it
        (255 * RAMP, RAMP, False),
        (65535 * RAMP, RAMP, False),
        (2 * RAMP - 1, 2 * RAMP - 1, True),
        (0.1 * RAMP, 0.1 * RAMP, True),  # nearly black, and said to be so
    ],
)
def test_floats(values, expected, told):
    shown, lines = read(gray(values.astype("<f4"), 1, 3))
    agree = np.abs(shown - expected.clip(0, 1)) < 1e-5
    assert agree.sum() >= agree.size - 1  # one pixel was changed
    assert bool(lines) == told
    if values.min() < -0.5 or (values.max() > 2 and lines):
        assert "1 is taken for white; what lies beyond black and white is cut." in lines[0]


def test_floats_of_which_nothing_would_be_seen():
    assert "span -3000..0, all of it black" in refusal(gray((-3000 * RAMP).astype("<f4"), 1, 3))
    assert "its white is unknown" in refusal(gray((1e6 * RAMP).astype("<f4"), 1, 3))


# Pages


def test_the_first_of_several_pages_is_used_and_said_so():
    pages = [((255 * RAMP).astype("u1"), 1, 1, {}), (np.zeros((9, 9), "u1"), 1, 1, {})]
    shown, told = read(tiff(*pages))
    assert shown.shape == RAMP.shape
    assert told == ["it holds several pictures; the first is used."]


def test_a_thumbnail_is_not_taken_for_the_picture():
    small = (np.zeros((9, 9), "u1"), 1, 1, {254: (4, REDUCED)})
    whole = ((255 * RAMP).astype("u1"), 1, 1, {254: (4, FULL)})
    assert read(tiff(small, whole))[0].shape == RAMP.shape
    assert read(tiff(whole, small))[0].shape == RAMP.shape
    assert read(tiff(small))[0].shape == (9, 9)  # nothing else is in the file
    assert read(tiff(small, small))[0].shape == (9, 9)


SENSOR = ((4095 * RAMP).astype("<u2"), 32803, 1, {})
THUMBNAIL = (np.zeros((9, 9), "u1"), 1, 1, {254: (4, REDUCED), 330: (4, 8)})


@pytest.mark.parametrize(
    "data",
    [
        tiff(THUMBNAIL),  # NEF, ARW, DNG: the rest in SubIFDs
        tiff((np.zeros((9, 9), "u1"), 1, 1, {50706: (4, 0x0401)})),  # DNG
        tiff((np.zeros((9, 9), "u1"), 1, 1, {254: (4, REDUCED)}), SENSOR),
        tiff(SENSOR),
        b"II*\0\x10\0\0\0CR\2\0"
        + bytes(4)
        + entries(
            {
                256: (4, 9),
                257: (4, 9),
                258: (3, 8),
                259: (3, 1),
                262: (3, 1),
                273: (4, 8),
                277: (3, 1),
                278: (4, 9),
                279: (4, 8),
            }
        )
        + bytes(4),
    ],
    ids=["SubIFDs", "DNG", "next page", "sensor alone", "CR2"],
)
def test_a_raw_file_is_named(tmp_path, data):
    for name in ("DSC_1.NEF", "photo.tif"):
        line = refusal(data, name, tmp_path)
        assert line == (
            f"{tmp_path / name}: this is a camera's raw file; develop it to JPEG or TIFF first."
        )
    assert "a camera's raw file" in refusal(data)


def test_by_its_suffix_a_tiff_is_raw_and_another_format_what_it_is(tmp_path):
    data = gray((255 * RAMP).astype("u1"))
    assert "a camera's raw file" in refusal(data, "IMG_2.dng", tmp_path)
    Image.fromarray((255 * RAMP).astype("u1")).save(tmp_path / "a.png")
    (tmp_path / "a.png").rename(tmp_path / "renamed.nef")
    assert read_image(tmp_path / "renamed.nef").rgb.shape == (1, 3, 24, 32)


# Kinds that Pillow takes for others


def color(planes, bits, **more):
    """An uncompressed TIFF of three planes, each for itself."""
    values = np.stack([planes] * 3).astype(f"<u{bits // 8}")
    pixels, size = values.tobytes(), values[0].nbytes
    height, width = planes.shape
    at = 8 + len(pixels)
    lists = struct.pack("<3H", *[bits] * 3) + b"\0\0"
    lists += struct.pack("<3L", *(8 + n * size for n in range(3))) + struct.pack("<3L", *[size] * 3)
    rows = [
        (256, 4, 1, width),
        (257, 4, 1, height),
        (258, 3, 3, at),
        (259, 3, 1, 1),
        (262, 3, 1, 2),
        (273, 4, 3, at + 8),
        (277, 3, 1, 3),
        (278, 4, 1, height),
        (279, 4, 3, at + 20),
        (284, 3, 1, 2),
    ]
    directory = struct.pack("<H", len(rows)) + b"".join(struct.pack("<HHLL", *row) for row in rows)
    return b"II*\0" + struct.pack("<L", at + len(lists)) + pixels + lists + directory + bytes(4)


def test_planes_of_16_bits_are_refused_and_of_8_read():
    picture = read_image(io.BytesIO(color(RAMP * 255, 8)))
    assert np.abs(picture.rgb[0].numpy() - RAMP).max() < 0.01
    with pytest.raises(ImageError, match=r"\(3 x 16 bits, integers, in separate planes\); save"):
        read_image(io.BytesIO(color(RAMP * 65535, 16)))


def test_the_white_of_signed_integers():
    picture = read_image(io.BytesIO(gray((RAMP * 32767).astype("<i2"), samples=2)))
    assert np.abs(picture.rgb[0, 0].numpy() - RAMP).max() < 1e-3
    assert picture.warnings == ()
    with pytest.raises(ImageError, match=r"\(1 x 8 bits, signed integers\); save"):
        read_image(io.BytesIO(gray((RAMP * 127).astype("i1"), samples=2)))


def test_what_is_cut_off_is_damaged_and_no_kind():
    data = gray((RAMP * 255).astype("u1"))
    for cut in (data[:200], data[:8], data[:-100]):
        with pytest.raises(ImageError, match="truncated or damaged"):
            read_image(io.BytesIO(cut))


def test_a_big_tiff_in_big_endian_is_named():
    with pytest.raises(ImageError, match=r"\(BigTIFF, big-endian\)"):
        read_image(io.BytesIO(b"MM\0+\0\x08\0\0" + bytes(50)))


def test_libtiff_writes_nothing_to_standard_error(tmp_path, capfd):
    path = tmp_path / "a.tif"
    Image.fromarray((RAMP * 255).astype(np.uint8)).save(path, compression="tiff_lzw")
    data = bytearray(path.read_bytes())
    data[10:40] = b"\xff" * 30
    path.write_bytes(data)
    with pytest.raises(ImageError, match="truncated or damaged"):
        read_image(path)
    assert capfd.readouterr().err == ""


@pytest.mark.parametrize(("tag", "more"), [(273, {273: (4, 0)}), (278, {278: (4, 8)})])
def test_a_tiff_that_lacks_strips_is_refused(tag, more):
    ramp = (200 * RAMP + 20).astype(np.uint8)
    pieces = 1 if tag == 273 else 3
    with pytest.raises(ImageError) as caught:
        read_image(io.BytesIO(tiff((ramp, 1, 1, more))))
    missing = 1 if tag == 273 else 2
    assert f"damaged ({missing} of its {pieces} pieces are missing); get it" in str(caught.value)


def test_tiles_and_strips_that_are_all_there_are_read():
    picture = Image.fromarray((200 * RAMP + 20).astype(np.uint8)).resize((40, 36))
    for settings in ({278: 7}, {274: 6}):
        stream = io.BytesIO()
        picture.save(stream, "TIFF", tiffinfo=settings)
        assert read_image(io.BytesIO(stream.getvalue())).warnings == ()
