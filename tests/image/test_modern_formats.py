"""AVIF, HEIC and JPEG XL out, by the real encoders where they are installed, and read again."""

from __future__ import annotations

import io

import pytest
import torch
from PIL import Image, ImageCms

from cnnart.__main__ import main
from cnnart.errors import ImageError, UsageError
from cnnart.image import formats
from cnnart.image.formats import check_writable_format
from cnnart.image.read import read_image, read_record
from cnnart.image.whole import is_whole
from cnnart.image.write import JPEG_QUALITY, SAME_ERROR, write_image
from tests.helpers.files import save_picture

RECORD = '{"title": "Grüße — 漢字 🎨", "raw": "<b>&amp;\\"</cnnart>", "seed": 7}'
NOISE = torch.rand(1, 3, 24, 32, generator=torch.Generator().manual_seed(5))
X, Y = torch.meshgrid(torch.linspace(0, 6, 96), torch.linspace(0, 5, 80), indexing="ij")
SMOOTH = torch.stack([torch.sin(X * k) * torch.cos(Y) for k in (1, 2, 3)])[None] / 2 + 0.5
ALPHA = torch.ones(1, 1, 96, 80)
ALPHA[..., :30] = 0.4


def installed(name: str) -> bool:
    try:
        check_writable_format(name)
    except UsageError:
        return False
    return True


@pytest.fixture(params=["avif", "heic", "jxl"])
def suffix(request: pytest.FixtureRequest) -> str:
    if not installed(request.param):
        pytest.skip(f"{request.param} is not installed")
    return str(request.param)


def exif() -> bytes:
    tags = Image.Exif()
    tags[0x010F], tags[0x8298] = "Camera", "© Jürgen".encode()
    tags[0x8769] = {0x9003: "2020:02:03 04:05:06", 0x829A: 0.01}
    return tags.tobytes()


