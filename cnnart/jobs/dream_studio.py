"""``cnnart dream`` from files to files: one recipe for any number of photos."""

from __future__ import annotations

from dataclasses import asdict
from typing import Any

from torch import Tensor

from cnnart.api import style_mask
from cnnart.config import DreamConfig
from cnnart.device import device_reason
from cnnart.dreaming.api import begin_dream, check_dream
from cnnart.dreaming.dream import Dream
from cnnart.engine import Engine
from cnnart.errors import ImageError
from cnnart.image import Picture
from cnnart.jobs.batch import Run
from cnnart.jobs.dreaming import DreamRecipe
from cnnart.jobs.memory import guarded
from cnnart.jobs.naming import Task
from cnnart.jobs.record import build_record, describe_file, describe_photo
from cnnart.jobs.report import Start
from cnnart.jobs.writing import Writing, precision_name


class DreamStudio:
    """Makes the pictures of a recipe.

    Guide and mask are read here, so that what is wrong with them is said before the network is
    loaded or a photo is touched. Raises CnnartError.
    """

    def __init__(self, recipe: DreamRecipe, engine: Engine, writing: Writing) -> None:
        check_dream(engine, recipe.config)
        self.facts = describe(recipe)
        self._recipe = recipe
        self._engine = engine
        self._writing = writing
        self._guide = writing.read(recipe.guide).rgb if recipe.guide else None
        self._mask = None
        if recipe.mask and recipe.mask.path:
            self._mask = style_mask(recipe.mask.path, inverse=recipe.mask.inverse)

    def open(self, task: Task) -> Run:
        """Read a task's photo and make ready to dream. Raises CnnartError."""
        photo = self._writing.read(task.source.open())
        about = describe_photo(task.source)
        config = self._recipe.config
        work = self.begin(photo.rgb, config, self.mask_of(photo, task))

        def record(rgb: Tensor, interrupted_at: int | None) -> str:
            run = self._writing.run_facts(self._engine, work.features, rgb)
            return build_record("dream", about, self.facts, run, interrupted_at=interrupted_at)

        write = self._writing.writer(task, photo, record)
        start = self.start(task, work)
        return Run(start, guarded(work.steps()), work.finish, write, work.notes)

    def begin(self, photo: Tensor, config: DreamConfig, mask: Tensor | None = None) -> Dream:
        """A picture about to be dreamed on, with the recipe's guide."""
        return begin_dream(self._engine, photo, config, guide=self._guide, mask=mask)

    def mask_of(self, photo: Picture, task: Task) -> Tensor | None:
        """Where to dream, ``1x1xHxW``; None: everywhere. Raises ImageError without an alpha."""
        choice = self._recipe.mask
        if choice is None or choice.path is not None:
            return self._mask
        if photo.alpha is None:
            raise ImageError(f"{task.source.given}: no transparency in it for --mask alpha.")
        return 1 - photo.alpha if choice.inverse else photo.alpha

    def start(self, task: Task, work: Dream) -> Start:
        """The facts of the header."""
        height, width = work.photo.shape[-2:]
        layers = " + ".join(work.layers)
        guide = f", guided by {self._recipe.guide.name}" if self._recipe.guide else ""
        named = not (self._recipe.config.layers or guide)
        preset = self._recipe.config.preset if named else None
        return Start(
            command="dream",
            input=task.source.given,
            output=str(task.target or "-"),
            size=(height, width),
            about=f"dream {preset or layers}{guide}",
            details={"preset": preset, "layers": dict(work.preset.layers)},
            device=str(self._engine.device),
            device_reason=device_reason(self._engine.device),
            precision=precision_name(self._engine.dtype),
            seed=work.config.seed,
            memory=work.memory.peak,
            tile=work.memory.tile,
            schedule=[((s.height, s.width), s.evaluations) for s in work.schedule],
        )


def describe(recipe: DreamRecipe) -> dict[str, Any]:
    """Guide, mask and settings, for the record. Reads files, so it belongs before a long run."""
    guide, mask = recipe.guide, recipe.mask
    facts: dict[str, Any] = {"guide": describe_file(str(guide), guide) if guide else None}
    facts["mask"] = None
    if mask:
        found = describe_file(str(mask.path), mask.path) if mask.path else {}
        facts["mask"] = {**found, "alpha": mask.path is None, "inverse": mask.inverse}
    return {**facts, "settings": asdict(recipe.config)}
