"""A clip out of a photo: the camera moves over it in a circle, and comes back to where it began.

    python tools/make_clip.py examples/pagoda.jpg out/clips/pagoda.mp4

Needs PyAV (``pip install 'cnnart[video]'``).
"""

from __future__ import annotations

import argparse
import math
from collections.abc import Iterator
from fractions import Fraction
from pathlib import Path

import av
import numpy as np
from PIL import Image

RATE = 12  # frames a second
FRAMES = 24
WIDTH = 208
SEEN = 0.88  # of the photo's width and height


def frames(photo: Image.Image) -> Iterator[np.ndarray]:
    """``HxWx3`` uint8, of even sides."""
    height = round(WIDTH * photo.height / photo.width / 2) * 2
    free = [(1 - SEEN) / 2 * side for side in photo.size]
    scale = [SEEN * photo.width / WIDTH, SEEN * photo.height / height]
    for number in range(FRAMES):
        turn = 2 * math.pi * number / FRAMES
        left, top = free[0] * (1 + math.sin(turn)), free[1] * (1 - math.cos(turn))
        seen = photo.resize(
            (WIDTH, height),
            Image.Resampling.LANCZOS,
            box=(left, top, left + scale[0] * WIDTH, top + scale[1] * height),
        )
        yield np.asarray(seen)


def make(photo: Path, target: Path) -> None:
    target.parent.mkdir(parents=True, exist_ok=True)
    with Image.open(photo) as image, av.open(str(target), "w") as container:
        stream = container.add_stream("libx264", rate=RATE)
        stream.pix_fmt, stream.options = "yuv420p", {"crf": "14"}
        for number, pixels in enumerate(frames(image.convert("RGB"))):
            if number == 0:
                stream.height, stream.width = pixels.shape[:2]
            frame = av.VideoFrame.from_ndarray(pixels, format="rgb24")
            frame.pts, frame.time_base = number, Fraction(1, RATE)
            container.mux(stream.encode(frame))
        container.mux(stream.encode())


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("photo", type=Path)
    parser.add_argument("target", type=Path)
    given = parser.parse_args()
    make(given.photo, given.target)
