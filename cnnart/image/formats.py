"""Which formats are read, and what a file is by its suffix or its first bytes.

Pillow knows more formats than these. Some it gives to another program (PostScript to Ghostscript),
some it unpacks before their size is known; neither is to happen to a file from a stranger, whatever
it is called. Nothing here imports Pillow.
"""

from __future__ import annotations

from collections.abc import Iterator
from functools import cache
from importlib.util import find_spec
from pathlib import Path
from typing import NamedTuple

from cnnart.errors import UsageError
from cnnart.files import READABLE

# Pillow's names of what it may be asked to open: decoded in this process, size known before.
FORMATS = (
    *("JPEG", "PNG", "WEBP", "TIFF", "GIF", "BMP", "DIB", "PPM", "AVIF", "JPEG2000"),
    *("ICO", "ICNS", "TGA", "PSD", "PCX", "SGI", "QOI"),
)
# Read where the extra cnnart[formats] is installed: Pillow's name -> the module that brings it.
PLUGINS = {"HEIF": "pillow_heif", "JXL": "pillow_jxl"}
# Written where there is such a module: ours -> the module, and how to get it.
WRITERS = {
    "avif": ("PIL._avif", "update Pillow (pip install -U pillow)"),
    "heic": ("pillow_heif", "pip install 'cnnart[formats]'"),
    "jxl": ("pillow_jxl", "pip install 'cnnart[formats]'"),
}
DEEP = ("png", "tiff")  # what is written with 16 bits for each color


class Kind(NamedTuple):
    """A kind of file that is no readable picture: one of them, several, what to do with one."""

    one: str
    many: str
    remedy: str

    def __str__(self) -> str:
        return f"this is {self.one}; {self.remedy}."

    @property
    def remedy_for_many(self) -> str:
        """What to do with several."""
        return self.remedy.replace(" it ", " them ")


GET_FORMATS = "export it as JPEG or PNG, or pip install 'cnnart[formats]'"
RAW = Kind("a camera's raw file", "raw files of a camera", "develop it to JPEG or TIFF first")
HEIC = Kind("a HEIC photo", "HEIC photos", GET_FORMATS)
JPEG_XL = Kind("a JPEG XL picture", "JPEG XL pictures", GET_FORMATS)
AVIF = Kind("an AVIF picture", "AVIF pictures", "update Pillow to read it, or export it as PNG")
EXPORT = "export it as PNG first"
POSTSCRIPT = Kind("a PostScript drawing", "PostScript drawings", EXPORT)
PDF = Kind("a PDF document", "PDF documents", EXPORT)
SVG = Kind("an SVG drawing", "SVG drawings", EXPORT)
METAFILE = Kind("a Windows metafile (WMF or EMF)", "Windows metafiles", EXPORT)
SCIENCE = "export what it shows as TIFF or PNG first"
HDF5 = Kind("an HDF5 data file", "HDF5 data files", SCIENCE)
GRIB = Kind("a GRIB or BUFR weather file", "GRIB or BUFR weather files", SCIENCE)
FITS = Kind("a FITS data file", "FITS data files", SCIENCE)
VIDEO = Kind("a video", "videos", "save one of its frames as JPEG or PNG first")
OFFICE = Kind("an office document", "office documents", "export its picture as PNG first")
ARCHIVE = Kind("an archive", "archives", "unpack it first")
LFS = Kind("a git-lfs pointer, not the picture itself", "git-lfs pointers", "run `git lfs pull`")
APPLEDOUBLE = Kind(
    "a macOS companion file (AppleDouble), not the picture itself",
    "macOS companion files",
    "take the file of this name without ._ at its start",
)
HTML = Kind("a web page (HTML), not a picture", "web pages", "download the picture itself")
XML = Kind("an XML file, not a picture", "XML files", "download the picture itself")
LIGHT = "save it as TIFF or PNG with 16 bits first"
EXR = Kind("an OpenEXR picture", "OpenEXR pictures", LIGHT)
RADIANCE = Kind("a Radiance HDR picture", "Radiance HDR pictures", LIGHT)
LARGE_PHOTOSHOP = Kind("a large Photoshop document (PSB)", "large Photoshop documents", EXPORT)
GIMP = Kind("a GIMP document (XCF)", "GIMP documents", EXPORT)
COREL = Kind("a CorelDRAW drawing", "CorelDRAW drawings", EXPORT)
DJVU = Kind("a DjVu document", "DjVu documents", EXPORT)
TEXTURE = Kind("a texture of a game (DDS or KTX)", "textures of games", EXPORT)
JPEG_XR = Kind("a JPEG XR picture", "JPEG XR pictures", EXPORT)
JPEG_LS = Kind("a JPEG-LS picture", "JPEG-LS pictures", EXPORT)
BPG = Kind("a BPG or FLIF picture", "BPG or FLIF pictures", EXPORT)
DICOM = Kind("a medical picture (DICOM)", "medical pictures (DICOM)", SCIENCE)
CGBI = Kind(
    "a PNG as iPhone apps hold it (CgBI), which other programs cannot read",
    "PNGs as iPhone apps hold them",
    "turn it back by `pngcrush -revert-iphone-optimizations`",
)
SOUND = Kind("a sound file", "sound files", "name a picture")
PROGRAM = Kind("a program, not a picture", "programs", "delete it unless you know where it is from")

