"""Each pixel mode and color profile, compared with an expectation made without Pillow."""

import io
import struct
import zlib

import numpy as np
import pytest
import torch
from PIL import Image, ImageCms

from cnnart.errors import ImageError
from cnnart.image.read import bleed, read_image, unpack
from cnnart.image.write import write_image

RNG = np.random.default_rng(7)
SHAPE = (5, 7)
# Bradford-adapted to D50, as ICC profiles hold them.
SRGB_TO_XYZ = np.array(
    [
        [0.4360747, 0.3850649, 0.1430804],
        [0.2225045, 0.7168786, 0.0606169],
        [0.0139322, 0.0971045, 0.7141733],
    ]
)
ADOBE_TO_XYZ = np.array(
    [
        [0.6097559, 0.2052401, 0.1492240],
        [0.3111242, 0.6256560, 0.0632197],
        [0.0194811, 0.0608902, 0.7448387],
    ]
)


def levels(*channels):
    return RNG.integers(0, 256, (*SHAPE, *channels), dtype=np.uint8)


def saved(image, name, **options):
    buffer = io.BytesIO()
    image.save(buffer, name, **options)
    buffer.seek(0)
    return buffer


def hwc(tensor):
    return tensor[0].permute(1, 2, 0).numpy()


def png(pixels, bits, color_type, extra=b""):
    """A PNG file written by hand: Pillow cannot write all of them."""

    def chunk(kind, data):
        return (
            struct.pack(">I", len(data)) + kind + data + struct.pack(">I", zlib.crc32(kind + data))
        )

    header = struct.pack(">IIBBBBB", pixels.shape[1], pixels.shape[0], bits, color_type, 0, 0, 0)
    rows = b"".join(b"\0" + row.astype(">u2" if bits == 16 else "u1").tobytes() for row in pixels)
    body = (
        chunk(b"IHDR", header) + extra + chunk(b"IDAT", zlib.compress(rows)) + chunk(b"IEND", b"")
    )
    return io.BytesIO(b"\x89PNG\r\n\x1a\n" + body)


def trns(*values):
    data = struct.pack(f">{len(values)}H", *values)
    body = b"tRNS" + data
    return struct.pack(">I", len(data)) + body + struct.pack(">I", zlib.crc32(body))


def encode_srgb(linear):
    linear = np.clip(linear, 0, 1)
    return np.where(linear <= 0.0031308, 12.92 * linear, 1.055 * linear ** (1 / 2.4) - 0.055)


def icc(space, tags, pcs=b"XYZ "):
    """A small ICC version 2 profile with these tags."""
    tags = {b"desc": b"desc\0\0\0\0" + struct.pack(">I", 2) + b"t\0" + bytes(78), **tags}
    tags[b"wtpt"] = xyz(0.9642, 1.0, 0.8249)
    start, table, data = 128 + 4 + 12 * len(tags), b"", b""
    for key, value in tags.items():
        table += key + struct.pack(">II", start + len(data), len(value))
        data += value + bytes(-len(value) % 4)
    size = start + len(data)
    header = struct.pack(">I4s4s4s4s4s", size, b"test", b"\x02\x10\0\0", b"scnr", space, pcs)
    header = header.replace(b"scnr", b"prtr") if pcs == b"Lab " else header
    header += struct.pack(">6H", 2020, 1, 1, 0, 0, 0) + b"acsp" + bytes(28)
    header += struct.pack(">3i", *(round(v * 65536) for v in (0.9642, 1.0, 0.8249)))
    return header + bytes(128 - len(header)) + struct.pack(">I", len(tags)) + table + data


def xyz(*values):
    return b"XYZ \0\0\0\0" + struct.pack(">3i", *(round(v * 65536) for v in values))


def gamma(value):
    return b"curv\0\0\0\0" + struct.pack(">IH", 1, round(value * 256))


