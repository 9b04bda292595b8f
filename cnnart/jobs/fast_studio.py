"""``cnnart fast-stylize`` from files to files: networks loaded once for any number of photos."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import asdict, dataclass
from typing import Any

from torch import Tensor

from cnnart.api import style_mask
from cnnart.device import device_reason
from cnnart.engine import Engine
from cnnart.errors import ImageError
from cnnart.fast.apply import FastStyle, FastStylization
from cnnart.fast.checkpoint import load_checkpoint
from cnnart.fast.engine import FastEngine
from cnnart.image import Picture
from cnnart.jobs.batch import Run
from cnnart.jobs.fast_stylizing import FastRecipe
from cnnart.jobs.memory import guarded, memory_errors_named
from cnnart.jobs.naming import Task
from cnnart.jobs.record import build_record, describe_file, describe_photo
from cnnart.jobs.report import Start
from cnnart.jobs.writing import Writing, precision_name


@dataclass(frozen=True)
class Job:
    """A photo that has been read."""

    task: Task
    photo: Picture
    about: dict[str, str]


@dataclass(frozen=True)
class _Ran:
    """On what, for records."""

    sha256: str
    device: Any
    dtype: Any


class FastStudio:
    """Makes the pictures of a recipe.

    Checkpoints and masks are read here, so that what is wrong with them is said before a photo is
    touched. Raises CnnartError.
    """

    def __init__(self, recipe: FastRecipe, engine: Engine, writing: Writing) -> None:
        self.recipe, self._engine, self._writing = recipe, engine, writing
        checkpoints = {p: load_checkpoint(p) for p in {s.path for s in recipe.styles}}
        self._styles = [
            FastStyle(
                checkpoints[s.path],
                s.name,
                s.weight,
                style_mask(s.mask.path, inverse=s.mask.inverse) if s.mask and s.mask.path else None,
            )
            for s in recipe.styles
        ]
        compiled = recipe.config.engine == "compile"
        self.engine = FastEngine(engine.device, engine.dtype, compiled=compiled)
        self._facts = describe(recipe)
        self._limits = engine.limits()

    @property
    def batch(self) -> int:
        """Photos of one size to work on at once: one on a CPU, where more are no faster."""
        if any(s.mask for s in self.recipe.styles):
            return 1  # each photo has its own regions
        return self.recipe.batch or (1 if self.engine.device.type == "cpu" else 8)

    def read(self, task: Task) -> Job:
        """Read a task's photo. Raises CnnartError."""
        return Job(task, self._writing.read(task.source.open()), describe_photo(task.source))

    def begin(self, jobs: Sequence[Job]) -> FastStylization:
        """Photos of one size about to be painted."""
        import torch

        photos = torch.cat([job.photo.rgb for job in jobs])
        styles = [
            FastStyle(s.checkpoint, s.name, s.weight, self._mask(i, jobs[0]))
            for i, s in enumerate(self._styles)
        ]
        with memory_errors_named():
            return FastStylization(photos, styles, self.recipe.config, self.engine, self._limits)

    def write(self, job: Job, rgb: Tensor) -> None:
        """Write a result to where its task says. Raises ImageError."""
        import sys

        self._writer(job)(job.task.target or sys.stdout.buffer, rgb, None)

    def open(self, task: Task) -> Run:
        """Read a task's photo and make ready to paint it. Raises CnnartError."""
        job = self.read(task)
        work = self.begin([job])
        start = self.start(job, work)
        return Run(start, guarded(work.steps()), work.finish, self._writer(job), work.notes)

    def start(self, job: Job, work: FastStylization) -> Start:
        """The facts of the header."""
        height, width = work.photo.shape[-2:]
        names = [s.name for s in self.recipe.styles]
        return Start(
            command="fast-stylize",
            input=job.task.source.given,
            output=str(job.task.target or "-"),
            size=(height, width),
            about=f"style {' + '.join(names)}",
            details={"styles": names},
            device=str(self.engine.device),
            device_reason=device_reason(self.engine.device),
            precision=precision_name(self.engine.dtype),
            seed=0,
            memory=work.memory.peak,
            tile=work.memory.tile,
        )

    def _writer(self, job: Job) -> Any:
        def record(rgb: Tensor, interrupted_at: int | None) -> str:
            sha256 = self._styles[0].checkpoint.sha256
            ran = _Ran(sha256, self.engine.device, self.engine.dtype)
            run = self._writing.run_facts(self._engine, ran, rgb)
            return build_record(
                "fast-stylize", job.about, self._facts, run, interrupted_at=interrupted_at
            )

        return self._writing.writer(job.task, job.photo, record)

    def _mask(self, index: int, job: Job) -> Tensor | None:
        choice = self.recipe.styles[index].mask
        if choice is None or choice.path is not None:
            return self._styles[index].mask
        if job.photo.alpha is None:
            raise ImageError(f"{job.task.source.given}: no transparency in it for --mask alpha.")
        return 1 - job.photo.alpha if choice.inverse else job.photo.alpha


def describe(recipe: FastRecipe) -> dict[str, Any]:
    """Styles, masks and settings, for the record. Reads files, so it belongs before a long run."""
    styles = []
    for style in recipe.styles:
        mask: dict[str, Any] | None = None
        if style.mask:
            path = style.mask.path
            found = describe_file(str(path), path) if path else {}
            mask = {**found, "alpha": path is None, "inverse": style.mask.inverse}
        facts = describe_file(str(style.path), style.path)
        own = {"style": style.name, "builtin": style.builtin, "weight": style.weight, "mask": mask}
        styles.append({**facts, **own})
    return {"styles": styles, "settings": asdict(recipe.config)}
