"""The subject, the people and the faces of a photo as masks.

They are found on the CPU on every machine: the same photo has the same mask everywhere.
"""

from __future__ import annotations

import math

import torch
from torch import Tensor

from cnnart.image.picture import resize
from cnnart.methods.masks.refine import refined
from cnnart.networks.blazeface import Face, find_faces
from cnnart.networks.selfie_segmenter import person_map
from cnnart.networks.u2net import subject_map

SURE = 0.5  # a map that nowhere says more has found nothing
LEAST_AREA = 5e-4  # of the photo: less is nothing
# The ellipse of a face: half axes and the shift up, of the box, which ends at the brows.
WIDE, TALL, UP = 0.66, 0.86, 0.14
SOFT = 0.35  # how far the ellipse fades out, of its half axes


def subject_mask(photo: Tensor) -> Tensor | None:
    """What a photo (``1x3xHxW`` in [0, 1]) is of, ``1x1xHxW`` in [0, 1].

    None: nothing in it stands out.
    """
    found = subject_map(photo)
    if _is_nothing(found):
        return None
    return refined(found / found.max(), photo)


def person_mask(photo: Tensor) -> Tensor | None:
    """The people in a photo, ``1x1xHxW`` in [0, 1]; None: nobody."""
    found = person_map(photo)
    return None if _is_nothing(found) else refined(found, photo)


def face_mask(photo: Tensor) -> Tensor | None:
    """The faces in a photo, ``1x1xHxW`` in [0, 1], fading out around them; None: none.

    No further than the people reach, where these are found.
    """
    faces = find_faces(photo)
    if not faces:
        return None
    mask = face_ellipses(faces, photo.shape[-2], photo.shape[-1])
    people = resize(person_map(photo), *photo.shape[-2:], mode="bilinear")
    within = float((mask * people).sum() / mask.sum().clamp_min(1e-6))
    return mask * refined(people, photo) if within > SURE else mask


def face_ellipses(faces: list[Face], height: int, width: int) -> Tensor:
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


def _is_nothing(found: Tensor) -> bool:
    return float((found > SURE).float().mean()) < LEAST_AREA
