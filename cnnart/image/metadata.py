"""What a picture file says beside its pixels: resolution, EXIF, and the record of its settings."""

from __future__ import annotations

import html
import re
import struct
from typing import Any

from PIL import ExifTags, Image, ImageCms, PngImagePlugin, TiffImagePlugin

MAX_JPEG_SEGMENT = 65533
EXIF_GROUPS = (ExifTags.IFD.Exif, ExifTags.IFD.GPSInfo)
RECORD_KEY = "cnnart"
XMP_TAG = 700
LEAST_DPI, MOST_DPI = 2, 32767
XMP_PACKET = (
    '<?xpacket begin="\ufeff" id="W5M0MpCehiHzreSzNTczkc9d"?>'
    '<x:xmpmeta xmlns:x="adobe:ns:meta/">'
    '<rdf:RDF xmlns:rdf="http://www.w3.org/1999/02/22-rdf-syntax-ns#">'
    '<rdf:Description rdf:about="" xmlns:cnnart="urn:cnnart:1">'
    "<cnnart:record>{}</cnnart:record>"
    '</rdf:Description></rdf:RDF></x:xmpmeta><?xpacket end="w"?>'
)
KEPT_TAGS = (
    *(ExifTags.Base.ImageDescription, ExifTags.Base.Make, ExifTags.Base.Model),
    *(ExifTags.Base.Software, ExifTags.Base.DateTime, ExifTags.Base.Artist),
    *(ExifTags.Base.HostComputer, ExifTags.Base.Copyright),
)
# What of it a picture keeps that is meant for others: when, with what and how it was taken, and the
# copyright. Not where, nor what else names a camera or a person, nor what anybody may have
# written into a comment or a maker into its own note. Tags that are not listed stay out.
PUBLIC_TAGS = frozenset(
    (
        *(ExifTags.Base.Make, ExifTags.Base.Model, ExifTags.Base.Software),
        *(ExifTags.Base.DateTime, ExifTags.Base.Copyright),
        *(ExifTags.Base.DateTimeOriginal, ExifTags.Base.DateTimeDigitized),
        *(ExifTags.Base.SubsecTime, ExifTags.Base.SubsecTimeOriginal),
        *(ExifTags.Base.SubsecTimeDigitized, ExifTags.Base.OffsetTime),
        *(ExifTags.Base.OffsetTimeOriginal, ExifTags.Base.OffsetTimeDigitized),
        *(ExifTags.Base.ExposureTime, ExifTags.Base.FNumber, ExifTags.Base.ExposureProgram),
        *(ExifTags.Base.ISOSpeedRatings, ExifTags.Base.SensitivityType),
        *(ExifTags.Base.ShutterSpeedValue, ExifTags.Base.ApertureValue),
        *(ExifTags.Base.BrightnessValue, ExifTags.Base.ExposureBiasValue),
        *(ExifTags.Base.MaxApertureValue, ExifTags.Base.SubjectDistance),
        *(ExifTags.Base.MeteringMode, ExifTags.Base.LightSource, ExifTags.Base.Flash),
        *(ExifTags.Base.FocalLength, ExifTags.Base.FocalLengthIn35mmFilm),
        *(ExifTags.Base.ExposureMode, ExifTags.Base.WhiteBalance),
        *(ExifTags.Base.DigitalZoomRatio, ExifTags.Base.SceneCaptureType),
        *(ExifTags.Base.GainControl, ExifTags.Base.Contrast, ExifTags.Base.Saturation),
        *(ExifTags.Base.Sharpness, ExifTags.Base.SubjectDistanceRange),
        *(ExifTags.Base.LensSpecification, ExifTags.Base.LensMake, ExifTags.Base.LensModel),
        *(ExifTags.Base.ExifVersion, ExifTags.Base.SensingMethod, ExifTags.Base.CustomRendered),
    )
)
# What the EXIF block says of the pixels is no longer true of the new picture.
STALE_TAGS = (
    *(ExifTags.Base.ColorSpace, ExifTags.Base.ExifImageWidth, ExifTags.Base.ExifImageHeight),
    ExifTags.Base.ExifInteroperabilityOffset,
)


def resolution(image: Image.Image) -> tuple[float, float] | None:
    """Dots per inch as the file states them, else as its EXIF does, else None."""
    try:
        tags = image.getexif()
        in_exif = (tags.get(ExifTags.Base.XResolution), tags.get(ExifTags.Base.YResolution))
        stated: Any = image.info.get("dpi") or in_exif
        horizontal, vertical = (float(value) for value in stated)
    except Exception:  # missing or broken: see decode
        return None
    return sensible_dpi((horizontal, vertical))


def sensible_dpi(dpi: tuple[float, float]) -> tuple[float, float] | None:
    """The resolution, or None for one that no paper or screen has: formats cannot hold all."""
    return dpi if all(LEAST_DPI <= value <= MOST_DPI for value in dpi) else None


def public_exif(exif: bytes | None) -> bytes | None:
    """What of an EXIF block, as ``kept_exif`` made it, is fit for others: ``PUBLIC_TAGS``."""
    if not exif:
        return None
    try:
        tags, kept = Image.Exif(), Image.Exif()
        tags.load(exif)
        for tag in PUBLIC_TAGS & tags.keys():
            kept[tag] = tags[tag]
        details = tags.get_ifd(ExifTags.IFD.Exif)
        if details := {tag: value for tag, value in details.items() if tag in PUBLIC_TAGS}:
            kept[ExifTags.IFD.Exif] = details
        return keep_text(kept).tobytes() if len(kept) else None
    except Exception:  # broken: see decode
        return None


