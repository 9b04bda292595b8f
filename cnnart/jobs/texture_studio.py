"""``cnnart texture`` from files to files: one recipe for any number of exemplars."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import asdict
from pathlib import Path
from typing import Any, BinaryIO

from torch import Tensor

from cnnart.device import device_reason
from cnnart.engine import Engine
from cnnart.errors import UsageError
from cnnart.image import Picture, read_mask, write_image
from cnnart.jobs.batch import Run
from cnnart.jobs.files import identity
from cnnart.jobs.memory import guarded
from cnnart.jobs.naming import Task
from cnnart.jobs.record import build_record, describe_file, describe_photo
from cnnart.jobs.report import Finding, Start
from cnnart.jobs.texturing import TextureRecipe
from cnnart.jobs.writing import Writing, precision_name
from cnnart.textures.making import GRAM, Ingredients, Texture
from cnnart.textures.origin import check_companions
from cnnart.textures.seam import seam_error


class TextureStudio:
    """Makes the textures of a recipe.

    All but the exemplar is read here, so that what is wrong with it is said before the network is
    loaded. Raises CnnartError.
    """

    def __init__(self, recipe: TextureRecipe, engine: Engine, writing: Writing) -> None:
        self._recipe = recipe
        self._engine = engine
        self._writing = writing
        self._mixed = [writing.read(path) for path in recipe.mixed]
        self._guides = [writing.read(path).rgb for path in recipe.guides]
        target = recipe.guide_target
        self._target = writing.read(target).rgb if target else None
        self._mask = read_mask(recipe.inpaint) if recipe.inpaint else None
        self._companions = [writing.read(path) for path in recipe.companions]
        self._facts = describe(recipe)

    def open(self, task: Task) -> Run:
        """Read a task's exemplar and make ready to synthesize. Raises CnnartError."""
        exemplar = self._writing.read(task.source.open())
        about = describe_photo(task.source)
        self._check(exemplar, task)
        made_of = Ingredients(
            [exemplar, *self._mixed],
            self._recipe.weights,
            self._guides,
            self._target,
            self._mask,
            bool(self._companions),
        )
        work = Texture(self._engine, made_of, self._recipe.config, ladder=self._recipe.ladder)

        def record(rgb: Tensor, interrupted_at: int | None) -> str:
            run = self._writing.run_facts(self._engine, work.features, rgb)
            run["method"] = work.method
            return build_record("texture", about, self._facts, run, interrupted_at=interrupted_at)

        write_result = self._writing.writer(task, exemplar, record, lambda rgb: work.alpha)
        findings: list[Finding] = []

        def write(target: Path | BinaryIO, rgb: Tensor, interrupted_at: int | None) -> None:
            write_result(target, rgb, interrupted_at)
            if task.target is None or target == task.target:  # no snapshot
                findings.extend(self._beside(task, work, rgb, interrupted_at is None))

        start, steps = self._start(task, work), guarded(work.steps())
        return Run(start, steps, work.finish, write, work.work.notes, findings)

    def _check(self, exemplar: Picture, task: Task) -> None:
        """Raise CnnartError for companions that do not fit, and for what would be overwritten."""
        for companion, path in zip(self._companions, self._recipe.companions, strict=True):
            check_companions([companion.rgb], [exemplar.rgb], str(path))
        if task.target is None:
            return
        inputs = [*self._recipe.files(), *([task.source.path] if task.source.path else [])]
        taken = {identity(path): path for path in inputs}
        for path in [tiled_path(task.target), *self._companion_paths(task.target)]:
            if identity(path) in taken and (self._recipe.tiles or self._recipe.companions):
                raise UsageError(f"{str(path)!r} would be overwritten: choose another -o.")

    def _companion_paths(self, target: Path) -> list[Path]:
        return [beside(target, path.stem) for path in self._recipe.companions]

    def _beside(self, task: Task, work: Texture, rgb: Tensor, complete: bool) -> Iterator[Finding]:
        """Write what lies beside a result: companions, the tiled preview; measure its seam."""
        if task.target is not None and self._recipe.companions and complete:
            yield from self._write_companions(task.target, work)
        if task.target is not None and self._recipe.tiles:
            path = tiled_path(task.target)
            repeats = (1, 1, *self._recipe.tiles)
            alpha = None if work.alpha is None else work.alpha.repeat(repeats)
            write_image(path, rgb.repeat(repeats), alpha=alpha)
            yield Finding(f"tiled preview: {path}", {"tiled": str(path)})
        if self._recipe.config.tileable != "none" and not self._recipe.ladder:
            axes = "xy" if self._recipe.config.tileable == "both" else self._recipe.config.tileable
            errors = {axis: seam_error(rgb, axis) for axis in axes}
            text = ", ".join(f"{axis} {error:+.1%}" for axis, error in errors.items())
            yield Finding(f"seam error against the interior: {text}", {"seam_error": errors})

    def _write_companions(self, target: Path, work: Texture) -> Iterator[Finding]:
        paths = self._companion_paths(target)
        for companion, path in zip(self._companions, paths, strict=True):
            write_image(path, work.follow(companion.rgb))
            yield Finding(f"companion: {path}", {"companion": str(path)})

    def _start(self, task: Task, work: Texture) -> Start:
        config = self._recipe.config
        how = f"{work.method} ({work.reason})" if config.method == "auto" else work.method
        repeats = "" if config.tileable == "none" else f", tileable {config.tileable}"
        kind = "ladder of layers" if self._recipe.ladder else "texture"
        network = work.method == GRAM
        return Start(
            command="texture",
            input=task.source.given,
            output=str(task.target or "-"),
            size=work.size,
            about=f"{kind} by {how}{repeats}",
            details={
                "method": work.method,
                "method_reason": work.reason,
                "tileable": config.tileable,
            },
            device=str(self._engine.device),
            device_reason=device_reason(self._engine.device),
            precision=precision_name(self._engine.dtype) if network else "fp32",
            seed=config.seed,
            memory=work.work.memory.peak,
            tile=work.work.memory.tile,
            schedule=[((s.height, s.width), s.evaluations) for s in work.work.schedule],
        )


def beside(target: Path, name: str) -> Path:
    """``out.png`` -> ``out-NAME.png``."""
    return target.with_stem(f"{target.stem}-{name}")


def tiled_path(target: Path) -> Path:
    """``out.png`` -> ``out-tiled.png``."""
    return beside(target, "tiled")


def describe(recipe: TextureRecipe) -> dict[str, Any]:
    """Exemplars, maps and settings, for the record. Reads files: belongs before a long run."""

    def facts(path: Path | None) -> dict[str, str] | None:
        return describe_file(str(path), path) if path else None

    def several(paths: Sequence[Path]) -> list[dict[str, str] | None]:
        return [facts(path) for path in paths]

    return {
        "mixed": several(recipe.mixed),
        "weights": list(recipe.weights),
        "guides": several(recipe.guides),
        "guide_target": facts(recipe.guide_target),
        "inpaint": facts(recipe.inpaint),
        "ladder": recipe.ladder,
        "settings": asdict(recipe.config),
    }
