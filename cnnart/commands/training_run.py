"""A training run from files to a checkpoint: reading, saving, resuming, reporting."""

from __future__ import annotations

import io
import json
import time
from collections.abc import Sequence
from pathlib import Path

from cnnart.commands.train_style import OLD_STATE_SUFFIX, TrainStyle
from cnnart.errors import INTERRUPTED, CnnartError, OutOfMemory, WeightsError
from cnnart.files import file_sha256, write_atomically
from cnnart.image.chart import Panel, draw_charts
from cnnart.image.picture import resize
from cnnart.image.read import read_image
from cnnart.image.write import write_image
from cnnart.methods.fast.checkpoint import load_checkpoint, save_checkpoint
from cnnart.methods.fast.torchrun_env import local_device, restarted
from cnnart.methods.fast.train.data import find_photos
from cnnart.methods.fast.train.distributed import join
from cnnart.methods.fast.train.losses import make_losses
from cnnart.methods.fast.train.state import restore_state, save_state
from cnnart.methods.fast.train.step import ComputeOptions
from cnnart.methods.fast.train.trainer import Painting, Trainer
from cnnart.networks.vgg import trusted
from cnnart.optim.memory import idle_memory, memory_errors_named
from cnnart.optim.steps import Step
from cnnart.optim.tiles import evaluation_bytes
from cnnart.run.batch import Interrupt
from cnnart.run.report import Reporter, Start, Summary
from cnnart.runtime import Runtime, device_reason, keep_freed_memory, precision_name

SAVE_STATE_SECONDS = 180.0
MAX_NAMED = 5  # skipped photos
DRAWN_FROM = 1e-4  # losses that are never above it are not drawn

# Per pixel of a crop and channel of the finest layer: activations and gradients of the network.
NETWORK_BYTES = 40


