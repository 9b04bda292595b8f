"""Styles and masks by name or in memory: what several commands take, unread.

A picture is given as a file's path, or as anything ``cnnart.image.read.to_picture`` takes. Nothing
here imports torch before something is read.
"""

from __future__ import annotations

import os
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypeVar

from cnnart.builtin_styles import builtin_styles, find_style
from cnnart.errors import ImageError, UsageError, did_you_mean
from cnnart.files import (
    WRITABLE,
    as_path,
    is_file,
    is_folder,
    is_there,
    obstacle,
    resolved,
    sha256_of,
)
from cnnart.run.record import RecordedFiles, describe_file
from cnnart.settings import CLASS_MASK, NAMED_MASKS, is_number, parse_weight

if TYPE_CHECKING:
    from torch import Tensor

    from cnnart.image.picture import Picture
    from cnnart.run.outputs import Task
    from cnnart.runtime import Runtime

S = TypeVar("S")

MEMORY = "<memory>"  # the name and the path of what has none


@dataclass(frozen=True)
class MaskInput:
    """Where a style applies: a mask, what is found in each photo (``named``), or its own alpha.

    ``picture``: of a mask that is given, else None. ``show``: where to write what was chosen;
    ``{stem}`` in it is the photo's.
    """

    given: str
    picture: Any
    inverse: bool = False
    named: str | None = None
    show: str | None = None

    @property
    def path(self) -> Path | None:
        """The mask's file, if it is one."""
        return self.picture if isinstance(self.picture, Path) else None

    @property
    def is_filmed(self) -> bool:
        """Whether it is a clip or numbered pictures, for the frames of a clip."""
        if self.path is None:
            return False
        from cnnart.video.formats import CLIPS

        return self.path.suffix.lower() in CLIPS or bool(frames_of(self.path))

    def read(self) -> Tensor | None:
        """The mask, ``1x1xHxW`` in [0, 1]; None for one that a photo or clip has to be there for.

        Raises ImageError.
        """
        if self.picture is None or self.is_filmed:
            return None
        from cnnart.image.read import style_mask

        return style_mask(self.picture, inverse=self.inverse)

    def over(self, photo: Picture, mask: Tensor | None, name: str, moves: bool = False) -> Tensor:
        """``mask`` as read, or the photo's own. Raises ImageError if it has none.

        Args:
            name: of the photo, for the message.
            moves: it is the frame of a clip: what is found in each is all of it for now.
        """
        if moves and (self.named or self.is_filmed):
            return photo.rgb.new_ones(1, 1, 2, 2)
        found = self._of(photo, name) if mask is None else mask
        if self.show is not None:
            from cnnart.commands.named_masks import show_mask

            show_mask(found, shown_path(self.show, name))
        return found

    def _of(self, photo: Picture, name: str) -> Tensor:
        if self.named is not None:
            from cnnart.commands.named_masks import named_mask

            found = named_mask(photo.rgb, self.named, name)
        elif self.is_filmed:
            raise ImageError(f"{name}: `mask` {self.given} is a clip: give a picture for a photo.")
        elif photo.alpha is None:
            raise ImageError(f"{name}: no transparency in it for `mask` alpha.")
        else:
            found = photo.alpha
        return 1 - found if self.inverse else found

    def record(self) -> dict[str, Any]:
        """File, kind and direction, for the record."""
        facts = {} if self.picture is None else describe_input(self.picture)
        facts["alpha"] = self.picture is None and self.named is None
        return {**facts, "inverse": self.inverse} | ({"named": self.named} if self.named else {})


@dataclass(frozen=True)
class StyleInput:
    """A style picture and its part in the blend; ``builtin`` is its name if it is built in.

    ``settings``: what a built-in style recommends.
    """

    given: str
    picture: Any
    weight: float = 1.0
    mask: MaskInput | None = None
    builtin: str | None = None
    settings: Mapping[str, Any] = field(default_factory=dict)

    @property
    def path(self) -> Path | None:
        """The picture's file, if it is one."""
        return self.picture if isinstance(self.picture, Path) else None

    @property
    def label(self) -> str:
        """Its name: the built-in style's, or the file's without its suffix."""
        return self.builtin or (self.path.stem if self.path else self.given)

    def record(self) -> dict[str, Any]:
        """File, weight and mask, for the record."""
        facts: dict[str, Any] = {"builtin": self.builtin}
        facts |= describe_input(self.picture, self.builtin)
        facts["weight"] = self.weight
        return facts | ({"mask": self.mask.record()} if self.mask else {})


