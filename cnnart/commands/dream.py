"""``cnnart dream PHOTO``: DeepDream of photos and clips."""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, ClassVar, cast

from cnnart.commands.clips import open_clip
from cnnart.commands.style_args import (
    MaskInput,
    blend_label,
    describe_input,
    files_of,
    read_input,
    recorded_mask,
)
from cnnart.errors import UsageError
from cnnart.files import as_path, obstacle
from cnnart.methods.dream.config import DreamConfig, resolve_preset
from cnnart.run.record import RecordedFiles
from cnnart.settings import make_config
from cnnart.video.config import WHOLE_CLIP, ClipConfig

if TYPE_CHECKING:
    from torch import Tensor

    from cnnart.image.picture import Picture
    from cnnart.methods.dream.dream import DeepDream
    from cnnart.optim.memory import Limits
    from cnnart.run.clip_task import ClipTask
    from cnnart.run.command import Run
    from cnnart.run.outputs import Task
    from cnnart.runtime import Runtime


@dataclass(frozen=True)
class Dream:
    """Photos and clips in which a network sees more and more; see ``run.command.Command``.

    ``guide``: the picture to dream of (a path, or in memory); ``mask``: where to dream; ``clip``:
    what is taken of clips, and how they are written.
    """

    name: ClassVar[str] = "dream"
    program: ClassVar[str] = "dream"

    config: DreamConfig
    guide: Any = None
    mask: MaskInput | None = None
    clip: ClipConfig = WHOLE_CLIP

    @classmethod
    def make(
        cls,
        settings: Mapping[str, Any],
        guide: Any = None,
        mask: MaskInput | None = None,
        clip: ClipConfig = WHOLE_CLIP,
    ) -> Dream:
        """Settle the settings. Raises UsageError."""
        return cls(make_config(DreamConfig, settings), guide, mask, clip)

    @property
    def label(self) -> str:
        """The guide's, the layers' or the preset's name, fit for a file name."""
        if self.guide is not None:
            return blend_label([guide_name(self.guide, suffix=False)])
        return dream_label(self.config)

    def inputs(self) -> list[Path]:
        return files_of(self.guide, self.mask)

    def open(self, runtime: Runtime) -> Callable[[Task], Run]:
        from cnnart.run.command import Run

        dreamer = Dreamer(self, runtime)

        def open_one(task: Task) -> Run:
            if task.is_clip:
                return self._open_clip(cast("ClipTask", task), runtime, dreamer)
            photo = task.source.read(runtime.max_pixels)
            mask = dreamer.mask_over(photo, task.source.given)
            work = dreamer.dream(photo.rgb, self.config, mask, runtime.limits())
            return Run(
                command=self,
                recorded=dreamer.recorded,
                runtime=runtime,
                task=task,
                work=work,
                photo=photo,
                **self.header(work),
            )

        return open_one

    def _open_clip(self, task: ClipTask, runtime: Runtime, dreamer: Dreamer) -> Run:
        from cnnart.methods.dream.frames import FramePainter
        from cnnart.optim.memory import memory_errors_named

        planned: list[DeepDream] = []

        def painter(frame: Picture) -> FramePainter:
            with memory_errors_named():
                made = FramePainter(
                    self.config,
                    features,
                    guide=dreamer.guide,
                    mask=dreamer.mask_over(frame, task.source.given, moves=True),
                    limits=runtime.limits,
                )
                planned.append(made.work(frame.rgb))  # what cannot be done is said at once
            return made

        features = runtime.network()
        run = open_clip(
            *(self, dreamer.recorded, runtime, task, self.clip, self.config.size, painter),
            about="",
            details={},
            masks=[self.mask],
            guided=True,
            blend=False,
            features=features,
        )
        header = self.header(planned[0])
        run.about, run.details = header["about"], {**header["details"], **run.details}
        run.seed = header["seed"]
        return run

    def header(self, work: DeepDream) -> dict[str, Any]:
        """What a run's header says of a dream."""
        guided = self.guide is not None
        named = not (self.config.layers or guided)
        preset = self.config.preset if named else None
        guide = f", guided by {guide_name(self.guide)}" if guided else ""
        height, width = work.photo.shape[-2:]
        return {
            "about": f"dream {preset or ' + '.join(work.layers)}{guide}",
            "details": {"preset": preset, "layers": dict(work.preset.layers)},
            "size": (height, width),
            "asked": self.config.size,
            "seed": self.config.seed,
        }

    def record(self) -> dict[str, Any]:
        return {
            "guide": None if self.guide is None else describe_input(self.guide),
            "mask": self.mask.record() if self.mask else None,
            "settings": asdict(self.config),
        }

    @classmethod
    def from_record(cls, record: Mapping[str, Any], files: RecordedFiles) -> Dream:
        """What a record was made with."""
        guide = record["guide"] and files.find(record["guide"], "the file back")
        mask = recorded_mask(record["mask"], files)
        clip = files.config(ClipConfig, record.get("clip", {}))
        return cls(files.config(DreamConfig, record["settings"]), guide or None, mask, clip)