class TrainingRun:
    """One run of ``command``.

    Args:
        runtime: device, precision, VGG and limits.
        reporter: told how it goes, in the process that leads.
        save_every: steps between preview sheets that are kept; 0: none is.
        preview: keep a preview sheet up to date.
    """

    def __init__(
        self,
        command: TrainStyle,
        runtime: Runtime,
        reporter: Reporter,
        *,
        save_every: int = 0,
        preview: bool = True,
    ) -> None:
        runtime.device = local_device(runtime.device)  # before a network is brought there
        if runtime.device.type == "cpu":
            keep_freed_memory()
        self.command, self.runtime = command, runtime
        self.group = join(runtime.device)
        self.reporter = reporter if self.group.leads else Reporter()
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

    # Before the first step

    def _open(self) -> Trainer:
        """Everything read and ready; continued where an earlier run was saved."""
        command, config = self.command, self.command.config
        photos = find_photos(command.photos, config.size)
        paintings = [
            Painting(name, read_image(path).rgb, command.license, file_sha256(path))
            for name, path in command.paintings
        ]
        into = load_checkpoint(command.into) if command.into else None
        layers = [*config.content_layers, *config.style_layers, *config.coarse_layers]
        first = paintings[0].image
        features, warning = trusted(
            self.runtime.features(), resize(first, 64, 64).to(self.runtime.device), layers
        )
        losses = make_losses(features, config)
        seconds = self.runtime.limits().seconds
        compute = ComputeOptions(features.dtype, command.workers, seconds, self.group)
        trainer = Trainer(config, paintings, photos, losses, compute, into)
        trainer.warnings += [warning] if warning else []
        trainer.warnings += skipped_warnings(photos.skipped)
        trainer.validator.stops = not command.keep_going
        self._fit_memory(trainer)
        self._resume(trainer)
        self._announce(trainer)
        return trainer

    def _fit_memory(self, trainer: Trainer) -> None:
        """Begin with gradients accumulated where memory is known not to hold the whole batch."""
        limit = self.runtime.limits().memory
        step, batch = trainer.train_step, trainer.config.batch // self.group.size
        self._peak = self._need(trainer, batch)
        if limit is None:
            return
        while self._need(trainer, -(-batch // step.accumulation_steps)) > limit:
            if step.accumulation_steps >= batch:
                raise OutOfMemory(
                    f"Training on single photos of {trainer.config.size} pixels needs more than "
                    "`max_memory`: choose a smaller `size`."
                )
            step.accumulation_steps = min(batch, 2 * step.accumulation_steps)
        self._peak = self._need(trainer, -(-batch // step.accumulation_steps))

    def _need(self, trainer: Trainer, photos: int) -> int:
        """Bytes that a step takes with so many photos at once, the process included."""
        config, arch = trainer.config, trainer.train_step.network.arch
        pixels = photos * config.size**2
        network = NETWORK_BYTES * arch.widths[0] * pixels // arch.stem**2
        features, layers = trainer.losses.features, [*config.content_layers, *config.style_layers]
        seen = evaluation_bytes(features, layers, pixels)
        seen += evaluation_bytes(features, config.coarse_layers, pixels // 4)
        return idle_memory(self.runtime.device) + seen + network

    def _resume(self, trainer: Trainer) -> None:
        path, data = self.command.state_file, None
        wanted = self.command.resume or restarted()
        if wanted and self.group.leads and path.is_file():
            data = path.read_bytes()
        data = self.group.share(data)
        if data is not None:
            restore_state(trainer, data, str(path))
            trainer.warnings.append(f"Going on after step {trainer.index}.")
        elif self.command.resume:
            old = self.command.beside(OLD_STATE_SUFFIX)
            if old.is_file():
                raise WeightsError(
                    f"{old}: this run was saved by an older cnnart, and can only be continued "
                    "there; begin anew without `resume`."
                )
            raise WeightsError(f"{path}: no saved run to `resume`.")

    def _announce(self, trainer: Trainer) -> None:
        config, command = trainer.config, self.command
        names, count = command.names, len(trainer.photos.train)
        self.reporter.start(
            Start(
                command=command.program,
                input=f"{len(names)} style{'s' * (len(names) > 1)}, {count} photos",
                output=str(command.output),
                size=(config.size, config.size),
                about=f"{' + '.join(names)} into {config.arch}, batches of {config.batch}",
                details={"styles": names, "photos": count, "steps": trainer.total},
                device=str(self.runtime.device),
                device_reason=device_reason(self.runtime.device),
                precision=precision_name(trainer.compute.dtype),
                seed=config.seed,
                memory=self._peak,
                tile=0,
                schedule=trainer.schedule(),
                preview=str(command.beside(".preview.jpg")) if self._preview else None,
            )
        )

    # From step to step

    def _follow(self, trainer: Trainer, interrupt: Interrupt) -> int:
        began, stopped = time.monotonic(), False
        for step in trainer.steps():
            interrupt.armed = True
            self.reporter.step(step)
            self._tell_warnings(trainer)
            self._write_sheets(trainer, step)
            stopped = bool(self.group.agree(float(interrupt.asked)))
            if stopped:
                break
            if self.group.leads and time.monotonic() - self._saved_at > SAVE_STATE_SECONDS:
                self._save_state(trainer)
        self._tell_warnings(trainer)
        unfinished = stopped and trainer.index < trainer.total
        if self.group.leads:
            if unfinished:
                self._save_state(trainer)
            else:
                self.command.state_file.unlink(missing_ok=True)
            self._write_records(trainer)
            self._save_checkpoint(trainer)
        kind = "interrupted" if unfinished else "result"
        if unfinished:
            self.reporter.warning(f"stopped after step {trainer.index}: `resume` continues.")
        self.reporter.saved(self.command.output, kind, time.monotonic() - began)
        return INTERRUPTED if unfinished else 0

    def _tell_warnings(self, trainer: Trainer) -> None:
        for line in trainer.warnings[self._told :]:
            self.reporter.warning(line)
        self._told = len(trainer.warnings)

    def _write_sheets(self, trainer: Trainer, step: Step) -> None:
        """The preview sheet, after every validation; and the numbered ones that are kept."""
        if not self.group.leads:
            return
        if self._preview and trainer.validates(step.index):
            sheet = trainer.validator.sheet(step.index)
            write_image(self.command.beside(".preview.jpg"), sheet)
            self._write_records(trainer)
        if self._save_every and step.index % self._save_every == 0:
            path = self.command.beside(f"-step{step.index:05d}.png")
            write_image(path, trainer.validator.sheet(step.index))
            self.reporter.saved(path, "snapshot", step.seconds)

    # What is kept

    def _save_state(self, trainer: Trainer) -> None:
        try:
            write_atomically(self.command.state_file, save_state(trainer))
        except OSError as error:
            self.reporter.warning(f"cannot save the run ({error.strerror or error}); it goes on.")
        self._write_records(trainer)
        self._saved_at = time.monotonic()

    def _keep_best(self, trainer: Trainer) -> None:
        """After a failure: the best network there was, if any."""
        if self.group.leads and trainer.validator.best_weights is not None:
            self._write_records(trainer)
            self._save_checkpoint(trainer)
            best = trainer.validator.best_step
            self.reporter.warning(f"{self.command.output} holds the best so far (step {best}).")

    def _save_checkpoint(self, trainer: Trainer) -> None:
        save_checkpoint(self.command.output, trainer.checkpoint(), self.command.storage)

    def _write_records(self, trainer: Trainer) -> None:
        write_log(self.command.beside(".log.jsonl"), trainer)
        if trainer.history.entries:
            draw_losses(self.command.beside(".loss.png"), trainer)

    def _explained(self, error: RuntimeError) -> Exception:
        """A lost connection to other processes, called by its name."""
        if self.group.size == 1:
            return error
        reason = " ".join(str(error).split())[:100]
        return CnnartError(
            f"Another process of this run has ended ({reason}). torchrun --max-restarts 3 starts "
            "them again, and they go on from the last saved state."
        )


def skipped_warnings(skipped: tuple[tuple[Path, str], ...]) -> list[str]:
    """What is said of photos that cannot be used."""
    warnings = [f"{path}: skipped, {why}." for path, why in skipped[:MAX_NAMED]]
    if len(skipped) > MAX_NAMED:
        warnings.append(f"{len(skipped)} photos are skipped in all; the log names them.")
    return warnings


def write_log(path: Path, trainer: Trainer) -> None:
    """The course of the run as JSON lines: settings, skipped photos, losses, validations."""
    first = {
        "settings": trainer.config.recorded(),
        "skipped": [[str(photo), why] for photo, why in trainer.photos.skipped],
    }
    lines = [json.dumps(first)]
    lines += [json.dumps({"step": s, "losses": found}) for s, found in trainer.history.entries]
    lines += [json.dumps({"validation": found}) for found in trainer.validator.history]
    write_atomically(path, ("\n".join(lines) + "\n").encode())


def draw_losses(path: Path, trainer: Trainer) -> None:
    """The losses and the validation as a chart."""
    entries = trainer.history.entries
    names = [k for k in entries[-1][1] if any(found.get(k, 0) > DRAWN_FROM for _, found in entries)]
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
