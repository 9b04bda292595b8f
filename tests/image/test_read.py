"""Reading pictures of any origin and refusing what is none."""

import contextlib
import io
import struct
import threading
import warnings
from types import SimpleNamespace

import numpy as np
import pytest
import torch
from PIL import Image

from cnnart.errors import ImageError, UsageError
from cnnart.image.metadata import sensible_dpi
from cnnart.image.picture import alpha_like
from cnnart.image.read import MAX_PIXELS, read_image, read_record
from cnnart.image.write import write_image

RNG = np.random.default_rng(11)
PIXELS = RNG.integers(0, 256, (6, 9, 3), dtype=np.uint8)


def file(tmp_path, name="a.png", image=None, **options):
    path = tmp_path / name
    (image or Image.fromarray(PIXELS)).save(path, **options)
    return path


def hwc(tensor):
    return tensor[0].permute(1, 2, 0).numpy()


def refusal(source, **options):
    """The one line with which a source is refused."""
    with pytest.raises(ImageError) as caught:
        read_image(source, **options)
    assert "\n" not in str(caught.value)
    return str(caught.value)


# ---- reading --------------------------------------------------------------------------------


def test_a_path_as_text_as_path_and_as_stream(tmp_path):
    path = file(tmp_path)
    for source in (str(path), path, io.BytesIO(path.read_bytes())):
        assert np.array_equal(hwc(read_image(source).rgb), PIXELS.astype(np.float32) / 255)
    assert read_image(path).source == str(path)
    with path.open("rb") as stream:
        assert read_image(stream).source == str(path)


def test_a_stream_that_cannot_seek(tmp_path):
    data = file(tmp_path).read_bytes()
    pipe = SimpleNamespace(read=lambda: data, name="<stdin>")
    picture = read_image(pipe)
    assert picture.source == "<stdin>"
    assert picture.rgb.shape == (1, 3, 6, 9)


def test_files_that_cannot_be_opened(tmp_path, monkeypatch):
    name = f"{tmp_path}/a\0.png"
    assert "the file cannot be opened (no file's name holds a NUL" in refusal(name)
    monkeypatch.setattr("os.access", lambda path, mode: False)
    assert "no permission to look into this folder" in refusal(tmp_path)


def test_pixels_that_pillow_cannot_convert(tmp_path, monkeypatch):
    def fail(image, told):
        raise ValueError("conversion not supported")

    monkeypatch.setattr("cnnart.image.read.unpack", fail)
    line = refusal(file(tmp_path))
    assert "pixels of mode RGB cannot be converted (conversion not supported)." in line


def test_a_text_stream_is_a_mistake_of_the_caller():
    with pytest.raises(UsageError, match="binary stream"):
        read_image(io.StringIO("hello"))


@pytest.mark.parametrize("name", ["schönes Bild.png", "富嶽三十六.jpg", "🎨 ñ.webp", "Ж.tiff"])
def test_unicode_paths(tmp_path, name):
    path = tmp_path / "größe 漢字" / name
    write_image(path, torch.rand(1, 3, 4, 5))
    assert read_image(path).rgb.shape == (1, 3, 4, 5)
    assert read_image(str(path)).source.endswith(name)


UPRIGHT = {
    1: lambda a: a,
    2: lambda a: a[:, ::-1],
    3: lambda a: a[::-1, ::-1],
    4: lambda a: a[::-1],
    5: lambda a: a.swapaxes(0, 1),
    6: lambda a: np.rot90(a, -1),
    7: lambda a: np.rot90(a, 2).swapaxes(0, 1),
    8: lambda a: np.rot90(a, 1),
}


@pytest.mark.parametrize("orientation", UPRIGHT)
@pytest.mark.parametrize("suffix", ["png", "tiff"])
def test_exif_orientation(tmp_path, orientation, suffix):
    tags = Image.Exif()
    tags[0x0112], tags[0x010F] = orientation, "Camera"
    path = file(tmp_path, f"a.{suffix}", exif=tags)
    picture = read_image(path)
    assert np.array_equal(hwc(picture.rgb), UPRIGHT[orientation](PIXELS).astype(np.float32) / 255)
    carried = Image.Exif()
    carried.load(picture.exif)
    assert dict(carried) == {0x010F: "Camera"}