RAW_SUFFIXES = frozenset(
    [
        ".3fr",
        ".arw",
        ".cr2",
        ".cr3",
        ".crw",
        ".dcr",
        ".dng",
        ".erf",
        ".fff",
        ".gpr",
        ".iiq",
        ".kdc",
        ".mef",
        ".mos",
        ".mrw",
        ".nef",
        ".nrw",
        ".orf",
        ".pef",
        ".raf",
        ".raw",
        ".rw2",
        ".rwl",
        ".sr2",
        ".srf",
        ".srw",
        ".x3f",
    ]
)
PLUGIN_SUFFIXES = {
    "HEIF": (".heic", ".heif", ".hif", ".heics", ".heifs"),
    "JXL": (".jxl",),
}
OTHER_SUFFIXES = {
    **dict.fromkeys(PLUGIN_SUFFIXES["HEIF"], HEIC),
    **dict.fromkeys(PLUGIN_SUFFIXES["JXL"], JPEG_XL),
    **dict.fromkeys(RAW_SUFFIXES, RAW),
    **dict.fromkeys((".eps", ".epsf", ".ps", ".ai"), POSTSCRIPT),
    ".svg": SVG,
}

HEIC_BRANDS = frozenset(
    (b"heic", b"heix", b"heim", b"heis", b"hevc", b"hevx", b"hevm", b"hevs", b"mif1", b"msf1")
)
AVIF_BRANDS = frozenset((b"avif", b"avis"))
STARTS = (
    (b"%!PS", POSTSCRIPT),
    (b"\xc5\xd0\xd3\xc6", POSTSCRIPT),
    (b"%PDF", PDF),
    (b"\xd7\xcd\xc6\x9a", METAFILE),
    (b"\x89HDF\r\n\x1a\n", HDF5),
    (b"\x0e\x03\x13\x01", HDF5),
    (b"GRIB", GRIB),
    (b"BUFR", GRIB),
    (b"SIMPLE  =", FITS),
    (b"\xff\x0a", JPEG_XL),
    (b"\0\0\0\x0cJXL \r\n\x87\n", JPEG_XL),
    (b"IIRO", RAW),  # Olympus
    (b"IIRS", RAW),
    (b"MMOR", RAW),
    (b"IIU\0", RAW),  # Panasonic, Leica
    (b"FUJIFILMCCD-RAW", RAW),
    (b"FOVb", RAW),  # Sigma
    (b"\0MRM", RAW),  # Minolta
    (b"\0\x05\x16\x07", APPLEDOUBLE),
    (b"version https://git-lfs", LFS),
    (b"\x1aE\xdf\xa3", VIDEO),  # Matroska, WebM
    (b"\xd0\xcf\x11\xe0\xa1\xb1\x1a\xe1", OFFICE),
    (b"PK\x03\x04", ARCHIVE),
    (b"7z\xbc\xaf\x27\x1c", ARCHIVE),
    (b"Rar!\x1a\x07", ARCHIVE),
    (b"\x1f\x8b", ARCHIVE),
    (b"BZh", ARCHIVE),
    (b"\xfd7zXZ\0", ARCHIVE),
    (b"\x28\xb5\x2f\xfd", ARCHIVE),  # Zstandard
    (b"\x76\x2f\x31\x01", EXR),
    (b"#?RADIANCE", RADIANCE),
    (b"#?RGBE", RADIANCE),
    (b"8BPS\0\2", LARGE_PHOTOSHOP),
    (b"gimp xcf", GIMP),
    (b"AT&TFORM", DJVU),
    (b"DDS ", TEXTURE),
    (b"\xabKTX ", TEXTURE),
    (b"II\xbc", JPEG_XR),
    (b"\xff\xd8\xff\xf7", JPEG_LS),
    (b"BPG\xfb", BPG),
    (b"FLIF", BPG),
    (b"FLV\1", VIDEO),
    (b"\0\0\1\xba", VIDEO),  # MPEG's program stream, and its pictures alone
    (b"\0\0\1\xb3", VIDEO),
    (b"0&\xb2u\x8ef\xcf\x11", VIDEO),  # Windows Media
    (b"OggS", SOUND),
    (b"fLaC", SOUND),
    (b"ID3", SOUND),
    (b"\x7fELF", PROGRAM),
    (b"MZ", PROGRAM),
)
# MPEG's transport streams: where their first packet begins, and from which to which it is so far.
TRANSPORT = ((0, 188), (4, 192))
# What may stand in a RIFF container beside WebP.
RIFFS = {b"AVI ": VIDEO, b"WAVE": SOUND, b"CDR": COREL}
# Of formats that are read.
BEGINNINGS = (
    (b"\x89PNG\r\n\x1a\n", "a PNG"),
    (b"\xff\xd8\xff", "a JPEG"),
    (b"GIF8", "a GIF"),
    (b"BM", "a BMP"),
    (b"RIFF", "a WebP"),
    (b"8BPS", "a Photoshop document"),
    (b"\0\0\0\x0cjP  ", "a JPEG 2000 picture"),
    *((b"P%d%c" % (kind, space), "a PNM") for kind in range(1, 7) for space in b" \n\r\t"),
)


