"""``fast-stylize --refine``: a network of its own for a picture, trained on the photos it is for.

It goes on from the network that the picture's style has anyhow, which a few other photos made.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import replace
from pathlib import Path

from cnnart.commands.fast_stylize import (
    FastStylize,
    TrainedStyle,
    as_painting,
    matched_network,
    open_checkpoint,
    open_style,
)
from cnnart.errors import UsageError
from cnnart.files import as_path, cache_folder, check_writable, sha256_of
from cnnart.methods.fast.checkpoint import save_checkpoint
from cnnart.methods.fast.match import (
    SMALLEST_CROP,
    STRENGTH,
    STYLE_SIZE,
    own_trainer,
    single_style,
)
from cnnart.methods.fast.train.config import TrainConfig
from cnnart.methods.fast.train.data import find_photos
from cnnart.methods.fast.train.losses import make_losses
from cnnart.methods.fast.train.step import ComputeOptions
from cnnart.methods.fast.train.trainer import Trainer
from cnnart.optim.memory import memory_errors_named
from cnnart.optim.steps import Step
from cnnart.run.report import Start
from cnnart.runtime import Runtime, device_reason, precision_name

SUFFIX = ".safetensors"


class Refinement:
    """Trains a network for the style of one picture and keeps it as a checkpoint.

    Args:
        command: with one style, a picture's.
        photos: the files that are to be painted; crops of them are learnt from.
        seconds: how long to train.
        keep: the checkpoint to write; None: one in the cache.

    Raises UsageError for another command, and where no photo is large enough.
    """

    def __init__(
        self,
        command: FastStylize,
        photos: Sequence[Path],
        seconds: float,
        runtime: Runtime,
        keep: str | None = None,
    ) -> None:
        if len(command.styles) != 1 or command.styles[0].picture is None:
            raise UsageError(
                "`refine` is for one style that is a picture: name a single picture as `style`."
            )
        self.command, self._style = command, command.styles[0]
        self.path = self._kept_at(photos, seconds) if keep is None else as_path(keep)
        if self.path.suffix.lower() != SUFFIX:
            raise UsageError(f"`save_style` {str(keep)!r} must end in {SUFFIX}.")
        self._check_place(keep)
        self.trainer = self._trainer(photos, seconds, runtime)

    def _check_place(self, keep: str | None) -> None:
        """Raise UsageError where the network could not be kept, before it is trained."""
        try:
            check_writable(self.path)
        except UsageError as error:
            if keep is not None:
                raise
            raise UsageError(
                f"{error} The refined style is kept in the cache: give `save_style` FILE, or set "
                "CNNART_CACHE to a folder that you can write to."
            ) from None

    def _kept_at(self, photos: Sequence[Path], seconds: float) -> Path:
        parts = [sha256_of(path) for path in (*photos, self._style.path)]
        key = sha256_of(f"{self._style.picture} {seconds} {parts}".encode())
        return cache_folder() / "styles" / f"{key[:32]}{SUFFIX}"

    def _trainer(self, photos: Sequence[Path], seconds: float, runtime: Runtime) -> Trainer:
        style = self._style
        base = open_checkpoint(style.path)
        painting = as_painting(style, runtime, style.name)
        try:
            found = find_photos(photos, SMALLEST_CROP, hold_out=False)
        except UsageError:
            raise UsageError(
                f"`refine` learns from the photos, and none of the {len(photos)} has as much as "
                f"{SMALLEST_CROP} x {SMALLEST_CROP} pixels: leave it out."
            ) from None
        style_size = STYLE_SIZE
        if base.predictor is None:
            start = matched_network(style, base, runtime)
        else:
            style_size = base.predictor.shape.style_size
            one = open_style(style, base, runtime)
            ends = [one.pair(strength) for strength in base.strength_range or (STRENGTH,)]
            start = single_style(base, ends, painting)
        losses = make_losses(runtime.features(), TrainConfig())
        compute = ComputeOptions(runtime.dtype, 0, seconds)
        with memory_errors_named():
            return own_trainer(start, painting, found, losses, compute, style_size=style_size)

    def start(self, runtime: Runtime) -> Start:
        """The facts of the header."""
        trainer, name = self.trainer, self._style.name
        return Start(
            command="fast-stylize",
            input=f"{len(trainer.photos.train)} photos",
            output=str(self.path),
            size=(trainer.config.size, trainer.config.size),
            about=f"style {name}, refined",
            details={"styles": [name]},
            device=str(runtime.device),
            device_reason=device_reason(runtime.device),
            precision=precision_name(runtime.dtype),
            seed=trainer.config.seed,
            memory=0,
            tile=0,
            schedule=trainer.schedule.stages(),
        )

    def steps(self) -> Iterator[Step]:
        """Train until the time is up."""
        yield from self.trainer.steps()

    def finished(self) -> FastStylize:
        """The command with the refined style, which is kept from now on."""
        save_checkpoint(self.path, self.trainer.checkpoint())
        style = self._style
        refined = TrainedStyle(style.name, self.path, style.weight, style.mask)
        return replace(self.command, styles=(refined,))