def test_orientation_of_16_bit_gray(tmp_path):
    tags = Image.Exif()
    tags[0x0112] = 6
    pixels = RNG.integers(0, 65536, (3, 5)).astype(np.uint16)
    path = file(tmp_path, "a.png", Image.fromarray(pixels), exif=tags)
    assert np.allclose(read_image(path).rgb[0, 0], np.rot90(pixels, -1) / 65535, atol=1e-6)


def test_broken_exif_does_not_cost_the_picture(tmp_path):
    path = file(tmp_path, "a.jpg", exif=b"Exif\0\0II*\0\xff\xff\xff\xff junk")
    picture = read_image(path)
    assert picture.rgb.shape == (1, 3, 6, 9)
    assert picture.exif is None


def test_dpi(tmp_path):
    assert read_image(file(tmp_path)).dpi is None
    assert read_image(file(tmp_path, "a.jpg", dpi=(300, 150))).dpi == (300, 150)
    assert read_image(file(tmp_path, "b.png", dpi=(300, 150))).dpi == pytest.approx(
        (300, 150), 1e-3
    )


def test_defaults_of_a_plain_picture(tmp_path):
    picture = read_image(file(tmp_path))
    assert (picture.alpha, picture.dpi, picture.exif, picture.gray) == (None, None, None, False)


# ---- what is told ---------------------------------------------------------------------------


@pytest.mark.parametrize("name", ["GIF", "PNG", "WEBP", "TIFF"])
def test_of_several_pictures_the_first_is_used_and_said_so(tmp_path, name):
    path = tmp_path / f"a.{name.lower()}"
    first, second = Image.fromarray(PIXELS), Image.new("RGB", (9, 6), "blue")
    first.save(
        path,
        name,
        save_all=True,
        append_images=[second],
        **{"lossless": True} if name == "WEBP" else {},
    )
    picture = read_image(path)
    if name != "GIF":
        assert np.array_equal(hwc(picture.rgb), PIXELS.astype(np.float32) / 255)
    (line,) = picture.warnings
    assert line.startswith(f"{path}: ")
    assert line.endswith("the first is used." if name == "TIFF" else "its first picture is used.")
    first.save(path, name)
    assert read_image(path).warnings == ()


def test_a_second_frame_that_is_damaged_does_not_cost_the_first(tmp_path):
    path = tmp_path / "a.gif"
    frames = [Image.fromarray(RNG.integers(0, 256, (40, 40), dtype=np.uint8)) for _ in "12"]
    frames[0].save(path, save_all=True, append_images=frames[1:])
    whole = read_image(path)
    for end in range(len(path.read_bytes()) - 12, len(path.read_bytes())):
        (tmp_path / "b.gif").write_bytes(path.read_bytes()[:end])
        assert torch.equal(read_image(tmp_path / "b.gif").rgb, whole.rgb)


def test_a_picture_that_is_transparent_everywhere(tmp_path):
    path = file(tmp_path, image=Image.new("RGBA", (4, 3), (9, 9, 9, 0)))
    picture = read_image(path)
    assert picture.warnings == (
        f"{path}: it is transparent everywhere, and taken as if it were not.",
    )
    assert alpha_like(picture.alpha, picture.rgb) is None


@pytest.mark.parametrize("dpi", [0.01, 1e9, float("nan"), -72])
def test_absurd_resolutions_are_ignored(dpi):
    assert sensible_dpi((dpi, 72)) is sensible_dpi((72, dpi)) is None
    assert sensible_dpi((72, 72)) == (72, 72)


