"""Writing: exact round trips, what travels in the metadata, and never half a file."""

import errno
import io
import os
from pathlib import Path

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra import numpy as arrays
from PIL import Image, ImageCms

from cnnart.errors import ImageError, UsageError
from cnnart.image.read import read_image, read_record, to_picture
from cnnart.image.write import encode, output_format, run_lengths_do, to_pil, write_image

FORMATS = ["png", "jpg", "webp", "tiff"]
RECORD = '{"title": "Grüße — 漢字 🎨", "raw": "<b>&amp;\\"\\n</cnnart>", "seed": 7}'
NOISE = torch.rand(1, 3, 24, 32, generator=torch.Generator().manual_seed(5))
SMOOTH = torch.linspace(0, 1, 32).expand(1, 3, 24, 32).contiguous()


def exif():
    tags = Image.Exif()
    tags[0x010F], tags[0x8298] = "Camera", "© Jürgen".encode()
    tags[0x8769] = {0x9003: "2020:02:03 04:05:06", 0x829A: 0.01, 0xA001: 2, 0xA002: 999}
    tags[0x8825] = {1: "N", 2: (48.0, 1.0, 2.0)}
    tags[0x0112] = 6
    return tags.tobytes()


def names(folder):
    return [path.name for path in folder.iterdir()]


def tags_of(block):
    tags = Image.Exif()
    tags.load(block)
    groups = {key: tags.get_ifd(key) for key in (0x8769, 0x8825)}
    return {k: v for k, v in tags.items() if k not in groups}, groups


@given(arrays.arrays(np.uint8, st.tuples(st.integers(1, 9), st.integers(1, 9), st.just(3))))
@settings(max_examples=40, deadline=None)
def test_png_gives_back_every_8_bit_value(pixels):
    buffer = io.BytesIO()
    write_image(buffer, to_picture(pixels).rgb)
    buffer.seek(0)
    assert np.array_equal(np.asarray(Image.open(buffer)), pixels)
    buffer.seek(0)
    assert torch.equal(read_image(buffer).rgb, to_picture(pixels).rgb)


def png(image, **options):
    buffer = io.BytesIO()
    image.save(buffer, "PNG", **options)
    return buffer.getvalue()


def test_a_png_is_compressed_by_what_suits_the_picture():
    """By run lengths in a quarter of the time, unless a search for repetitions saves bytes."""
    x = torch.linspace(0, 20, 256)
    waves = (torch.sin(x)[:, None] * torch.cos(1.3 * x) + 1) / 2
    noise = torch.rand(1, 3, 256, 256, generator=torch.Generator().manual_seed(1))
    painting = to_pil(0.8 * waves + 0.2 * noise)
    letters = to_pil(noise[..., :16, :16].round().repeat(1, 1, 16, 16))  # repeats itself
    assert run_lengths_do(painting)
    assert not run_lengths_do(letters)
    for image in (painting, letters, painting.crop((0, 0, 256, 20))):
        data = encode(image, "PNG", 95, {})
        assert data == encode(image, "PNG", 95, {})
        assert len(data) <= 1.03 * len(png(image))
        assert Image.open(io.BytesIO(data)).tobytes() == image.tobytes()


@pytest.mark.parametrize("name", ["a.png", "a.tif", "a.TIFF"])
def test_lossless_formats_are_exact_with_alpha(tmp_path, name):
    alpha = NOISE[:, :1].clamp(0.1, 1)
    write_image(tmp_path / name, NOISE, alpha=alpha)
    picture = read_image(tmp_path / name)
    assert torch.equal(picture.rgb, (NOISE * 255).round() / 255)
    assert torch.equal(picture.alpha, (alpha * 255).round() / 255)


def test_webp_at_100_is_lossless(tmp_path):
    write_image(tmp_path / "a.webp", NOISE, quality=100)
    assert torch.equal(read_image(tmp_path / "a.webp").rgb, (NOISE * 255).round() / 255)
    write_image(tmp_path / "b.webp", NOISE, quality=95)
    assert not torch.equal(read_image(tmp_path / "b.webp").rgb, (NOISE * 255).round() / 255)


