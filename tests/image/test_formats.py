"""What files are: by their suffix, by their first bytes, and never by starting another program."""

import io
import struct
import sys
from pathlib import Path
from types import SimpleNamespace

import numpy as np
import pytest
from PIL import Image

from cnnart.errors import ImageError
from cnnart.files import READABLE
from cnnart.image import formats
from cnnart.image.formats import (
    FORMATS,
    HEIC,
    JPEG_XL,
    RAW,
    SVG,
    jpeg_xl_size,
    kind_by_content,
    kind_by_suffix,
    readable_suffixes,
)
from cnnart.image.read import read_image, read_record

PIXELS = np.random.default_rng(4).integers(0, 256, (6, 9, 3), dtype=np.uint8)
POSTSCRIPT = (
    b"%!PS-Adobe-3.0 EPSF-3.0\n%%BoundingBox: 0 0 9 6\n%%EndComments\n"
    b"newpath 1 1 moveto 8 5 lineto stroke\nshowpage\n%%EOF\n"
)


@pytest.fixture
def no_plugins(monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setattr(formats, "find_spec", lambda name: None)
    formats.plugin_installed.cache_clear()
    formats.readable_suffixes.cache_clear()
    yield
    formats.plugin_installed.cache_clear()
    formats.readable_suffixes.cache_clear()


def refusal(source):
    with pytest.raises(ImageError) as caught:
        read_image(source)
    assert "\n" not in str(caught.value)
    return str(caught.value)


def test_files_are_told_by_their_suffix(no_plugins):
    assert readable_suffixes() == set(READABLE)
    assert kind_by_suffix(Path("a/IMG_1.HEIC")) is HEIC
    assert kind_by_suffix(Path("DSC_1.NEF")) is kind_by_suffix(Path("x.dng")) is RAW
    assert kind_by_suffix(Path("new.jxl")) is JPEG_XL
    assert kind_by_suffix(Path("logo.svg")) is SVG
    assert kind_by_suffix(Path("photo.jpg")) is kind_by_suffix(Path("notes.txt")) is None


def test_with_the_extra_installed_its_suffixes_are_read(monkeypatch, no_plugins):
    monkeypatch.setattr(formats, "find_spec", lambda name: name == "pillow_heif" or None)
    assert {".heic", ".hif"} < readable_suffixes()
    assert ".jxl" not in readable_suffixes()
    assert kind_by_suffix(Path("IMG_1.HEIC")) is None


@pytest.mark.parametrize(
    ("head", "says"),
    [
        (POSTSCRIPT, "this is a PostScript drawing; export it as PNG first."),
        (b"\xc5\xd0\xd3\xc6" + bytes(28), "a PostScript drawing"),
        (b"%PDF-1.7\n%\xe2\xe3", "a PDF document"),
        (b"\x89HDF\r\n\x1a\n" + bytes(40), "an HDF5 data file"),
        (b"GRIB\0\0\0\2", "a GRIB or BUFR"),
        (b"SIMPLE  =                    T", "a FITS data file"),
        (b"\xd7\xcd\xc6\x9a" + bytes(40), "a Windows metafile"),
        (b"\1\0\0\0" + bytes(36) + b" EMF" + bytes(8), "a Windows metafile"),
        (b"\0\0\0\x18ftypcrx isom", "a camera's raw file; develop it to JPEG or TIFF first."),
        (b"FUJIFILMCCD-RAW 0201", "a camera's raw file"),
        (b"IIU\0\x18\0\0\0", "a camera's raw file"),
        (b"IIRO\x08\0\0\0", "a camera's raw file"),
        (b"\0\0\0\x20ftypisom\0\0\2\0", "a video"),
        (b"\0\0\0\x20ftypqt  \0\0\2\0", "a video"),
        (b"\0\x05\x16\x07\0\2\0\0", "AppleDouble"),
        (b"PK\3\4" + bytes(30), "an archive"),
        (b"\xd0\xcf\x11\xe0\xa1\xb1\x1a\xe1", "an office document"),
        (b"\x89PNG\r\n\x1a\n" + bytes(4), "it begins as a PNG"),
        (b"\xff\xd8\xff\xe0", "it begins as a JPEG"),
        (b"P6\n-9 5\n255\n", "it begins as a PNM"),
        (b"RIFF\0\0\0\0XXXX" + bytes(9), "it begins as a WebP"),
        (b"8BPS\0\1" + bytes(40), "it begins as a Photoshop document"),
        (b"RIFF\0\0\0\0AVI LIST" + bytes(9), "a video"),
        (b"RIFF\0\0\0\0WAVEfmt " + bytes(9), "a sound file; name a picture."),
        (b"RIFF\0\0\0\0CDR8" + bytes(9), "a CorelDRAW drawing"),
        (b"\0\0\0\x08wide\0\0\0\0mdat" + bytes(9), "a video"),
        (b"OggS\0\2" + bytes(30), "a sound file"),
        (b"\x76\x2f\x31\x01\2" + bytes(30), "an OpenEXR picture; save it as TIFF or PNG with 16"),
        (b"#?RADIANCE\nFORMAT=32-bit_rle_rgbe\n", "a Radiance HDR picture"),
        (b"8BPS\0\2" + bytes(40), "a large Photoshop document (PSB)"),
        (b"gimp xcf file\0" + bytes(9), "a GIMP document (XCF)"),
        (b"AT&TFORM\0\0\0\x09DJVU", "a DjVu document"),
        (b"DDS |\0\0\0" + bytes(90), "a texture of a game"),
        (b"II\xbc\1" + bytes(9), "a JPEG XR picture"),
        (b"\xff\xd8\xff\xf7\0\x0b\x08" + bytes(9), "a JPEG-LS picture"),
        (
            b"\xff\xd8\xff\xe0\0\4\0\0\xff\xc1\0\x11\x0c" + bytes(60),
            "kind of JPEG cannot be read (12",
        ),
        (b"\xff\xd8\xff\xc3\0\x0b\x10" + bytes(9), "(16 bits, without loss); save it as PNG"),
        (bytes(128) + b"DICM" + bytes(9), "a medical picture (DICOM)"),
        (b"\x89PNG\r\n\x1a\n\0\0\0\4CgBI" + bytes(9), "a PNG as iPhone apps hold it (CgBI)"),
        (b"\x7fELF\2\1\1" + bytes(9), "a program, not a picture"),
        (b"\xfd7zXZ\0" + bytes(9), "an archive"),
        (b"<?xml version='1.0'?><Error><Code>AccessDenied</Code></Error>", "an XML file"),
        (b"<?xml version='1.0'?>\n<html xmlns='x'>", "a web page (HTML)"),
        (b"<?xml version='1.0'?><!-- Zeichnung --><svg>", "an SVG drawing"),
        ("Gr\u00fc\u00dfe".encode(), "this is a text file, not a picture."),
        (b"a" * 511 + "\u00fc".encode()[:1], "this is a text file, not a picture."),
        (b"\xff" * 99, "this is not a picture in a format that can be read"),
    ],
)
def test_what_is_not_read_is_named(tmp_path, head, says):
    path = tmp_path / "photo.jpg"
    path.write_bytes(head)
    line = refusal(path)
    assert line.startswith(f"{path}: ")
    assert says in line
    assert says in refusal(io.BytesIO(head))


@pytest.mark.parametrize(
    ("content", "says"),
    [
        (
            b"\0\0\0\x18ftypheic\0\0\0\0mif1heic",
            "this is a HEIC photo; export it as JPEG or PNG, or",
        ),
        (b"\0\0\0\x18ftypmif1\0\0\0\0mif1heic", "this is a HEIC photo"),
        (b"\xff\x0a\xfa\x7f\x90", "this is a JPEG XL picture"),
        (b"\0\0\0\x0cJXL \r\n\x87\n" + bytes(8), "this is a JPEG XL picture"),
    ],
)
def test_what_an_extra_reads_is_named_with_the_way_to_get_it(no_plugins, tmp_path, content, says):
    path = tmp_path / "IMG_5.JPG"  # as exports have it
    path.write_bytes(content)
    line = refusal(path)
    assert says in line
    assert "pip install 'cnnart[formats]'" in line


@pytest.mark.parametrize(
    "head", [b"\0\0\0\x18ftypheic\0\0\0\0mif1heic", b"\0\0\0\x18ftypavif\0\0\0\0mif1avif"]
)
def test_what_is_damaged_is_not_told_to_need_an_extra_that_is_there(monkeypatch, no_plugins, head):
    monkeypatch.setattr(formats, "find_spec", lambda name: True)
    assert "the file is truncated or damaged (it begins as a" in formats.what_it_is(head)


def test_a_heic_is_read_by_its_plugin(monkeypatch, no_plugins):
    """The plugin is imported for a HEIC alone, and Pillow asked for its format alone."""
    asked = []
    plugin = SimpleNamespace(register_heif_opener=lambda: asked.append("registered"))
    monkeypatch.setattr(formats, "find_spec", lambda name: True)
    monkeypatch.setitem(sys.modules, "pillow_heif", plugin)
    opened = Image.open

    def pillow_open(stream, formats):
        if formats != ["HEIF"]:
            return opened(stream, formats=formats)
        asked.append("opened")
        picture = io.BytesIO()
        Image.fromarray(PIXELS).save(picture, "PNG")
        return opened(picture)

    monkeypatch.setattr(Image, "open", pillow_open)
    picture = read_image(io.BytesIO(b"\0\0\0\x18ftypheic\0\0\0\0mif1heic"))
    assert picture.rgb.shape == (1, 3, 6, 9)
    assert asked == ["registered", "opened"]


@pytest.mark.parametrize("size", [(97, 61), (256, 256), (8, 8), (1, 1), (4000, 40), (640, 480)])
def test_the_size_of_a_jpeg_xl_picture(size):
    pillow_jxl = pytest.importorskip("pillow_jxl")
    assert pillow_jxl
    buffer = io.BytesIO()
    Image.new("RGB", size).save(buffer, "JXL")
    assert jpeg_xl_size(buffer.getvalue()) == size


def test_the_size_of_a_jpeg_xl_picture_is_in_its_first_bits():
    def codestream(*fields):
        bits = at = 0
        for value, count in fields:
            bits, at = bits | value << at, at + count
        return b"\xff\x0a" + bits.to_bytes(12, "little")

    # ISO/IEC 18181-1, D.2: small or not, the height, a ratio, and without one the width.
    small = codestream((1, 1), (7, 5), (1, 3))
    assert jpeg_xl_size(small) == (64, 64)
    wide = codestream((0, 1), (1, 2), (4999, 13), (0, 3), (2, 2), (65536, 18))
    assert jpeg_xl_size(wide) == (65537, 5000)
    boxed = struct.pack(">L4s", 12, b"JXL ") + b"\r\n\x87\n" + struct.pack(">L4s", 0, b"jxlc")
    assert jpeg_xl_size(boxed[:-8] + struct.pack(">L4s", 8 + len(wide), b"jxlc") + wide) == (
        65537,
        5000,
    )
    with pytest.raises(ValueError, match="no codestream"):
        jpeg_xl_size(boxed[:12])


def test_nothing_that_starts_a_program_is_among_the_formats():
    assert not {"EPS", "WMF", "GRIB", "BUFR", "HDF5", "FITS"} & set(FORMATS)


@pytest.mark.parametrize("content", [POSTSCRIPT, b"\xc5\xd0\xd3\xc6" + bytes(28) + POSTSCRIPT])
@pytest.mark.parametrize("read", [read_image, read_record])
def test_ghostscript_is_never_started(monkeypatch, tmp_path, content, read):
    path = tmp_path / "photo.jpg"
    path.write_bytes(content)
    started = []
    monkeypatch.setattr("subprocess.Popen", lambda *given, **more: started.append(given))
    monkeypatch.setattr("os.system", started.append)
    with pytest.raises(ImageError, match="a PostScript drawing"):
        read(path)
    assert started == []


def test_every_format_of_the_list_that_pillow_writes_is_read():
    for name in ("PNG", "JPEG", "WEBP", "TIFF", "GIF", "BMP", "PPM", "TGA", "PCX", "SGI", "ICO"):
        buffer = io.BytesIO()
        Image.fromarray(PIXELS).resize((16, 16)).save(buffer, name)
        assert name in FORMATS
        assert read_image(io.BytesIO(buffer.getvalue())).rgb.shape == (1, 3, 16, 16), name
        assert kind_by_content(buffer.getvalue()[:512]) is None