class Dreamer:
    """A dream's inputs, checked and read: dreams on any picture.

    Guide and mask are read here, so that what is wrong with them is said before the network is
    loaded or a photo is touched. Raises CnnartError.
    """

    def __init__(self, command: Dream, runtime: Runtime) -> None:
        check_backbone(runtime, command.config)
        self.recorded = command.record()
        self._runtime = runtime
        self.guide: Tensor | None = None
        if command.guide is not None:
            self.guide = read_input(command.guide, runtime).rgb
        self._where = command.mask
        self._mask = command.mask.read() if command.mask else None

    def mask_over(self, photo: Picture, name: str, moves: bool = False) -> Tensor | None:
        """Where to dream, ``1x1xHxW``; None: everywhere. Raises ImageError without an alpha.

        ``moves``: see ``MaskInput.over``.
        """
        return self._where.over(photo, self._mask, name, moves) if self._where else None

    def dream(
        self, picture: Tensor, config: DreamConfig, mask: Tensor | None, limits: Limits
    ) -> DeepDream:
        """The dream of a picture, about to begin."""
        from cnnart.methods.dream.dream import DeepDream
        from cnnart.optim.memory import memory_errors_named

        with memory_errors_named():
            network = self._runtime.network()
            guide = self.guide
            return DeepDream(picture, config, network, guide=guide, mask=mask, limits=limits)


def check_backbone(runtime: Runtime, config: DreamConfig) -> None:
    """Raise UsageError for layers that the network does not have, as far as that is known so early.

    The layers of a VGG are known by its name; those of other networks only when it is loaded.
    """
    from cnnart.weights.backbones import EMBEDDED

    if runtime.is_vgg:
        runtime.check_layers(resolve_preset(config).layers)
    elif config.layers is None:
        raise UsageError(
            f"Presets are layers of {EMBEDDED}: with `backbone` {runtime.backbone} name a `layer` "
            f"(`cnnart inspect layers {runtime.backbone}` lists them)."
        )


def dream_label(config: DreamConfig) -> str:
    """The layers' or the preset's name, fit for a file name."""
    return blend_label(["+".join(config.layers) if config.layers else config.preset])


def guide_name(guide: Any, *, suffix: bool = True) -> str:
    """A guide's file name, or what stands for a picture in memory."""
    if not isinstance(guide, Path):
        return "guide"
    return guide.name if suffix else guide.stem


def parse_place(text: str) -> tuple[float, float]:
    """``"0.5,0.25"`` -> (0.5, 0.25). Raises UsageError for anything else."""
    x, _, y = text.partition(",")
    try:
        place = float(x), float(y)
    except ValueError:
        place = (math.nan, math.nan)
    if not all(map(math.isfinite, place)):
        raise UsageError(
            f"{text!r} is no place: write X,Y from 0,0 (top left) to 1,1, like 0.5,0.5."
        )
    return place


def find_guide(name: str) -> Path:
    """The guide picture of this name. Raises UsageError if there is none."""
    path = as_path(name)
    if why := obstacle(path):
        raise UsageError(f"No such guide picture: {name!r} ({why}).")
    return path
