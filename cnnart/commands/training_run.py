"""A training run from files to a checkpoint: reading, saving, resuming, reporting."""

from __future__ import annotations

import contextlib
import io
import tempfile
import time
from collections.abc import Iterator, Sequence
from dataclasses import replace
from pathlib import Path

from torch import Tensor

from cnnart.commands.train_style import OLD_STATE_SUFFIX, TrainStyle
from cnnart.errors import (
    INTERRUPTED,
    CnnartError,
    ImageError,
    OutOfMemory,
    WeightsError,
    reason,
)
from cnnart.files import file_sha256, json_line, write_atomically
from cnnart.image.chart import Panel, draw_charts
from cnnart.image.picture import fit_long_side, resize
from cnnart.image.read import read_image
from cnnart.image.write import write_image
from cnnart.machine import available_cores
from cnnart.methods.fast.architecture import Architecture, make_architecture
from cnnart.methods.fast.checkpoint import load_checkpoint, save_checkpoint
from cnnart.methods.fast.torchrun_env import ignored, local_device, restarted
from cnnart.methods.fast.train.config import AUTO, TrainConfig
from cnnart.methods.fast.train.data import POOL_SHARE, find_photos
from cnnart.methods.fast.train.distributed import join
from cnnart.methods.fast.train.losses import make_losses
from cnnart.methods.fast.train.state import restore_state, save_state, saved_batch
from cnnart.methods.fast.train.step import ComputeOptions
from cnnart.methods.fast.train.trainer import Painting, Trainer
from cnnart.networks.vgg import FeatureExtractor, trusted
from cnnart.optim.memory import FREE_SHARE, free_memory, idle_memory, memory_errors_named
from cnnart.optim.steps import Step
from cnnart.optim.tiles import evaluation_bytes
from cnnart.run.batch import Interrupt
from cnnart.run.lock import Lock
from cnnart.run.report import Reporter, Start, Summary
from cnnart.runtime import Runtime, device_reason, keep_freed_memory, precision_name

SAVE_STATE_SECONDS = 180.0
SHEET_SECONDS = 5.0  # at least, between two preview sheets
MOST_WORKERS = 16  # threads that read photos ahead for a GPU
MAX_NAMED = 5  # skipped photos
PARTS_FROM = 2  # times the size that styles are learnt at: paintings of which parts are cut
DRAWN_FROM = 1e-4  # losses that are never above it are not drawn