def describe_input(picture: Any, given: str | None = None) -> dict[str, Any]:
    """A picture for a record; one in memory has neither a name nor a checksum."""
    if isinstance(picture, Path) and (frames := frames_of(picture)):
        content = "".join(sha256_of(each) for each in frames).encode()
        return {"name": picture.name, "path": str(picture), "sha256": sha256_of(content)}
    if isinstance(picture, Path):
        return describe_file(given or str(picture), picture)
    return {"name": MEMORY, "path": MEMORY, "sha256": None}


def read_input(picture: Any, runtime: Runtime) -> Picture:
    """Read a file, or convert a picture in memory; what there is to tell of it goes to the
    runtime's ``notes``. The runtime's limit of pixels is for what others made, not for the built-in
    styles. Raises ImageError.
    """
    from cnnart.image.read import MAX_PIXELS, read_image, to_picture

    if isinstance(picture, Path):
        own = any(picture == style.path for style in builtin_styles().values())
        limit = None if own else runtime.max_pixels
        read = read_image(picture, max_pixels=limit or MAX_PIXELS)
    else:
        read = to_picture(picture)
    runtime.notes += read.warnings
    return read


def blend_label(names: Sequence[str]) -> str:
    """``mosaic``, or ``mosaic+waves`` for a blend, fit for a file name."""
    return re.sub(r'[<>:"/\\|?*{}\x00-\x1f]', "_", "+".join(names))


def frames_of(path: Path) -> list[Path]:
    """The pictures that a folder, or a name such as ``masks/%04d.png``, stands for; else none."""
    if is_file(path) or not ("%" in path.name or is_folder(path)):
        return []
    from cnnart.video.formats import leads_to_frames, numbered

    return numbered(path) if leads_to_frames(path) or is_folder(path) else []


def files_of(*pictures: Any) -> list[Path]:
    """The files among pictures, styles and masks."""
    paths = [
        path for each in pictures if isinstance(path := getattr(each, "path", None) or each, Path)
    ]
    return [file for path in paths for file in frames_of(path) or [path]]


def with_masks(styles: Sequence[S], masks: Sequence[MaskInput | None]) -> tuple[S, ...]:
    """Each style with its mask, the first with the first. Raises UsageError for too many masks.

    Args:
        styles: dataclasses with a field ``mask``.
    """
    if len(masks) > len(styles):
        raise UsageError(f"{len(masks)} masks for {len(styles)} styles: one each at most.")
    each = [*masks, *[None] * (len(styles) - len(masks))]
    return tuple(replace(style, mask=mask) for style, mask in zip(styles, each, strict=True))  # type: ignore[type-var]


def parse_style(text: str) -> StyleInput:
    """``STYLE[:WEIGHT]``: a built-in name or a path, either with a weight.

    A colon belongs to the name where such a file exists or no number follows (``C:\\art.jpg``).
    """
    if found := _known_style(text):
        return found
    name, colon, weight = text.rpartition(":")
    if not colon:
        raise UsageError(_no_style(text))
    found = _known_style(name)
    if found:
        return replace(found, weight=parse_weight(weight, name))
    raise UsageError(_no_style(name if is_number(weight) else text))


def choose_style(style: str | os.PathLike[str]) -> StyleInput:
    """The style picture at a path or of a built-in name. Raises UsageError if there is none."""
    if found := _known_style(os.fspath(style)):
        return found
    raise UsageError(_no_style(os.fspath(style)))


def _known_style(text: str) -> StyleInput | None:
    path = as_path(text) if text else Path()
    is_picture = is_file(path)
    if not (
        is_picture and (path.suffix or len(path.parts) > 1)
    ):  # no built-in name looks like that
        style = builtin_styles().get(text)
        if style:
            return StyleInput(text, style.path, builtin=text, settings=style.settings)
    return StyleInput(text, path) if is_picture else None


def _no_style(text: str) -> str:
    if text and is_folder(as_path(text)):
        return f"The style {text!r} is a folder: give one picture in it."
    if text and "no such file" not in (why := obstacle(as_path(text))):
        return f"The style {text!r} cannot be read: {why}."
    hint = did_you_mean(text, list(builtin_styles()))
    return f"No style {text!r}: no such file, and no built-in style.{hint} (cnnart styles list)"


