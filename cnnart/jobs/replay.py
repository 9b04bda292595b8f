"""A record turned back into what a picture is made of: for ``cnnart rerun``."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import fields, replace
from pathlib import Path
from typing import Any

from cnnart import __version__
from cnnart.config import StylizeConfig
from cnnart.errors import CnnartError
from cnnart.jobs.recipe import MaskChoice, Recipe, StyleChoice
from cnnart.jobs.record import sha256_of


class Replay:
    """A record turned back into a recipe; what does not fit any more is told in ``warnings``.

    Args:
        record: from ``read_record_of``.
        folder: where the picture lies; files are looked for as given, then there.
        photo, styles: given anew, they replace what the record names.

    Raises CnnartError for a file that is nowhere.
    """

    def __init__(
        self,
        record: Mapping[str, Any],
        folder: Path,
        *,
        photo: str | None = None,
        styles: Sequence[StyleChoice] = (),
    ) -> None:
        self.warnings: list[str] = []
        self._folder = folder
        if record["cnnart"] != __version__:
            self.warnings.append(
                f"made by cnnart {record['cnnart']}, this is {__version__}: it may differ."
            )
        try:
            self.photo = photo or str(self._find(record["photo"], "--photo FILE"))
            if photo:
                self._compare(record["photo"], Path(photo))
            made_of = self._styles(record["styles"], styles)
            init = record["init"] and self._find(record["init"], "the file back")
            self.recipe = Recipe(made_of, self._config(record["settings"]), init or None)
        except (KeyError, TypeError, AttributeError) as error:
            raise CnnartError(f"The record is damaged ({error}).") from None

    def _find(self, facts: Mapping[str, str], remedy: str) -> Path:
        """The recorded file: the first candidate with its SHA-256, else the first that exists."""
        given, name = Path(facts["path"]), Path(facts["name"]).name
        candidates = [given, self._folder / given, self._folder / name, Path(name)]
        present = [path for path in candidates if path.is_file()]
        if not present:
            raise CnnartError(
                f"{facts['path']!r}, which this picture was made from, is not there: give {remedy}."
            )
        exact = [path for path in present if sha256_of(path) == facts["sha256"]]
        if not exact:
            self._compare(facts, present[0])
        return (exact or present)[0]

    def _compare(self, facts: Mapping[str, str], path: Path) -> None:
        if path.is_file() and sha256_of(path) != facts["sha256"]:
            self.warnings.append(
                f"{path} is not the file that was used then (its SHA-256 differs)."
            )

    def _styles(
        self, recorded: Sequence[Mapping[str, Any]], anew: Sequence[StyleChoice]
    ) -> tuple[StyleChoice, ...]:
        """The recorded styles, or those given anew, under the recorded masks."""
        masks = [self._mask(facts.get("mask")) for facts in recorded]
        chosen = anew or [self._style(facts) for facts in recorded]
        masks += [None] * (len(chosen) - len(masks))
        return tuple(replace(style, mask=mask) for style, mask in zip(chosen, masks, strict=False))

    def _style(self, facts: Mapping[str, Any]) -> StyleChoice:
        if facts["builtin"]:
            from cnnart.styles import find_style

            path = find_style(facts["builtin"]).path
            self._compare(facts, path)
        else:
            path = self._find(facts, "--style FILE")
        return StyleChoice(str(path), path, facts["weight"], builtin=facts["builtin"])

    def _mask(self, facts: Mapping[str, Any] | None) -> MaskChoice | None:
        if not facts:
            return None
        path = None if facts["alpha"] else self._find(facts, "the mask back")
        return MaskChoice(str(path or "alpha"), path, facts["inverse"])

    def _config(self, settings: Mapping[str, Any]) -> StylizeConfig:
        known = {f.name for f in fields(StylizeConfig)}
        if unknown := sorted(settings.keys() - known):
            self.warnings.append(f"settings this version does not know: {', '.join(unknown)}.")
        kept = {key: value for key, value in settings.items() if key in known}
        if isinstance(kept.get("size"), list):
            kept["size"] = tuple(kept["size"])
        return StylizeConfig(**kept)