def test_a_picture_comes_back_with_all_that_belongs_to_it(tmp_path, suffix):
    path = tmp_path / f"a.{suffix}"
    write_image(path, SMOOTH, alpha=ALPHA, dpi=(240, 120), exif=exif(), record=RECORD)
    assert is_whole(path)
    assert read_record(path) == RECORD
    read = read_image(path)
    visible = (read.rgb - SMOOTH).abs()
    assert visible.mean() < 2 / 255
    assert visible.max() < 32 / 255
    assert (read.alpha - ALPHA).abs().max() < 8 / 255
    assert read.dpi == pytest.approx((240, 120), rel=1e-3)
    assert b"Camera" in read.exif
    assert b"2020:02:03" in read.exif
    assert read.warnings == ()
    path.write_bytes(path.read_bytes()[: path.stat().st_size // 2])
    assert not is_whole(path) or suffix == "jxl"  # which says nothing of its end


def test_the_profile_is_srgb(tmp_path, suffix):
    path = tmp_path / f"a.{suffix}"
    write_image(path, SMOOTH)
    assert read_record(path) is None
    with Image.open(path) as image:
        profile = ImageCms.ImageCmsProfile(io.BytesIO(image.info["icc_profile"]))
        assert "RGB" in ImageCms.getProfileDescription(profile)


@pytest.mark.parametrize("name", ["heic", "jxl"])
def test_at_100_nothing_is_lost(tmp_path, name):
    if not installed(name):
        pytest.skip(f"{name} is not installed")
    write_image(tmp_path / f"a.{name}", NOISE, quality=100)
    assert torch.equal(read_image(tmp_path / f"a.{name}").rgb, (NOISE * 255).round() / 255)


def error(data: bytes, kind: str) -> float:
    picture = read_image(io.BytesIO(data)).rgb
    return float(((picture - PAINTING) * 255).square().mean())


PAINTING = (
    0.75 * torch.nn.functional.interpolate(SMOOTH, (96, 128))
    + 0.25
    * torch.nn.functional.interpolate(
        torch.rand(1, 3, 32, 43, generator=torch.Generator().manual_seed(2)),
        (96, 128),
        mode="bicubic",
    )
).clamp(0, 1)


@pytest.mark.parametrize("quality", [50, 95])
def test_a_quality_is_the_same_error_as_in_jpeg(suffix, quality):
    if suffix == "jxl":
        pytest.skip("JPEG XL has a scale of its own after JPEG's")
    sizes = {}
    for name in ("jpg", suffix):
        buffer = io.BytesIO()
        write_image(buffer, PAINTING, format=name, quality=quality)
        sizes[name] = error(buffer.getvalue(), name)
    assert 0.4 < sizes[suffix] / sizes["jpg"] < 2.5


def test_more_quality_is_a_smaller_error(suffix):
    errors = []
    for quality in (20, 60, 95, 100):
        buffer = io.BytesIO()
        write_image(buffer, PAINTING, format=suffix, quality=quality)
        errors.append(error(buffer.getvalue(), suffix))
    assert errors == sorted(errors, reverse=True)
    assert errors[-1] < 2


def test_the_scales_rise():
    for scale in SAME_ERROR.values():
        assert len(scale) == len(JPEG_QUALITY)
        assert list(scale) == sorted(scale)


def test_a_side_that_it_cannot_hold_is_refused(tmp_path):
    for name, side in (("a.avif", 32769), ("a.heic", 16385)):
        if installed(name[2:]):
            with pytest.raises(ImageError, match="pixels a side"):
                write_image(tmp_path / name, torch.zeros(1, 3, 1, side))


def test_what_is_not_installed_is_refused_before_the_work(monkeypatch, tmp_path, capsys):
    monkeypatch.setattr(formats, "find_spec", lambda name: None)
    monkeypatch.chdir(tmp_path)
    save_picture("photo.png")
    for output, remedy in (
        ("a.heic", "pip install 'cnnart[formats]'"),
        ("a.jxl", "pip install 'cnnart[formats]'"),
        ("a.avif", "pip install -U pillow"),
    ):
        line = ["fast-stylize", "photo.png", "-s", "great-wave", "-o", output]
        assert main(line) == 2
        said = capsys.readouterr().err
        assert f"Writing {output[2:]} needs more than is installed: " in said
        assert remedy in said
    assert main(["texture", "photo.png", "--format", "jxl", "-o", "-"]) == 2


def test_the_command_line_writes_and_reruns_them(monkeypatch, tmp_path, capsys):
    suffix = next(name for name in ("heic", "jxl", "avif", "webp") if installed(name))
    monkeypatch.chdir(tmp_path)
    save_picture("moss.png", 24, 24)
    line = ["texture", "moss.png", "--method", "quilting", "--patch", "9", "--size", "32"]
    assert main([*line, "--quality", "100", "-o", f"out.{suffix}", "-q"]) == 0
    assert main(["rerun", f"out.{suffix}", "-q"]) == 0
    again = read_image(f"out-rerun.{suffix}").rgb
    assert torch.equal(again, read_image(f"out.{suffix}").rgb)
    assert main([*line, "-o", f"out.{suffix}", "--bit-depth", "16"]) == 2
    assert "--bit-depth 16 is for png and tiff" in capsys.readouterr().err


def test_sixteen_bits_are_in_the_record(monkeypatch, tmp_path, capsys):
    monkeypatch.chdir(tmp_path)
    save_picture("moss.png", 24, 24)
    line = ["texture", "moss.png", "--method", "quilting", "--patch", "9", "--size", "32"]
    assert main([*line, "--bit-depth", "16", "-o", "out.png", "-q"]) == 0
    assert main(["rerun", "out.png", "-q"]) == 0
    assert main(["rerun", "out.png", "-o", "other.jpg", "-q"]) == 0
    for name in ("out.png", "out-rerun.png"):
        assert (tmp_path / name).read_bytes()[24] == 16
    assert main(["dream", "moss.png", "--frames", "3", "-o", "f.webp", "--bit-depth", "16"]) == 2
    assert "--bit-depth 16 is for png and tiff, not for frames" in capsys.readouterr().err
