"""The subject, the people and the faces of a photo as masks.

They are found on the CPU on every machine: the same photo has the same mask everywhere.
"""

from __future__ import annotations

from torch import Tensor

from cnnart.image.picture import resize
from cnnart.methods.masks.refine import refined
from cnnart.networks.blazeface import face_ellipses, find_faces
from cnnart.networks.selfie_segmenter import person_map
from cnnart.networks.u2net import subject_map

SURE = 0.5  # a map that nowhere says more has found nothing
LEAST_AREA = 5e-4  # of the photo: less is nothing


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


def _is_nothing(found: Tensor) -> bool:
    return float((found > SURE).float().mean()) < LEAST_AREA