def adobe_rgb():
    tags = {key: xyz(*ADOBE_TO_XYZ[:, i]) for i, key in enumerate((b"rXYZ", b"gXYZ", b"bXYZ"))}
    return icc(b"RGB ", tags | {key: gamma(2.19921875) for key in (b"rTRC", b"gTRC", b"bTRC")})


def gray_gamma(value):
    return icc(b"GRAY", {b"kTRC": gamma(value)})


def cmyk_black_ramp():
    """A printer whose L* falls evenly with K, and with the mean of C, M and Y."""
    ink = np.stack(np.meshgrid(*[[0, 1]] * 4, indexing="ij"), axis=-1).reshape(16, 4)
    lightness = (1 - ink[:, 3]) * (1 - ink[:, :3].mean(1))
    nodes = np.stack([lightness * 255, np.full(16, 128), np.full(16, 128)], axis=1)
    ramp = bytes(range(256))
    matrix = struct.pack(">9i", *(65536 if i % 4 == 0 else 0 for i in range(9)))
    lut = b"mft1\0\0\0\0" + bytes([4, 3, 2, 0]) + matrix + ramp * 4
    lut += nodes.round().astype(np.uint8).tobytes() + ramp * 3
    return icc(b"CMYK", {b"A2B0": lut, b"A2B1": lut}, pcs=b"Lab ")


def test_rgb_and_rgba():
    pixels = levels(4)
    pixels[..., 3] |= 1  # nothing fully transparent, so nothing is bled
    rgb, alpha, gray = unpack(Image.fromarray(pixels))
    assert np.array_equal(hwc(rgb), pixels[..., :3].astype(np.float32) / 255)
    assert np.array_equal(hwc(alpha)[..., 0], pixels[..., 3].astype(np.float32) / 255)
    assert not gray
    rgb, alpha, gray = unpack(Image.fromarray(pixels[..., :3]))
    assert np.array_equal(hwc(rgb), pixels[..., :3].astype(np.float32) / 255)
    assert alpha is None
    assert not gray
    assert rgb.shape == (1, 3, *SHAPE)
    assert rgb.dtype == torch.float32


def test_gray_is_replicated():
    pixels = levels()
    rgb, alpha, gray = unpack(Image.fromarray(pixels))
    assert gray
    assert alpha is None
    assert rgb.is_contiguous()
    for channel in rgb[0]:
        assert np.array_equal(channel.numpy(), pixels.astype(np.float32) / 255)


def test_gray_with_alpha():
    pixels = levels(2) | 1
    rgb, alpha, gray = unpack(Image.merge("LA", [Image.fromarray(pixels[..., i]) for i in (0, 1)]))
    assert gray
    assert np.array_equal(rgb[0, 2].numpy(), pixels[..., 0].astype(np.float32) / 255)
    assert np.array_equal(alpha[0, 0].numpy(), pixels[..., 1].astype(np.float32) / 255)


def test_one_bit():
    pixels = levels() > 127
    rgb, _, gray = unpack(Image.fromarray(pixels))
    assert gray
    assert np.array_equal(rgb[0, 1].numpy(), pixels.astype(np.float32))


@pytest.mark.parametrize("name", ["PNG", "GIF", "TIFF"])
def test_palette(name):
    palette, indices = levels(3).reshape(-1, 3)[:16], levels() % 16
    image = Image.fromarray(indices)
    image.putpalette(palette.tobytes())
    assert image.mode == "P"
    picture = read_image(saved(image, name))
    assert np.array_equal(hwc(picture.rgb), palette[indices].astype(np.float32) / 255)
    assert picture.alpha is None
    assert not picture.gray


