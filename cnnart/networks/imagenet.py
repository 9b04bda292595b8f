"""Classes by name, number or WordNet id."""

from __future__ import annotations

import re
from collections.abc import Sequence

from cnnart.errors import UsageError, did_you_mean
from cnnart.weights.embedded import imagenet_ids

WORDNET_ID = re.compile(r"n\d{8}(?=\D|$)")
IMAGENET_SIZE = 1000


def class_name(classes: Sequence[str] | None, index: int) -> str:
    """The name of output ``index``: ``goldfish``; ``class 1`` where names are not known."""
    return classes[index] if classes and index < len(classes) else f"class {index}"


def class_index(
    classes: Sequence[str] | None, text: str, count: int | None = None, *, part: bool = True
) -> int:
    """The output that ``text`` means: a number, a class name, or a WordNet id (of ImageNet).

    Case, underscores and hyphens of a name do not matter; with ``part``, a word that occurs in one
    name only will do. ``count``: how many outputs there are, if ``classes`` does not tell. Raises
    UsageError, with the nearest name.
    """
    total = len(classes) if classes else count
    if text.strip().isdecimal():
        index = int(text)
        if total is not None and index >= total:
            raise UsageError(f"There is no class {index}: they count from 0 to {total - 1}.")
        return index
    if WORDNET_ID.fullmatch(text.strip()) and total == IMAGENET_SIZE:
        if text.strip() in (ids := imagenet_ids()):
            return ids.index(text.strip())
        raise UsageError(
            f"{text} is none of the WordNet ids of ImageNet's {IMAGENET_SIZE} classes."
        )
    if not classes:
        raise UsageError(f"This network's classes have no names: give a number, not {text!r}.")
    plain = [_plain(name) for name in classes]
    if _plain(text) in plain:
        return plain.index(_plain(text))
    within = [n for n, name in enumerate(plain) if _plain(text) in name.split()]
    if part and len(within) == 1:
        return within[0]
    hint = did_you_mean(_plain(text), plain)
    if within:
        hint = f" It could be {', '.join(classes[n] for n in within[:5])}."
    raise UsageError(f"Unknown class {text!r}.{hint}")


def _plain(name: str) -> str:
    return re.sub(r"[\s_\-]+", " ", name).strip().casefold()
