"""Reading pictures of any origin, refusing what is none, masks and sizes."""

import contextlib
import io
import struct
import threading
import warnings
from types import SimpleNamespace

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from PIL import Image

from cnnart.errors import ImageError, UsageError
from cnnart.image import (
    MAX_PIXELS,
    Picture,
    fit_long_side,
    read_image,
    read_mask,
    read_record,
    resize,
    to_picture,
    write_image,
)

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


def test_orientation_of_16_bit_grey(tmp_path):
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
    assert (picture.alpha, picture.dpi, picture.exif, picture.grey) == (None, None, None, False)


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
        (b"\0\0\0\x18ftypheic\0\0\0\0", "a HEIC picture"),
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


def test_too_many_pixels_is_found_before_decoding(tmp_path):
    path = file(tmp_path, "a.bmp", Image.new("1", (200, 100)))
    path.write_bytes(path.read_bytes()[:80])  # undecodable: only its header is looked at
    assert refusal(path, max_pixels=19_999) == (
        f"{path}: the picture has 20,000 pixels, the limit is 19,999;"
        " if you trust the file, allow more with --max-pixels 20000."
    )


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


# ---- to_picture -----------------------------------------------------------------------------


def test_arrays():
    rgb = PIXELS.astype(np.float32) / 255
    for array in (PIXELS, PIXELS.astype(np.uint16) * 257, rgb, rgb.astype(np.float64)):
        assert np.allclose(hwc(to_picture(array).rgb), rgb, atol=1e-6)
    assert np.array_equal(hwc(to_picture(PIXELS[::-1, ::-1]).rgb), rgb[::-1, ::-1])


def test_grey_arrays_and_arrays_with_alpha():
    grey = to_picture(PIXELS[..., 0])
    assert grey.grey
    assert grey.alpha is None
    assert np.array_equal(grey.rgb[0, 1].numpy(), PIXELS[..., 0].astype(np.float32) / 255)
    both = to_picture(np.dstack([PIXELS, np.full((6, 9), 51, np.uint8)]))
    assert not both.grey
    assert np.allclose(both.alpha, 0.2)
    assert np.array_equal(hwc(both.rgb), PIXELS.astype(np.float32) / 255)


def test_transparent_pixels_of_arrays_are_bled():
    array = np.zeros((4, 4, 4), np.uint8)
    array[:2] = [200, 100, 50, 255]
    assert np.allclose(hwc(to_picture(array).rgb) * 255, [200, 100, 50], atol=1e-3)


def test_tensors():
    rgb = torch.rand(1, 3, 4, 5)
    assert torch.equal(to_picture(rgb).rgb, rgb)
    assert torch.equal(to_picture(rgb[0]).rgb, rgb)
    assert torch.allclose(to_picture((rgb * 255).to(torch.uint8)).rgb, rgb, atol=1 / 255)
    assert torch.allclose(to_picture(rgb.bfloat16()).rgb, rgb, atol=1e-2)
    assert not to_picture(rgb.requires_grad_()).rgb.requires_grad


def test_pil_images_pictures_and_paths(tmp_path):
    image = Image.fromarray(PIXELS)
    picture = to_picture(image)
    assert np.array_equal(hwc(picture.rgb), PIXELS.astype(np.float32) / 255)
    assert to_picture(picture) is picture
    path = file(tmp_path)
    for source in (path, str(path), io.BytesIO(path.read_bytes())):
        assert torch.equal(to_picture(source).rgb, picture.rgb)


def test_a_pil_image_is_turned_upright_and_not_changed(tmp_path):
    tags = Image.Exif()
    tags[0x0112] = 6
    with Image.open(file(tmp_path, exif=tags)) as image:
        assert np.array_equal(hwc(to_picture(image).rgb), np.rot90(PIXELS, -1) / np.float32(255))
        assert image.size == (9, 6)
        assert image.getexif()[0x0112] == 6


def test_a_damaged_pil_image(tmp_path):
    path = file(tmp_path, "a.bmp")
    path.write_bytes(path.read_bytes()[:100])
    with (
        Image.open(path) as image,
        pytest.raises(ImageError, match="truncated or damaged") as caught,
    ):
        to_picture(image)
    assert str(caught.value).startswith(f"{path}: ")


@pytest.mark.parametrize(
    ("obj", "says"),
    [
        (np.zeros((3, 8, 9)), "must be HxW, HxWx3 or HxWx4, not 3x8x9"),
        (np.zeros((8, 9, 2)), "not 8x9x2"),
        (np.zeros((0, 9)), "not 0x9"),
        (np.zeros((8, 9), np.int64), "not int64"),
        (np.full((8, 9), 255.0), "must lie in [0, 1], and this one spans 255..255"),
        (np.full((8, 9), np.nan), "spans nan..nan"),
        (torch.zeros(8, 9, 3), "must be 3xHxW or 1x3xHxW, not 8x9x3"),
        (torch.zeros(2, 3, 8, 9), "not 2x3x8x9"),
        (torch.zeros(3, 8, 9, dtype=torch.int64), "not torch.int64"),
        (torch.full((3, 8, 9), -0.5), "spans -0.5..-0.5"),
        (Image.new("RGB", (0, 4)), "<image>: the picture is empty."),
        (7, "not int"),
    ],
)
def test_what_makes_no_picture(obj, says):
    with pytest.raises(UsageError) as caught:
        to_picture(obj)
    assert says in str(caught.value)


