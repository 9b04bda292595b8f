"""16 bits for each color: read again by other programs, and by our own reader."""

from __future__ import annotations

import io
import zlib

import numpy as np
import pytest
import torch
from PIL import Image, ImageCms
from torchvision.io import ImageReadMode, decode_image

from cnnart.errors import ImageError, UsageError
from cnnart.image.deep import BAND_ROWS, encode_deep, levels_of
from cnnart.image.read import read_image, read_record
from cnnart.image.whole import is_whole
from cnnart.image.write import write_image

RGB = torch.rand(1, 3, 2 * BAND_ROWS + 3, 21, generator=torch.Generator().manual_seed(3))
ALPHA = torch.linspace(0.1, 1, 21).expand(1, 1, RGB.shape[2], 21).contiguous()


def levels(planes: torch.Tensor) -> np.ndarray:
    return (planes[0].permute(1, 2, 0) * 65535).round().numpy().astype(np.uint16)


def tiff_levels(data: bytes) -> np.ndarray:
    """The pixels of a TIFF, unpacked by the letter of TIFF 6.0."""
    tags = Image.open(io.BytesIO(data)).tag_v2
    assert (tags[259], tags[317], tags[278]) == (8, 2, tags[257])
    (start,), (length,) = tags[273], tags[279]
    shape = tags[257], tags[256], tags[277]
    raw = np.frombuffer(zlib.decompress(data[start : start + length]), "<u2").reshape(shape)
    return np.cumsum(raw, axis=1, dtype=np.uint16)


@pytest.mark.parametrize("alpha", [None, ALPHA])
def test_a_png_has_every_level(alpha):
    buffer = io.BytesIO()
    write_image(buffer, RGB, alpha=alpha, bit_depth=16)
    mode = ImageReadMode.RGB if alpha is None else ImageReadMode.RGB_ALPHA
    read = decode_image(torch.frombuffer(bytearray(buffer.getvalue()), dtype=torch.uint8), mode)
    assert read.dtype == torch.uint16
    wanted = RGB if alpha is None else torch.cat([RGB, alpha], dim=1)
    assert np.array_equal(read.permute(1, 2, 0).numpy(), levels(wanted))


@pytest.mark.parametrize("alpha", [None, ALPHA])
def test_a_tiff_has_every_level(alpha):
    buffer = io.BytesIO()
    write_image(buffer, RGB, alpha=alpha, format="tiff", bit_depth=16)
    wanted = levels(RGB if alpha is None else torch.cat([RGB, alpha], dim=1))
    assert np.array_equal(tiff_levels(buffer.getvalue()), wanted)
    read = read_image(buffer_at_start(buffer))  # of which Pillow gives the upper bytes
    assert np.array_equal((read.rgb[0] * 255).permute(1, 2, 0).numpy(), wanted[..., :3] >> 8)
    if alpha is not None:
        assert np.array_equal((read.alpha[0, 0] * 255).numpy(), wanted[..., 3] >> 8)


def buffer_at_start(buffer: io.BytesIO) -> io.BytesIO:
    buffer.seek(0)
    return buffer


@pytest.mark.parametrize("name", ["a.png", "a.tif"])
def test_what_belongs_to_it_travels(tmp_path, name):
    tags = Image.Exif()
    tags[0x010F], tags[0x8298] = "Camera", "© Jürgen".encode()
    tags[0x8769] = {0x9003: "2020:02:03 04:05:06"}
    path, record = tmp_path / name, '{"title": "Grüße"}'
    options = {"dpi": (240, 120), "exif": tags.tobytes(), "record": record}
    write_image(path, RGB, bit_depth=16, **options)
    assert is_whole(path)
    assert read_record(path) == record
    read = read_image(path)
    assert read.dpi == pytest.approx((240, 120), rel=1e-3)
    assert b"Camera" in read.exif
    assert b"2020:02:03" in read.exif
    with Image.open(path) as image:
        profile = ImageCms.ImageCmsProfile(io.BytesIO(image.info["icc_profile"]))
        assert "sRGB" in ImageCms.getProfileDescription(profile)
    path.write_bytes(path.read_bytes()[:-50])
    assert not is_whole(path)


def test_it_is_not_eight_bits_made_wide():
    ramp = torch.linspace(0.5, 0.501, 64).expand(1, 3, 1, 64)
    assert len(np.unique(levels_of(ramp))) == 64
    assert levels_of(torch.tensor([-1.0, 2.0]).expand(1, 3, 1, 2))[0, :, 0].tolist() == [0, 65535]


def test_a_smooth_picture_is_packed():
    x = torch.linspace(0, 1, 300).expand(1, 3, 200, 300)
    for kind in ("PNG", "TIFF"):
        data = encode_deep(levels_of(x), kind, {"icc_profile": b""} if kind == "TIFF" else {})
        assert len(data) < 3 * 200 * 300 * 2 / 4


def test_what_cannot_be_deep_is_refused(tmp_path):
    with pytest.raises(UsageError, match="`bit_depth` 16 is for png and tiff, not for jpg"):
        write_image(tmp_path / "a.jpg", RGB, bit_depth=16)
    with pytest.raises(UsageError, match="`bit_depth` is 8 or 16, not 12"):
        write_image(tmp_path / "a.png", RGB, bit_depth=12)
    with pytest.raises(ImageError, match="NaN or infinite"):
        write_image(tmp_path / "a.png", RGB / 0, bit_depth=16)
    assert list(tmp_path.iterdir()) == []
