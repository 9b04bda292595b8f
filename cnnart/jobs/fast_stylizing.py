"""What a fast-stylized picture is made of, by name: styles of checkpoints, masks, settings."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, fields, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

from cnnart.config import FastConfig, check_fast_config
from cnnart.errors import UsageError, WeightsError, did_you_mean
from cnnart.fast.header import style_names
from cnnart.jobs.recipe import (
    MaskChoice,
    blend_label,
    is_number,
    mask_files,
    masks_for,
    parse_weight,
    replay_mask,
)

if TYPE_CHECKING:
    from cnnart.engine import Engine
    from cnnart.jobs.fast_studio import FastStudio
    from cnnart.jobs.replay import RecordedFiles
    from cnnart.jobs.writing import Writing

FOREIGN = (".pth", ".pt", ".model")  # of pytorch/examples; they hold one style


@dataclass(frozen=True)
class TrainedStyle:
    """A style of a checkpoint, its part in the blend, and where it applies."""

    name: str
    path: Path
    weight: float = 1.0
    mask: MaskChoice | None = None
    builtin: bool = False


@dataclass(frozen=True)
class FastRecipe:
    """Everything but the photo. ``batch``: photos of one size at once; None: as suits it."""

    styles: tuple[TrainedStyle, ...]
    config: FastConfig
    batch: int | None = None

    @property
    def label(self) -> str:
        """``candy``, or ``candy+waves`` for a blend, fit for a file name."""
        return blend_label([s.name for s in self.styles])

    def files(self) -> list[Path]:
        """Every file it reads, none of which a result may overwrite."""
        masks = mask_files([s.mask for s in self.styles])
        return [*dict.fromkeys(s.path for s in self.styles), *masks]

    def studio(self, engine: Engine, writing: Writing) -> FastStudio:
        """See ``craft.Recipe``."""
        from cnnart.jobs.fast_studio import FastStudio

        return FastStudio(self, engine, writing)


def trained_styles() -> dict[str, Path]:
    """The trained styles that cnnart brings, by name, with the checkpoint that holds each."""
    from cnnart.style_pictures import styles_folder

    found: dict[str, Path] = {}
    for path in sorted(styles_folder().glob("*.safetensors")):
        for name in style_names(path):
            found.setdefault(name, path)
    return found


def parse_trained(text: str) -> TrainedStyle:
    """``NAME``, ``FILE`` or ``FILE:NAME``, each perhaps with ``:WEIGHT``. Raises UsageError."""
    if found := _known(text):
        return found
    name, colon, weight = text.rpartition(":")
    if colon and is_number(weight) and (found := _known(name)):
        return replace(found, weight=parse_weight(weight, name))
    raise UsageError(_unknown(name if colon and is_number(weight) else text))


def _known(text: str) -> TrainedStyle | None:
    path = Path(text).expanduser()
    if text and path.is_file():
        return _of_file(path, None)
    file, colon, name = text.rpartition(":")
    if colon and file and (path := Path(file).expanduser()).is_file():
        return _of_file(path, name) if not is_number(name) else None
    if path := trained_styles().get(text):  # type: ignore[assignment]
        return TrainedStyle(text, path, builtin=True)
    return None


def _of_file(path: Path, name: str | None) -> TrainedStyle:
    """A style of a checkpoint file; ``name`` may be left out where there is one alone."""
    if path.suffix.lower() in FOREIGN:
        names = [path.stem]
    else:
        try:
            names = style_names(path)
        except WeightsError as error:
            raise UsageError(_not_trained(path, str(error))) from None
    if name is None and len(names) == 1:
        return TrainedStyle(names[0], path)
    if name in names:
        return TrainedStyle(str(name), path)
    hint = did_you_mean(name, names) if name else ""
    what = f"no style {name!r}" if name else f"{len(names)} styles"
    raise UsageError(
        f"{path} holds {what}: choose one, as in {path}:{names[0]}. There is {', '.join(names)}."
        f"{hint}"
    )


def _not_trained(path: Path, error: str) -> str:
    from cnnart.jobs.files import READABLE

    if path.suffix.lower() in READABLE:
        return (
            f"{path} is a picture, and fast-stylize needs a trained style: `cnnart stylize` paints "
            "in the style of any picture, `cnnart train-style` trains one for it."
        )
    return error


def _unknown(text: str) -> str:
    from cnnart.style_pictures import builtin_styles

    if text in builtin_styles():
        return (
            f"The style {text!r} has no trained network here: `cnnart stylize` paints in it, and "
            f"`cnnart train-style {text}` trains one."
        )
    known = list(trained_styles())
    there = f"There is {', '.join(known)}." if known else "No trained styles came with cnnart."
    return f"No trained style {text!r}: no such file or name.{did_you_mean(text, known)} {there}"


def make_fast_recipe(
    styles: Sequence[TrainedStyle],
    masks: Sequence[MaskChoice],
    settings: Mapping[str, Any],
    batch: int | None = None,
) -> FastRecipe:
    """Pair styles with masks, the first with the first. Raises UsageError."""
    if not styles:
        raise UsageError("No style: give the name of a trained style or its checkpoint.")
    each = masks_for(styles, masks)
    paired = [replace(style, mask=mask) for style, mask in zip(styles, each, strict=True)]
    known = [f.name for f in fields(FastConfig)]
    asked = {key: value for key, value in settings.items() if value is not None}
    for key in asked:
        if key not in known:
            raise UsageError(f"Unknown setting {key!r}.{did_you_mean(key, known)}")
    config = FastConfig(**asked)
    check_fast_config(config)
    return FastRecipe(tuple(paired), config, batch)


def replay(
    record: Mapping[str, Any], files: RecordedFiles, styles: Sequence[TrainedStyle] = ()
) -> FastRecipe:
    """The recipe of a record; ``styles`` given anew replace what it names, under its masks."""
    masks = [replay_mask(facts["mask"], files) for facts in record["styles"]]
    chosen = styles or [_replay_style(facts, files) for facts in record["styles"]]
    masks += [None] * (len(chosen) - len(masks))
    made_of = [replace(s, mask=mask) for s, mask in zip(chosen, masks, strict=False)]
    return FastRecipe(tuple(made_of), files.config(FastConfig, record["settings"]))


def _replay_style(facts: Mapping[str, Any], files: RecordedFiles) -> TrainedStyle:
    if facts["builtin"] and (path := trained_styles().get(facts["style"])):
        files.compare(facts, path)
    else:
        path = files.find(facts, "--style FILE")
    return TrainedStyle(facts["style"], path, facts["weight"], builtin=facts["builtin"])
