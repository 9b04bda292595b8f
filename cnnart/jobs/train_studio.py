"""``cnnart train-style`` from files to a checkpoint: reading, saving, resuming, telling."""

from __future__ import annotations

import io
import json
import time
from collections.abc import Sequence
from pathlib import Path

from cnnart.budget import evaluation_bytes, idle_memory
from cnnart.device import device_reason
from cnnart.engine import Engine
from cnnart.errors import CnnartError, OutOfMemory, WeightsError
from cnnart.fast.autosave import restore_state, save_state
from cnnart.fast.checkpoint import load_checkpoint, save_checkpoint
from cnnart.fast.dataset import find_photos
from cnnart.fast.distributed import join, local_device
from cnnart.fast.learner import Means
from cnnart.fast.perceptual import make_losses
from cnnart.fast.torchrun import restarted
from cnnart.fast.trainer import Painting, Trainer
from cnnart.features import trusted
from cnnart.image import read_image, resize, write_image
from cnnart.image.chart import Panel, draw_charts
from cnnart.image.writing import write_atomically
from cnnart.jobs.interrupt import Interrupt
from cnnart.jobs.memory import memory_errors_named
from cnnart.jobs.report import Quiet, Start, Summary
from cnnart.jobs.training import TrainRecipe
from cnnart.jobs.writing import precision_name
from cnnart.optimize import Step
from cnnart.weights.cache import file_sha256

AUTOSAVE_SECONDS = 180.0
INTERRUPTED = 130
MOST_TOLD = 5  # skipped photos that are named


