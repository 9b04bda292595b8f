"""Animations: as many frames as given, at the speed asked for, whole or not at all."""

import importlib.util
import io
import sys

import numpy as np
import pytest
from PIL import Image

from cnnart.errors import ImageError, UsageError
from cnnart.image.animation import check_animation, evened, with_palette, write_animation
from cnnart.image.read import read_record

needs_av = pytest.mark.skipif(importlib.util.find_spec("av") is None, reason="PyAV not installed")
RECORD = '{"command": "dream", "name": "Größe <x>"}'


def frames(count=5, width=45, height=33):
    """A bright square that wanders over a colored gradient: no frame is like another."""
    for k in range(count):
        pixels = np.zeros((height, width, 3), np.uint8)
        pixels[..., 0] = np.linspace(0, 200, width)
        pixels[..., 1] = np.linspace(0, 200, height)[:, None]
        pixels[3:13, 4 * k : 4 * k + 10] = (250, 240, 90)
        yield Image.fromarray(pixels)


@pytest.mark.parametrize(("suffix", "time"), [(".webp", 80), (".gif", 80)])
def test_pillow_reads_back_what_was_written(tmp_path, suffix, time):
    path = tmp_path / "new" / f"a{suffix}"
    write_animation(path, frames(), fps=12.5, record=RECORD)
    with Image.open(path) as image:
        assert (image.n_frames, image.size, image.info["loop"]) == (5, (45, 33), 0)
        for k, given in enumerate(frames()):
            image.seek(k)
            found = np.asarray(image.convert("RGB"), float)
            assert image.info["duration"] == time
            assert np.abs(found - np.asarray(given, float)).mean() < 6


@needs_av
def test_mp4_is_what_players_want(tmp_path):
    import av

    path = tmp_path / "a.mp4"
    write_animation(path, frames(), fps=12.5, record=RECORD)
    with av.open(str(path)) as container:
        stream = container.streams.video[0]
        assert stream.codec_context.name == "h264"
        assert stream.codec_context.pix_fmt == "yuv420p"
        assert float(stream.average_rate) == 12.5
        assert container.metadata["comment"] == RECORD
        found = [frame.to_ndarray(format="rgb24") for frame in container.decode(stream)]
    assert [image.shape for image in found] == [(34, 46, 3)] * 5
    for image, given in zip(found, frames(), strict=True):
        assert np.abs(image[:33, :45].astype(float) - np.asarray(given, float)).mean() < 6


def test_a_webp_carries_its_record(tmp_path):
    write_animation(tmp_path / "a.webp", frames(), fps=10, record=RECORD)
    assert read_record(tmp_path / "a.webp") == RECORD


def test_a_gif_carries_it_as_a_comment(tmp_path):
    write_animation(tmp_path / "a.gif", frames(), fps=10, record=RECORD)
    with Image.open(tmp_path / "a.gif") as image:
        assert image.info["comment"].decode() == RECORD


def test_webp_without_loss(tmp_path):
    write_animation(tmp_path / "a.webp", frames(2), fps=10, quality=100)
    with Image.open(tmp_path / "a.webp") as image:
        for k, given in enumerate(frames(2)):
            image.seek(k)
            assert np.array_equal(np.asarray(image.convert("RGB")), np.asarray(given))


def test_the_same_frames_give_the_same_file(tmp_path):
    for name in ("a.webp", "b.webp"):
        write_animation(tmp_path / name, frames(), fps=10)
    assert (tmp_path / "a.webp").read_bytes() == (tmp_path / "b.webp").read_bytes()


def test_into_a_stream():
    stream = io.BytesIO()
    write_animation(stream, frames(3), fps=10, format="gif")
    assert Image.open(io.BytesIO(stream.getvalue())).n_frames == 3


def test_one_frame_is_an_animation_too(tmp_path):
    write_animation(tmp_path / "a.webp", frames(1), fps=10)
    with Image.open(tmp_path / "a.webp") as image:
        assert image.n_frames == 1


def test_gradients_do_not_turn_into_bands():
    """Seen from afar, dithered colors are nearer to the truth than the nearest of 256."""
    y, x = np.mgrid[:64, :96]
    pixels = np.stack([2 * x, 3 * y, 255 - x - y], -1).astype(np.uint8)
    given = Image.fromarray(pixels)

    def blurred_error(image):
        error = np.asarray(image.convert("RGB"), float) - pixels
        return np.abs(error.reshape(8, 8, 12, 8, 3).mean((1, 3))).mean()

    nearest = given.quantize(256, method=Image.Quantize.MEDIANCUT, dither=Image.Dither.NONE)
    assert blurred_error(with_palette(given)) < 0.8 * blurred_error(nearest)


def test_odd_sides_repeat_the_last_row_and_column():
    pixels = np.arange(3 * 5 * 3, dtype=np.uint8).reshape(3, 5, 3)
    padded = evened(Image.fromarray(pixels))
    assert padded.shape == (4, 6, 3)
    assert np.array_equal(padded[:3, :5], pixels)
    assert np.array_equal(padded[3, :5], pixels[2])
    assert np.array_equal(padded[:3, 5], pixels[:, 4])


def test_a_failure_leaves_the_old_file(tmp_path):
    path = tmp_path / "a.webp"
    path.write_bytes(b"before")

    def broken():
        yield from frames(2)
        raise OSError("the disk is gone")

    with pytest.raises(ImageError, match=r"cannot write the animation \(the disk is gone"):
        write_animation(path, broken(), fps=10)
    assert path.read_bytes() == b"before"
    assert list(tmp_path.iterdir()) == [path]


def test_other_suffixes_are_refused():
    with pytest.raises(
        UsageError,
        match=r"cnnart writes animations as \.webp, \.gif, \.mp4, not \.avi; end the output",
    ) as raised:
        check_animation(".avi")
    assert raised.value.exit_code == 2
    with pytest.raises(UsageError, match="not a file without a suffix"):
        check_animation("")


@pytest.mark.parametrize("fps", [0, -1, float("nan")])
def test_no_frames_a_second_are_refused(tmp_path, fps):
    with pytest.raises(UsageError, match="Frames per second must be above zero"):
        write_animation(tmp_path / "a.gif", frames(), fps=fps)


def test_mp4_without_pyav_says_what_to_install(monkeypatch):
    monkeypatch.setitem(sys.modules, "av", None)
    with pytest.raises(UsageError, match=r"MP4 needs PyAV: pip install 'cnnart\[video\]'"):
        check_animation(".mp4")