@pytest.mark.parametrize("name", ["a.jpg", "a.jpeg", "a.JPG", "a.webp"])
def test_lossy_formats_are_close(tmp_path, name):
    write_image(tmp_path / name, SMOOTH)
    assert (read_image(tmp_path / name).rgb - SMOOTH).abs().max() < 4 / 255


def test_jpeg_keeps_full_color_resolution_and_obeys_quality(tmp_path):
    write_image(tmp_path / "a.jpg", NOISE)
    write_image(tmp_path / "b.jpg", NOISE, quality=30)
    with Image.open(tmp_path / "a.jpg") as image:
        assert [layer[1:3] for layer in image.layer] == [(1, 1)] * 3
    assert (tmp_path / "b.jpg").stat().st_size < (tmp_path / "a.jpg").stat().st_size / 1.5


@pytest.mark.parametrize("quality", [90, 95, 100])
def test_jpeg_of_pure_noise(quality):
    """Noise outgrows the buffer that Pillow reserves for an optimized JPEG."""
    noise = torch.rand(1, 3, 600, 600).round()
    buffer = io.BytesIO()
    write_image(buffer, noise, format="jpg", quality=quality)
    buffer.seek(0)
    assert read_image(buffer).rgb.shape == noise.shape


def test_values_are_rounded_and_clamped():
    rgb = (
        torch.tensor([-1.0, 0.4, 0.6, 254.4, 254.6, 900.0]).view(1, 1, 1, 6).expand(1, 3, 1, 6)
        / 255
    )
    assert np.asarray(to_pil(rgb))[0, :, 0].tolist() == [0, 0, 1, 254, 255, 255]


def test_any_dtype_and_a_graph():
    assert np.asarray(to_pil(NOISE.double().requires_grad_())).shape == (24, 32, 3)
    assert np.asarray(to_pil(NOISE.bfloat16(), NOISE[:, :1])).shape == (24, 32, 4)


@pytest.mark.parametrize("value", [float("nan"), float("inf")])
def test_a_picture_with_nan_is_not_written(tmp_path, value):
    rgb = NOISE.clone()
    rgb[0, 1, 3, 4] = value
    with pytest.raises(ImageError, match="NaN or infinite"):
        write_image(tmp_path / "a.png", rgb)
    assert list(tmp_path.iterdir()) == []


def test_jpeg_lays_transparency_over_white(tmp_path):
    alpha = torch.zeros(1, 1, 16, 32)
    alpha[..., 16:] = 1
    write_image(tmp_path / "a.jpg", torch.zeros(1, 3, 16, 32), alpha=alpha)
    rgb = read_image(tmp_path / "a.jpg").rgb
    assert (rgb[..., :16] > 0.99).all()
    assert (rgb[..., 16:] < 0.01).all()


@pytest.mark.parametrize("format", FORMATS)
def test_the_record_survives(tmp_path, format):
    path = tmp_path / f"a.{format}"
    write_image(path, NOISE, alpha=NOISE[:, :1], record=RECORD, exif=exif(), dpi=(300, 300))
    assert read_record(path) == RECORD
    assert read_record(io.BytesIO(path.read_bytes())) == RECORD
    write_image(path, NOISE)
    assert read_record(path) is None


def test_a_long_record(tmp_path):
    record = "ü" * 20_000
    for format in FORMATS:
        write_image(tmp_path / f"a.{format}", NOISE, record=record)
        assert read_record(tmp_path / f"a.{format}") == record
    with pytest.raises(ImageError, match=r"big\.jpg: cannot encode the picture as JPEG"):
        write_image(tmp_path / "big.jpg", NOISE, record=record * 3)


