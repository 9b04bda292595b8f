"""``cnnart dream --frames`` from files to files."""

from __future__ import annotations

import io
import tempfile
from dataclasses import replace
from pathlib import Path
from typing import Any, BinaryIO

from torch import Tensor

from cnnart.config import DreamConfig
from cnnart.dreaming.dream import Dream
from cnnart.engine import Engine
from cnnart.image import Picture, to_pil
from cnnart.image.animation import write_animation
from cnnart.image.writing import write_atomically
from cnnart.jobs.batch import Run
from cnnart.jobs.flying import FRAMES, FlightRecipe
from cnnart.jobs.frames import Dreamer, Frames
from cnnart.jobs.memory import guarded
from cnnart.jobs.naming import Task
from cnnart.jobs.parts import Parts, parts_folder
from cnnart.jobs.record import build_record, describe_photo
from cnnart.jobs.report import Start
from cnnart.jobs.writing import Writing, precision_name


class FlightStudio:
    """Makes flights by a recipe: the dream of a photo, and of each frame the next."""

    def __init__(self, recipe: FlightRecipe, engine: Engine, writing: Writing) -> None:
        self._recipe = recipe
        self._engine = engine
        self._writing = writing
        self._dreams = recipe.dream.studio(engine, writing)

    def open(self, task: Task) -> Run:
        """Read a task's photo, look for frames made before, make ready. Raises CnnartError."""
        photo = self._writing.read(task.source.open())
        about = describe_photo(task.source)
        seconds = self._engine.limits().seconds
        parts = Parts(self._folder(task), self._settings(about))
        frames = Frames(self._dreamer(photo, task), self._recipe.flight, parts, seconds)

        def write(target: Path | BinaryIO, rgb: Tensor, interrupted_at: int | None) -> None:
            stopped = interrupted_at if interrupted_at or frames.whole else frames.done
            record = self._record(about, frames, rgb, stopped) if self._writing.metadata else None
            self._write(target, task, frames, rgb, record)
            finished = frames.whole and interrupted_at is None
            if task.target is None or (finished and parts.folder != task.target):
                parts.remove()

        start = self._start(task, frames)
        return Run(start, guarded(frames.steps()), frames.finish, write, frames.notes)

    def _folder(self, task: Task) -> Path:
        """Where the frames are kept: a folder asked for keeps them itself, unless they change."""
        if task.target is None:
            return Path(tempfile.mkdtemp(prefix="cnnart-"))
        if task.format == FRAMES and not self._recipe.flight.loop:
            return task.target
        return parts_folder(task.target, FRAMES)

    def _dreamer(self, photo: Picture, task: Task) -> Dreamer:
        config, flight = self._recipe.dream.config, self._recipe.flight
        mask = self._dreams.mask_of(photo, task)

        def begin(picture: Tensor, settings: DreamConfig) -> Dream:
            work = self._dreams.begin(picture, settings, mask)
            work.run.limits = replace(work.run.limits, seconds=None)  # the flight has its own
            return work

        def again(picture: Tensor, number: int) -> Dream:
            few = replace(config, octaves=flight.octaves, steps=flight.steps, size=None)
            return begin(picture, replace(few, seed=config.seed + number))

        return Dreamer(lambda: begin(photo.rgb, config), again)

    def _write(
        self,
        target: Path | BinaryIO,
        task: Task,
        frames: Frames,
        rgb: Tensor,
        record: str | None,
    ) -> None:
        """All frames there are; the unfinished first one if there are none."""
        images = frames.images() if frames.done else iter([to_pil(rgb)])
        if task.format != FRAMES:
            fps, quality = self._recipe.flight.fps, self._writing.quality
            write_animation(
                target, images, fps=fps, format=task.format, quality=quality, record=record
            )
        elif frames.parts.folder != target:
            assert isinstance(target, Path)
            for number, image in enumerate(images):
                buffer = io.BytesIO()
                image.save(buffer, "PNG")
                write_atomically(target / frames.parts.path(number).name, buffer.getvalue())

    def _settings(self, about: dict[str, str]) -> dict[str, Any]:
        """All that a frame depends on."""
        flight, network = self._recipe.flight, self._engine.network()
        return {
            "photo": about["sha256"],
            "dream": self._dreams.facts,
            "flight": [flight.zoom, flight.rotate, flight.octaves, flight.steps],
            "weights_sha256": network.sha256,
            "precision": precision_name(network.dtype),
        }

    def _record(
        self, about: dict[str, str], frames: Frames, rgb: Tensor, interrupted_at: int | None
    ) -> str:
        run = self._writing.run_facts(self._engine, self._engine.network(), rgb)
        facts = {**self._dreams.facts, "flight": vars(self._recipe.flight)}
        return build_record("flight", about, facts, run, interrupted_at=interrupted_at)

    def _start(self, task: Task, frames: Frames) -> Start:
        assert isinstance(frames.first, Dream)
        start = self._dreams.start(task, frames.first)
        flight = self._recipe.flight
        return replace(
            start,
            about=f"{start.about}, {flight.frames} frames",
            details={**start.details, "frames": flight.frames},
            schedule=[((s.height, s.width), s.evaluations) for s in frames.schedule],
        )