def kept_exif(image: Image.Image) -> bytes | None:
    """The EXIF block worth carrying over: who, when, where and how; not the pixels."""
    try:
        tags, kept = image.getexif(), Image.Exif()
        for tag in KEPT_TAGS:
            if tag in tags:
                kept[tag] = tags[tag]
        for ifd in EXIF_GROUPS:
            entries = {k: v for k, v in tags.get_ifd(ifd).items() if k not in STALE_TAGS}
            if entries:
                kept[ifd] = entries
        return keep_text(kept).tobytes() if len(kept) else None
    except Exception:  # broken: see decode
        return None


def srgb_profile() -> bytes:
    """The sRGB ICC profile, the same bytes every time: its creation date is left out."""
    made = ImageCms.ImageCmsProfile(ImageCms.createProfile("sRGB")).tobytes()
    date = slice(
        24, 36
    )  # ICC.1:2022, section 7.2.10; 7.2.18 has the checksum, which we leave empty
    return made[: date.start] + bytes(date.stop - date.start) + made[date.stop :]


def save_options(
    kind: str, dpi: tuple[float, float] | None, exif: bytes | None, record: str | None
) -> dict[str, Any]:
    """Pillow's save options for the sRGB profile, resolution, EXIF and record in a format."""
    profile = srgb_profile()
    options: dict[str, Any] = {"icc_profile": profile}
    tags = Image.Exif()
    if exif:
        tags.load(exif)
    tags.pop(ExifTags.Base.Orientation, None)  # the pixels are upright
    dpi = sensible_dpi(dpi) if dpi else None
    if dpi and kind in ("WEBP", "AVIF", "HEIF", "JXL"):  # have no field of their own for it
        tags[ExifTags.Base.XResolution], tags[ExifTags.Base.YResolution] = dpi
        tags[ExifTags.Base.ResolutionUnit] = 2
    elif dpi:
        options["dpi"] = dpi
    if record is not None and kind == "PNG":
        options["pnginfo"] = PngImagePlugin.PngInfo()
        options["pnginfo"].add_itxt(RECORD_KEY, record)
    elif record is not None:
        options["xmp"] = XMP_PACKET.format(html.escape(record, quote=False)).encode()
    block = keep_text(tags).tobytes() if len(tags) else b""
    # A JPEG segment ends at 64 KiB, EXIF from another format may not: the picture matters more.
    if block and not (kind == "JPEG" and len(block) > MAX_JPEG_SEGMENT):
        options["exif"] = block
    return options


def keep_text(tags: Image.Exif) -> Image.Exif:
    """The same tags, ready for tobytes(), which would write a question mark for each umlaut.

    Pillow reads text as Latin-1 whatever it is, so encoding it so gives the original bytes back.
    """

    def raw(value: Any) -> Any:
        text = isinstance(value, str) and not value.isascii()
        return value.encode("latin-1", "replace") if text else value

    for tag, value in list(tags.items()):
        if tag in EXIF_GROUPS:
            group = value if isinstance(value, dict) else tags.get_ifd(tag)
            tags[tag] = {key: raw(entry) for key, entry in group.items()}
        else:
            tags[tag] = raw(value)
    return tags


def tiff_tags(exif: bytes | None, xmp: bytes | None) -> dict[int, Any]:
    """EXIF and XMP as the tags of a TIFF directory."""
    tags = Image.Exif()
    if exif:
        tags.load(exif)
    return dict(keep_text(tags).items()) | ({XMP_TAG: xmp} if xmp else {})


def add_tags(tiff: bytes, tags: dict[int, Any]) -> bytes:
    """The TIFF file with tags added to its directory, which is written anew at the end.

    Pillow cannot write the groups of EXIF into a compressed TIFF: libtiff refuses them.
    """
    order = "<" if tiff[:2] == b"II" else ">"
    extra = TiffImagePlugin.ImageFileDirectory_v2(tiff[:8])
    for tag, value in tags.items():
        extra[tag] = value
    tiff += b"\0" * (len(tiff) % 2)
    extra_start, (main_start,) = len(tiff), struct.unpack_from(order + "L", tiff, 4)
    tiff += extra.tobytes(extra_start)
    entries = {}
    for start in (extra_start, main_start):  # the picture's own tags win
        (count,) = struct.unpack_from(order + "H", tiff, start)
        for at in range(start + 2, start + 2 + 12 * count, 12):
            entries[struct.unpack_from(order + "H", tiff, at)] = tiff[at : at + 12]
    directory = struct.pack(order + "H", len(entries))
    directory += b"".join(entries[tag] for tag in sorted(entries)) + bytes(4)
    return tiff[:4] + struct.pack(order + "L", len(tiff)) + tiff[8:] + directory


def find_record(image: Image.Image) -> str | None:
    """The record that cnnart put into the file this image was opened from, or None."""
    text = image.info.get(RECORD_KEY)
    if text is None and isinstance(image, PngImagePlugin.PngImageFile):
        text = image.text.get(RECORD_KEY)  # decodes the picture: the chunk may have moved behind it
    if text is not None:
        return str(text)
    comment = image.info.get("comment", b"")  # of a GIF; a JPEG's is somebody else's
    if image.format == "GIF" and comment.startswith(b"{"):
        return str(comment.decode(errors="replace"))
    packet = image.info.get("xmp")
    if packet is None and isinstance(image, TiffImagePlugin.TiffImageFile):
        packet = image.tag_v2.get(XMP_TAG)
    if not isinstance(packet, bytes):
        return None
    found = re.search(
        r"<cnnart:record>(.*?)</cnnart:record>", packet.decode(errors="replace"), re.S
    )
    return html.unescape(found[1]) if found else None