@cache
def plugin_installed(format: str) -> bool:
    """Whether what brings a format of ``PLUGINS`` is there; it is not imported."""
    return find_spec(PLUGINS[format]) is not None


def check_writable_format(format: str, bit_depth: int = 8) -> None:
    """Raise UsageError for a format that cannot be written here, or not so deep."""
    if format in WRITERS and find_spec(WRITERS[format][0]) is None:
        raise UsageError(f"Writing {format} needs more than is installed: {WRITERS[format][1]}.")
    if bit_depth not in (8, 16):
        raise UsageError(f"`bit_depth` is 8 or 16, not {bit_depth}.")
    if bit_depth != 8 and format not in DEEP:
        raise UsageError(f"`bit_depth` {bit_depth} is for {' and '.join(DEEP)}, not for {format}.")


@cache
def readable_suffixes() -> frozenset[str]:
    """The suffixes, in lower case, of the files that are taken out of a folder."""
    more = (suffixes for name, suffixes in PLUGIN_SUFFIXES.items() if plugin_installed(name))
    return frozenset(READABLE).union(*more)


def kind_by_suffix(path: Path) -> Kind | None:
    """What a file is that is passed over in a folder though somebody may miss it: a photo in a
    format that cannot be read here, or a drawing. None: it is read, or is no picture at all.
    """
    suffix = path.suffix.lower()
    return None if suffix in readable_suffixes() else OTHER_SUFFIXES.get(suffix)


def kind_by_content(head: bytes) -> Kind | None:
    """What a file is by its first bytes (512 are plenty), for what is not read; else None."""
    if head.startswith(b"OggS") and b"theora" in head[:64]:
        return VIDEO
    for start, kind in STARTS:
        if head.startswith(start):
            return kind
    if any(head[at::step][:2] == b"GG" for at, step in TRANSPORT):
        return VIDEO
    if head[4:8] == b"ftyp":
        brand = head[8:12]
        if brand == b"crx ":  # Canon
            return RAW
        return HEIC if brand in HEIC_BRANDS else AVIF if brand in AVIF_BRANDS else VIDEO
    if head[4:8] in (b"moov", b"mdat", b"wide"):  # QuickTime's older files
        return VIDEO
    if head.startswith(b"RIFF"):
        return next((kind for form, kind in RIFFS.items() if head[8:].startswith(form)), None)
    if head[12:16] == b"CgBI":
        return CGBI
    if head[128:132] == b"DICM":
        return DICOM
    if head[40:44] == b" EMF" and head[:4] == b"\1\0\0\0":
        return METAFILE
    if head[6:14] == b"HEAPCCDR":  # Canon's older raw files
        return RAW
    text = head.lstrip(b"\xef\xbb\xbf \t\r\n").lower()
    if text.startswith(b"<") and b"<svg" in text:
        return SVG
    if text.startswith((b"<!doctype html", b"<html", b"<head")):
        return HTML
    if text.startswith(b"<?xml"):
        return HTML if b"<html" in text else XML
    return None