@pytest.mark.parametrize("key", [3, bytes([255, 40, 0, 200] + [255] * 12)])
def test_palette_with_transparency(key):
    palette, indices = levels(3).reshape(-1, 3)[:16], levels() % 16
    image = Image.fromarray(indices)
    image.putpalette(palette.tobytes())
    picture = read_image(saved(image, "PNG", transparency=key))
    table = np.array(
        list(key) if isinstance(key, bytes) else [0 if i == 3 else 255 for i in range(16)]
    )
    alpha = table[indices].astype(np.float32) / 255
    assert np.array_equal(picture.alpha[0, 0].numpy(), alpha)
    visible = alpha > 0
    assert np.array_equal(hwc(picture.rgb)[visible], (palette[indices] / np.float32(255))[visible])


def test_cmyk_without_profile():
    pixels = levels(4)
    picture = read_image(saved(Image.frombytes("CMYK", SHAPE[::-1], pixels.tobytes()), "TIFF"))
    ink = pixels.astype(float) / 255
    expected = (1 - ink[..., :3]) * (1 - ink[..., 3:])
    assert np.abs(hwc(picture.rgb) - expected).max() < 1.5 / 255
    assert not picture.gray


@pytest.mark.parametrize(
    ("mode", "value", "expected"),
    [("HSV", (85, 255, 255), [0, 1, 0]), ("YCbCr", (76, 85, 255), [1, 0, 0])],
)
def test_other_color_spaces(mode, value, expected):
    assert np.allclose(hwc(unpack(Image.new(mode, (3, 2), value))[0]), expected, atol=0.01)


def test_premultiplied_alpha():
    image = Image.new("RGBA", (2, 2), (200, 100, 40, 128)).convert("RGBa")
    rgb, alpha, _ = unpack(image)
    assert np.allclose(hwc(rgb) * 255, [200, 100, 40], atol=2)
    assert np.allclose(alpha * 255, 128)


def test_lab_without_profile():
    lightness = np.array([[0, 128, 255]], dtype=np.uint8)
    neutral = Image.new("L", (3, 1), 128)
    image = Image.merge("LAB", [Image.fromarray(lightness), neutral, neutral])
    luminance = ((lightness / 2.55 + 16) / 116) ** 3 * (lightness > 0)
    expected = encode_srgb(luminance)[..., None].repeat(3, -1)
    for readable in (image, Image.open(saved(image, "TIFF"))):
        assert np.abs(hwc(unpack(readable)[0]) - expected).max() < 2 / 255


def test_gray_16_bit_png_keeps_its_precision():
    pixels = RNG.integers(0, 65536, SHAPE).astype(np.uint16)
    picture = read_image(png(pixels, 16, 0))
    assert picture.gray
    assert np.abs(picture.rgb[0, 0].numpy() - pixels / 65535).max() < 1e-6


def test_gray_16_bit_png_with_a_transparent_value():
    pixels = np.array([[1000, 1001], [65535, 0]], dtype=np.uint16)
    picture = read_image(png(pixels, 16, 0, trns(1000)))
    assert picture.alpha[0, 0].tolist() == [[0, 1], [1, 1]]


@pytest.mark.parametrize("mode", ["I;16", "I;16B", "I"])
def test_gray_16_bit_tiff(mode):
    pixels = RNG.integers(0, 65536, SHAPE).astype({"I;16": "<u2", "I;16B": ">u2", "I": "<i4"}[mode])
    image = Image.frombytes(mode, SHAPE[::-1], pixels.tobytes())
    picture = read_image(saved(image, "TIFF"))
    assert picture.gray
    assert np.abs(picture.rgb[0, 2].numpy() - pixels / 65535).max() < 1e-6


def test_integers_beyond_16_bit_are_not_clipped_to_white():
    pixels = np.array([[0, 2**30], [2**29, 2**31 - 1]], dtype=np.int32)
    assert np.allclose(unpack(Image.fromarray(pixels))[0][0, 0], [[0, 0.5], [0.25, 1]])


@pytest.mark.parametrize("white", [1, 255, 65535])
def test_float_gray(white):
    values = np.linspace(0, 1, 12, dtype=np.float32).reshape(3, 4)
    picture = read_image(saved(Image.fromarray(values * white), "TIFF"))
    assert np.allclose(picture.rgb[0, 0].numpy(), values, atol=1e-6)


