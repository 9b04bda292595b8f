"""Masks that are asked for by name: found in each photo, kept for the next look at it, shown."""

from __future__ import annotations

import hashlib
from collections.abc import Callable
from pathlib import Path

from torch import Tensor

from cnnart.errors import ImageError
from cnnart.image.write import write_image
from cnnart.methods.masks.found import face_mask, person_mask, subject_mask
from cnnart.settings import CLASS_MASK

FINDERS: dict[str, Callable[[Tensor], Tensor | None]] = {
    "subject": subject_mask,
    "person": person_mask,
    "face": face_mask,
}
MOST_KEPT = 4

_kept: dict[tuple[str, str], Tensor] = {}  # the latest last; photos may be read by several threads


def named_mask(photo: Tensor, named: str, shown: str) -> Tensor:
    """The mask of a name over a photo (``1x3xHxW`` in [0, 1]): ``1x1xHxW`` in [0, 1], on the CPU.

    Args:
        named: ``subject``, ``background``, ``person``, ``face`` or ``class:NAME``.
        shown: the photo's name, for the message.

    Raises ImageError where the photo has none of it.
    """
    if named == "background":
        return 1 - named_mask(photo, "subject", shown)
    photo = photo.cpu().contiguous()
    key = named, f"{photo.shape} {hashlib.sha256(photo.numpy().data).hexdigest()}"
    found = _kept.get(key)
    if found is None:
        found = _kept[key] = _found(photo, named, shown)
        for old in list(_kept)[:-MOST_KEPT]:
            _kept.pop(old, None)
    return found


def _found(photo: Tensor, named: str, shown: str) -> Tensor:
    if named.startswith(CLASS_MASK):
        from cnnart.methods.inspect.class_mask import class_mask

        return class_mask(photo, named.removeprefix(CLASS_MASK), shown)
    mask = FINDERS[named](photo)
    if mask is None:
        raise ImageError(f"{shown}: no {named} found in it for `mask`.")
    return mask


def show_mask(mask: Tensor, target: Path) -> None:
    """Write a mask (``1x1xHxW``) as a gray picture that ``--mask`` takes again."""
    write_image(target, mask.cpu().expand(-1, 3, -1, -1))