def is_text(head: bytes) -> bool:
    """Whether the first bytes of a file are text, in UTF-8."""
    try:
        head.decode()
    except UnicodeDecodeError as error:
        if error.start < len(head) - 3:  # else a character that is cut off
            return False
    return not any(byte < 9 or 13 < byte < 32 for byte in head)


def what_it_is(head: bytes) -> str:
    """One clause about a file that is no picture in a format that is read, from its first bytes."""
    if not head:
        return "the file is empty; get it again."
    if kind := kind_by_content(head):
        if _readable(kind):
            return f"the file is truncated or damaged (it begins as {kind.one}); get it again."
        return str(kind)
    if name := next((name for start, name in BEGINNINGS if head.startswith(start)), None):
        return f"the file is truncated or damaged (it begins as {name}); get it again."
    if is_text(head):
        return "this is a text file, not a picture."
    return "this is not a picture in a format that can be read; convert it to PNG or JPEG."


def _readable(kind: Kind) -> bool:
    """Whether what a format needs beside Pillow's oldest parts is installed."""
    if kind is AVIF:
        return find_spec("PIL._avif") is not None
    return (kind is HEIC and plugin_installed("HEIF")) or (
        kind is JPEG_XL and plugin_installed("JXL")
    )


def jpeg_of_a_kind(data: bytes) -> str | None:
    """What a JPEG is that this Pillow may not know, by the header of its frame (ITU-T T.81, B.2.2).

    None: an ordinary one, or none is found.
    """
    at = 2
    while at + 5 <= len(data) and data[at] == 0xFF:
        marker = data[at + 1]
        if 0xC0 <= marker <= 0xCF and marker not in (0xC4, 0xC8, 0xCC):
            bits, lossless = data[at + 4], marker & 3 == 3
            if bits == 8 and not lossless and marker < 0xC5:
                return None
            return f"{bits} bits{', without loss' if lossless else ''}"
        at += 2 + int.from_bytes(data[at + 2 : at + 4], "big")
    return None


def jpeg_xl_size(data: bytes) -> tuple[int, int]:
    """Width and height of a JPEG XL picture, from its header (ISO/IEC 18181-1, D.2).

    Raises ValueError where there is none.
    """
    at = 0 if data.startswith(b"\xff\x0a") else _codestream(data)
    bits = int.from_bytes(data[at + 2 : at + 14], "little")

    def take(count: int) -> int:
        nonlocal bits
        value, bits = bits & ((1 << count) - 1), bits >> count
        return value

    def side(small: bool) -> int:
        return 8 * (take(5) + 1) if small else take((9, 13, 18, 30)[take(2)]) + 1

    small = bool(take(1))
    height, ratio = side(small), take(3)
    if ratio == 0:
        return side(small), height
    above, below = ((1, 1), (12, 10), (4, 3), (3, 2), (16, 9), (5, 4), (2, 1))[ratio - 1]
    return height * above // below, height


def jpeg_xl_xmp(data: bytes) -> bytes | None:
    """The XMP packet of a JPEG XL container (ISO/IEC 18181-2), which the plugin does not read."""
    return next((data[start:end] for kind, start, end in _boxes(data) if kind == b"xml "), None)


def _codestream(data: bytes) -> int:
    """Where the codestream begins in a JPEG XL container."""
    for kind, start, _ in _boxes(data):
        start += 4 * (kind == b"jxlp")
        if kind in (b"jxlc", b"jxlp") and data[start : start + 2] == b"\xff\x0a":
            return start
    raise ValueError("no codestream in the container")


def _boxes(data: bytes) -> Iterator[tuple[bytes, int, int]]:
    """The boxes of a container: the kind of each, and where its content starts and ends."""
    at = 0
    while at + 8 <= len(data):
        size, kind, start = int.from_bytes(data[at : at + 4], "big"), data[at + 4 : at + 8], at + 8
        if size == 1:
            size, start = int.from_bytes(data[at + 8 : at + 16], "big"), at + 16
        yield kind, start, at + size if size else len(data)
        if size < 8:
            break
        at += size