def test_what_pillow_logs_does_not_reach_standard_error(tmp_path, capfd):
    path = tmp_path / "a.tif"
    Image.fromarray(PIXELS).save(path)
    data = path.read_bytes()
    at = data.index(struct.pack("<HHL", 277, 3, 1)) + 8  # SamplesPerPixel
    path.write_bytes(data[:at] + b"\xff\xff" + data[at + 2 :])
    refusal(path)
    assert capfd.readouterr().err == ""


# ---- refusing -------------------------------------------------------------------------------


def test_missing_file(tmp_path):
    path = tmp_path / "nö.png"
    assert refusal(path) == f"{path}: there is no such file; check the path."


def test_folder(tmp_path):
    assert refusal(tmp_path) == f"{tmp_path}: this is a folder, not a picture; name a file in it."


def test_path_through_a_file(tmp_path):
    path = file(tmp_path) / "b.png"
    assert refusal(path).startswith(f"{path}: ")


@pytest.mark.parametrize(
    ("content", "says"),
    [
        (b"", "the file is empty"),
        (b"version https://git-lfs.github.com/spec/v1\noid sha256:0\n", "a git-lfs pointer"),
        (b"<!DOCTYPE html><html>", "a web page (HTML)"),
        (b"\n  <html lang='en'>", "a web page (HTML)"),
        (b"<?xml version='1.0'?><svg xmlns='http://www.w3.org/2000/svg'/>", "an SVG drawing"),
        ("Grüße, dies ist Text.\n".encode(), "a text file"),
        (b"\0\0\0\x18ftypheic\0\0\0\0", "a HEIC photo"),
        (bytes(range(256)), "not a picture in a format that can be read"),
    ],
)
def test_what_is_no_picture_is_named(tmp_path, content, says):
    path = tmp_path / "photo.jpg"
    path.write_bytes(content)
    line = refusal(path)
    assert line.startswith(f"{path}: ")
    assert says in line
    assert refusal(io.BytesIO(content)).startswith("<stream>: ")


@pytest.mark.parametrize("name", ["a.png", "a.jpg", "a.tiff", "a.webp", "a.gif", "a.bmp"])
@pytest.mark.parametrize("kept", [0.5, 0.97])
def test_truncated_file(tmp_path, name, kept):
    noise = RNG.integers(0, 256, (64, 64, 3), dtype=np.uint8)
    path = file(tmp_path, name, Image.fromarray(noise))
    data = path.read_bytes()
    path.write_bytes(data[: int(len(data) * kept)])
    line = refusal(path)
    assert line.startswith(f"{path}: the file is truncated or damaged (")
    assert line.endswith("); get it again.")


def test_bytes_changed_at_random_never_escape_as_another_error():
    """Whatever a decoder raises on damaged bytes, the caller sees a picture or an ImageError."""
    rng = np.random.default_rng(3)
    for name in ("PNG", "JPEG", "WEBP", "TIFF", "GIF", "BMP"):
        buffer = io.BytesIO()
        Image.fromarray(PIXELS).save(buffer, name)
        for _ in range(30):
            data = np.frombuffer(buffer.getvalue(), np.uint8).copy()
            data[rng.integers(0, min(len(data), 300), 4)] = rng.integers(0, 256, 4)
            with contextlib.suppress(ImageError):
                picture = read_image(io.BytesIO(data.tobytes()), max_pixels=100_000)
                assert bool(torch.isfinite(picture.rgb).all())


def test_an_unforeseen_error_of_a_decoder_is_reported_in_one_line(tmp_path, monkeypatch):
    def fail(self):
        raise RuntimeError("plane 0:\nfailed")

    path = file(tmp_path, "a.bmp")
    monkeypatch.setattr("PIL.ImageFile.ImageFile.load", fail)
    reason = "the file is truncated or damaged (plane 0: failed); get it again."
    assert refusal(path) == f"{path}: {reason}"