# ---- masks ----------------------------------------------------------------------------------


def test_mask_is_the_luminance():
    array = np.array([[0, 51, 255]], np.uint8)
    assert torch.allclose(read_mask(array), torch.tensor([[[[0, 0.2, 1]]]]))
    colors = np.array([[[255, 0, 0], [0, 255, 0], [0, 0, 255]]], np.uint8)
    assert torch.allclose(read_mask(colors), torch.tensor([[[[0.299, 0.587, 0.114]]]]))


def test_mask_multiplies_luminance_and_alpha():
    array = np.array([[[255, 255, 255, 255], [255, 255, 255, 51], [0, 0, 0, 255]]], np.uint8)
    assert torch.allclose(read_mask(array), torch.tensor([[[[1, 0.2, 0]]]]), atol=1e-6)


@pytest.mark.parametrize("color", [(0, 0, 0), (255, 255, 255), (200, 10, 10)])
def test_mask_of_a_cut_out_shape_is_its_alpha(color, tmp_path):
    image = Image.new("RGBA", (4, 1), (90, 80, 70, 0))
    image.putpixel((1, 0), (*color, 255))
    image.putpixel((2, 0), (*color, 102))
    expected = torch.tensor([[[[0, 1, 0.4, 0]]]])
    assert torch.allclose(read_mask(image), expected)
    assert torch.allclose(read_mask(file(tmp_path, image=image)), expected)


def test_mask_without_alpha_may_be_constant():
    assert (read_mask(np.full((2, 3), 255, np.uint8)) == 1).all()
    assert (read_mask(np.zeros((2, 3), bool)) == 0).all()


def test_mask_of_a_mask():
    mask = torch.rand(1, 1, 5, 6)
    assert torch.allclose(read_mask(mask), mask, atol=1e-6)


# ---- sizes ----------------------------------------------------------------------------------


def test_resize_to_the_same_size_changes_nothing():
    image = torch.rand(1, 3, 7, 5)
    assert torch.equal(resize(image, 7, 5), image)


@pytest.mark.parametrize("size", [(3, 2), (14, 10), (1, 1), (7, 40)])
def test_resize_agrees_with_pillow(size):
    image = torch.rand(1, 3, 7, 5, generator=torch.Generator().manual_seed(1))
    for channel, resized in zip(image[0], resize(image, *size)[0], strict=True):
        expected = Image.fromarray(channel.numpy()).resize(size[::-1], Image.Resampling.BICUBIC)
        assert np.allclose(resized.numpy(), np.clip(np.asarray(expected), 0, 1), atol=1e-4)


def test_resize_averages_a_checkerboard_away():
    board = (torch.arange(64)[:, None] + torch.arange(64)).remainder(2).float()[None, None]
    assert torch.allclose(resize(board, 16, 16)[..., 2:-2, 2:-2], torch.tensor(0.5), atol=0.02)


def test_resize_clamps_only_what_was_within():
    step = torch.zeros(1, 3, 4, 8)
    step[..., 4:] = 1
    assert 0 <= float(resize(step, 8, 16).min()) <= float(resize(step, 8, 16).max()) <= 1
    assert float(resize(step * 2, 8, 16).max()) > 2
    with pytest.raises(UsageError, match="0x5"):
        resize(step, 0, 5)


@given(*[st.integers(1, 10_000)] * 3)
@settings(max_examples=200, deadline=None)
def test_fit_long_side(height, width, long_side):
    fitted = fit_long_side(height, width, long_side)
    assert max(fitted) == long_side
    assert min(fitted) >= 1
    assert (fitted[0] >= fitted[1]) if height >= width else (fitted[0] <= fitted[1])
    assert fit_long_side(width, height, long_side) == fitted[::-1]
    short = min(height, width) * long_side / max(height, width)
    assert abs(min(fitted) - max(1, short)) <= 0.5 + 1e-9
    assert fit_long_side(height, width, max(height, width)) == (height, width)


def test_fit_long_side_refuses_nothing_sized():
    with pytest.raises(UsageError, match="1 or more"):
        fit_long_side(10, 10, 0)


def test_pictures_are_values():
    with pytest.raises(AttributeError):
        Picture(torch.zeros(1, 3, 1, 1)).rgb = None  # type: ignore[misc]