# What `batch` auto comes to. On a CPU, where time goes with the photos, the one that the learning
# rate was chosen for; on a GPU the largest of these that memory holds.
CPU_BATCH, GPU_BATCHES = 4, (16, 8, 4, 2, 1)

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
        self.group = join(runtime.device, reporter.warning)
        self.reporter = reporter if self.group.leads else Reporter()
        self._save_every, self._preview = save_every, preview
        self._told = 0
        self._unwritten: set[str] = set()
        self._saved_at = time.monotonic()
        self._sheet_at = -SHEET_SECONDS

    def run(self) -> int:
        """Train to the end or until interrupted; returns the exit code. Raises CnnartError."""
        began = time.monotonic()
        code = 0
        try:
            with self._lock(), memory_errors_named(), Interrupt() as interrupt:
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

    def _lock(self) -> contextlib.AbstractContextManager[object]:
        return Lock(self.command.output) if self.group.leads else contextlib.nullcontext()

    # Before the first step

    def _open(self) -> Trainer:
        """Everything read and ready; continued where an earlier run was saved."""
        limits, asked = self.runtime.limits(), time.monotonic()
        command, config = self.command, self.command.config
        state = self._saved_state()
        photos = find_photos(command.photos, config.size)
        paintings = [
            Painting(name, read_image(path).rgb, command.license, file_sha256(path))
            for name, path in command.paintings
        ]
        into = load_checkpoint(command.into) if command.into else None
        start = load_checkpoint(command.start_from) if command.start_from else None
        layers = [*config.content_layers, *config.style_layers, *config.coarse_layers]
        first = paintings[0].image
        features, warning = trusted(
            self.runtime.features(), resize(first, 64, 64).to(self.runtime.device), layers
        )
        losses = make_losses(features, config)
        if config.batch == AUTO:
            trained = into or start
            arch = trained.network.arch if trained else make_architecture(config.arch)
            batch = saved_batch(state) if state else self._chosen_batch(features, config, arch)
            config = replace(config, batch=batch)
        seconds = limits.seconds
        if seconds is not None:  # what was spent until here
            seconds = max(1.0, seconds - (time.monotonic() - asked))
        pool = None if limits.memory is None else int(POOL_SHARE * limits.memory)
        compute = ComputeOptions(features.dtype, self._workers(), seconds, pool, self.group)
        arbitrary, unread = readable_paintings(command.arbitrary, config.style_size)
        trainer = Trainer(config, paintings, photos, losses, compute, into, start, arbitrary)
        del arbitrary
        trainer.warnings += [warning] if warning else []
        trainer.warnings += skipped_warnings((*photos.skipped, *unread))
        trainer.warnings += filter(None, [ignored()])
        trainer.validator.stops = not command.keep_going
        self._fit_memory(trainer)
        if state is not None:
            restore_state(trainer, state, str(command.state_file))
            trainer.warnings.append(f"Going on after step {trainer.index}.")
        self._announce(trainer)
        return trainer

    def _workers(self) -> int:
        """Threads that read photos ahead."""
        if self.command.workers is not None:
            return self.command.workers
        if self.runtime.device.type == "cpu":
            return 1
        return min(MOST_WORKERS, max(1, available_cores() // self.group.size))

    def _chosen_batch(
        self, features: FeatureExtractor, config: TrainConfig, arch: Architecture
    ) -> int:
        """Photos per step, over all processes, where it was left to us."""
        size, device = self.group.size, self.runtime.device
        photos = CPU_BATCH
        if device.type != "cpu":
            limit = self.runtime.limits().memory
            room = int(FREE_SHARE * free_memory(device)) + idle_memory(device)
            room = room if limit is None else limit
            needs = {b: self._need(features, config, arch, -(-b // size)) for b in GPU_BATCHES}
            photos = next((b for b, need in needs.items() if need <= room), 1)
        return int(self.group.agree(-(-photos // size) * size))

    def _fit_memory(self, trainer: Trainer) -> None:
        """Begin with gradients accumulated where memory is known not to hold the whole batch."""
        limit = self.runtime.limits().memory
        step, config = trainer.train_step, trainer.config
        features, arch, pool = trainer.losses.features, step.model.network.arch, trainer.pool.nbytes
        batch = config.batch_size // self.group.size

        def need() -> int:
            photos = -(-batch // step.accumulation_steps)
            return pool + self._need(features, config, arch, photos)

        while limit is not None and need() > limit:
            if step.accumulation_steps >= batch:
                raise OutOfMemory(
                    f"Training on single photos of {config.size} pixels needs more than "
                    "`max_memory`: choose a smaller `size`."
                )
            step.accumulation_steps = min(batch, 2 * step.accumulation_steps)
        self._peak = need()

    def _need(
        self, features: FeatureExtractor, config: TrainConfig, arch: Architecture, photos: int
    ) -> int:
        """Bytes that a step takes with so many photos at once, the process included."""
        pixels = photos * config.size**2
        network = NETWORK_BYTES * arch.widths[0] * pixels // arch.stem**2
        layers = [*config.content_layers, *config.style_layers]
        seen = evaluation_bytes(features, layers, pixels)
        seen += evaluation_bytes(features, config.coarse_layers, pixels // 4)
        return idle_memory(self.runtime.device) + seen + network

    def _saved_state(self) -> bytes | None:
        """The saved run to continue, if that is what was asked for."""
        path, data = self.command.state_file, None
        wanted = self.command.resume or restarted()
        if wanted and self.group.leads and path.is_file():
            data = path.read_bytes()
        data = self.group.share(data)
        if data is None and self.command.resume:
            old = self.command.beside(OLD_STATE_SUFFIX)
            if old.is_file():
                raise WeightsError(
                    f"{old}: this run was saved by an older cnnart, and can only be continued "
                    "there; begin anew without `resume`."
                )
            raise WeightsError(f"{path}: no saved run to `resume`.")
        return data

    def _announce(self, trainer: Trainer) -> None:
        config, command = trainer.config, self.command
        names, count = command.names, len(trainer.photos.train)
        chosen = " (auto)" if command.config.batch == AUTO else ""
        self.reporter.start(
            Start(
                command=command.program,
                input=f"{len(names)} style{'s' * (len(names) > 1)}, {count} photos",
                output=str(command.output),
                size=(config.size, config.size),
                about=(
                    f"{' + '.join(names)} into {config.arch}, batches of {config.batch}{chosen}"
                ),
                details={
                    "styles": names,
                    "photos": count,
                    "steps": trainer.total,
                    "batch": config.batch,
                },
                device=str(self.runtime.device),
                device_reason=device_reason(self.runtime.device),
                precision=precision_name(trainer.compute.dtype),
                seed=config.seed,
                memory=self._peak,
                tile=0,
                schedule=trainer.schedule.stages(),
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
            # All processes stop at once; to agree on it a GPU's would wait for each other.
            if self.group.size == 1 or trainer.reads(step.index):
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
            self._write_records(trainer)
            self._save_checkpoint(trainer)
            if not unfinished:
                self.command.state_file.unlink(missing_ok=True)
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
        """The preview sheet, after validations; and the numbered ones that are kept."""
        if not self.group.leads:
            return
        judged = trainer.validator.history[-1:]
        due = step.index == trainer.total or time.monotonic() - self._sheet_at >= SHEET_SECONDS
        if self._preview and due and judged and judged[0]["step"] == step.index:
            with self._going_on():
                sheet = trainer.validator.sheet(step.index)
                write_image(self.command.beside(".preview.jpg"), sheet)
            self._write_records(trainer)
            self._sheet_at = time.monotonic()
        if self._save_every and step.index % self._save_every == 0:
            path = self.command.beside(f"-step{step.index:05d}.png")
            with self._going_on():
                write_image(path, trainer.validator.sheet(step.index))
                self.reporter.saved(path, "snapshot", step.seconds)

    # What is kept

    def _save_state(self, trainer: Trainer) -> None:
        with self._going_on():
            write_atomically(self.command.state_file, save_state(trainer))
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
        command = self.command
        try:
            save_checkpoint(command.output, trainer.checkpoint(), command.storage)
        except WeightsError as error:  # a full disk, say, after hours of work
            try:
                spare = Path(tempfile.mkdtemp(prefix="cnnart-"), command.output.name)
                save_checkpoint(spare, trainer.checkpoint(), command.storage)
            except (WeightsError, OSError):
                raise error from None
            raise WeightsError(f"{error} The network is kept in {spare} instead.") from error

    def _write_records(self, trainer: Trainer) -> None:
        with self._going_on():
            write_log(self.command.beside(".log.jsonl"), trainer)
            if trainer.history.entries:
                draw_losses(self.command.beside(".loss.png"), trainer)

    @contextlib.contextmanager
    def _going_on(self) -> Iterator[None]:
        """What cannot be written on the way is told, once for each reason, and training goes on."""
        try:
            yield
        except (OSError, ImageError) as error:
            why = reason(error.__cause__ or error)
            if why not in self._unwritten:
                self._unwritten.add(why)
                self.reporter.warning(
                    f"a preview, the log or the saved run cannot be written beside "
                    f"{self.command.output} ({why}): training goes on."
                )

    def _explained(self, error: RuntimeError) -> Exception:
        """A lost connection to other processes, called by its name."""
        if self.group.size == 1:
            return error
        reason = " ".join(str(error).split())[:100]
        return CnnartError(
            f"Another process of this run has ended ({reason}). torchrun --max-restarts 3 starts "
            "them again, and they go on from the last saved state."
        )


def readable_paintings(
    paths: Sequence[Path], style_size: int
) -> tuple[list[Tensor], tuple[tuple[Path, str], ...]]:
    """Pictures as styles are learnt from, ``1x3xHxW``, and (path, why) of those that cannot be."""
    found: list[Tensor] = []
    unread: list[tuple[Path, str]] = []
    for path in paths:
        try:
            rgb = read_image(path).rgb
        except ImageError as error:
            unread.append((path, str(error).removeprefix(f"{path}: ").rstrip(".")))
            continue
        long_side = min(PARTS_FROM * style_size, max(rgb.shape[-2:]))
        found.append(resize(rgb, *fit_long_side(rgb.shape[-2], rgb.shape[-1], long_side)))
    return found, tuple(unread)


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
    lines = [json_line(first)]
    lines += [json_line({"step": s, "losses": found}) for s, found in trainer.history.entries]
    lines += [json_line({"validation": found}) for found in trainer.validator.history]
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
