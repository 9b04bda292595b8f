"""What a stylized picture is made of, by name: styles, weights, masks, settings; all unread."""

from __future__ import annotations

import math
import os
import re
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field, fields, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

from cnnart.config import StylizeConfig
from cnnart.errors import UsageError, did_you_mean

if TYPE_CHECKING:
    from cnnart.engine import Engine
    from cnnart.jobs.replay import RecordedFiles
    from cnnart.jobs.stylizing import StylizeStudio
    from cnnart.jobs.writing import Writing

LAYER_SETTINGS = ("content_layers", "style_layers")


@dataclass(frozen=True)
class MaskChoice:
    """Where a style applies: a mask file, or the photo's own alpha (then ``path`` is None)."""

    given: str
    path: Path | None
    inverse: bool = False


@dataclass(frozen=True)
class StyleChoice:
    """A style picture and its part in the blend; ``builtin`` is its name if it is built in."""

    given: str
    path: Path
    weight: float = 1.0
    mask: MaskChoice | None = None
    builtin: str | None = None
    settings: Mapping[str, Any] = field(default_factory=dict)

    @property
    def label(self) -> str:
        return self.builtin or self.path.stem


@dataclass(frozen=True)
class StylizeRecipe:
    """Everything but the photo."""

    styles: tuple[StyleChoice, ...]
    config: StylizeConfig
    init: Path | None = None

    @property
    def label(self) -> str:
        """``mosaic``, or ``mosaic+waves`` for a blend, fit for a file name."""
        return blend_label([s.label for s in self.styles])

    def files(self) -> list[Path]:
        """Every file it reads, none of which a result may overwrite."""
        masks = mask_files([s.mask for s in self.styles])
        return [*(s.path for s in self.styles), *masks, *([self.init] if self.init else [])]

    def studio(self, engine: Engine, writing: Writing) -> StylizeStudio:
        """See ``craft.Recipe``."""
        from cnnart.jobs.stylizing import StylizeStudio

        return StylizeStudio(self, engine, writing)


def make_recipe(
    styles: Sequence[StyleChoice],
    masks: Sequence[MaskChoice],
    settings: Mapping[str, Any],
    init: Path | None = None,
) -> StylizeRecipe:
    """Pair styles with masks, the first with the first, and settle the settings."""
    if not styles:
        raise UsageError("No style: give a picture or the name of a built-in style.")
    each = masks_for(styles, masks)
    paired = [replace(style, mask=mask) for style, mask in zip(styles, each, strict=True)]
    config = make_config([s.settings for s in styles], settings)
    if init is not None:
        config = replace(config, init="picture")
    return StylizeRecipe(tuple(paired), config, init)


def blend_label(names: Sequence[str]) -> str:
    """``mosaic``, or ``mosaic+waves`` for a blend, fit for a file name."""
    return re.sub(r'[<>:"/\\|?*{}\x00-\x1f]', "_", "+".join(names))


def mask_files(masks: Sequence[MaskChoice | None]) -> list[Path]:
    """The files among masks."""
    return [mask.path for mask in masks if mask and mask.path]


def masks_for(
    styles: Sequence[object], masks: Sequence[MaskChoice | None]
) -> list[MaskChoice | None]:
    """A mask or None for each style, the first for the first. Raises UsageError for too many."""
    if len(masks) > len(styles):
        raise UsageError(f"{len(masks)} masks for {len(styles)} styles: one each at most.")
    return [*masks, *[None] * (len(styles) - len(masks))]


def make_config(
    recommended: Sequence[Mapping[str, Any]], settings: Mapping[str, Any]
) -> StylizeConfig:
    """The defaults, under what all the styles recommend alike, under what was asked for.

    A setting that is None counts as not asked for. Raises UsageError for an unknown setting.
    """
    shared = {
        key: value
        for key, value in (recommended[0] if recommended else {}).items()
        if all(other.get(key) == value for other in recommended)
    }
    asked = {key: value for key, value in settings.items() if value is not None}
    known = [f.name for f in fields(StylizeConfig)]
    for key in {**shared, **asked}:
        if key not in known:
            raise UsageError(f"Unknown setting {key!r}.{did_you_mean(key, known)}")
    chosen = {**shared, **asked}
    for key in LAYER_SETTINGS:
        if key in chosen:
            chosen[key] = layer_weights(chosen[key])
    return StylizeConfig(**chosen)


def layer_weights(layers: str | Mapping[str, float] | Iterable[str]) -> dict[str, float]:
    """``"relu4_2,relu5_1:0.5"``, a list of names or a mapping -> weights by layer name."""
    if isinstance(layers, Mapping):
        found = dict(layers)
    else:
        items = layers.split(",") if isinstance(layers, str) else list(layers)
        pairs = [item.strip().partition(":") for item in items]
        found = {name: parse_weight(weight or "1", name) for name, _, weight in pairs}
    if not found or "" in found:
        raise UsageError(f"No layer names in {layers!r}: write them like relu4_2,relu5_1:0.5.")
    return found


def parse_weight(text: str, what: str) -> float:
    """A weight above zero; ``what`` is named in the UsageError otherwise."""
    try:
        weight = float(text)
    except ValueError:
        raise UsageError(f"The weight {text!r} of {what!r} is not a number.") from None
    if not (math.isfinite(weight) and weight > 0):
        raise UsageError(f"The weight of {what!r} must be above zero, not {text}.")
    return weight


def parse_style(text: str) -> StyleChoice:
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


def choose_style(style: str | os.PathLike[str]) -> StyleChoice:
    """The style picture at a path or of a built-in name. Raises UsageError if there is none."""
    if found := _known_style(os.fspath(style)):
        return found
    raise UsageError(_no_style(os.fspath(style)))


def _known_style(text: str) -> StyleChoice | None:
    from cnnart.style_pictures import builtin_styles

    path = Path(text).expanduser()
    is_file = bool(text) and path.is_file()
    if not (is_file and (path.suffix or len(path.parts) > 1)):  # no built-in name looks like that
        style = builtin_styles().get(text)
        if style:
            return StyleChoice(text, style.path, builtin=text, settings=style.settings)
    return StyleChoice(text, path) if is_file else None


def _no_style(text: str) -> str:
    from cnnart.style_pictures import builtin_styles

    if text and Path(text).expanduser().is_dir():
        return f"The style {text!r} is a folder: give one picture in it."
    hint = did_you_mean(text, list(builtin_styles()))
    return f"No style {text!r}: no such file, and no built-in style.{hint} (cnnart styles list)"


def parse_mask(text: str) -> MaskChoice:
    """``FILE``, ``alpha``, or either after ``inverse:``. Raises UsageError if there is no file."""
    inverse = text.startswith("inverse:") and not Path(text).exists()
    name = text.removeprefix("inverse:") if inverse else text
    if name == "alpha":
        return MaskChoice(text, None, inverse)
    path = Path(name).expanduser()
    if not path.is_file():
        raise UsageError(f"No such mask: {name!r} (a file, or 'alpha' for the photo's own).")
    return MaskChoice(text, path, inverse)


def is_number(text: str) -> bool:
    """Whether ``text`` is one, as a weight after a colon is."""
    try:
        float(text)
    except ValueError:
        return False
    return True


def replay_mask(facts: Mapping[str, Any] | None, files: RecordedFiles) -> MaskChoice | None:
    """The mask of a record, or None."""
    if not facts:
        return None
    path: Path | None = None if facts["alpha"] else files.find(facts, "the mask back")
    return MaskChoice(str(path or "alpha"), path, facts["inverse"])