def test_float_gray_that_cannot_be_read():
    with pytest.raises(ImageError, match="<stream>: it holds NaN or infinite values"):
        read_image(saved(Image.fromarray(np.full((2, 2), np.nan, np.float32)), "TIFF"))
    with pytest.raises(ImageError, match=r"values reach 1e\+06 and its white is unknown"):
        read_image(saved(Image.fromarray(np.full((2, 2), 1e6, np.float32)), "TIFF"))


@pytest.mark.parametrize(("channels", "color_type"), [(3, 2), (4, 6), (2, 4)])
def test_color_16_bit_png_neither_wraps_nor_clips(channels, color_type):
    pixels = RNG.integers(256, 65536, (*SHAPE, channels)).astype(np.uint16)
    picture = read_image(png(pixels, 16, color_type))
    expected = pixels / 65535
    colors = expected[..., :1].repeat(3, -1) if channels == 2 else expected[..., :3]
    assert np.abs(hwc(picture.rgb) - colors).max() < 1 / 255
    if channels != 3:
        assert np.abs(picture.alpha[0, 0].numpy() - expected[..., -1]).max() < 1 / 255


def test_color_16_bit_png_with_a_transparent_color():
    pixels = np.array([[[0x1234, 0x5678, 0x9ABC], [0xFFFF, 0, 0x8000]]], dtype=np.uint16)
    picture = read_image(png(pixels, 16, 2, trns(0x1234, 0x5678, 0x9ABC)))
    assert picture.alpha[0, 0].tolist() == [[0, 1]]


def test_rgb_png_with_a_transparent_color():
    pixels = np.array([[[1, 2, 3], [200, 100, 50]]], dtype=np.uint8)
    picture = read_image(saved(Image.fromarray(pixels), "PNG", transparency=(1, 2, 3)))
    assert picture.alpha[0, 0].tolist() == [[0, 1]]
    assert np.allclose(hwc(picture.rgb) * 255, [[[200, 100, 50]] * 2], atol=1e-3)


def test_first_frame_of_an_animation():
    frames = [Image.new("RGB", (4, 3), color) for color in ("red", "blue")]
    picture = read_image(saved(frames[0], "GIF", save_all=True, append_images=frames[1:]))
    assert np.array_equal(hwc(picture.rgb), np.broadcast_to([1, 0, 0], (3, 4, 3)))


def test_adobe_rgb_becomes_srgb():
    pixels = levels(3)
    picture = read_image(saved(Image.fromarray(pixels), "PNG", icc_profile=adobe_rgb()))
    linear = (pixels / 255) ** 2.19921875 @ (np.linalg.inv(SRGB_TO_XYZ) @ ADOBE_TO_XYZ).T
    expected = encode_srgb(linear)
    assert np.abs(expected - pixels / 255).max() > 0.1  # or the test would prove nothing
    assert np.abs(hwc(picture.rgb) - expected).max() < 2.5 / 255


def test_adobe_rgb_with_alpha_keeps_the_alpha():
    pixels = levels(4) | 1
    picture = read_image(saved(Image.fromarray(pixels), "PNG", icc_profile=adobe_rgb()))
    opaque = read_image(saved(Image.fromarray(pixels[..., :3]), "PNG", icc_profile=adobe_rgb()))
    assert torch.equal(picture.rgb, opaque.rgb)
    assert np.array_equal(picture.alpha[0, 0].numpy(), pixels[..., 3].astype(np.float32) / 255)


def test_gray_profile_in_8_and_16_bit():
    ramp = np.arange(256, dtype=np.uint8)[None]
    expected = encode_srgb((ramp / 255.0) ** 1.8)
    for image in (Image.fromarray(ramp), Image.fromarray(ramp.astype(np.uint16) * 257)):
        image.info["icc_profile"] = gray_gamma(1.8)
        rgb, _, gray = unpack(image)
        assert gray
        assert torch.equal(rgb[:, 0], rgb[:, 2])
        assert np.abs(rgb[0, 0].numpy() - expected).max() < 2 / 255
    assert np.abs(expected - ramp / 255.0).max() > 5 / 255