class TrainStudio:
    """One run.

    Args:
        recipe: what to train.
        engine: device, precision, VGG and limits.
        reporter: told how it goes, in the process that leads.
        save_every: steps between preview sheets that are kept; 0: none is.
        preview: keep a preview sheet up to date.
    """

    def __init__(
        self,
        recipe: TrainRecipe,
        engine: Engine,
        reporter: Quiet,
        *,
        save_every: int = 0,
        preview: bool = True,
    ) -> None:
        engine.device = local_device(engine.device)
        self.recipe, self.engine = recipe, engine
        self.group = join(engine.device)
        self.reporter = reporter if self.group.leads else Quiet()
        self._save_every, self._preview = save_every, preview
        self._told = 0
        self._saved_at = time.monotonic()

    def run(self) -> int:
        """Train to the end or until interrupted; returns the exit code. Raises CnnartError."""
        began = time.monotonic()
        code = 0
        try:
            with memory_errors_named(), Interrupt() as interrupt:
                trainer = self._open()
                try:
                    code = self._follow(trainer, interrupt)
                except CnnartError:
                    self._keep_best(trainer)
                    raise
        except RuntimeError as error:
            raise self._explained(error) from error
        finally:
            self.reporter.stop()
            self.group.leave()
        seconds = time.monotonic() - began
        self.reporter.done(Summary(saved=1, seconds=seconds, exit_code=code))
        return code

    def _open(self) -> Trainer:
        """Everything read and ready; continued where an earlier run was saved."""
        recipe, config = self.recipe, self.recipe.config
        photos = find_photos(recipe.photos, config.size)
        paintings = [
            Painting(name, read_image(path).rgb, recipe.licence, file_sha256(path))
            for name, path in recipe.paintings
        ]
        into = load_checkpoint(recipe.into) if recipe.into else None
        layers = [*config.content_layers, *config.style_layers, *config.coarse_layers]
        first = paintings[0].image
        features, note = trusted(
            self.engine.features(), resize(first, 64, 64).to(self.engine.device), layers
        )
        losses = make_losses(features, config)
        means = Means(features.dtype, recipe.workers, self.engine.limits().seconds, self.group)
        trainer = Trainer(config, paintings, photos, losses, means, into)
        trainer.notes += [note] if note else []
        trainer.notes += skipped_notes(photos.skipped)
        trainer.validator.stops = not recipe.keep_going
        self._fit_memory(trainer)
        self._resume(trainer)
        self._announce(trainer)
        return trainer

    def _resume(self, trainer: Trainer) -> None:
        path, data = self.recipe.autosave, None
        wanted = self.recipe.resume or restarted()
        if wanted and self.group.leads and path.is_file():
            data = path.read_bytes()
        data = self.group.share(data)
        if data is not None:
            restore_state(trainer, data, str(path))
            trainer.notes.append(f"Going on after step {trainer.index}.")
        elif self.recipe.resume:
            raise WeightsError(f"{path}: no saved run to --resume.")

    def _fit_memory(self, trainer: Trainer) -> None:
        """Begin with a batch in pieces where memory is known not to hold it whole."""
        limit = self.engine.limits().memory
        self._peak = self._need(trainer, trainer.config.batch // self.group.size)
        if limit is None:
            return
        batch = trainer.config.batch // self.group.size
        while self._need(trainer, -(-batch // trainer.learner.pieces)) > limit:
            if trainer.learner.pieces >= batch:
                raise OutOfMemory(
                    f"Training on single photos of {trainer.config.size} pixels needs more than "
                    "--max-memory: choose a smaller --size."
                )
            trainer.learner.pieces = min(batch, 2 * trainer.learner.pieces)
        self._peak = self._need(trainer, -(-batch // trainer.learner.pieces))

    def _need(self, trainer: Trainer, photos: int) -> int:
        """Bytes that a step takes with so many photos at once, the process included."""
        config, arch = trainer.config, trainer.learner.network.arch
        pixels = photos * config.size**2
        network = 40 * arch.widths[0] * pixels // arch.stem**2
        features, layers = trainer.losses.features, [*config.content_layers, *config.style_layers]
        seen = evaluation_bytes(features, layers, pixels)
        seen += evaluation_bytes(features, config.coarse_layers, pixels // 4)
        return idle_memory(self.engine.device) + seen + network

    def _announce(self, trainer: Trainer) -> None:
        config, recipe = trainer.config, self.recipe
        names = [name for name, _ in recipe.paintings]
        count = len(trainer.photos.train)
        self.reporter.start(
            Start(
                command="train-style",
                input=f"{len(names)} style{'s' * (len(names) > 1)}, {count} photos",
                output=str(recipe.output),
                size=(config.size, config.size),
                about=f"{' + '.join(names)} into {config.arch}, batches of {config.batch}",
                details={"styles": names, "photos": count, "steps": trainer.total},
                device=str(self.engine.device),
                device_reason=device_reason(self.engine.device),
                precision=precision_name(trainer.means.dtype),
                seed=config.seed,
                memory=self._peak,
                tile=0,
                schedule=trainer.schedule(),
                preview=str(recipe.beside(".preview.jpg")) if self._preview else None,
            )
        )

    def _follow(self, trainer: Trainer, interrupt: Interrupt) -> int:
        began, stopped = time.monotonic(), False
        for step in trainer.steps():
            interrupt.armed = True
            self.reporter.step(step)
            self._tell_notes(trainer)
            self._pictures(trainer, step)
            stopped = bool(self.group.agree(float(interrupt.asked)))
            if stopped:
                break
            if self.group.leads and time.monotonic() - self._saved_at > AUTOSAVE_SECONDS:
                self._autosave(trainer)
        self._tell_notes(trainer)
        unfinished = stopped and trainer.index < trainer.total
        if self.group.leads:
            self._autosave(trainer) if unfinished else self.recipe.autosave.unlink(missing_ok=True)
            self._write_records(trainer)
            save_checkpoint(self.recipe.output, trainer.checkpoint(), self.recipe.storage)
        kind = "interrupted" if unfinished else "result"
        if unfinished:
            self.reporter.warning(f"stopped after step {trainer.index}: --resume continues.")
        self.reporter.saved(self.recipe.output, kind, time.monotonic() - began)
        return INTERRUPTED if unfinished else 0

    def _autosave(self, trainer: Trainer) -> None:
        try:
            write_atomically(self.recipe.autosave, save_state(trainer))
        except OSError as error:
            self.reporter.warning(f"cannot save the run ({error.strerror or error}); it goes on.")
        self._write_records(trainer)
        self._saved_at = time.monotonic()

    def _keep_best(self, trainer: Trainer) -> None:
        """After a failure: the best network there was, if any."""
        if self.group.leads and trainer.validator.best_weights is not None:
            self._write_records(trainer)
            save_checkpoint(self.recipe.output, trainer.checkpoint(), self.recipe.storage)
            self.reporter.warning(
                f"{self.recipe.output} holds the best so far (step {trainer.validator.best_step})."
            )

    def _tell_notes(self, trainer: Trainer) -> None:
        for note in trainer.notes[self._told :]:
            self.reporter.warning(note)
        self._told = len(trainer.notes)

    def _pictures(self, trainer: Trainer, step: Step) -> None:
        """The preview sheet, after every validation; and the numbered ones that are kept."""
        if not self.group.leads:
            return
        if self._preview and trainer.validates(step.index):
            write_image(self.recipe.beside(".preview.jpg"), trainer.validator.sheet())
            self._write_records(trainer)
        if self._save_every and step.index % self._save_every == 0:
            path = self.recipe.beside(f"-step{step.index:05d}.png")
            write_image(path, trainer.validator.sheet())
            self.reporter.saved(path, "snapshot", step.seconds)

    def _write_records(self, trainer: Trainer) -> None:
        write_log(self.recipe.beside(".log.jsonl"), trainer)
        if trainer.history.entries:
            draw_losses(self.recipe.beside(".loss.png"), trainer)

    def _explained(self, error: RuntimeError) -> Exception:
        """A lost connection to other processes, called by its name."""
        if self.group.size == 1:
            return error
        reason = " ".join(str(error).split())[:100]
        return CnnartError(
            f"Another process of this run has ended ({reason}). torchrun --max-restarts 3 starts "
            "them again, and they go on from the last autosave."
        )


def skipped_notes(skipped: tuple[tuple[Path, str], ...]) -> list[str]:
    """What is said of photos that cannot be used."""
    notes = [f"{path}: skipped, {why}." for path, why in skipped[:MOST_TOLD]]
    if len(skipped) > MOST_TOLD:
        notes.append(f"{len(skipped)} photos are skipped in all; the log names them.")
    return notes


def write_log(path: Path, trainer: Trainer) -> None:
    """The course of the run as JSON lines: settings, skipped photos, losses, validations."""
    first = {
        "settings": trainer.facts()["settings"],
        "skipped": [[str(photo), why] for photo, why in trainer.photos.skipped],
    }
    lines = [json.dumps(first)]
    lines += [json.dumps({"step": s, "losses": found}) for s, found in trainer.history.entries]
    lines += [json.dumps({"validation": found}) for found in trainer.validator.history]
    write_atomically(path, ("\n".join(lines) + "\n").encode())


def draw_losses(path: Path, trainer: Trainer) -> None:
    """The losses and the validation as a chart."""
    entries = trainer.history.entries
    names = [k for k in entries[-1][1] if any(found.get(k, 0) > 1e-4 for _, found in entries)]
    series: dict[str, Sequence[tuple[float, float]]] = {
        name: [(step, found.get(name, 0.0)) for step, found in entries] for name in names
    }
    judged = [(v["step"], v["loss"]) for v in trainer.validator.history]
    panels = [Panel("losses", "step", series)]
    if judged:
        panels.append(Panel("validation", "step", {"held-out photos": judged}))
    buffer = io.BytesIO()
    draw_charts(panels).save(buffer, "PNG")
    write_atomically(path, buffer.getvalue())