def test_a_record_behind_the_pixels_of_a_png_is_found(tmp_path):
    write_image(tmp_path / "a.png", NOISE, record=RECORD)
    data = (tmp_path / "a.png").read_bytes()
    at = data.index(b"iTXt") - 4
    end = at + 12 + int.from_bytes(data[at : at + 4], "big")
    iend = data.index(b"IEND") - 4
    (tmp_path / "a.png").write_bytes(data[:at] + data[end:iend] + data[at:end] + data[iend:])
    assert read_record(tmp_path / "a.png") == RECORD


@pytest.mark.parametrize("format", FORMATS)
def test_profile_dpi_and_exif_travel(tmp_path, format):
    source = tmp_path / "photo.jpg"
    Image.new("RGB", (6, 4)).save(source, exif=exif(), dpi=(240, 120))
    photo = read_image(source)
    path = tmp_path / f"out.{format}"
    write_image(path, photo.rgb, dpi=photo.dpi, exif=photo.exif, record=RECORD)
    with Image.open(path) as image:
        profile = ImageCms.ImageCmsProfile(io.BytesIO(image.info["icc_profile"]))
        assert "sRGB" in ImageCms.getProfileDescription(profile)
        assert image.getexif().get(0x0112, 1) == 1
        assert image.size == (4, 6)
    again = read_image(path)
    assert again.dpi == pytest.approx((240, 120), rel=1e-3)
    tags, groups = tags_of(again.exif)
    assert tags == {0x010F: "Camera", 0x8298: "© Jürgen".encode().decode("latin-1")}
    assert groups[0x8769] == {0x9003: "2020:02:03 04:05:06", 0x829A: 0.01}
    assert groups[0x8825] == {1: "N", 2: (48.0, 1.0, 2.0)}


def test_an_orientation_given_by_the_caller_is_dropped(tmp_path):
    for format in FORMATS:
        write_image(tmp_path / f"a.{format}", NOISE, exif=exif())
        assert read_image(tmp_path / f"a.{format}").rgb.shape == NOISE.shape


def test_exif_too_long_for_jpeg_does_not_cost_the_picture(tmp_path):
    tags = Image.Exif()
    tags[0x010E] = "x" * 70_000
    for format in FORMATS:
        write_image(tmp_path / f"a.{format}", NOISE, exif=tags.tobytes())
        assert (read_image(tmp_path / f"a.{format}").exif is None) == (format == "jpg")


def test_the_format_of_streams_and_names():
    for format, expected in [("png", "PNG"), ("JPEG", "JPEG"), (".webp", "WEBP"), ("tif", "TIFF")]:
        buffer = io.BytesIO()
        write_image(buffer, NOISE, format=format)
        assert Image.open(buffer).format == expected
    buffer = io.BytesIO()
    write_image(buffer, NOISE)
    assert Image.open(buffer).format == "PNG"
    assert output_format("a/b.PNG") == "PNG"
    assert output_format(Path("b.jpeg"), "tiff") == "TIFF"


@pytest.mark.parametrize("name", ["a.gif", "a", "a.png.txt", ".png"])
def test_a_format_that_cannot_be_written(tmp_path, name):
    with pytest.raises(UsageError, match=r"writes \.png, \.jpg, \.jpeg, \.webp, \.tif, \.tiff"):
        write_image(tmp_path / name, NOISE)
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize(
    ("name", "side", "limit"), [("a.webp", 16_384, "16,383"), ("a.jpg", 65_501, "65,500")]
)
def test_sides_a_format_cannot_hold(tmp_path, name, side, limit):
    with pytest.raises(ImageError) as caught:
        write_image(tmp_path / name, torch.zeros(1, 3, 1, side))
    assert f"at most {limit} pixels a side, the picture is {side:,} x 1; write PNG or TIFF." in str(
        caught.value
    )
    write_image(tmp_path / name, torch.zeros(1, 3, 1, side - 1))
    write_image(tmp_path / "a.png", torch.zeros(1, 3, 1, side))


