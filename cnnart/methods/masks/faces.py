"""Where the faces of a photo are, as a soft mask."""

from __future__ import annotations

import math
from collections.abc import Sequence

import torch
from torch import Tensor

from cnnart.networks.blazeface import Face

# The ellipse of a face: half axes and the shift up, of the box, which ends at the brows.
WIDE, TALL, UP = 0.62, 0.84, 0.14
SOFT = 0.35  # how far the ellipse fades out, of its half axes


def face_ellipses(faces: Sequence[Face], height: int, width: int) -> Tensor:
    """``1x1xHxW``: 1 within the ellipse of each face, turned as its eyes are, fading out around."""
    y, x = torch.meshgrid(torch.arange(height) + 0.5, torch.arange(width) + 0.5, indexing="ij")
    mask = torch.zeros(height, width)
    for face in faces:
        left, top, right, bottom = face.box
        (x1, y1), (x2, y2) = face.points[:2]
        turn = math.atan2(y2 - y1, x2 - x1)
        cos, sin = math.cos(turn), math.sin(turn)
        up = UP * (bottom - top)
        center = ((left + right) / 2 + up * sin, (top + bottom) / 2 - up * cos)
        along = (x - center[0]) * cos + (y - center[1]) * sin
        across = (y - center[1]) * cos - (x - center[0]) * sin
        wide, tall = WIDE * (right - left), TALL * (bottom - top)
        far = ((along / max(wide, 1)) ** 2 + (across / max(tall, 1)) ** 2).sqrt()
        fade = ((1 + SOFT / 2 - far) / SOFT).clamp(0, 1)
        mask = torch.maximum(mask, fade * fade * (3 - 2 * fade))
    return mask[None, None]
