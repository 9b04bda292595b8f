"""Which files are clips, and what is written under which suffix. Nothing here imports PyAV."""

from __future__ import annotations

import re
from contextlib import suppress
from pathlib import Path
from typing import NamedTuple

from cnnart.errors import UsageError
from cnnart.files import READABLE, is_file, is_folder, natural_key, open_file
from cnnart.image.formats import VIDEO, kind_by_content

# Read as clips, by suffix. A still picture may have one of the second kind.
CLIPS = (
    *(".mp4", ".m4v", ".mov", ".mkv", ".webm", ".avi", ".mpg", ".mpeg", ".ts", ".mts", ".m2ts"),
    *(".wmv", ".flv", ".ogv", ".3gp"),
)
ANIMATED = (".gif", ".webp", ".png", ".apng")
HEAD = 1 << 16  # bytes from its beginning that tell what a file is

FRAMES = re.compile(r"%0?\d{0,2}d")  # in a name: numbered pictures, frames/%04d.png


class Container(NamedTuple):
    """What libavformat calls it, and the codecs that go into it, the first unless asked."""

    format: str
    codecs: tuple[str, ...]


CONTAINERS = {
    ".mp4": Container("mp4", ("h264", "hevc", "vp9", "av1")),
    ".m4v": Container("mp4", ("h264", "hevc")),
    ".mov": Container("mov", ("h264", "hevc", "prores")),
    ".mkv": Container("matroska", ("h264", "hevc", "vp9", "av1", "prores")),
    ".webm": Container("webm", ("vp9", "av1")),
}
PICTURES = (".gif", ".webp")  # animations written by Pillow
FORMATS = ("mp4", "mov", "mkv", "webm", "gif", "webp")  # of what has no name to tell it
SUFFIX_OF = {"prores": ".mov", "vp9": ".webm"}  # of a result without a name; others are .mp4


def names_frames(name: str) -> bool:
    """Whether a name stands for numbered pictures."""
    return bool(FRAMES.search(Path(name).name))


def leads_to_frames(path: Path) -> bool:
    """Whether a name stands for numbered pictures, and is not that of a file itself."""
    return names_frames(path.name) and not is_file(path)


def numbered(path: Path) -> list[Path]:
    """The files that a name with ``%04d`` in it stands for, in the order of their numbers; of a
    folder its pictures, in the order of their names.
    """
    if is_folder(path):
        with suppress(OSError):
            found_there = [p for p in path.iterdir() if p.suffix.lower() in READABLE]
            return sorted((p for p in found_there if p.name[0] != "."), key=natural_key)
        return []
    try:
        found = [(number_in(each.name, path.name), each) for each in path.parent.iterdir()]
    except OSError:
        return []
    return [each for _, each in sorted((n, each) for n, each in found if n is not None)]


def number_in(name: str, pattern: str) -> int | None:
    """The number for which a pattern such as ``%04d.png`` stands for a name; None: for none."""
    before, after = FRAMES.split(pattern, maxsplit=1)
    found = re.fullmatch(re.escape(before) + r"(\d+)" + re.escape(after), name)
    return int(found[1]) if found else None


def is_animated(path: Path) -> bool:
    """Whether a GIF, WebP or PNG file holds more than one picture; of another file False."""
    if path.suffix.lower() not in ANIMATED:
        return False
    try:
        with open_file(path) as file:
            return _animation(file.read(HEAD)) is not None
    except OSError:
        return False  # reading it will tell


def suffix_by_content(head: bytes) -> str | None:
    """For a clip without a name, by its first ``HEAD`` bytes: one that its kind has; None: it is no
    clip.
    """
    return _animation(head) or (".mp4" if kind_by_content(head) is VIDEO else None)


def _animation(head: bytes) -> str | None:
    """The suffix of an animated picture, by its first bytes; None: it is none."""
    if head.startswith(b"RIFF"):
        moves = head[8:16] == b"WEBPVP8X" and len(head) > 20 and bool(head[20] & 2)
        return ".webp" if moves else None
    if head.startswith(b"\x89PNG"):
        return ".png" if b"acTL" in head.partition(b"IDAT")[0] else None
    return ".gif" if head.startswith(b"GIF8") and b"NETSCAPE2.0" in head else None


def output_kind(suffix: str, codec: str | None) -> tuple[str, str | None]:
    """The format that a result's suffix stands for, and the codec in it; None where it has none.

    Raises UsageError for another suffix, and a codec that does not go into it.
    """
    suffix = suffix.lower()
    if suffix in PICTURES:
        if codec:
            raise UsageError(f"`codec` is for videos, and {suffix} has none: leave it out.")
        return suffix[1:], None
    if suffix not in CONTAINERS:
        known = ", ".join([*CONTAINERS, *PICTURES])
        raise UsageError(
            f"A clip is written as {known}, or as frames (frames/%04d.png), not "
            f"{suffix or 'without a suffix'}."
        )
    kept = CONTAINERS[suffix]
    if codec and codec not in kept.codecs:
        fitting = ", ".join(name for name, each in CONTAINERS.items() if codec in each.codecs)
        raise UsageError(
            f"{codec} does not go into {suffix}: choose {fitting}, or of {', '.join(kept.codecs)}."
        )
    return kept.format, codec or kept.codecs[0]
