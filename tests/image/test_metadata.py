"""What of a photo's metadata is fit for others."""

import pytest
from PIL import ExifTags, Image
from PIL.TiffImagePlugin import IFDRational

from cnnart.image.metadata import PUBLIC_TAGS, kept_exif, public_exif
from cnnart.image.read import read_image
from cnnart.image.write import write_image

SECRETS = {
    "place": {0x8825: {1: "N", 2: (48.0, 8.0, 12.0), 29: "2024:01:02"}},
    "description": {0x010E: "at aunt secret's"},
    "computer": {0x013C: "secret's laptop"},
    "title of Windows": {0x9C9B: "secret".encode("utf-16-le")},
    "maker note": {0x8769: {0x927C: b"secret" * 20}},
    "comment": {0x8769: {0x9286: b"ASCII\0\0\0secret"}},
    "camera's serial number": {0x8769: {0xA431: "secret-1"}},
    "lens's serial number": {0x8769: {0xA435: "secret-2"}},
    "artist": {0x013B: "Alice secret"},
    "owner": {0x8769: {0xA430: "Alice secret"}},
    "unique id": {0x8769: {0xA420: "secret" * 5}},
    "photographer (3.0)": {0x8769: {0xA437: "secret"}},
    "what no standard knows": {0x8769: {0xFDE8: "secret"}, 0xFDE9: "secret"},
}
WANTED = {
    0x010F: "Maker",
    0x0110: "Model",
    0x0132: "2024:01:02 03:04:05",
    0x8298: "© Jürgen".encode(),
    0x8769: {0x9003: "2024:01:02 03:04:05", 0x829D: IFDRational(28, 10), 0xA434: "50mm F1.8"},
}


def block(*parts):
    tags = Image.Exif()
    for part in parts:
        for tag, value in part.items():
            tags[tag] = {**tags.get(tag, {}), **value} if isinstance(value, dict) else value
    return tags.tobytes()


def public(*parts):
    tags = Image.Exif()
    tags.load(public_exif(block(*parts)) or b"")
    return tags


@pytest.mark.parametrize("secret", SECRETS.values(), ids=SECRETS)
def test_what_is_private_stays_out(secret):
    assert public_exif(block(secret)) is None
    kept = public_exif(block(WANTED, secret))
    assert b"secret" not in kept
    assert "secret".encode("utf-16-le") not in kept
    assert ExifTags.IFD.GPSInfo not in public(WANTED, secret)


def test_what_people_want_is_kept():
    tags = public(WANTED, *SECRETS.values())
    assert (tags[0x010F], tags[0x0110], tags[0x0132]) == ("Maker", "Model", "2024:01:02 03:04:05")
    assert tags[0x8298].encode("latin-1").decode() == "© Jürgen"
    details = tags.get_ifd(0x8769)
    assert (details[0x9003], details[0xA434]) == ("2024:01:02 03:04:05", "50mm F1.8")
    assert float(details[0x829D]) == 2.8
    assert not PUBLIC_TAGS & {0x010E, 0x013C, 0x8825, 0x927C, 0x9286, 0xA420, 0xA430, 0xA431}


@pytest.mark.parametrize("broken", [None, b"", b"junk", b"Exif\0\0II*\0\xff\xff\xff\xff"])
@pytest.mark.filterwarnings("ignore:Corrupt EXIF")
def test_nothing_comes_of_nothing(broken):
    assert public_exif(broken) is None


def test_exif_that_cannot_be_written_does_not_cost_the_picture(tmp_path):
    photo = read_image(save(tmp_path))
    for suffix in ("png", "jpg", "webp", "tiff"):
        path = tmp_path / f"out.{suffix}"
        write_image(path, photo.rgb, exif=b"Exif\0\0junk", record="{}", dpi=(1e12, float("nan")))
        assert read_image(path).exif is None
        assert read_image(path).dpi in (None, (96, 96), (72, 72))


def save(folder):
    Image.new("RGB", (6, 4)).save(folder / "photo.jpg", exif=block(WANTED))
    return folder / "photo.jpg"


def test_all_that_was_kept_is_still_there_for_who_asks(tmp_path):
    Image.new("RGB", (6, 4)).save(
        tmp_path / "p.jpg", exif=block(WANTED, SECRETS["place"], SECRETS["owner"])
    )
    with Image.open(tmp_path / "p.jpg") as image:
        tags = Image.Exif()
        tags.load(kept_exif(image))
    assert tags.get_ifd(0x8825)[2] == (48.0, 8.0, 12.0)
    assert tags.get_ifd(0x8769)[0xA430] == "Alice secret"