@pytest.mark.parametrize(
    ("rgb", "options", "says"),
    [
        (torch.zeros(3, 4, 5), {}, "must be 1x3xHxW, not 3x4x5"),
        (torch.zeros(1, 4, 4, 5), {}, "not 1x4x4x5"),
        (torch.zeros(1, 3, 0, 5), {}, "not 1x3x0x5"),
        (
            torch.zeros(1, 3, 4, 5),
            {"alpha": torch.zeros(1, 1, 5, 4)},
            "1x1x4x5, not 1x1x5x4",
        ),
        (torch.zeros(1, 3, 4, 5), {"quality": 0}, "must be 1..100, not 0"),
    ],
)
@pytest.mark.parametrize("format", ["png", "jpg"])
def test_what_cannot_be_written(rgb, options, says, format):
    with pytest.raises(UsageError) as caught:
        write_image(io.BytesIO(), rgb, format=format, **options)
    assert says in str(caught.value)


def test_missing_folders_are_made_and_files_replaced(tmp_path):
    path = tmp_path / "x" / "y" / "a.png"
    write_image(path, NOISE)
    write_image(path, torch.zeros_like(NOISE))
    assert (read_image(path).rgb == 0).all()
    assert names(path.parent) == ["a.png"]


@pytest.mark.skipif(os.name == "nt", reason="file modes of POSIX")
def test_a_new_file_has_ordinary_permissions(tmp_path):
    (tmp_path / "plain").write_bytes(b"")
    write_image(tmp_path / "a.png", NOISE)
    assert (tmp_path / "a.png").stat().st_mode == (tmp_path / "plain").stat().st_mode


def test_a_link_is_written_through(tmp_path):
    real, link = tmp_path / "real.png", tmp_path / "link.png"
    write_image(real, NOISE)
    try:
        link.symlink_to(real)
    except OSError:
        pytest.skip("no symbolic links here")
    write_image(link, torch.zeros_like(NOISE))
    assert link.is_symlink()
    assert (read_image(real).rgb == 0).all()


@pytest.mark.skipif(not hasattr(os, "mkfifo"), reason="no named pipes here")
def test_devices_are_not_replaced():
    write_image("/dev/null", NOISE, format="png")
    assert Path("/dev/null").is_char_device()


def test_a_read_only_target(tmp_path):
    path = tmp_path / "a.png"
    write_image(path, NOISE)
    path.chmod(0o444)
    with pytest.raises(ImageError, match=r"a\.png: .*\(the file is read-only\)"):
        write_image(path, torch.zeros_like(NOISE))
    path.chmod(0o644)
    assert torch.equal(read_image(path).rgb, (NOISE * 255).round() / 255)
    assert names(tmp_path) == ["a.png"]


def test_a_folder_as_target_and_a_file_as_folder(tmp_path):
    (tmp_path / "d.png").mkdir()
    with pytest.raises(ImageError, match="it is a folder"):
        write_image(tmp_path / "d.png", NOISE)
    write_image(tmp_path / "a.png", NOISE)
    with pytest.raises(ImageError, match="cannot write the picture"):
        write_image(tmp_path / "a.png" / "b.png", NOISE)


@pytest.mark.parametrize(("where", "broken"), [(os, "fsync"), (Path, "replace"), (Path, "open")])
def test_a_full_disk_leaves_the_old_file_and_nothing_else(tmp_path, monkeypatch, where, broken):
    path = tmp_path / "a.png"
    write_image(path, NOISE)

    def fail(*given):
        raise OSError(errno.ENOSPC, "No space left on device")

    monkeypatch.setattr(where, broken, fail)
    with pytest.raises(ImageError) as caught:
        write_image(path, torch.zeros_like(NOISE))
    assert str(caught.value) == f"{path}: cannot write the picture (No space left on device)."
    assert names(tmp_path) == ["a.png"]
    assert torch.equal(read_image(path).rgb, (NOISE * 255).round() / 255)


def test_a_broken_stream():
    class Closed(io.BytesIO):
        def write(self, data):
            raise BrokenPipeError(errno.EPIPE, "Broken pipe")

    with pytest.raises(ImageError, match="<stream>: cannot write the picture"):
        write_image(Closed(), NOISE)
