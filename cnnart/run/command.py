"""What the runner runs: a command, and one picture of it about to be made."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any, BinaryIO, ClassVar, Protocol, cast

import torch
from torch import Tensor

from cnnart.image.metadata import public_exif
from cnnart.image.picture import Picture, alpha_like
from cnnart.image.write import check_sides, write_image
from cnnart.optim.memory import guarded
from cnnart.optim.steps import ResumableSynthesis, State, Step, Synthesis
from cnnart.run.outputs import Task
from cnnart.run.record import build_record, describe_source
from cnnart.run.report import Finding, Start
from cnnart.runtime import Runtime, device_reason, precision_name

if TYPE_CHECKING:
    from cnnart.run.predict import Prediction


class Command(Protocol):
    """A command's inputs by name (or in memory) and its settings; nothing is read yet.

    The command line, ``cnnart rerun`` and the Python API all make one, and run it the same way. A
    frozen dataclass; importing it does not import torch.

    ``name``: what records call it. ``program``: the command that makes it, for the header.
    """

    name: ClassVar[str]
    program: ClassVar[str]

    @property
    def label(self) -> str:
        """What stands for it in file names: ``mosaic``, ``texture``, ``eyes``."""
        ...

    def inputs(self) -> list[Path]:
        """Every file it reads, none of which a result may overwrite."""
        ...

    def open(self, runtime: Runtime) -> Callable[[Task], Run]:
        """Read and check what all pictures share; what comes back makes ready for one of them.

        So what is wrong with a style or a mask is said once, before a photo is touched or the
        network is loaded. Both raise CnnartError.
        """
        ...

    def record(self) -> dict[str, Any]:
        """All but the photo, as plain values: names, checksums, settings. Reads the files."""
        ...


@dataclass(kw_only=True)
class Run:
    """One picture about to be made: what a batch follows, shows and writes.

    Attributes:
        command: what it is a run of; ``recorded`` is its ``record()``, made before a long run.
        work: the method at work.
        about: the command's own facts in one phrase, for people; ``details``: for programs.
        size: (height, width) of the result; ``asked``: the setting, as it was given.
        photo: whose alpha, EXIF and resolution carry over; None: nothing does.
        facts: what the record tells of this run beyond the usual.
        first_look: gives at once what the result will be like, ``1x3xHxW`` of its size, or None
            where nothing is so quick; called if a preview is kept.
        findings: grows when the result is written.
    """

    command: Command
    recorded: Mapping[str, Any]
    runtime: Runtime
    task: Task
    work: Synthesis
    about: str
    size: tuple[int, int]
    asked: int | tuple[int, int] | str | None = None
    seed: int = 0
    details: Mapping[str, Any] = field(default_factory=dict)
    photo: Picture | None = None
    facts: Mapping[str, Any] = field(default_factory=dict)
    first_look: Callable[[], Tensor | None] = lambda: None
    findings: list[Finding] = field(default_factory=list)

    def __post_init__(self) -> None:
        # Now, not when the result is written: the photo may have changed by then.
        self._source = describe_source(self.task.source) if self.photo else {}
        if self.photo:
            self.work.warnings.extend(self.photo.warnings)
            self._check_detail(self.photo)
        # Before the work, not after it.
        check_sides(str(self.task.target or "-"), self.task.format, self.size[::-1])

    def _check_detail(self, photo: Picture) -> None:
        """Warn of a photo that has too little for its print."""
        if isinstance(self.asked, str):
            from cnnart.print_sizes import too_few_pixels

            height, width = photo.rgb.shape[-2:]
            if line := too_few_pixels(self.asked, (height, width), self.size):
                self.work.warnings.append(f"{self.task.source.given}: {line}")

    @property
    def dpi(self) -> tuple[float, float] | None:
        """Dots per inch: those of the print that was asked for, else the photo's."""
        if isinstance(self.asked, str):
            from cnnart.print_sizes import parse_print_size

            if dpi := parse_print_size(self.asked).dpi:
                return dpi, dpi
        return self.photo.dpi if self.photo else None

    @property
    def warnings(self) -> list[str]:
        """Grows by a line for each thing that goes otherwise than asked."""
        return self.work.warnings

    def start(self) -> Start:
        """The facts of the header."""
        network = self.work.features
        return Start(
            command=self.command.program,
            input=self.task.source.given,
            output=str(self.task.target or "-"),
            size=self.size,
            about=self.about,
            details=self.details,
            device=str(self.runtime.device),
            device_reason=device_reason(self.runtime.device),
            precision=precision_name(network.dtype if network else torch.float32),
            seed=self.seed,
            memory=self.work.memory.peak,
            tile=self.work.memory.tile,
            schedule=[(level.work, level.iterations) for level in self.work.schedule],
        )

    def schedule(self) -> list[tuple[tuple[int, int], int]]:
        """``((height, width), steps)`` of what is to come, for the time left."""
        return [((s.height, s.width), s.iterations) for s in self.work.schedule]

    def predict(self, between_steps: Callable[[], None] | None = None) -> Prediction | None:
        """How long it will take, measured; None where that cannot be. For several sizes only.

        ``between_steps``: called between two evaluations; its time does not count.
        """
        from cnnart.run.predict import nothing, predict

        return predict(self.work, between_steps or nothing)

    @property
    def photo_sha256(self) -> str | None:
        """The photo's SHA-256; None where nothing of a photo carries over."""
        return self._source.get("sha256")

    def steps(self, state: State | None = None) -> Iterator[Step]:
        """Work. Raises OutOfMemory, and what the method raises.

        ``state``: a Step's, to go on from; see ``ResumableSynthesis``.
        """
        if state is None:
            return guarded(self.work.steps())
        return guarded(cast(ResumableSynthesis, self.work).steps(state))

    def finish(self, image: Tensor) -> Tensor:
        """Any Step's image as it is to be written: ``1x3xHxW``."""
        return self.work.finish(image)

    def alpha(self, rgb: Tensor) -> Tensor | None:
        """The result's alpha: the photo's, at the result's size."""
        return alpha_like(self.photo.alpha, rgb) if self.photo else None

    def write(self, target: Path | BinaryIO, rgb: Tensor, interrupted_at: int | None) -> None:
        """Write a picture, with what carries over from the photo.

        ``interrupted_at``: the step after which it was stopped; None: it is finished.
        """
        task, photo = self.task, self.photo
        options: dict[str, Any] = {"format": task.format, "dpi": self.dpi}
        if task.options.quality is not None:
            options["quality"] = task.options.quality
        options["bit_depth"] = task.options.bit_depth
        if task.options.metadata != "none":
            exif = photo.exif if photo else None
            options["exif"] = exif if task.options.metadata == "all" else public_exif(exif)
            options["record"] = self.record(rgb, interrupted_at)
        write_image(target, rgb, alpha=self.alpha(rgb), **options)

    def record(self, rgb: Tensor, interrupted_at: int | None) -> str:
        """The JSON text that ``cnnart rerun`` makes the picture again from."""
        network = self.work.features
        run = {
            "backbone": self.backbone,
            "weights_sha256": network.sha256 if network else None,
            "device": str(network.device if network else self.runtime.device),
            "precision": precision_name(network.dtype if network else self.runtime.dtype),
            "torch": torch.__version__,
            "size": list(rgb.shape[-2:]),
            "quality": self.task.options.quality,
            **({} if (depth := self.task.options.bit_depth) == 8 else {"bit_depth": depth}),
            **self.facts,
        }
        return build_record(
            self.command.name,
            self._source,
            self.recorded,
            run,
            interrupted_at=interrupted_at,
            paths=self.task.options.metadata == "all",
        )

    @property
    def backbone(self) -> str | None:
        """The network's name, for the record; None for methods that bring their own."""
        return self.runtime.backbone
