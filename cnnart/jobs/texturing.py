"""What a texture is made of, by name: further exemplars, maps, the mask; nothing is read here."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, fields
from pathlib import Path
from typing import TYPE_CHECKING, Any

from cnnart.config import TextureConfig, check_texture_config
from cnnart.errors import UsageError, did_you_mean
from cnnart.jobs.recipe import layer_weights, parse_weight

if TYPE_CHECKING:
    from cnnart.engine import Engine
    from cnnart.jobs.replay import RecordedFiles
    from cnnart.jobs.texture_studio import TextureStudio
    from cnnart.jobs.writing import Writing


@dataclass(frozen=True)
class TextureRecipe:
    """Everything but the exemplar itself.

    ``mixed``: the further exemplars of a mixture; ``weights``: first the exemplar's own, then
    theirs. ``guides``: a map for each exemplar, and ``guide_target`` the result's. ``inpaint``: the
    mask of what to make anew. ``companions``: maps to be transformed like the exemplar, and
    ``tiles`` (rows, columns) a preview of the result side by side with itself: both are written
    beside the result. ``ladder``: a sheet of the layers' shares instead of the texture.
    """

    config: TextureConfig
    mixed: tuple[Path, ...] = ()
    weights: tuple[float, ...] = (1.0,)
    guides: tuple[Path, ...] = ()
    guide_target: Path | None = None
    inpaint: Path | None = None
    companions: tuple[Path, ...] = ()
    tiles: tuple[int, int] | None = None
    ladder: bool = False

    @property
    def label(self) -> str:
        """``texture``, ``ladder`` or ``inpainted``."""
        if self.ladder:
            return "ladder"
        return "inpainted" if self.inpaint else "texture"

    def files(self) -> list[Path]:
        """Every file it reads, none of which a result may overwrite."""
        single = [path for path in (self.guide_target, self.inpaint) if path]
        return [*self.mixed, *self.guides, *self.companions, *single]

    def studio(self, engine: Engine, writing: Writing) -> TextureStudio:
        """See ``craft.Recipe``."""
        from cnnart.jobs.texture_studio import TextureStudio

        return TextureStudio(self, engine, writing)


def make_texture_config(settings: Mapping[str, Any]) -> TextureConfig:
    """The defaults, under what was asked for; None counts as not asked for.

    Raises UsageError for an unknown setting or one out of its range.
    """
    known = [f.name for f in fields(TextureConfig)]
    asked = {key: value for key, value in settings.items() if value is not None}
    for key in asked:
        if key not in known:
            raise UsageError(f"Unknown setting {key!r}.{did_you_mean(key, known)}")
    if "layers" in asked:
        asked["layers"] = layer_weights(asked["layers"])
    config = TextureConfig(**asked)
    check_texture_config(config)
    return config


def check_texture_recipe(recipe: TextureRecipe) -> None:
    """Raise UsageError for what contradicts itself, before anything is read."""
    method = recipe.config.method
    if bool(recipe.guides) != bool(recipe.guide_target):
        raise UsageError("--guide and --guide-target belong together: give both maps.")
    if recipe.guides and len(recipe.guides) != len(recipe.weights):
        raise UsageError(
            f"{len(recipe.guides)} guide maps for {len(recipe.weights)} exemplars: one each, in "
            "the same order."
        )
    if recipe.inpaint and recipe.guides:
        raise UsageError("--inpaint and --guide do not go together: use one of them.")
    if recipe.inpaint and recipe.config.size is not None:
        raise UsageError("--inpaint keeps the picture's size: leave --size away.")
    if recipe.companions and method == "gram":
        raise UsageError(
            "--companion needs a method that copies pixels: --method quilting or efros-leung."
        )
    if recipe.companions and recipe.mixed:
        raise UsageError("--companion goes with one exemplar: leave --mix away.")
    if recipe.ladder and method not in ("auto", "gram"):
        raise UsageError(f"--ladder shows layers of the network: it has no meaning for {method}.")
    if recipe.ladder and (recipe.companions or recipe.inpaint):
        raise UsageError("--ladder makes a sheet: leave --companion and --inpaint away.")


def split_weight(text: str) -> tuple[str, float | None]:
    """``EXEMPLAR[:WEIGHT]`` -> the exemplar and its weight, None where none is given.

    A colon belongs to the name where such a file exists or no number follows (``C:\\bark.jpg``).
    Raises UsageError for a weight that is not above zero.
    """
    name, colon, weight = text.rpartition(":")
    if not colon or not name or Path(text).expanduser().exists():
        return text, None
    try:
        float(weight)
    except ValueError:
        return text, None
    return name, parse_weight(weight, name)


def existing_file(name: str | None, what: str) -> Path | None:
    """The file of that name. Raises UsageError, naming the option, if there is none."""
    if name is None:
        return None
    path = Path(name).expanduser()
    if not path.is_file():
        raise UsageError(f"{what} {name!r}: no such file.")
    return path


def existing_files(names: Sequence[str], what: str) -> tuple[Path, ...]:
    """See ``existing_file``."""
    return tuple(path for name in names if (path := existing_file(name, what)))


def replay(record: Mapping[str, Any], files: RecordedFiles) -> TextureRecipe:
    """The recipe of a record; what lay beside the result (companions, a preview) is left out."""
    guides = [files.find(facts, "the file back") for facts in record["guides"]]
    target, mask = (
        files.find(record[key], "the file back") if record[key] else None
        for key in ("guide_target", "inpaint")
    )
    return TextureRecipe(
        files.config(TextureConfig, record["settings"]),
        mixed=tuple(files.find(facts, "the file back") for facts in record["mixed"]),
        weights=tuple(record["weights"]),
        guides=tuple(guides),
        guide_target=target,
        inpaint=mask,
        ladder=record["ladder"],
    )