def test_cmyk_profile():
    black = np.arange(0, 256, 15, dtype=np.uint8)
    pixels = np.zeros((1, len(black), 4), np.uint8)
    pixels[..., 3] = black
    image = Image.frombytes("CMYK", (len(black), 1), pixels.tobytes())
    picture = read_image(saved(image, "TIFF", icc_profile=cmyk_black_ramp()))
    lightness = 100 * (1 - black / 255)
    luminance = np.where(lightness > 8, ((lightness + 16) / 116) ** 3, lightness / 903.3)
    expected = encode_srgb(luminance)[:, None].repeat(3, 1)
    assert np.abs(expected - (1 - black / 255)[:, None]).max() > 0.03
    assert np.abs(hwc(picture.rgb)[0] - expected).max() < 3 / 255


def test_an_srgb_profile_changes_nothing():
    pixels = levels(3)
    profile = ImageCms.ImageCmsProfile(ImageCms.createProfile("sRGB")).tobytes()
    for data in (pixels, pixels[..., 0]):
        picture = read_image(saved(Image.fromarray(data), "PNG", icc_profile=profile))
        assert np.array_equal(picture.rgb[0, 0].numpy(), pixels[..., 0].astype(np.float32) / 255)


P3_TO_XYZ = np.array(
    [[0.5151, 0.2920, 0.1571], [0.2412, 0.6922, 0.0666], [-0.0011, 0.0419, 0.7841]]
)


def test_display_p3_becomes_srgb():
    """By a profile as phones write it (here with a gamma in the place of sRGB's curve)."""
    tags = {key: xyz(*P3_TO_XYZ[:, i]) for i, key in enumerate((b"rXYZ", b"gXYZ", b"bXYZ"))}
    profile = icc(b"RGB ", tags | {key: gamma(2.19921875) for key in (b"rTRC", b"gTRC", b"bTRC")})
    pixels = levels(3)
    linear = (pixels / 255) ** 2.19921875 @ (np.linalg.inv(SRGB_TO_XYZ) @ P3_TO_XYZ).T
    for name in ("PNG", "TIFF"):
        picture = read_image(saved(Image.fromarray(pixels), name, icc_profile=profile))
        assert np.abs(hwc(picture.rgb) - encode_srgb(linear)).max() < 2.5 / 255


def ancillary(kind, data):
    return struct.pack(">I", len(data)) + kind + data + struct.pack(">I", zlib.crc32(kind + data))


def test_display_p3_by_a_cicp_chunk():
    pixels = levels(3)
    picture = read_image(png(pixels, 8, 2, ancillary(b"cICP", bytes([12, 13, 0, 1]))))
    encoded = pixels / 255
    light = np.where(encoded <= 0.04045, encoded / 12.92, ((encoded + 0.055) / 1.055) ** 2.4)
    expected = encode_srgb(light @ (np.linalg.inv(SRGB_TO_XYZ) @ P3_TO_XYZ).T)
    assert np.abs(expected - encoded).max() > 0.03
    assert np.abs(hwc(picture.rgb) - expected).max() < 0.01
    assert picture.warnings == ()
    plain = read_image(png(pixels, 8, 2, ancillary(b"cICP", bytes([1, 13, 0, 1]))))
    assert np.array_equal(hwc(plain.rgb), pixels.astype(np.float32) / 255)


def test_a_picture_of_high_dynamic_range_by_a_cicp_chunk_is_told():
    picture = read_image(png(levels(3), 8, 2, ancillary(b"cICP", bytes([9, 16, 0, 1]))))
    assert "an HDR picture, taken as an ordinary one" in picture.warnings[0]


