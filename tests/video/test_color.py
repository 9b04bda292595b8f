"""YUV to RGB and back: the matrix and the range that a frame has, grey that stays grey."""

from __future__ import annotations

from pathlib import Path

import av
import numpy as np
import pytest

from cnnart.video.color import FromRgb, ToRgb, tone_mapped
from tests.helpers.clips import save_clip

LUMA = {1: (0.2126, 0.0722), 6: (0.299, 0.114)}  # red and blue, of BT.709 and BT.601


def flat(values: tuple[int, int, int], colorspace: int, full: bool) -> av.VideoFrame:
    """A frame of one color, in yuv420p."""
    frame = av.VideoFrame(32, 16, "yuv420p")
    for plane, value in zip(frame.planes, values, strict=True):
        plane.update(np.full(plane.buffer_size, value, np.uint8).tobytes())
    frame.colorspace, frame.color_range = colorspace, 2 if full else 1
    return frame


def by_hand(values: tuple[int, int, int], colorspace: int, full: bool) -> np.ndarray:
    """RGB of 255 levels, by ITU-R BT.709 and BT.601."""
    y, u, v = values
    light = y / 255 if full else (y - 16) / 219
    u, v = ((c - 128) / (255 if full else 224) for c in (u, v))
    red, blue = LUMA[colorspace]
    r, b = light + 2 * (1 - red) * v, light + 2 * (1 - blue) * u
    return np.array([r, (light - red * r - blue * b) / (1 - red - blue), b]).clip(0, 1) * 255


@pytest.mark.parametrize("full", [False, True])
@pytest.mark.parametrize("colorspace", [1, 6])
def test_the_matrix_and_the_range_of_a_frame(colorspace: int, full: bool) -> None:
    convert = ToRgb((16, 32))
    for values in [(y, *c) for y in range(16, 236, 9) for c in ((128, 128), (100, 150))]:
        found = convert(flat(values, colorspace, full))[8, 16]
        assert np.abs(found - by_hand(values, colorspace, full)).max() < 1.1


def test_what_does_not_say_is_as_usual_at_its_size() -> None:
    frame = av.VideoFrame(32, 16, "yuv420p")
    large = av.VideoFrame(1280, 720, "yuv420p")
    for each in (frame, large):
        for plane, value in zip(each.planes, (100, 90, 170), strict=True):
            plane.update(np.full(plane.buffer_size, value, np.uint8).tobytes())
    small, big = ToRgb((16, 32))(frame)[8, 16], ToRgb((720, 1280))(large)[8, 16]
    assert np.abs(small - by_hand((100, 90, 170), 6, False)).max() < 1.1
    assert np.abs(big - by_hand((100, 90, 170), 1, False)).max() < 1.1


def test_grey_stays_grey_there_and_back() -> None:
    there, back = FromRgb((16, 32), "yuv420p"), ToRgb((16, 32))
    for level in range(256):
        found = back(there(np.full((16, 32, 3), level, np.uint8))).astype(int)
        assert np.abs(found - level).max() <= 1


def test_a_grey_clip_stays_grey(tmp_path: Path) -> None:
    """Through a whole file, in each matrix."""
    from cnnart.video.config import ClipConfig
    from cnnart.video.read import ClipReader, open_source

    grey = [np.full((48, 64, 3), level, np.uint8) for level in (0, 60, 128, 200, 255)]
    for space in (1, 6):
        path = save_clip(tmp_path / "g.mp4", 5, pixels=grey, colorspace=space, color_range=1)
        source = open_source(path)
        for frame in ClipReader(source, ClipConfig(), source.size).frames():
            assert np.abs(frame.pixels.astype(int) - grey[frame.ticks * 5 // 2560][0, 0]).max() <= 1


def test_hdr_is_fitted_into_sdr() -> None:
    """A white sheet becomes light, black stays black, order stays, grey stays grey."""
    pq = np.array([0, 10000, 20000, 33000, 38000, 49000, 65535])  # 33,000 and more: above 70 cd/m2
    for transfer in (16, 18):
        found = tone_mapped(np.repeat(pq[:, None, None], 3, axis=2).astype(np.uint16), transfer)
        levels = found[:, 0].astype(int)
        assert levels[0].max() <= 1
        assert levels[-1].min() >= 250
        assert (np.diff(levels[:, 1]) >= 0).all()
        assert np.abs(levels - levels[:, :1]).max() <= 1
