"""Pictures from arrays, tensors, Pillow images and paths, and what makes none."""

import io

import numpy as np
import pytest
import torch
from PIL import Image

from cnnart.errors import ImageError, UsageError
from cnnart.image.picture import Picture
from cnnart.image.read import to_picture

RNG = np.random.default_rng(11)
PIXELS = RNG.integers(0, 256, (6, 9, 3), dtype=np.uint8)


def file(tmp_path, name="a.png", **options):
    path = tmp_path / name
    Image.fromarray(PIXELS).save(path, **options)
    return path


def hwc(tensor):
    return tensor[0].permute(1, 2, 0).numpy()


def test_arrays():
    rgb = PIXELS.astype(np.float32) / 255
    for array in (PIXELS, PIXELS.astype(np.uint16) * 257, rgb, rgb.astype(np.float64)):
        assert np.allclose(hwc(to_picture(array).rgb), rgb, atol=1e-6)
    assert np.array_equal(hwc(to_picture(PIXELS[::-1, ::-1]).rgb), rgb[::-1, ::-1])


def test_gray_arrays_and_arrays_with_alpha():
    gray = to_picture(PIXELS[..., 0])
    assert gray.gray
    assert gray.alpha is None
    assert np.array_equal(gray.rgb[0, 1].numpy(), PIXELS[..., 0].astype(np.float32) / 255)
    both = to_picture(np.dstack([PIXELS, np.full((6, 9), 51, np.uint8)]))
    assert not both.gray
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


def test_pictures_are_values():
    with pytest.raises(AttributeError):
        Picture(torch.zeros(1, 3, 1, 1)).rgb = None  # type: ignore[misc]
