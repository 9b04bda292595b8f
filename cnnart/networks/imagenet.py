"""Classes by name, number or WordNet id."""

from __future__ import annotations

import re
from collections.abc import Sequence

from cnnart.errors import UsageError, did_you_mean
from cnnart.weights.embedded import imagenet_ids

WORDNET_ID = re.compile(r"n\d{8}(?=\D|$)")
IMAGENET_SIZE = 1000
DIGITS = 9  # of a class's number; Python refuses thousands of them
MOST_TOLD = 5  # classes that a name could mean


def class_name(classes: Sequence[str] | None, index: int) -> str:
    """The name of output ``index``: ``goldfish``; ``class 1`` where names are not known."""
    return classes[index] if classes and index < len(classes) else f"class {index}"


def class_index(
    classes: Sequence[str] | None, text: str, count: int | None = None, *, part: bool = True
) -> int:
    """The output that ``text`` means: a class name, a number, or a WordNet id (of ImageNet).

    Case, underscores and hyphens of a name matter only where they tell two names apart; with
    ``part``, a word or the beginning of a name will do. What fits several classes is refused, with
    their numbers. ``count``: how many outputs there are, if ``classes`` does not tell. Raises
    UsageError, with the nearest name.
    """
    total = len(classes) if classes else count
    if classes and list(classes).count(text) == 1:
        return list(classes).index(text)
    if text.strip().isdecimal():
        digits = text.strip().lstrip("0") or "0"
        index = int(digits[:DIGITS])
        if len(digits) > DIGITS or (total is not None and index >= total):
            last = "" if total is None else f": they count from 0 to {total - 1}"
            raise UsageError(f"There is no class {digits[:DIGITS]}{last}.")
        return index
    if WORDNET_ID.fullmatch(text.strip()) and total == IMAGENET_SIZE:
        if text.strip() in (ids := imagenet_ids()):
            return ids.index(text.strip())
        raise UsageError(
            f"{text} is none of the WordNet ids of ImageNet's {IMAGENET_SIZE} classes."
        )
    if not classes:
        raise UsageError(f"This network's classes have no names: give a number, not {text!r}.")
    plain, meant = [_plain(name) for name in classes], _plain(text)
    found = [n for n, name in enumerate(plain) if name == meant]
    if not found and part and meant:
        found = [n for n, name in enumerate(plain) if meant in name.split()]
        found = found or [n for n, name in enumerate(plain) if name.startswith(meant)]
    if len(found) == 1:
        return found[0]
    if found:
        could = ", ".join(f"{classes[n]} ({n})" for n in found[:MOST_TOLD])
        more = f" and {len(found) - MOST_TOLD} more" if len(found) > MOST_TOLD else ""
        raise UsageError(f"The class {text!r} could be {could}{more}: give its number.")
    raise UsageError(f"Unknown class {text!r}.{did_you_mean(meant, plain)}")


def _plain(name: str) -> str:
    return re.sub(r"[\s_\-]+", " ", name).strip().casefold()