def parse_mask(text: str) -> MaskInput:
    """A name, ``FILE`` or ``alpha``, or any of them after ``inverse:``.

    A name is one even where there is a file of that name: that is ``./subject``. Raises UsageError
    if there is no file, and for an unknown class.
    """
    if found := named_mask_input(text):
        return found
    inverse = text.startswith("inverse:") and not is_there(Path(text))
    name = text.removeprefix("inverse:") if inverse else text
    if name == "alpha":
        return MaskInput(text, None, inverse)
    path = as_path(name)
    if frames_of(path):
        return MaskInput(text, path, inverse)
    if is_folder(path):
        raise UsageError(
            f"`mask` {name!r} is a folder without pictures: a clip needs one for each frame."
        )
    if why := obstacle(path):
        hint = did_you_mean(name, NAMED_MASKS)
        raise UsageError(
            f"No such mask: {name!r} ({', '.join(NAMED_MASKS)}, {CLASS_MASK}NAME, a file, or "
            f"'alpha' for the photo's own): {why}.{hint}"
        )
    return MaskInput(text, path, inverse)


def parse_masks(texts: Sequence[str], show: str | None = None) -> list[MaskInput]:
    """The masks; ``show``: where to write what was chosen, of several ``NAME-1.png`` and so on."""
    masks = [parse_mask(text) for text in texts]
    if show is None:
        return masks
    if not masks:
        raise UsageError("`show_mask` shows what `mask` chooses: give both.")
    path = Path(show)
    numbers = [""] if len(masks) == 1 else [f"-{n}" for n in range(1, len(masks) + 1)]
    names = [str(path.with_name(f"{path.stem}{n}{path.suffix}")) for n in numbers]
    return [replace(mask, show=name) for mask, name in zip(masks, names, strict=True)]


def shown_path(show: str, photo: str) -> Path:
    """Where the mask of a photo is shown."""
    return as_path(show.replace("{stem}", Path(photo).stem))


def check_shown(masks: Sequence[MaskInput | None], tasks: Sequence[Task]) -> None:
    """Raise UsageError where showing masks would overwrite an input, a result or each other."""
    shown = [mask.show for mask in masks if mask and mask.show]
    taken = [resolved(mask.path) for mask in masks if mask and mask.path]
    taken += [resolved(as_path(t.source.given)) for t in tasks]
    taken += [resolved(t.target) for t in tasks if t.target]
    for show in shown:
        if Path(show).suffix.lower() not in WRITABLE:
            raise UsageError(f"`show_mask` {show!r}: cnnart writes {', '.join(WRITABLE)}.")
        paths = [resolved(shown_path(show, task.source.given)) for task in tasks]
        if len(set(paths)) < len({task.source.given for task in tasks}):
            raise UsageError(
                f"The masks of {len(tasks)} photos do not fit into one file: write {{stem}} in "
                "`show_mask`, like mask-{stem}.png."
            )
        if clash := next((path for path in paths if path in taken), None):
            raise UsageError(f"`show_mask` would overwrite {clash}: choose another name.")


def named_mask_input(text: str) -> MaskInput | None:
    """The mask of a name, perhaps after ``inverse:``; None for other texts.

    Raises UsageError for an unknown class.
    """
    name = text.removeprefix("inverse:")
    if name.startswith(CLASS_MASK):
        from cnnart.networks.imagenet import class_index
        from cnnart.weights.embedded import imagenet_classes

        class_index(imagenet_classes(), name.removeprefix(CLASS_MASK))
    elif name not in NAMED_MASKS:
        return None
    return MaskInput(text, None, name != text, named=name)


def memory_mask(mask: Any) -> MaskInput | None:
    """A mask as Python gives it: a name, a path, or a picture in memory; None: everywhere."""
    if mask is None:
        return None
    if isinstance(mask, str) and (found := named_mask_input(mask)):
        return found
    picture = Path(mask) if isinstance(mask, str | os.PathLike) else mask
    return MaskInput(str(mask) if isinstance(picture, Path) else "given", picture)


def existing_file(name: str | None, option: str) -> Path | None:
    """The file of that name. Raises UsageError, naming the option, if there is none."""
    if name is None:
        return None
    path = as_path(name)
    if why := obstacle(path):
        raise UsageError(f"{option} {name!r}: {why}.")
    return path


def recorded_mask(facts: Mapping[str, Any] | None, files: RecordedFiles) -> MaskInput | None:
    """The mask of a record, or None."""
    if not facts:
        return None
    if named := facts.get("named"):
        return MaskInput(named, None, facts["inverse"], named=named)
    path: Path | None = None
    if not facts["alpha"]:
        path = Path(facts["path"])
        path = path if frames_of(path) else files.find(facts, "the mask back")
    return MaskInput(str(path or "alpha"), path, facts["inverse"])


def recorded_style(facts: Mapping[str, Any], files: RecordedFiles) -> StyleInput:
    """A style picture of a record, without its mask."""
    if facts["builtin"]:
        path = find_style(facts["builtin"]).path
        files.compare(facts, path)
    else:
        path = files.find(facts, "--style FILE")
    return StyleInput(str(path), path, facts["weight"], builtin=facts["builtin"])