def gama(value):
    return ancillary(b"gAMA", struct.pack(">I", round(100_000 * value)))


@pytest.mark.parametrize(("bits", "color_type"), [(8, 0), (16, 0), (8, 2)])
@pytest.mark.parametrize("value", [0.35, 1.0, 2.5])
def test_the_gamma_of_a_png_is_applied(bits, color_type, value):
    most = 2**bits - 1
    pixels = np.linspace(0, most, 35).round().reshape(SHAPE)
    pixels = pixels if color_type == 0 else np.stack([pixels] * 3, -1)
    expected = encode_srgb((pixels / most) ** (1 / value))
    shown = hwc(read_image(png(pixels, bits, color_type, gama(value))).rgb)
    assert np.abs(shown - (expected if color_type else expected[..., None])).max() < 1e-4
    assert np.abs(expected - pixels / most).max() > 0.1


@pytest.mark.parametrize(
    "extra",
    [gama(0.45455), gama(0), gama(1) + ancillary(b"sRGB", b"\0")],
    ids=["usual", "none", "sRGB"],
)
def test_a_gamma_that_changes_nothing(extra):
    pixels = levels(3)
    assert np.array_equal(
        hwc(read_image(png(pixels, 8, 2, extra)).rgb), pixels.astype(np.float32) / 255
    )


@pytest.mark.parametrize(
    "profile", [b"junk", adobe_rgb()[:200], gray_gamma(1.8), cmyk_black_ramp()]
)
def test_a_broken_or_foreign_profile_is_ignored(profile):
    pixels = levels(3)
    picture = read_image(saved(Image.fromarray(pixels), "PNG", icc_profile=profile))
    assert np.array_equal(hwc(picture.rgb), pixels.astype(np.float32) / 255)


@pytest.mark.parametrize("size", [(1, 1), (1, 9), (13, 1), (17, 31), (64, 64)])
def test_bleeding_ignores_what_lies_under_transparency(size):
    generator = torch.Generator().manual_seed(3)
    rgb = torch.rand(1, 3, *size, generator=generator)
    alpha = (torch.rand(1, 1, *size, generator=generator) > 0.8).float() * 0.5
    alpha[..., 0, 0] = 1
    junk = torch.where(alpha > 0, rgb, 1 - rgb)
    filled = bleed(rgb, alpha)
    assert torch.equal(filled, bleed(junk, alpha))
    assert torch.equal(torch.where(alpha > 0, filled, 0), torch.where(alpha > 0, rgb, 0))
    visible = rgb.flatten(2)[..., alpha.flatten() > 0]
    assert (filled.flatten(2).amax(2) <= visible.amax(2) + 1e-5).all()
    assert (filled.flatten(2).amin(2) >= visible.amin(2) - 1e-5).all()


def test_bleeding_takes_the_nearest_color():
    rgb = torch.zeros(1, 3, 8, 64)
    rgb[:, 0, :, :8], rgb[:, 2, :, -8:] = 1, 1
    alpha = torch.zeros(1, 1, 8, 64)
    alpha[..., :8], alpha[..., -8:] = 1, 1
    filled = bleed(rgb, alpha)
    assert torch.allclose(filled.sum(1), torch.ones(1, 8, 64), atol=1e-5)
    assert (filled[0, 0, :, 12] > 0.9).all()
    assert (filled[0, 2, :, -12] > 0.9).all()


def test_a_fully_transparent_picture_is_left_alone():
    rgb = torch.rand(1, 3, 4, 4)
    assert torch.equal(bleed(rgb, torch.zeros(1, 1, 4, 4)), rgb)


def test_reading_what_was_written_from_a_wide_gamut_is_stable(tmp_path):
    picture = read_image(saved(Image.fromarray(levels(3)), "PNG", icc_profile=adobe_rgb()))
    write_image(tmp_path / "a.png", picture.rgb)
    assert torch.equal(read_image(tmp_path / "a.png").rgb, picture.rgb)
