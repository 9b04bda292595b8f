"""Clips that come in: short ones, in a container that holds what it shows."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

from cnnart.errors import ImageError
from cnnart.files import open_file

if TYPE_CHECKING:
    from torch import Tensor

LONGEST_CLIP = 60.0  # seconds; longer ones are for the shell


def is_container(path: Path) -> bool:
    """Whether a file begins as WebM, Matroska, MP4 or QuickTime do.

    Other kinds that libav reads (playlists, concatenations) name further files, which a clip from
    outside must not have opened.
    """
    with open_file(path) as file:
        head = file.read(8)
    return head[:4] == b"\x1a\x45\xdf\xa3" or head[4:8] == b"ftyp"


def read_clip(path: Path, max_pixels: int) -> tuple[Tensor, float]:
    """A clip's first frame (``1x3xHxW`` in [0, 1], upright), and its seconds (0: unknown).

    Raises ImageError for what is none, is too large or too long.
    """
    import torch

    from cnnart.image.read import MAX_PIXELS
    from cnnart.video.config import ClipConfig
    from cnnart.video.read import ClipReader, VideoFile, opened, video_stream

    if not is_container(path):
        raise ImageError(f"{path}: no clip: WebM, Matroska, MP4 and QuickTime are taken.")
    with opened(path, str(path)) as container:
        context = video_stream(container, str(path)).codec_context
        if context.width * context.height > max_pixels:
            raise ImageError(
                f"{path}: {context.width} x {context.height} pixels are more than the "
                f"{max_pixels} that are taken."
            )
    source = VideoFile(path, MAX_PIXELS, str(path))
    if source.length > LONGEST_CLIP:
        raise ImageError(
            f"{path}: it lasts {float(source.length):.0f} s, and clips of {LONGEST_CLIP:.0f} s at "
            "the most are taken: paint longer ones in a shell."
        )
    for frame in ClipReader(source, ClipConfig(), source.size).frames():
        rgb = torch.from_numpy(frame.pixels).permute(2, 0, 1)[None].float() / 255
        return rgb, float(source.length)
    raise ImageError(f"{path}: no frame of it can be read.")