@pytest.mark.parametrize("error", [NotImplementedError(), OSError("Unsupported BMP depth (2)")])
def test_a_kind_of_picture_that_is_not_known_is_not_called_damaged(tmp_path, monkeypatch, error):
    def fail(self):
        raise error

    path = file(tmp_path, "a.bmp")
    monkeypatch.setattr("PIL.BmpImagePlugin.BmpImageFile._open", fail)
    line = refusal(path)
    assert line.startswith(f"{path}: this kind of picture cannot be read (")
    assert line.endswith("); save it as PNG first.")


def test_too_many_pixels_is_found_before_decoding(tmp_path):
    path = file(tmp_path, "a.bmp", Image.new("1", (200, 100)))
    path.write_bytes(path.read_bytes()[:80])  # undecodable: only its header is looked at
    assert refusal(path, max_pixels=19_999) == (
        f"{path}: the picture has 20,000 pixels, the limit is 19,999;"
        " if you trust the file, allow more with `max_pixels` 20000."
    )


def test_a_gif_with_a_huge_canvas_takes_no_memory(tmp_path, monkeypatch):
    """Pillow makes the canvas as it opens the file."""
    path = file(tmp_path, "a.gif", Image.fromarray(PIXELS))
    data = bytearray(path.read_bytes())
    data[6:10] = b"\xff" * 4
    path.write_bytes(data)
    monkeypatch.setattr(Image.core, "fill", lambda *given: pytest.fail("memory was taken"))
    assert "the picture has 4,294,836,225 pixels, the limit is 200,000,000" in refusal(path)


def test_the_limit_is_ours_not_pillows(tmp_path, monkeypatch):
    path = file(tmp_path)
    monkeypatch.setattr(Image, "MAX_IMAGE_PIXELS", 5)  # Pillow alone would refuse from 11
    assert read_image(path, max_pixels=54).rgb.shape == (1, 3, 6, 9)
    assert "54 pixels, the limit is 53" in refusal(path, max_pixels=53)
    assert Image.MAX_IMAGE_PIXELS == 5
    assert MAX_PIXELS == 200_000_000


def test_a_bomb_inside_an_icon(tmp_path):
    """An .icns may declare 128x128 and hold a huge PNG, which shows only while decoding."""
    png = io.BytesIO()
    Image.new("L", (4000, 300)).save(png, "PNG")
    data = png.getvalue()
    path = tmp_path / "a.icns"
    header = struct.pack(">4sL4sL", b"icns", 16 + len(data), b"ic07", 8 + len(data))
    path.write_bytes(header + data)
    assert "larger than it declares" in refusal(path, max_pixels=20_000)


def test_pillow_is_left_as_it_was_and_silent(tmp_path):
    path = file(tmp_path)
    before = Image.MAX_IMAGE_PIXELS
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        threads = [threading.Thread(target=read_image, args=(path,)) for _ in range(8)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
        refusal(tmp_path / "no")
        refusal(path, max_pixels=1)
    assert before == Image.MAX_IMAGE_PIXELS


def test_read_record_refuses_like_read_image(tmp_path):
    with pytest.raises(ImageError, match="no such file"):
        read_record(tmp_path / "a.png")
    path = file(tmp_path)
    assert read_record(path) is None
    with pytest.raises(ImageError, match="54 pixels, the limit is 53"):
        read_record(path, max_pixels=53)


class Failing(io.BytesIO):
    def read(self, size=-1):
        raise OSError(5, "Input/output error")


def test_a_disk_that_fails_is_not_taken_for_a_damaged_file(tmp_path, monkeypatch):
    def fail(*given):
        raise OSError(5, "Input/output error")

    stream = io.BytesIO(file(tmp_path).read_bytes())
    stream.seek(0)
    monkeypatch.setattr("cnnart.image.read.open_file", lambda path, pipes: stream)
    monkeypatch.setattr("cnnart.image.png_chunks.without_long_chunks", fail)
    line = refusal(tmp_path / "a.png")
    assert "a.png: the file cannot be read (input/output error: the disk, or the way to" in line
    stream = Failing()
    with pytest.raises(ImageError, match="cannot be read"):
        read_image(tmp_path / "a.png")
